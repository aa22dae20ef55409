"""Scores of sets of pictures: FID and KID of every method against the originals."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ... import images
from ..records import Row
from ..results import MethodResults, Results, Selection, digest
from .networks import MetricUnavailable, Scoring, features
from .per_picture import Record, call_network
from .set_distances import fid, kid


def set_records(
    run: Results,
    methods: Sequence[MethodResults],
    options: Scoring,
    progress: Callable[[str, int, int], object],
) -> Iterator[Record]:
    """Yield FID and KID of every method against the originals of the same pictures; of several
    seeds, the mean over seeds. By features of the user's own they are called FD and KD.

    Never of seeds together: FID depends on the number of pictures.
    """
    try:
        extractor = FeatureExtractor(run, features(options), options)
    except MetricUnavailable as reason:
        for metric in ("FID", "KID"):
            yield {"metric": metric, "status": "missing", "reason": str(reason)}
        return
    names = ("FID", "KID") if options.features is None else ("FD", "KD")
    for done, method in enumerate(methods):
        for selection in method.selections:
            yield from _records_of(method, selection, extractor, names)
        progress("FID", done + 1, len(methods))


def _records_of(
    method: MethodResults,
    selection: Selection,
    extractor: "FeatureExtractor",
    names: tuple[str, str],
) -> Iterator[Record]:
    chosen: list[Row] = []
    for rows in method.selected(selection).values():
        chosen += rows
    parts = [chosen]
    if selection == "each":
        # Seeds apart: two samples of one picture are no two pictures.
        by_seed: dict[int, list[Row]] = {seed: [] for seed in method.seeds}
        for row in chosen:
            by_seed[row["cell"]["seed"]].append(row)
        parts = list(by_seed.values())
    # The digest ties the scores to these results: with more of them, they no longer hold.
    of = {
        "variant": method.id,
        "selection": selection,
        "of": digest([row["key"] for row in chosen]),
    }
    for metric, compute in zip(names, (fid, kid), strict=True):
        try:
            values = []
            for part in parts:
                real, fake = extractor.features(part, "truth"), extractor.features(part, "picture")
                values.append(compute(real, fake))
        except MetricUnavailable as reason:
            yield {"metric": metric, "status": "missing", "reason": str(reason), **of}
            continue
        yield {
            "metric": metric,
            "status": "ok",
            "value": sum(values) / len(values),
            "n": len(parts[0]),
            "per_seed": values,
            **of,
        }


class FeatureExtractor:
    """Extractor of the features of pictures, each file once.

    Args:
        run: rows, and the places of their pictures.
        measure: the network: pictures (b, 3, h, w) to (b, d).
        options: batch and device.
    """

    def __init__(self, run: Results, measure: Callable[[Tensor], Tensor], options: Scoring):
        self.run, self.measure, self.options = run, measure, options
        self._known: dict[Path, Tensor] = {}

    def features(self, rows: Sequence[Row], which: str) -> Tensor:
        """Return the features of the pictures or originals of rows, (n, d)."""
        paths = []
        for row in rows:
            path = self.run.picture(row, which)
            if path is not None:
                paths.append(path)
        if not paths:
            return torch.zeros(0, 1)
        new = [path for path in dict.fromkeys(paths) if path not in self._known]
        for start in range(0, len(new), self.options.batch):
            some = new[start : start + self.options.batch]
            x = torch.cat([images.load(path) for path in some]).to(self.options.device)
            found = call_network("FID", self.measure, x).cpu()
            self._known |= dict(zip(some, found, strict=True))
        return torch.stack([self._known[path] for path in paths])
