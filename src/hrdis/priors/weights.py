"""Weight files that other people made, read without running code and looked at before memory is spent on them."""

import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

Shape = tuple[int, ...]

#: A part of a key, and the kind of file that has such keys: what to say when one model's file is taken for another's.
HALLMARKS = {
    "output_blocks.0.0.in_layers.0.weight": "a network in guided-diffusion's layout: hrdis.load_prior('adm:{}')",
    "temb.dense.0.weight": "a network of the original DDPM: hrdis.load_prior('ddpm:{}')",
    "down_blocks.0.resnets.0.norm1.weight": "a diffusers network, which is loaded with its folder: "
    "hrdis.load_prior('diffusers:{}/..')",
    "map_layer0.weight": "a network of EDM (SongUNet, DhariwalUNet), whose scaled skips and attention diffusers' "
    "UNet2DModel cannot express",
    "middle_block.0.in_layers.0.weight": "a classifier or encoder in guided-diffusion's layout, no diffusion model",
}


#: What wrappers of a network put before the names of its weights.
WRAPPERS = ("module.", "_orig_mod.", "model.", "unet.", "net.")


def fetching(url: str, size: str, licence: str, file: str | Path) -> str:
    """Where a file can be had, with the command that fetches it."""
    command = f"gdown '{url}' -O {file}" if "drive.google.com" in url else f"curl -L -o {file} '{url}'"
    return f". Download it ({size}, licence: {licence}): {command}"


def layout(file: str | Path, hint: str = "") -> dict[str, Shape]:
    """Names and shapes of the tensors in a .pt or .safetensors file; the weights themselves are not read.

    Args:
        file: the content decides which of the two it is, not the name.
        hint: said when the file does not exist, e.g. where it can be had.

    Raises:
        ValueError: if the file is missing, damaged, needs code, or is no flat dictionary of tensors.
    """
    if not Path(file).is_file():
        raise ValueError(f"{file} does not exist. A file of weights is expected there{hint or '.'}")
    if _is_safetensors(file):
        with _reading(file), _opened(file) as content:
            found = {key: tuple(content.get_slice(key).get_shape()) for key in content.keys()}  # noqa: SIM118
    else:
        found = {key: tuple(tensor.shape) for key, tensor in _unpickled(file, device="meta").items()}
    return {key.removeprefix(_prefix(found)): shape for key, shape in found.items()}


def stream(file: str | Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a file one after another, each in fresh aligned memory.

    The file is never held twice: what was handed out is forgotten here, and no mapping of the file stays open.
    """
    if _is_safetensors(file):
        with _reading(file), _opened(file) as content:
            keys = list(content.keys())
        prefix = _prefix(keys)
        for key in keys:
            with _reading(file), _opened(file) as content:  # anew for each: a mapping counts as memory while it lives
                tensor = content.get_tensor(key).clone()
            yield key.removeprefix(prefix), tensor
        return
    state = _unpickled(file, device="cpu")
    prefix = _prefix(state)
    while state:
        key, tensor = state.popitem()
        yield key.removeprefix(prefix), tensor.contiguous()


def differences(found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> str:
    """How two layouts differ, up to three names each; empty if they agree."""
    missing, unexpected = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    other = sorted(key for key in found.keys() & expected.keys() if found[key] != expected[key])
    if not (missing or unexpected or other):
        return ""
    shapes = [f"{key} is {found[key]}, not {expected[key]}" for key in other[:3]]
    return (
        f"{len(missing)} keys missing {missing[:3]}, {len(unexpected)} unexpected {unexpected[:3]}, "
        f"{len(other)} of another shape {shapes}"
    )


def recognised(found: Mapping[str, Shape], where: object) -> str:
    """What a file is whose keys were not those expected, with the code that loads it; "" if nothing is known."""
    for mark, kind in HALLMARKS.items():
        if any(key == mark or key.endswith(f".{mark}") for key in found):
            return f"It is {kind.format(where if Path(str(where)).suffix else '<file>')}."
    return ""


def _prefix(keys: Any) -> str:
    """Return what wrappers put before every name: DataParallel, torch.compile, and modules that hold the network."""
    names, prefix = list(keys), ""
    while names:
        found = next((w for w in WRAPPERS if all(name.startswith(prefix + w) for name in names)), None)
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
        # Mapped, "meta" reads no weights at all; files older than torch 1.6 are no zip archives and cannot be.
        mapped = device == "meta" and zipfile.is_zipfile(file)
        with warnings.catch_warnings(action="ignore"):  # of pickles newer than it expects, which it then refuses
            state = torch.load(file, map_location=device, weights_only=True, mmap=mapped)
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        inside = ", ".join(map(repr, list(state)[:5])) if isinstance(state, dict) else type(state).__name__
        if isinstance(state, dict) and {"state", "param_groups"} <= state.keys():
            raise ValueError(
                f"{file} is the state of an optimiser, which holds no network. The file of weights that the training "
                "wrote beside it is expected, e.g. model010000.pt or ema_0.9999_010000.pt beside opt010000.pt."
            )
        raise ValueError(
            f"{file} is no flat dictionary of tensors (it holds {inside or 'nothing'}). The weights alone are expected:"
            f" torch.save(torch.load({str(file)!r}, weights_only=True)[<where they are>], 'weights.pt')."
        )
    return dict(state)


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
        return ("GLOBAL", "global", "callable", "operand") if pickled else ("GLOBAL", "global", "callable")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or not isinstance(error, Exception) or isinstance(error, MemoryError):
            return
        reason = " ".join(str(error).split()).rpartition("WeightsUnpickler error: ")[-1]
        if isinstance(error, pickle.UnpicklingError) and any(word in reason for word in self._of_code()):
            raise ValueError(
                f"{self.file} needs code to be read, so it was not. A dictionary of plain tensors is expected. If you "
                "trust its origin, convert it once where it may run code: "
                f"torch.save(dict(torch.load({str(self.file)!r}, weights_only=False)), 'weights.pt')."
            ) from None
        raise ValueError(
            f"{self.file} cannot be read ({reason[:200] or type(error).__name__}). "
            "It is damaged, truncated, or no file of weights (.pt, .safetensors): fetch it again."
        ) from None
