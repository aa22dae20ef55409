"""The numbers that the HRDIS paper prints, as printed."""

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Number(NamedTuple):
    """One printed number.

    Args:
        table: 1 to 12.
        dataset: name of the data set in the paper; "" in Table 5, which lists settings.
        task, method: column and row, as in ``tables.TABLES``.
        metric: LPIPS, FID, CA (percent), PSNR (dB), SSIM, time_s_per_img, memory_GB, or a setting's
            name in Table 5.
        value: as printed, trailing zeros kept.
    """

    table: int
    dataset: str
    task: str
    method: str
    metric: str
    value: str


#: Titles of the paper's tasks.
TITLES = {
    "inpaint_freeform_10-20": "Inpainting 10-20 %",
    "inpaint_freeform_20-30": "Inpainting 20-30 %",
    "inpaint_freeform_30-40": "Inpainting 30-40 %",
    "sr_x4": "Super-resolution x4",
    "sr_x16": "Super-resolution x16",
    "cs_25": "Compressed sensing 25 %",
    "cs_10": "Compressed sensing 10 %",
    "phase_retrieval": "Phase retrieval",
    "hdr": "HDR",
    "nonlinear_deblur": "Nonlinear deblurring",
    "inpaint": "Inpainting",
    "inpaint_gaussian_0.05": "Inpainting, Gaussian 0.05",
    "inpaint_gaussian_0.1": "Inpainting, Gaussian 0.1",
    "inpaint_poisson_1.0": "Inpainting, Poisson 1.0",
    "inpaint_speckle_0.1": "Inpainting, speckle 0.1",
    "low_light_blind": "Low light, exposure unknown",
    "sr": "Super-resolution",
    "cs": "Compressed sensing",
}


@cache
def numbers(table: int | None = None) -> tuple[Number, ...]:
    """Return the printed numbers of one table, or all 455, in the order of print."""
    # Read as a resource, not by path: the package may lie in an archive.
    lines = (files(__package__) / "paper.csv").read_text(encoding="utf-8").splitlines()
    found = []
    for record in csv.DictReader(lines):
        texts = [record[name] for name in Number._fields[1:]]
        number = Number(int(record["table"]), *texts)
        if table in (None, number.table):
            found.append(number)
    return tuple(found)


@cache
@cache
def printed(table: int, dataset: str, task: str, method: str, metric: str) -> str | None:
    """Return the printed number, or None where the paper has none.

    Example:
        >>> printed(9, "ImageNet-256-1k", "sr_x4", "HRDIS", "SSIM")
        '0.708'
    """
    for number in numbers(table):
        if number[1:-1] == (dataset, task, method, metric):
            return number.value
    return None
