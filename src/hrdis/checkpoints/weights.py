"""Read weight files of any origin without running code, and look at their shapes before memory is
spent on them.
"""

import argparse
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files import read_json
from ..messages import one_line
from .layouts import Shape, network_in, network_names

#: Names of a folder's weights, the best first; * is a variant, e.g. fp16 or ema. An index lists the
#: files of weights that were split.
WEIGHTS = (
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.ema.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.safetensors.index.*.json",
    "diffusion_pytorch_model.*.safetensors",
    "model.safetensors",
)

#: The same as pickles, which torch's reader reads without running code.
PICKLED = (
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.bin.index.json",
    "diffusion_pytorch_model.ema.bin",
    "diffusion_pytorch_model.fp16.bin",
    "diffusion_pytorch_model.bin.index.*.json",
    "diffusion_pytorch_model.*.bin",
    "pytorch_model.bin",
)


def download_hint(url: str, size: str, licence: str, file: str | Path) -> str:
    """Return the command that downloads a file, for the message that the file is missing."""
    command = f"curl -L -o {file} '{url}'"
    if "drive.google.com" in url:
        command = f"gdown '{url}' -O {file}"
    return f". Download it ({size}, licence: {licence}): {command}"


def tensor_shapes(file: str | Path, hint: str = "") -> dict[str, Shape]:
    """Return names and shapes of a network's tensors in a .pt or .safetensors file; the weights are
    not read.

    Prefixes that wrappers added to the names are removed. Tensors that are not weights are left
    out, such as the schedule's betas and counters. Where the file also holds the moving average of
    the network, that is taken and the raw network is left out.

    Args:
        file: a file of weights, whose kind is recognised by its content; or the index
            (``*.index.json``) of weights that were split into several files.
        hint: ends the message if the file does not exist, e.g. by where it can be downloaded.

    Raises:
        ValueError: if the file is missing, damaged, needs code, or holds no tensors or several
            networks.
    """
    file = Path(file).expanduser()
    if not file.is_file():
        raise ValueError(f"{file} does not exist. A file of weights is expected there{hint or '.'}")
    found = _all_shapes(file)
    names = network_names(found, file, _code_that_reads(file))
    return {name: found[key] for key, name in names.items()}


def iterate_tensors(file: str | Path) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of `tensor_shapes` one after another, each in fresh aligned memory.

    The file is never held twice in memory, because a tensor that was yielded is released here and
    no mapping of the file stays open.
    """
    file = Path(file).expanduser()
    names = network_names(_all_shapes(file), file, _code_that_reads(file))
    for part in shards(file):
        if _is_safetensors(part):
            with reading(part), _opened(part) as content:
                keys = list(content.keys())
            for key in keys:
                if key not in names:
                    continue
                # Opened anew for each tensor: the pages of a mapping count as used memory.
                with reading(part), _opened(part) as content:
                    tensor = content.get_tensor(key).clone()
                yield names[key], tensor
            continue
        state = _unpickled(part, device="cpu")
        while state:
            key, tensor = state.popitem()
            if key in names:
                yield names[key], tensor.contiguous()


def shards(file: Path) -> list[Path]:
    """Return the files that hold the weights, those that an index names or else the file itself.

    Raises:
        ValueError: if the index cannot be read, or one of its files is missing.
    """
    if ".index." not in file.name or file.suffix != ".json":
        return [file]
    index = read_json(file).get("weight_map")
    parts, missing = [], []
    try:
        names = dict.fromkeys(index.values())  # type: ignore[union-attr]  # in order, without repeats
        for name in names:
            # The name alone, so that an index cannot lead out of its folder.
            parts.append(file.parent / Path(name).name)
            if not parts[-1].is_file():
                missing.append(parts[-1].name)
    except (AttributeError, TypeError, ValueError, OSError):  # a name that is too long, too
        raise ValueError(
            f"{file} cannot be read (it has no weight_map of file names). An index of weights is "
            "expected: fetch it again."
        ) from None
    if parts and not missing:
        return parts
    fault = "empty"
    if missing:
        fault = f"{len(missing)} of the {len(parts)} files it names are missing, {missing[0]} first"
    raise ValueError(
        f"{file}: {fault}. All of them are expected beside it: fetch the folder again."
    )


def weights_in(folder: Path, names: Sequence[str] = WEIGHTS + PICKLED) -> Path:
    """Return the file with a network's weights.

    It is the first of the names that exists, or an index where the weights are split over files.
    """
    for name in names:
        found = []
        for file in sorted(folder.glob(name)):
            if file.is_file() and "-of-" not in file.name:  # not one of the split files alone
                found.append(file)
        if found:
            # A training may leave the raw weights beside their average, which is better.
            return min(found, key=lambda file: "non_ema" in file.name)
    return folder / WEIGHTS[0]


def _all_shapes(file: Path) -> dict[str, Shape]:
    """Return names and shapes of all tensors in a file, or in the files of an index."""
    found: dict[str, Shape] = {}
    for part in shards(file):
        if _is_safetensors(part):
            with reading(part), _opened(part) as content:
                for key in list(content.keys()):
                    found[key] = tuple(content.get_slice(key).get_shape())
        else:
            for key, tensor in _unpickled(part, device="meta").items():
                found[key] = tuple(tensor.shape)
    return found


def _code_that_reads(file: Path) -> str:
    if _is_safetensors(shards(file)[0]):
        return f"safetensors.torch.load_file({str(file)!r})"
    return f"torch.load({str(file)!r}, weights_only=True)"


def _is_safetensors(file: str | Path) -> bool:
    with reading(file), open(file, "rb") as content:
        head = content.read(9)
    return head[8:] == b"{"


def _opened(file: str | Path) -> Any:
    from safetensors import safe_open

    return safe_open(str(file), framework="pt")


def _unpickled(file: str | Path, device: str) -> dict[str, Tensor]:
    with reading(file):
        # Some versions of torch go by the name and say nothing of the content, others read it.
        if Path(file).suffix == ".safetensors":
            raise ValueError("it does not begin as a safetensors file does")
        zipped = zipfile.is_zipfile(file)
        if zipped:
            # `torch.save` compresses nothing; a small file of zeros would fill the memory.
            with zipfile.ZipFile(file) as archive:
                expanded = sum(entry.file_size for entry in archive.infolist())
            if expanded > Path(file).stat().st_size:
                raise ValueError(f"its records expand to {expanded} bytes, more than the file has")
        # Mapped, "meta" reads no weights at all; files older than torch 1.6 are not zip archives
        # and cannot be mapped.
        mapped = device == "meta" and zipped
        # Many trainings save their options, a Namespace, beside the weights. It only holds values.
        with (
            warnings.catch_warnings(action="ignore"),
            torch.serialization.safe_globals([argparse.Namespace]),
        ):
            state = torch.load(file, map_location=device, weights_only=True, mmap=mapped)
    return network_in(state, file)


class reading:
    """Turn whatever a damaged or hostile file makes its reader raise into one ValueError of one
    line.

    Args:
        file: the file that is read inside the ``with`` block.
    """

    def __init__(self, file: str | Path):
        self.file = file

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if error is None or not isinstance(error, Exception):
            return
        reason = one_line(error).rpartition("WeightsUnpickler error: ")[-1]
        words: list[str] = []  # by which torch's reader complains about more than tensors
        if isinstance(error, pickle.UnpicklingError):
            words += ["GLOBAL", "global", "callable"]
            with open(self.file, "rb") as content:
                if content.read(1) == b"\x80":  # a pickle, not a ZIP archive
                    words.append("operand")
        if any(word in reason for word in words):
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
        if isinstance(error, MemoryError):
            # A damaged length asks for terabytes: no reason to end the program with a traceback.
            reason = "it asks for more memory than there is"
        raise ValueError(
            f"{self.file} cannot be read ({reason[:200] or type(error).__name__}). It is damaged, "
            "truncated, or no file of weights (.pt, .safetensors): fetch it again."
        ) from None
