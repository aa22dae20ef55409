"""Scores of single pictures: PSNR and SSIM, LPIPS, and the accuracy of a classifier (CA)."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ... import images
from ...metrics import align, psnr, ssim
from ..records import Row
from ..results import Results
from .networks import MetricUnavailable, Scoring, classifier, distance, first_line

Record = dict[str, Any]

SMALLEST_FOR_SSIM = 11  # pixels a side, the width of its window


def pairs(
    run: Results, rows: Sequence[Row], batch: int
) -> Iterator[tuple[list[Row], Tensor, Tensor]]:
    """Yield rows with their pictures and originals (b, 3, h, w) in [-1, 1], ``batch`` of one size
    at a time.
    """

    def size(row: Row) -> str:
        return str((row["cell"].get("size"), row["cell"].get("crop")))

    def size_and_key(row: Row) -> tuple[str, str]:
        return size(row), row["key"]

    # Only pictures of one size can be stacked.
    for _, of_one_size in groupby(sorted(rows, key=size_and_key), key=size):
        members = list(of_one_size)
        for start in range(0, len(members), batch):
            some = members[start : start + batch]
            yield some, load_pictures(run, some, "picture"), load_pictures(run, some, "truth")


def load_pictures(run: Results, rows: Sequence[Row], which: str) -> Tensor:
    """Return the pictures or originals of rows, stacked."""
    loaded = []
    for row in rows:
        path = run.picture(row, which)
        if path is not None:
            loaded.append(images.load(path))
    return torch.cat(loaded)


def pixel_records(run: Results, rows: Sequence[Row], options: Scoring) -> Iterator[Record]:
    """Yield PSNR and SSIM of pictures as they lie in their files, rounded to 8 bits; for phase
    retrieval also after alignment.
    """
    for some, x, truth in pairs(run, rows, options.batch):
        large = min(x.shape[-2:]) >= SMALLEST_FOR_SSIM
        psnrs, ssims = psnr(x, truth), ssim(x, truth) if large else None
        for i, row in enumerate(some):
            record: Record = {"key": row["key"], "psnr": float(psnrs[i])}
            if ssims is not None:
                record["ssim"] = float(ssims[i])
            if row["cell"]["task"] == "phase":
                original = truth[i : i + 1]
                aligned = align(x[i : i + 1], original, "per_channel")
                record["psnr_aligned"] = float(psnr(aligned, original))
                if large:
                    record["ssim_aligned"] = float(ssim(aligned, original))
            yield record


def lpips_records(run: Results, rows: Sequence[Row], options: Scoring) -> Iterator[Record]:
    """Yield the LPIPS of every picture, or its distance by a network of the user's own.

    Raises:
        MetricUnavailable: without weights, or if the network refuses the pictures.
    """
    measure = distance(options)
    net, input_range = options.lpips_form
    name = "lpips" if options.distance is None else "distance"
    for some, x, truth in pairs(run, rows, options.batch):
        found = call_network("LPIPS", measure, x.to(options.device), truth.to(options.device))
        for row, value in zip(some, found.tolist(), strict=True):
            yield {"key": row["key"], name: value, "net": net, "range": input_range}


def class_records(run: Results, rows: Sequence[Row], options: Scoring) -> Iterator[Record]:
    """Yield CA: 100 where the class of a picture is its label, else 0, and the same of its
    original. By a classifier of the user's own it is called accuracy.

    Raises:
        MetricUnavailable: without weights or labels, or if the network refuses the pictures.
    """
    classify = classifier(options)
    labels = labels_of(run, options)
    known = [row for row in rows if row["cell"]["image_sha256"] in labels]
    if not known:
        raise MetricUnavailable(
            "no labels are known: --classes LIST (lines wnid/file label), or run with --list"
        )
    name = "ca" if options.classifier is None else "accuracy"
    # Many restorations share an original: each is classified once.
    original_accuracy: dict[str, float] = {}
    for some, x, truth in pairs(run, known, options.batch):
        wanted = [labels[row["cell"]["image_sha256"]] for row in some]
        found = call_network("CA", classify, x.to(options.device)).tolist()
        new = [i for i, row in enumerate(some) if row["truth"] not in original_accuracy]
        if new:
            answers = call_network("CA", classify, truth[new].to(options.device)).tolist()
            for i, answer in zip(new, answers, strict=True):
                original_accuracy[some[i]["truth"]] = 100.0 * (answer == wanted[i])
        for row, answer, label in zip(some, found, wanted, strict=True):
            yield {
                "key": row["key"],
                name: 100.0 * (answer == label),
                f"{name}_clean": original_accuracy[row["truth"]],
                "crop": options.crop,
            }


def labels_of(run: Results, options: Scoring) -> dict[str, int]:
    """Return the class of each picture by its SHA-256.

    It comes from the run's own list, or from another list by path or by file name.

    Raises:
        MetricUnavailable: for a list that cannot be read.
    """
    pictures = []
    for config in run.configs.values():
        pictures += config.get("images", [])
    labels: dict[str, int] = {}
    if options.classes is None:
        for picture in pictures:
            if picture.get("label") is not None:
                labels[picture["sha256"]] = picture["label"]
        return labels
    by_path: dict[str, int] = {}
    try:
        for line in options.classes.read_text(encoding="utf-8").splitlines():
            name, _, label = line.strip().rpartition(" ")
            if name:
                by_path[name.strip()] = int(label)
    except (OSError, ValueError) as error:
        raise MetricUnavailable(
            f"the list {options.classes} cannot be read ({error}); lines wnid/file label are "
            "expected"
        ) from None
    by_name = {Path(path).name: label for path, label in by_path.items()}
    for picture in pictures:
        path = picture["name"]
        known = by_path.get(path, by_name.get(Path(path).name))
        if known is not None:
            labels[picture["sha256"]] = known
    return labels


@torch.no_grad()
def call_network(metric: str, network: Callable[..., Tensor], *x: Tensor) -> Tensor:
    """Call a network of a metric.

    Raises:
        MetricUnavailable: if the network refuses the pictures.
    """
    try:
        return network(*x)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        size = "x".join(map(str, x[0].shape[1:]))
        raise MetricUnavailable(
            f"the network of {metric} refuses pictures of {size}: {first_line(error)}"
        ) from None
