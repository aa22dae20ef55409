"""Files beside the pictures of a benchmark: masks of the user's, and measurements that were made.

Without them masks are drawn, and pictures are measured by the task's operator.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from ... import images
from ...tasks import Task
from ..records import RunInterrupted, RunTask
from .pictures import DataPicture, centre, file_sha256, read_sized

#: How a packed file of masks ends (Palette's imagenet_freeform_masks.npz).
PACKED = ".npz"


@dataclass(frozen=True)
class GivenFiles:
    """Masks and measurements that a user gives, by the places where they lie; picklable.

    Args:
        masks: a folder with the mask of each picture, or a packed file.
        measured: a folder with the measurement of each picture.
        mask_offset: of the first picture's mask in a packed file.
        paths: path of each file by its SHA-256.
    """

    masks: Path | None = None
    measured: Path | None = None
    mask_offset: int = 0
    paths: dict[str, str] = field(default_factory=dict)

    def beside(self, pictures: Sequence[DataPicture]) -> "list[DataPicture]":
        """Return the pictures with the masks and measurements that belong to them, hashed, and note
        their paths.

        A file belongs to the picture whose name it has, whatever its suffix; a mask may end in
        "-mask", as `hrdis degrade` writes it. Of a packed file picture k takes mask
        (offset + k) modulo their number.

        Raises:
            ValueError: for a folder that does not exist, a file that is missing or damaged, or two
                files for one picture.
        """
        for what, folder in (("masks", self.masks), ("measured", self.measured)):
            packed = what == "masks" and folder is not None and folder.suffix == PACKED
            if folder is None or (packed and folder.is_file()):
                continue
            if not folder.is_dir():
                kind = f"a folder, or Palette's {PACKED} file, is" if what == "masks" else "one is"
                raise ValueError(f"{folder} is no folder: {kind} expected: --{what} FOLDER")
        if self.mask_offset < 0:
            raise ValueError(
                f"--mask-offset is {self.mask_offset}. 0 or more is expected: --mask-offset 3"
            )
        packed_sha256 = None
        if self.masks is not None and self.masks.suffix == PACKED:
            packed_sha256 = self._noted(self.masks)
        elif self.mask_offset:
            raise ValueError(
                f"--mask-offset is {self.mask_offset}, without a packed file of masks. One is "
                f"expected: --masks imagenet_freeform_masks{PACKED}"
            )
        found = []
        for picture in pictures:
            changes: dict[str, str | int] = {}
            if packed_sha256 is not None:
                changes["mask_sha256"] = packed_sha256
                changes["mask_number"] = self.mask_offset + picture.index
            elif self.masks is not None:
                path = file_of(picture, self.masks, "masks", ("-mask", ""), images.SUFFIXES)
                images.read_mask(path)  # what is no mask is refused now
                changes["mask_sha256"] = self._noted(path)
            if self.measured is not None:
                suffixes = (*images.SUFFIXES, *images.ARRAYS)
                path = file_of(picture, self.measured, "measured", ("",), suffixes)
                changes["measured_sha256"] = self._noted(path)
            found.append(replace(picture, **changes))  # type: ignore[arg-type]
        return found

    def _noted(self, path: Path) -> str:
        sha256 = file_sha256(path)
        self.paths[sha256] = str(path)
        return sha256

    def path_of(self, sha256: str) -> Path:
        """Return the file of a hash.

        Raises:
            RunInterrupted: if it is gone, or is not the file that was given when the run began.
        """
        path = Path(self.paths[sha256])
        try:
            found = _sha256_of(path, path.stat().st_mtime_ns)
        except OSError as error:
            raise RunInterrupted(
                f"{path} cannot be read any more ({error.strerror}). Is its disk mounted?"
            ) from error
        if found != sha256:
            raise RunInterrupted(
                f"{path} is not the file it was when the run began. Put that one back, or start "
                "another run."
            )
        return path


@lru_cache(maxsize=256)
def _sha256_of(path: Path, changed: int) -> str:
    """Return the hash of a file, taken once as long as the file does not change."""
    return file_sha256(path)


def file_of(
    picture: DataPicture,
    folder: Path,
    option: str,
    endings: Sequence[str],
    suffixes: Sequence[str],
) -> Path:
    """Return the file of a folder that belongs to a picture."""
    name = Path(picture.name)
    found = []
    places = dict.fromkeys((folder / name.parent, folder))
    for parent, ending in product(places, endings):
        for suffix in suffixes:
            path = parent / f"{name.stem}{ending}{suffix}"
            if path.is_file():
                found.append(path)
        if found:
            break
    if len(found) != 1:
        here = " and ".join(path.name for path in found) or "nothing"
        raise ValueError(
            f"{folder} holds {here} for {picture.name}. One file of that name is expected, ending "
            f"in {', '.join(suffixes)}: --{option} FOLDER"
        )
    return found[0]


def why_not_given(run_task: RunTask, task: Task, is_blind: bool) -> str:
    """Return one sentence on why a task cannot take the files that were given, or ""."""
    if run_task.mask_number is not None and task.mask and task.band is None:
        return f"Palette's file has no masks like those of {run_task.task}"
    if run_task.measured_sha256 is None:
        return ""
    if task.mask and run_task.mask_sha256 is None:
        return "the holes of measured pictures are not known without their masks: --masks FOLDER"
    if task.kernel or task.weights:
        return "its blur is drawn for each picture, and that of measured ones is not known"
    if task.blind is not None and not is_blind:
        return "what a blind solver estimates is not known of measured pictures"
    return ""


def read_given_mask(given: GivenFiles, run_task: RunTask, task: Task, shape: torch.Size) -> Tensor:
    """Return the mask of a run task, (1, 1, h, w), 1 = observed.

    Masks are never scaled. Where a picture's centre is used, so is the mask's.

    Args:
        given: the files.
        run_task: names mask and size.
        task: of that name, whose band chooses among a packed file's masks.
        shape: of the picture as it is measured.

    Raises:
        ValueError: for a mask of another size, or a packed file without it.
    """
    path = given.path_of(str(run_task.mask_sha256))
    if run_task.mask_number is not None and task.band is not None:
        mask = images.read_palette_mask(path, task.band, run_task.mask_number)
    else:
        mask = images.read_mask(path)
    h, w = mask.shape
    whole = (run_task.size, run_task.size) if run_task.size else (h, w)
    cut = centre(mask[..., None].numpy(), run_task.crop) if run_task.crop else mask[..., None]
    mask = torch.as_tensor(cut)[..., 0]
    if (h, w) != whole or mask.shape != shape[-2:]:
        wanted = f"{whole[0]} x {whole[1]}" if run_task.size else f"{shape[-2]} x {shape[-1]}"
        raise ValueError(
            f"The mask {path} has {h} x {w} pixels, and the picture {run_task.image} has {wanted}. "
            f"Masks are not scaled: --size {h} if they are square, or --size 0 for pictures as "
            "they are"
        )
    return mask[None, None]


def read_given_measurement(given: GivenFiles, run_task: RunTask, expected: torch.Size) -> Tensor:
    """Return the measurement of a run task, (1, ...).

    Arrays, and pictures of the expected size, are taken as they are. A picture of another size is
    scaled and cropped as the truth is.

    Args:
        given: the files.
        run_task: names file and size.
        expected: shape of what the task's operator would have measured.

    Raises:
        ValueError: for a measurement of another shape.
    """
    path = given.path_of(str(run_task.measured_sha256))
    if path.suffix in images.ARRAYS:
        y = images.read_array(path)
    else:
        y = read_sized(path, 0, 0)
        if y.shape[-2:] != expected[-2:]:
            y = read_sized(path, run_task.size, run_task.crop)
        if len(expected) == 4 and expected[1] == 1 and bool((y == y[:, :1]).all()):
            y = y[:, :1]
    if y.shape[1:] != expected[1:] or len(y) != 1:
        raise ValueError(
            f"The measurement {path} has shape {tuple(y.shape)}. What {run_task.task} measures of "
            f"{run_task.image} is expected, shape {(1, *expected[1:])}: --size and --crop say how "
            "the picture is cut"
        )
    return y
