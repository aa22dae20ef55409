"""Weight files that other people made, read without running code and looked at before memory is
spent on them.
"""

import argparse
import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

Shape = tuple[int, ...]

DIFFUSERS = "down_blocks.0.resnets.0.norm1.weight"

#: A part of a key, and the kind of file that has such keys: what to say when one model's file is
#: taken for another's.
HALLMARKS = {
    "output_blocks.0.0.in_layers.0.weight": (
        "a network in guided-diffusion's layout: hrdis.load_prior('adm:{file}')"
    ),
    "temb.dense.0.weight": "a network of the original DDPM: hrdis.load_prior('ddpm:{file}')",
    DIFFUSERS: (
        "a diffusers network, which is loaded with config.json and scheduler_config.json, in one "
        "folder with it: hrdis.load_prior('diffusers:{folder}')"
    ),
    "map_layer0.weight": (
        "a network of EDM (SongUNet, DhariwalUNet), whose scaled skips and attention diffusers' "
        "UNet2DModel cannot express"
    ),
    "middle_block.0.in_layers.0.weight": (
        "a classifier or encoder in guided-diffusion's layout, no diffusion model"
    ),
}

#: A weight that every network of a kind has. What stands before it in a file is what wrappers left.
ANCHORS = (
    "time_embed.0.weight",  # guided-diffusion
    "temb.dense.0.weight",  # the original DDPM
    "time_embedding.linear_1.weight",  # diffusers
    "time.linear1.weight",  # SmallUNet
)

#: What wrappers of a network put before the names of its weights, for networks that have no anchor.
WRAPPERS = (
    "module.",
    "_orig_mod.",
    "model.",
    "unet.",
    "net.",
    "diffusion_model.",
    "ema_model.",
    "denoise_fn.",
)

#: Tensors of a training that stand beside a network's weights and are none: its schedule and its
#: averages.
BUFFERS = re.compile(
    r"(log_|sqrt_)?(one_minus_)?(betas?|alphas?)(_\w+)?|alpha_bar\w*|posterior_\w+|sqrt_recip\w*|loss_weight"
)
COPIES = ("model_ema.", "ema_model.", "ema.")

#: Where a training that saves several dictionaries keeps its network, the best first, after a
#: moving average.
PLACES = ("state_dict", "model", "model_state_dict", "net", "network", "unet", "module")


def fetching(url: str, size: str, licence: str, file: str | Path) -> str:
    """Where a file can be had, with the command that fetches it."""
    command = (
        f"gdown '{url}' -O {file}" if "drive.google.com" in url else f"curl -L -o {file} '{url}'"
    )
    return f". Download it ({size}, licence: {licence}): {command}"


def layout(file: str | Path, hint: str = "") -> dict[str, Shape]:
    """Return names and shapes of a network's tensors in a .pt or .safetensors file; the weights are
    not read.

    What wrappers left before the names is taken away, and what is no weight is left out: the
    schedule's betas, counters, and copies of the network where the file holds a moving average,
    which is taken.

    Args:
        file: the content decides which of the two it is, not the name; or the index
            (``*.index.json``) of weights that were split into several files.
        hint: said when the file does not exist, e.g. where it can be had.

    Raises:
        ValueError: if the file is missing, damaged, needs code, or holds no tensors or several
            networks.
    """
    file = Path(file).expanduser()
    if not file.is_file():
        raise ValueError(f"{file} does not exist. A file of weights is expected there{hint or '.'}")
    found = _all_shapes(file)
    return {name: found[key] for key, name in _names(found, file).items()}


def stream(file: str | Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors of `layout` one after another, each in fresh aligned memory.

    The file is never held twice: what was handed out is forgotten here, and no mapping of the file
    stays open.
    """
    file = Path(file).expanduser()
    names = _names(_all_shapes(file), file)
    for part in shards(file):
        if _is_safetensors(part):
            with _reading(part), _opened(part) as content:
                keys = [key for key in content.keys() if key in names]  # noqa: SIM118
            for key in keys:
                with (
                    _reading(part),
                    _opened(part) as content,
                ):  # anew for each: a mapping counts as memory
                    tensor = content.get_tensor(key).clone()
                yield names[key], tensor
            continue
        state = _unpickled(part, device="cpu")
        while state:
            key, tensor = state.popitem()
            if key in names:
                yield names[key], tensor.contiguous()


def shards(file: Path) -> list[Path]:
    """Return the files that hold the weights: those that an index names, else the file itself.

    Raises:
        ValueError: if the index cannot be read, or one of its files is missing.
    """
    if ".index." not in file.name or file.suffix != ".json":
        return [file]
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))["weight_map"].values()
        parts = [file.parent / Path(name).name for name in dict.fromkeys(listed)]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{file} cannot be read ({reason}). An index of weights is expected: fetch it again."
        ) from None
    missing = [part.name for part in parts if not part.is_file()]
    if missing or not parts:
        lost = (
            f"{len(missing)} of the {len(parts)} files it names are missing, {missing[0]} first"
            if missing
            else "empty"
        )
        raise ValueError(
            f"{file}: {lost}. All of them are expected beside it: fetch the folder again."
        )
    return parts


def differences(found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> str:
    """How two layouts differ, up to three names each; empty if they agree."""
    missing, unexpected = (
        sorted(expected.keys() - found.keys()),
        sorted(found.keys() - expected.keys()),
    )
    other = sorted(key for key in found.keys() & expected.keys() if found[key] != expected[key])
    if not (missing or unexpected or other):
        return ""
    shapes = [f"{key} is {found[key]}, not {expected[key]}" for key in other[:3]]
    return (
        f"{len(missing)} keys missing {missing[:3]}, {len(unexpected)} unexpected "
        f"{unexpected[:3]}, {len(other)} of another shape {shapes}"
    )


def recognised(found: Mapping[str, Shape], where: object, known: str = "") -> str:
    """Say what a file is whose keys were not those expected, with the code that loads it; "" if
    nothing is known.

    Args:
        known: the key of `HALLMARKS` that needs no mention, since the file was read as that.
    """
    path = Path(str(where))
    places = (
        {"file": where, "folder": path.parent}
        if path.suffix
        else {"file": "<file>", "folder": "<folder>"}
    )
    for mark, kind in HALLMARKS.items():
        if mark != known and any(key == mark or key.endswith(f".{mark}") for key in found):
            return f"It is {kind.format(**places)}."
    if found and all(
        "exp_avg" in key or "momentum" in key or key.startswith("state.") for key in found
    ):
        return (
            "It is the state of an optimiser, which holds no network: choose the file of weights "
            "beside it."
        )
    return ""


def _all_shapes(file: Path) -> dict[str, Shape]:
    """Return names and shapes of everything in a file and in the shards of an index."""
    found: dict[str, Shape] = {}
    for part in shards(file):
        if _is_safetensors(part):
            with _reading(part), _opened(part) as content:
                found |= {key: tuple(content.get_slice(key).get_shape()) for key in content.keys()}  # noqa: SIM118
        else:
            found |= {
                key: tuple(tensor.shape) for key, tensor in _unpickled(part, device="meta").items()
            }
    return found


def _names(found: Mapping[str, Shape], file: Path) -> dict[str, str]:
    """Map the names in a file to those of the network: no wrapper before them, nothing that is no
    weight.
    """
    prefixes = {
        key.removesuffix(anchor)
        for anchor in ANCHORS
        for key in found
        if f".{key}".endswith(f".{anchor}")
    }
    prefix = _network_of(prefixes, file) if prefixes else _common(found)
    others = tuple(other for other in prefixes if other != prefix and other.startswith(prefix))
    names = {}
    for key, shape in found.items():
        name = key.removeprefix(prefix)
        if (
            not key.startswith(prefix)
            or (others and key.startswith(others))
            or (prefixes and name.startswith(COPIES))
        ):
            continue
        if "." not in name and (shape == () or BUFFERS.fullmatch(name)):
            continue
        names[key] = name
    return names


def _network_of(prefixes: set[str], file: Path) -> str:
    """Choose the network of a file that may hold its moving average too, which is what one samples
    from.
    """
    averages = [prefix for prefix in prefixes if "ema" in prefix.lower()]
    plain = [prefix for prefix in prefixes if prefix not in averages]
    if len(plain) > 1 or len(averages) > 1:
        first = sorted(averages or plain)[0]
        taken = (
            f"{{k.removeprefix({first!r}): v for k, v in state.items() if k.startswith({first!r})}}"
        )
        read = _code_that_reads(file)
        raise ValueError(
            f"{file} holds {len(prefixes)} networks, under "
            f"{', '.join(repr(p) for p in sorted(prefixes))}. One is expected: state = {read}; "
            f"torch.save({taken}, 'weights.pt')"
        )
    return (averages or plain)[0]


def _code_that_reads(file: Path) -> str:
    if _is_safetensors(shards(file)[0]):
        return f"safetensors.torch.load_file({str(file)!r})"
    return f"torch.load({str(file)!r}, weights_only=True)"


def _common(keys: Iterable[str]) -> str:
    """Return what wrappers put before every name."""
    names, prefix = list(keys), ""
    while names:
        found = next(
            (w for w in WRAPPERS if all(name.startswith(prefix + w) for name in names)), None
        )
        if found is None:
            break
        prefix += found
    return prefix


def _is_safetensors(file: str | Path) -> bool:
    with _reading(file), open(file, "rb") as content:
        head = content.read(9)
    return head[8:] == b"{"


def _opened(file: str | Path) -> Any:
    from safetensors import safe_open

    return safe_open(str(file), framework="pt")


def _unpickled(file: str | Path, device: str) -> dict[str, Tensor]:
    with _reading(file):
        # Mapped, "meta" reads no weights at all; files older than torch 1.6 are no zip archives and
        # cannot be.
        mapped = device == "meta" and zipfile.is_zipfile(file)
        # Namespace: the options of a training, which many save beside the weights. It only holds
        # values.
        with (
            warnings.catch_warnings(action="ignore"),
            torch.serialization.safe_globals([argparse.Namespace]),
        ):
            state = torch.load(file, map_location=device, weights_only=True, mmap=mapped)
    return _inside(state, file)


def _inside(state: Any, file: str | Path) -> dict[str, Tensor]:
    """Return the dictionary of tensors in what a training saved: all of it, or the network among
    other things.

    Raises:
        ValueError: if there is none, or several that may be meant.
    """
    parts = dict(enumerate(state)) if isinstance(state, list | tuple) else state
    if not isinstance(parts, dict):
        raise ValueError(
            f"{file} holds a {type(state).__name__}, no dictionary of tensors. Another file is "
            "expected."
        )
    if {"state", "param_groups"} <= parts.keys():
        raise ValueError(
            f"{file} is the state of an optimiser, which holds no network. The file of weights "
            "that the training wrote beside it is expected, e.g. model010000.pt or "
            "ema_0.9999_010000.pt beside opt010000.pt."
        )
    nested = {key: value for key, value in parts.items() if _is_state(value)}
    networks = {key: value for key, value in nested.items() if _has_anchor(value)}
    averages = [key for key in networks if "ema" in str(key).lower()]
    usual = [key for key in PLACES if key in networks]
    if len(networks) == 1 or len(averages) == 1 or (usual and not averages):
        return dict(networks[(averages or usual or list(networks))[0]])
    tensors = {
        key: value
        for key, value in parts.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }
    if tensors and all(isinstance(v, Tensor | int | float | str | None) for v in parts.values()):
        return tensors
    if isinstance(parts.get("shadow_params"), list):
        raise ValueError(
            f"{file} holds a moving average without the names of its weights (shadow_params). The "
            "folder that diffusers writes beside it is expected: unet_ema, with config.json in it."
        )
    inside = (
        ", ".join(map(repr, list(parts)[:5])) if isinstance(state, dict) else type(state).__name__
    )
    said = f"{file} is no flat dictionary of tensors (it holds {inside or 'nothing'})."
    if not nested:
        raise ValueError(f"{said} No weights were found in it: another file is expected.")
    places = list(networks or nested)
    raise ValueError(
        f"{said} The weights alone are expected, of {' or '.join(map(repr, places))}: "
        f"torch.save(torch.load({str(file)!r}, weights_only=True)[{(averages or places)[0]!r}], "
        "'weights.pt')."
    )


def _is_state(value: object) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(part, Tensor) for part in value.values())
    )


def _has_anchor(state: dict[str, Tensor]) -> bool:
    return any(f".{key}".endswith(f".{anchor}") for key in state for anchor in ANCHORS)


class _reading:
    """Turn whatever a damaged or hostile file makes its reader raise into one ValueError."""

    def __init__(self, file: str | Path):
        self.file = file

    def __enter__(self) -> None:
        pass

    def _of_code(self) -> tuple[str, ...]:
        """Words of the errors of torch's reader that a pickle of more than tensors causes."""
        with open(self.file, "rb") as content:
            pickled = content.read(1) == b"\x80"
        return (
            ("GLOBAL", "global", "callable", "operand")
            if pickled
            else ("GLOBAL", "global", "callable")
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if error is None or not isinstance(error, Exception) or isinstance(error, MemoryError):
            return
        reason = " ".join(str(error).split()).rpartition("WeightsUnpickler error: ")[-1]
        if isinstance(error, pickle.UnpicklingError) and any(
            word in reason for word in self._of_code()
        ):
            raise ValueError(
                f"{self.file} needs code to be read, so it was not. A dictionary of plain tensors "
                "is expected. If you trust its origin, convert it once where it may run code: "
                f"found = torch.load({str(self.file)!r}, weights_only=False); found = "
                f"getattr(found, 'state_dict', lambda: found)(); torch.save({{k: v for k, v in "
                "found.items() if torch.is_tensor(v) or (isinstance(v, dict) and v and "
                f"all(map(torch.is_tensor, v.values())))}}, 'weights.pt')."
            ) from None
        if "TorchScript" in reason:
            raise ValueError(
                f"{self.file} is a program (TorchScript), and was not run. Its weights alone are "
                f"expected: torch.save(torch.jit.load({str(self.file)!r}).state_dict(), "
                "'weights.pt')."
            ) from None
        raise ValueError(
            f"{self.file} cannot be read ({reason[:200] or type(error).__name__}). It is damaged, "
            "truncated, or no file of weights (.pt, .safetensors): fetch it again."
        ) from None
