"""Is a prior good enough? Denoising, super-resolution and inpainting of photographs, against
classical methods.

    python studies/prior_acceptance.py --photos FOLDER  # the embedded prior; an hour on one core
    python studies/prior_acceptance.py --photos FOLDER --prior runs/mine --rows denoise sr4-ddnm

Prints the acceptance table and exits with 1 if a figure is below its *must*. The photographs must
be ones the prior was never trained on. Classical methods that have a strength get the best one for
each picture, found with the truth; their scores are kept in a file and computed once.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from common.pages import DOCS, ROOT, rewrite, table
from common.photographs import (
    Baselines,
    Score,
    as_dict,
    bicubic,
    biharmonic,
    bm3d,
    bm3d_is_here,
    centre_crops,
    non_local_means,
    pictures,
    restore,
    score,
    scratched,
    sheet,
    total_variation,
)  # fmt: skip
from torch import Tensor

import hrdis
from hrdis.checkpoints import weights_sha256
from hrdis.presets import choose
from hrdis.problem import Problem
from hrdis.rng import ImageRNG, stream
from hrdis.solvers import SOLVERS, Solver

SIGMAS = (10, 25, 50)  # of 255
DENOISING = {10: (36.0, 36.4), 25: (31.15, 31.7), 50: (27.8, 28.4)}  # dB: must, goal
FIRST_PRIOR = {
    10: 35.48,
    25: 30.38,
    50: 26.83,
}  # measured likewise, of the weights up to version 0.1.0
#: FFDNet for colours (2018, 852 thousand parameters), a specialist: the middle 128 px of all 16
#: pictures, measured once; its weights have no clear licence and are not part of this.
FFDNET = {10: 36.22, 25: 31.68, 50: 28.32}
CLASSICAL = {"tv": "total variation", "nlm": "non-local means"}
FIXED: dict[str, dict[str, object]] = {  # what the rows say, whatever the preset has
    "ddnm sr4": {"steps": 20}, "ddnm inpaint": {"steps": 25},
}  # fmt: skip


@dataclass(frozen=True)
class Check:
    """A figure that must reach ``must`` (or stay below it) and aims at ``target``."""

    name: str
    value: float
    must: float
    target: float | None = None
    below: bool = False
    unit: str = "dB"

    @property
    def passed(self) -> bool:
        return self.value <= self.must if self.below else self.value >= self.must


@dataclass
class Report:
    """What was measured so far."""

    scores: dict[str, dict[str, Score]] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """Everything the rows share."""

    prior: hrdis.Prior
    files: list[Path]
    samples: int
    batch: int
    photos: Path
    classical: bool
    baselines: Baselines
    overrides: dict[str, dict[str, object]]
    pictures: Path | None
    report: Report = field(default_factory=Report)

    @cached_property
    def large(self) -> Tensor:
        """256 x 256 crops for denoising."""
        return centre_crops(self.files, 256)

    @cached_property
    def small(self) -> Tensor:
        """128 x 128 crops for restoration."""
        return centre_crops(self.files, 128)

    def solver(self, name: str, task: str) -> Solver:
        """The preset for the embedded prior, with what the row says and what --overrides
        changes.
        """
        families = (f"{task}-scratches", task)
        found = choose(
            SOLVERS[name][0], families, tuned=hrdis.load_prior("default").presets
        ).settings
        return replace(
            found, **FIXED.get(f"{name} {task}", {}), **self.overrides.get(f"{name} {task}", {})
        )  # type: ignore[arg-type]

    def check(
        self, name: str, value: float, must: float, target: float | None = None, **kind: object
    ) -> None:
        self.report.checks.append(Check(name, value, must, target, **kind))  # type: ignore[arg-type]


# ---- denoising: one network call
# ------------------------------------------------------------------------


def noisy(x: Tensor, sigma: int) -> Tensor:
    """x + noise of ``sigma`` of 255; nothing is clipped."""
    return hrdis.measure(
        hrdis.operators.Identity(), x, hrdis.noise.Gaussian(sigma / 255), seeds=range(len(x))
    ).y


def denoised(prior: hrdis.Prior, y: Tensor, sigma: int) -> Tensor:
    """The prior's clean image at the time whose noise is nearest."""
    q = prior.schedule
    t = q.nearest(2 * sigma / 255)
    return torch.cat([prior(q.signal(t) * one, t).x0_hat for one in y.split(1)])


def denoise(bench: Bench) -> None:
    """Gaussian noise at three levels against total variation and non-local means."""
    for sigma, (must, goal) in DENOISING.items():
        y = noisy(bench.large, sigma)
        found = {"noisy": score(y, bench.large)}
        methods = {"tv": total_variation, "nlm": non_local_means} if bench.classical else {}
        for short, method in methods.items():
            found[CLASSICAL[short]] = bench.baselines.score(
                f"{short} {sigma}", method(sigma / 255), y, bench.large
            )
        found["prior, one call"] = score(denoised(bench.prior, y, sigma), bench.large)
        bench.report.scores[f"denoising, sigma {sigma}/255"] = found
        bench.check(f"denoising, sigma {sigma}/255", found["prior, one call"].psnr, must, goal)


def middle(bench: Bench) -> None:
    """The middle 128 px of every picture, none excluded: the crops that FFDNet was measured on.

    BM3D is measured here, where it is installed: the crops of 256 px would take it an hour.
    """
    x = centre_crops(pictures(bench.photos), 128)
    for sigma in SIGMAS:
        y = noisy(x, sigma)
        found = {"prior, one call": score(denoised(bench.prior, y, sigma), x)}
        if bench.classical and bm3d_is_here():
            found["BM3D"] = bench.baselines.score(f"bm3d 128 {sigma}", bm3d(sigma / 255), y, x)
        found["FFDNet, measured once"] = Score(FFDNET[sigma], float("nan"), float("nan"))
        bench.report.scores[f"middle 128 px of {len(x)} pictures, sigma {sigma}/255"] = found


def crop_alone(bench: Bench) -> None:
    """A 64 x 64 crop denoised alone and inside its 256 x 256 picture."""
    middle = (..., slice(96, 160), slice(96, 160))
    for sigma in SIGMAS:
        y, x = noisy(bench.large, sigma), bench.large[middle]
        alone = score(denoised(bench.prior, y[middle], sigma), x).psnr
        inside = score(denoised(bench.prior, y, sigma)[middle], x).psnr
        bench.check(
            f"crop alone or inside, sigma {sigma}/255: difference",
            abs(alone - inside),
            0.1,
            below=True,
        )


def rounding(bench: Bench) -> None:
    """What storing weights in 16 bits costs, judged by rounding them once more: each moves by up to
    half a unit.
    """
    net, rng = bench.prior.net, stream(0, "rounding")
    y = noisy(bench.large, 25)
    before = score(denoised(bench.prior, y, 25), bench.large).psnr
    kept = {k: p.detach().clone() for k, p in net.named_parameters()}
    for p in net.parameters():
        unit = 2.0 ** (p.abs().float().clamp(min=2.0**-14).log2().floor() - 10)
        p.data += (unit * torch.from_numpy(rng.uniform(-0.5, 0.5, p.shape))).to(p)
    after = score(denoised(bench.prior, y, 25), bench.large).psnr
    for k, p in net.named_parameters():
        p.data.copy_(kept[k])
    bench.check(
        "rounding weights to 16 bits once more: change", abs(after - before), 0.01, below=True
    )


# ---- restoration
# ------------------------------------------------------------------------------------------


def enlarge(bench: Bench, name: str, scale: int, samples: int | None = None) -> dict[str, Score]:
    """Super-resolution of block means with one solver, against bicubic."""
    A = hrdis.operators.SuperResolution(scale)
    problem = hrdis.measure(A, bench.small)
    found = {
        "bicubic": score(bicubic(problem.y, scale), bench.small),
        "bicubic, corrected to match y": score(A.smooth(problem.y), bench.small),
    }
    return run(bench, name, f"sr{scale}", problem, found, samples)


def fill(bench: Bench, name: str) -> dict[str, Score]:
    """Inpainting of small holes (15 %) with one solver, against scikit-image's biharmonic fill."""
    problem = hrdis.measure(scratched(len(bench.small), 128), bench.small)
    return run(
        bench, name, "inpaint", problem,
        {"biharmonic": bench.baselines.score("biharmonic", biharmonic, problem.y, bench.small)},
    )  # fmt: skip


def run(
    bench: Bench,
    name: str,
    task: str,
    problem: Problem,
    found: dict[str, Score],
    samples: int | None = None,
) -> dict[str, Score]:
    """Restore, and add the scores of one sample and of the mean of all to ``found``."""
    solver, samples = bench.solver(name, task), samples or bench.samples
    x = restore(solver, bench.prior, problem, samples, bench.batch)
    found["one sample"] = score(x[0], bench.small)
    found[f"mean of {samples}"] = score(x.mean(0), bench.small)
    bench.report.scores[f"{task}, {type(solver).__name__}"] = found
    print(f"  {solver}", flush=True)
    if bench.pictures:
        start = problem.A.smooth(problem.y)
        columns = {
            "truth": bench.small,
            "bicubic or biharmonic": start,
            f"{type(solver).__name__}, one": x[0],
            f"mean of {samples}": x.mean(0),
        }
        sheet(
            {k: v[:: max(1, len(v) // 7)] for k, v in columns.items()},
            bench.pictures / f"{task}-{name}.png",
            zoom=2,
        )
    return found


def gain(found: dict[str, Score], measure: str = "psnr") -> tuple[float, float]:
    """dB over the baseline (the first entry): of one sample and of the mean of all."""
    base, *_, one, mean = (getattr(s, measure) for s in found.values())
    return one - base, mean - base


def sr4_ddnm(bench: Bench) -> None:
    """x4 with DDNM, 20 calls."""
    one, mean = gain(enlarge(bench, "ddnm", 4))
    bench.check("x4, DDNM, 20 calls, over bicubic: one sample", one, 0.7, 0.9)
    bench.check(f"x4, DDNM, 20 calls, over bicubic: mean of {bench.samples}", mean, 1.1, 1.4)


def sr4_hrdis(bench: Bench) -> None:
    """x4 with HRDIS."""
    one, mean = gain(enlarge(bench, "hrdis", 4))
    bench.check("x4, HRDIS over bicubic: one sample", one, 0.4, 0.6)
    bench.check(f"x4, HRDIS over bicubic: mean of {bench.samples}", mean, 0.9, 1.2)


def sr4_reddiff(bench: Bench) -> None:
    """x4 with RED-diff, for comparison."""
    enlarge(bench, "reddiff", 4, samples=1)


def sr2_ddnm(bench: Bench) -> None:
    """x2 with DDNM."""
    _, mean = gain(enlarge(bench, "ddnm", 2))
    bench.check(f"x2, DDNM over bicubic: mean of {bench.samples}", mean, 1.5, 2.0)


def inpaint_ddnm(bench: Bench) -> None:
    """Small holes with DDNM, 25 calls."""
    _, mean = gain(fill(bench, "ddnm"), "pooled")
    bench.check(
        f"small holes, DDNM, 25 calls, over biharmonic: mean of {bench.samples}, pooled",
        mean,
        1.0,
        1.6,
    )


def inpaint_hrdis(bench: Bench) -> None:
    """Small holes with HRDIS."""
    found = fill(bench, "hrdis")
    bench.check("small holes, HRDIS over biharmonic: one sample", gain(found)[0], 0.0)
    bench.check(
        f"small holes, HRDIS over biharmonic: mean of {bench.samples}, pooled",
        gain(found, "pooled")[1],
        0.7,
        1.2,
    )


# ---- bounds and time
# ------------------------------------------------------------------------------------------


def bounds(bench: Bench) -> None:
    """Pure noise at t = 999 stays bounded, and runs from 999 to 0 stay finite, with the paper's
    settings.
    """
    z = ImageRNG(range(8), "bounds").randn((3, 64, 64))
    bench.check(
        "largest magnitude of x0_hat on pure noise at t = 999",
        float(bench.prior(z, 999).x0_hat.abs().max()),
        1.5,
        below=True,
        unit="",
    )
    x = bench.small[:4, :, 32:96, 32:96]
    problem = hrdis.measure(hrdis.operators.SuperResolution(4), x)
    solvers = (
        hrdis.HRDIS(steps=50, start=999),
        hrdis.REDDiff(steps=50, start=999),
        hrdis.DDNM(steps=50, start=999),
    )
    lost = sum(
        int((~hrdis.solve(s, bench.prior, problem, seeds=range(len(x))).finite).sum())
        for s in solvers
    )
    bench.check("images lost to NaN from t = 999 to 0", lost, 0, below=True, unit="")


def seconds(bench: Bench) -> None:
    """A 512 x 512 photograph enlarged x4 end to end with HRDIS, 60 calls."""
    x = centre_crops(bench.files[:1], 512)
    problem = hrdis.measure(hrdis.operators.SuperResolution(4), x)
    solver = replace(bench.solver("hrdis", "sr4"), steps=60)
    took = hrdis.solve(solver, bench.prior, problem, seeds=[0]).seconds
    bench.check(
        f"512 x 512, 60 calls, {torch.get_num_threads()} thread(s)", took, 300, below=True, unit="s"
    )


ROWS: dict[str, Callable[[Bench], None]] = {
    "denoise": denoise, "middle": middle, "sr4-ddnm": sr4_ddnm, "sr4-hrdis": sr4_hrdis,
    "sr4-reddiff": sr4_reddiff, "sr2-ddnm": sr2_ddnm,
    "inpaint-ddnm": inpaint_ddnm, "inpaint-hrdis": inpaint_hrdis, "crop-alone": crop_alone,
    "rounding": rounding,
    "bounds": bounds, "seconds": seconds,
}  # fmt: skip


# ---- the table
# --------------------------------------------------------------------------------------------------


def score_table(scores: dict[str, dict[str, Score]]) -> str:
    """PSNR (mean over pictures, pooled) and SSIM of every method of every row."""
    lines = [
        [
            row,
            method,
            *(
                "" if math.isnan(v) else f"{v:{form}}"
                for v, form in ((s.psnr, ".2f"), (s.pooled, ".2f"), (s.ssim, ".4f"))
            ),
        ]
        for row, found in scores.items()
        for method, s in found.items()
    ]
    return table(["row", "method", "PSNR", "PSNR pooled", "SSIM"], lines)


def check_table(checks: Sequence[Check]) -> str:
    """What must hold, and whether it does; gains over another method have a sign."""
    lines = []
    for c in checks:
        gain = f"{c.value:+.2f}" if " over " in c.name else f"{c.value:.2f}"
        value = f"{c.value:.3g}" if c.below else gain
        lines.append([
            c.name, f"{value} {c.unit}", f"{'<=' if c.below else '>='} {c.must:.4g}",
            "" if c.target is None else f"{c.target:g}", "yes" if c.passed else "**no**",
        ])  # fmt: skip
    return table(["figure", "measured", "must", "goal", "holds"], lines)


def main(
    photos: Path,
    prior: str = "default",
    exclude: tuple[str, ...] = ("buddiesofb-colorful-wall",),
    images: int = 0,
    samples: int = 8,
    batch: int = 4,
    rows: Annotated[
        tuple[str, ...], tyro.conf.arg(help_behavior_hint=f"of {', '.join(ROWS)}; default: all")
    ] = tuple(ROWS),
    precision: Literal["fp32", "bf16"] = "fp32",
    overrides: str = "{}",
    cache: Path = ROOT / "runs" / "baselines.json",
    save: Path | None = None,
    threads: int = 1,
    json_out: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
    write: bool = False,
    classical: bool = True,
) -> None:
    """Judge a prior.

    Args:
        photos: folder of photographs that the prior was not trained on.
        prior: "default" or a folder.
        exclude: pictures (names without suffix) that are left out.
        images: use at most so many pictures; 0 is all.
        samples: samples per picture; tables show one and their mean.
        batch: pictures per network call.
        rows: which rows.
        precision: of the network; states are float32.
        overrides: settings instead of the presets, as JSON: '{"hrdis sr4": {"lr": 0.1}}'.
        cache: where scores of classical methods are kept.
        save: folder for pictures of the restorations.
        threads: CPU threads.
        json_out: also write everything to this file.
        write: rewrite the tables of docs/measurements/model.md.
        classical: run total variation, non-local means and BM3D too (a quarter of an hour the first
            time).
    """
    if unknown := set(rows) - set(ROWS):
        sys.exit(f"There is no row {sorted(unknown)}. Rows are: {', '.join(ROWS)}.")
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    bench = Bench(
        hrdis.load_prior(prior, dtype=dtype), pictures(photos, images, exclude), samples, batch,
        photos, classical, Baselines(cache),
        json.loads(overrides), save,
    )  # fmt: skip
    for row in rows:
        started = time.perf_counter()
        ROWS[row](bench)
        print(f"{row}: {time.perf_counter() - started:.0f} s", flush=True)
        if json_out:
            json_out.write_text(json.dumps(as_json(bench, prior, precision), indent=1))
    scores, checks = score_table(bench.report.scores), check_table(bench.report.checks)
    print(f"\n{scores}\n\n{checks}")
    if write:
        made = (
            f"The weights have the SHA-256 `{weights_sha256(prior)[:16]}...`. The figures were "
            f"measured on {len(bench.files)} pictures in {precision}."
        )
        rewrite(DOCS / "measurements" / "model.md", "acceptance", f"{made}\n\n{checks}\n\n{scores}")
    for c in bench.report.checks:
        if not c.passed:
            print(
                f"Short: {c.name}: {c.value:.3f}, must be {c.must:g}: {abs(c.must - c.value):.3f} "
                f"{c.unit} short."
            )
    sys.exit(0 if all(c.passed for c in bench.report.checks) else 1)


def as_json(bench: Bench, prior: str, precision: str) -> dict[str, object]:
    """Everything measured, and with what."""
    return {
        "prior": prior, "precision": precision, "pictures": [f.stem for f in bench.files],
        "samples": bench.samples, "weights_sha256": weights_sha256(prior),
        "scores": {row: {m: as_dict(s) for m, s in found.items()} for row,
        found in bench.report.scores.items()},
        "checks": [{f.name: getattr(c,
        f.name) for f in fields(c)} | {"passed": c.passed} for c in bench.report.checks],
    }  # fmt: skip


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
