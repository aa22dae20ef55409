"""Scores of finished pictures: read from the run folder, never run again, and kept beside it in
``scores/``.

scores/pixels.jsonl    PSNR, SSIM of every picture, and after alignment for phase retrieval
scores/lpips.jsonl     LPIPS of every picture, with the network and its input range
scores/classes.jsonl   CA: whether every picture, and its original, is recognised
scores/seeds.jsonl     several samples of one picture: how far apart they are, and their mean
scores/sets.json       FID and KID of sets, and every metric that is missing with its reason
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations, groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ... import images
from ...linalg import rms
from ...metrics import align, psnr, ssim
from ..results import Selection, Variant, digest, variants
from ..rows import Row, plain
from ..run.collect import SEEDS, SETS, Gathered
from .networks import Missing, Scoring, classifier, distance, features
from .set_distances import fid, kid

Record = dict[str, Any]
Progress = Callable[[str, int, int], object]


def score(
    run: Gathered, options: Scoring, into: Path, progress: Progress | None = None
) -> list[Record]:
    """Score the pictures of a run and write the scores.

    Args:
        run: the rows, and where their pictures lie.
        options: networks and weights.
        into: the folder that gets ``scores/``: the run's own, or that of a report on several.
        progress: called with the metric, what is done and of how much.

    Returns:
        The records of ``scores/sets.json``, with the metrics that are missing.
    """
    rows = [
        r for r in run.rows if r["status"] == "ok" and run.picture(r) and run.picture(r, "truth")
    ]
    tell = progress or (lambda *_: None)
    folder = into / "scores"
    missing: list[Record] = []
    for metric, name, make in _PER_PICTURE:
        try:
            _write_lines(
                folder / f"{name}.jsonl", _told(make(run, rows, options), metric, len(rows), tell)
            )
        except Missing as reason:
            if not (folder / f"{name}.jsonl").is_file():
                missing.append({"metric": metric, "status": "missing", "reason": str(reason)})
    _write_lines(folder / SEEDS, _several(run, variants(rows)))
    found = _remembered(folder / SETS, [*missing, *_sets(run, variants(rows), options, tell)])
    _write(folder / SETS, json.dumps(plain(found), indent=1))
    return found


def _pairs(
    run: Gathered, rows: Sequence[Row], batch: int
) -> Iterator[tuple[list[Row], Tensor, Tensor]]:
    """Rows with their pictures and originals (b, 3, h, w) in [-1, 1], ``batch`` of one size at a
    time.
    """

    def size(row: Row) -> tuple[Any, ...]:
        return row["cell"].get("size"), row["cell"].get("crop")

    for _, same in groupby(sorted(rows, key=lambda r: (str(size(r)), r["key"])), key=size):
        members = list(same)
        for start in range(0, len(members), batch):
            some = members[start : start + batch]
            yield some, _load(run, some, "picture"), _load(run, some, "truth")


def _load(run: Gathered, rows: Sequence[Row], which: str) -> Tensor:
    return torch.cat(
        [images.load(path) for row in rows if (path := run.picture(row, which)) is not None]
    )


def pixels(run: Gathered, rows: Sequence[Row], options: Scoring) -> Iterator[Record]:
    """PSNR and SSIM of pictures as they lie in their files, rounded to 8 bits."""
    for some, x, truth in _pairs(run, rows, options.batch):
        columns = {"psnr": psnr(x, truth)}
        if min(x.shape[-2:]) >= 11:
            columns["ssim"] = ssim(x, truth)
        for i, row in enumerate(some):
            record = {"key": row["key"]} | {name: float(v[i]) for name, v in columns.items()}
            if row["cell"]["task"] == "phase":
                turned = align(x[i : i + 1], truth[i : i + 1], "per_channel")
                record |= {"psnr_aligned": float(psnr(turned, truth[i : i + 1]))}
                if "ssim" in columns:
                    record |= {"ssim_aligned": float(ssim(turned, truth[i : i + 1]))}
            yield record


def lpips(run: Gathered, rows: Sequence[Row], options: Scoring) -> Iterator[Record]:
    """LPIPS of every picture."""
    measure = distance(options)
    net, scale = options.lpips_form
    for some, x, truth in _pairs(run, rows, options.batch):
        found = _network("LPIPS", measure, x.to(options.device), truth.to(options.device))
        for row, value in zip(some, found.tolist(), strict=True):
            yield {"key": row["key"], "lpips": value, "net": net, "range": scale}


def classes(run: Gathered, rows: Sequence[Row], options: Scoring) -> Iterator[Record]:
    """CA: 100 where the class of a picture is its label, else 0, and the same of its original."""
    classify = classifier(options)
    labels = labels_of(run, options)
    known = [row for row in rows if row["cell"]["image_sha256"] in labels]
    if not known:
        raise Missing(
            "no labels are known: --classes LIST (lines wnid/file label), or run with --list"
        )
    clean: dict[str, float] = {}
    for some, x, truth in _pairs(run, known, options.batch):
        found = _network("CA", classify, x.to(options.device)).tolist()
        originals = [i for i, row in enumerate(some) if row["truth"] not in clean]
        if originals:
            answers = _network("CA", classify, truth[originals].to(options.device)).tolist()
            for i, answer in zip(originals, answers, strict=True):
                clean[some[i]["truth"]] = 100.0 * (
                    answer == labels[some[i]["cell"]["image_sha256"]]
                )
        for row, answer in zip(some, found, strict=True):
            yield {
                "key": row["key"], "ca": 100.0 * (answer == labels[row["cell"]["image_sha256"]]),
                "ca_clean": clean[row["truth"]], "crop": options.crop,
            }  # fmt: skip


_PER_PICTURE = (("PSNR", "pixels", pixels), ("LPIPS", "lpips", lpips), ("CA", "classes", classes))


def labels_of(run: Gathered, options: Scoring) -> dict[str, int]:
    """The class of each picture by its SHA-256: of the run's own list, or of another by path or by
    file name.

    Raises:
        Missing: for a list that cannot be read.
    """
    pictures = [picture for config in run.configs.values() for picture in config.get("images", [])]
    if options.classes is None:
        return {p["sha256"]: p["label"] for p in pictures if p.get("label") is not None}
    by_path: dict[str, int] = {}
    try:
        for line in options.classes.read_text(encoding="utf-8").splitlines():
            name, _, label = line.strip().rpartition(" ")
            if name:
                by_path[name.strip()] = int(label)
    except (OSError, ValueError) as error:
        raise Missing(
            f"the list {options.classes} cannot be read ({error}); lines wnid/file label are "
            "expected"
        ) from None
    by_name = {Path(path).name: label for path, label in by_path.items()}
    found = {
        p["sha256"]: by_path.get(p["name"], by_name.get(Path(p["name"]).name)) for p in pictures
    }
    return {sha256: label for sha256, label in found.items() if label is not None}


def _several(run: Gathered, members: Iterable[Variant]) -> Iterator[Record]:
    """What several samples of one picture show: how far apart they are, and the scores of their
    mean.

    ``pairwise`` is the mean over pairs of seeds of the rms difference, ``std`` the root of the mean
    over pixels of the variance over seeds (unbiased); both on [0, 1], pictures rounded to 8 bits.
    For independent samples pairwise is about sqrt(2) std.
    """
    for member in members:
        for image, rows in member.by_image.items():
            if len(rows) < 2:
                continue
            x, truth = (
                images.to_unit(_load(run, rows, "picture").double()),
                _load(run, rows[:1], "truth"),
            )
            pairs = torch.stack([rms((a - b)[None])[0] for a, b in combinations(x, 2)])
            mean = images.from_unit(x.mean(0, keepdim=True))
            keys = [row["key"] for row in rows]
            yield {
                "id": digest(keys), "variant": member.id, "image_sha256": image, "keys": keys,
                "samples": len(rows),
                "pairwise": float(pairs.mean()),
                "std": float(x.var(0, unbiased=True).mean().sqrt()),
                "psnr_of_mean": float(psnr(mean, truth)),
                "ssim_of_mean": float(ssim(mean, truth)) if min(mean.shape[-2:]) >= 11 else None,
            }  # fmt: skip


def _sets(
    run: Gathered, members: Iterable[Variant], options: Scoring, tell: Progress
) -> Iterator[Record]:
    """FID and KID of every variant against the originals of the same pictures; of several seeds,
    the mean over seeds.

    Never of seeds together: FID depends on the number of pictures.
    """
    try:
        measure = features(options)
    except Missing as reason:
        yield from (
            {"metric": m, "status": "missing", "reason": str(reason)} for m in ("FID", "KID")
        )
        return
    cache: dict[Path, Tensor] = {}
    members = list(members)
    for done, member in enumerate(members):
        for how in member.selections:
            yield from _set(
                run,
                member,
                how,
                lambda rows, which: _features(run, rows, which, measure, options, cache),
            )
        tell("FID", done + 1, len(members))


def _set(
    run: Gathered, member: Variant, how: Selection, take: Callable[[list[Row], str], Tensor]
) -> Iterator[Record]:
    chosen = [row for rows in member.selected(how).values() for row in rows]
    parts = (
        [[r for r in chosen if r["cell"]["seed"] == seed] for seed in member.seeds]
        if how == "each"
        else [chosen]
    )
    of = {"variant": member.id, "selection": how, "of": digest(r["key"] for r in chosen)}
    for metric, compute in (("FID", fid), ("KID", kid)):
        try:
            values = [compute(take(part, "truth"), take(part, "picture")) for part in parts]
            yield {"metric": metric, "status": "ok", "value": sum(values) / len(values),
                "n": len(parts[0]),
                   "per_seed": values, **of}  # fmt: skip
        except Missing as reason:
            yield {"metric": metric, "status": "missing", "reason": str(reason), **of}


def _features(
    run: Gathered, rows: list[Row], which: str, measure: Callable[[Tensor], Tensor],
    options: Scoring,
    cache: dict[Path, Tensor],
) -> Tensor:  # fmt: skip
    paths = [path for row in rows if (path := run.picture(row, which)) is not None]
    new = [path for path in dict.fromkeys(paths) if path not in cache]
    for start in range(0, len(new), options.batch):
        some = new[start : start + options.batch]
        x = torch.cat([images.load(path) for path in some]).to(options.device)
        cache |= dict(zip(some, _network("FID", measure, x).cpu(), strict=True))
    return torch.stack([cache[path] for path in paths]) if paths else torch.zeros(0, 1)


@torch.no_grad()
def _network(metric: str, network: Callable[..., Tensor], *x: Tensor) -> Tensor:
    try:
        return network(*x)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        size = "x".join(map(str, x[0].shape[1:]))
        raise Missing(
            f"the network of {metric} refuses pictures of {size}: {str(error).splitlines()[0]}"
        ) from None


def _remembered(path: Path, found: Sequence[Record]) -> list[Record]:
    """The new records, and older ones of what could not be computed now."""
    older = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    good = {
        (r["metric"], r.get("variant"), r.get("selection")) for r in found if r["status"] == "ok"
    }
    known = {r["metric"] for r in found if r["status"] == "ok"}
    kept = [
        r
        for r in older
        if r["status"] == "ok" and (r["metric"], r["variant"], r["selection"]) not in good
    ]
    known |= {r["metric"] for r in kept}
    return [
        *kept,
        *(r for r in found if r["status"] == "ok" or "variant" in r or r["metric"] not in known),
    ]


def _told(records: Iterable[Record], metric: str, total: int, tell: Progress) -> Iterator[Record]:
    for done, record in enumerate(records):
        tell(metric, done + 1, total)
        yield record


def _write_lines(path: Path, records: Iterable[Record]) -> None:
    """Nothing is written if the records cannot all be made."""
    _write(path, "".join(json.dumps(plain(record), allow_nan=False) + "\n" for record in records))


def _write(path: Path, text: str) -> None:
    images.write_atomically(path, lambda file: file.write(text.encode()))
