"""Solvers in latents against posteriors that are known, beside the same solvers on pictures; memory
of a decoder's graph.

    python studies/latent.py  # rewrites the tables of measurements/latents.md
    python studies/latent.py --sections linear folded

Toys: pictures of 4 x 4 pixels, x = f(W z + b), z Gaussian and correlated. Where f is the identity
the posterior is Gaussian, and the same problem is solved on pictures, whose prior is N(W m + b, W C
W^T). Where it folds (f = sin(g v) / g), moments come from a million weighted draws of the prior.
400 seeds each.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro
from common.pages import DOCS, rewrite, table
from torch import Tensor, nn

import hrdis
from hrdis.operators import Inpainting, Matrix
from hrdis.priors import Gaussian, LatentPrior
from hrdis.problem import Problem

PAGE, SPEED = DOCS / "measurements" / "latents.md", DOCS / "measurements" / "speed.md"
SEEDS = 400
MASK = torch.cat([torch.ones(4, 2), torch.zeros(4, 2)], dim=1)

#: As in tests/solvers/test_posterior.py; guidance and Langevin steps shrink with the square of the
#: bound's excess over twice the standard deviation of the latents, where their units are those of
#: pictures.
SOLVERS = {
    "HRDIS": lambda excess: hrdis.HRDIS(steps=100),
    "RED-diff": lambda excess: hrdis.REDDiff(steps=100),
    "CR": lambda excess: hrdis.CR(steps=100),
    "DR+DDIM": lambda excess: hrdis.DRDDIM(steps=100),
    "DPS": lambda excess: hrdis.DPS(steps=100, zeta=0.5 / excess**2),
    "GDP": lambda excess: hrdis.GDP(steps=100, kappa=0.5 / excess**2),
    "DAPS": lambda excess: hrdis.DAPS(steps=20, langevin_steps=20, lr=5e-5 / excess**2),
}


@dataclass(frozen=True)
class Toy:
    """Latents of ``k`` entries and a standard deviation of ``std``; a decoder of a condition number
    and of folds.
    """

    k: int = 12
    std: float = 0.5
    bound: float = 1.0
    condition: float = 1.0
    folds: float = 0.0
    sigma_y: float = 0.0


class Decoder(nn.Module):
    """x = f(W z + b); the encoder inverts W and leaves f."""

    def __init__(self, toy: Toy):
        super().__init__()
        k = toy.k
        left, right = (torch.linalg.qr(_normal(n, k, seed)).Q for n, seed in ((16, 1), (k, 2)))
        s = torch.logspace(0, -float(torch.tensor(toy.condition).log10()), k, dtype=torch.float64)
        self.W = (left * (s / s.square().mean().sqrt() * 0.5 / toy.std)) @ right
        self.b, self.folds, self.shape = 0.2 * _normal(16, 1, 5)[:, 0], toy.folds, (k // 4, 2, 2)
        self.config = {"latent_channels": k // 4, "block_out_channels": (1, 1)}

    def decode(self, z: Tensor) -> Tensor:
        v = (z.flatten(1) @ self.W.T.to(z) + self.b.to(z)).reshape(-1, 1, 4, 4)
        return (self.folds * v).sin() / self.folds if self.folds else v

    def encode(self, x: Tensor) -> Tensor:
        return ((x.flatten(1) - self.b.to(x)) @ torch.linalg.pinv(self.W).T.to(x)).reshape(
            -1, *self.shape
        )


def _normal(rows: int, columns: int, seed: int) -> Tensor:
    return torch.from_numpy(hrdis.rng.stream(seed, "latent toy").standard_normal((rows, columns)))


def _latents(toy: Toy) -> Gaussian:
    """A correlated Gaussian of latents."""
    at = torch.arange(toy.k, dtype=torch.float64)
    covariance = toy.std**2 * torch.exp(-(at[:, None] - at).abs() / 2)
    return Gaussian(0.6 * toy.std * _normal(toy.k, 1, 3).reshape(-1, 2, 2), covariance)


def _posterior(toy: Toy, prior: Gaussian, decoder: Decoder, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and total variance of the pictures given y."""
    seen = MASK.flatten() > 0
    if not toy.folds:
        told = (y.flatten() - decoder.b)[seen][None]
        A = Matrix(decoder.W[seen], tuple(prior.mean.shape))
        (found,) = prior.posterior(Problem(told, A, toy.sigma_y))
        return decoder.decode(found.mean[None])[0], (
            decoder.W @ found.covariance @ decoder.W.T
        ).trace()
    x = decoder.decode(prior.sample(1_000_000, seed=9))
    misfit = (x - y).flatten(1)[:, seen].square().sum(1) / (2 * toy.sigma_y**2)
    weight = (-misfit).softmax(0).reshape(-1, 1, 1, 1)
    effective = float(1 / weight.square().sum())
    if effective < 1000:
        raise RuntimeError(
            f"{effective:.0f} effective draws. At least 1000 are needed for moments to 3 %."
        )
    mean = (weight * x).sum(0)
    return mean, (weight * (x - mean).square()).sum()


def measured(toy: Toy, pictures: bool = False) -> dict[str, tuple[float, float, float]]:
    """Of every solver: distance of the means over what y tells, variance over the posterior's,
    share that misses y.
    """
    prior, decoder = _latents(toy), Decoder(toy)
    A = Inpainting(MASK)
    problem = hrdis.measure(
        A,
        decoder.decode(prior.sample(1, seed=3)),
        hrdis.noise.Gaussian(toy.sigma_y, "[-1,1]") if toy.sigma_y else None,
        seeds=[0],
    )
    mean, variance = _posterior(toy, prior, decoder, problem.y)
    before = (
        decoder.decode(prior.sample(100_000, seed=8)).mean(0)
        if toy.folds
        else decoder.decode(prior.mean[None])[0]
    )
    used: hrdis.Prior = LatentPrior(prior, decoder, toy.bound)
    if pictures:
        used = Gaussian(
            decoder.decode(prior.mean[None])[0], decoder.W @ prior.covariance @ decoder.W.T
        )
    many, found = Problem(problem.y.expand(SEEDS, -1, -1, -1), A, toy.sigma_y), {}
    for name, make in SOLVERS.items():
        x = hrdis.solve(
            make(1.0 if pictures else toy.bound / (2 * toy.std)), used, many, seeds=range(SEEDS)
        ).x
        away = float((x.mean(0) - mean).norm() / (before - mean).norm())
        residual = ((A(x) - many.y).square().flatten(1).sum(1) / MASK.sum()).sqrt()
        missed = float((residual > max(3 * toy.sigma_y, 0.1)).double().mean())
        found[name] = (away, float(x.flatten(1).var(0).sum() / variance), missed)
    return found


NOISE = 0.1
COLUMNS: dict[str, tuple[Toy, bool]] = {
    "pictures": (Toy(), True),
    "latents": (Toy(), False),
    "latents, condition 4": (Toy(condition=4), False),
    "unit variance, bound 2": (Toy(std=1, bound=2), False),
    "unit variance, bound 4": (Toy(std=1, bound=4), False),
}
FOLDED: dict[str, tuple[Toy, bool]] = {
    "pictures": (Toy(k=4, sigma_y=NOISE), True),
    "linear": (Toy(k=4, sigma_y=NOISE), False),
    "folds 1.5": (Toy(k=4, sigma_y=NOISE, folds=1.5), False),
    "folds 3": (Toy(k=4, sigma_y=NOISE, folds=3), False),
}


def posteriors(columns: dict[str, tuple[Toy, bool]]) -> str:
    """The table of one family of toys."""
    results = {name: measured(toy, pictures) for name, (toy, pictures) in columns.items()}
    rows = []
    for solver in SOLVERS:
        cells = []
        for name in columns:
            away, spread, missed = results[name][solver]
            cells.append(
                f"{away:.2f}, {spread:.2f}" + (f", {missed:.0%}" if missed >= 0.01 else "")
            )
        rows.append([solver, *cells])
    return table(["solver", *columns], rows)


# ---- memory of the decoder's graph --------------------------------------------------------------

TINY = {"block_out_channels": (4, 8, 8), "layers_per_block": 1, "norm_num_groups": 4}
FULL = {
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
}  # Stable Diffusion's, random weights


def peak(size: str, side: int, mode: str) -> float:
    """MiB that decoding to ``side`` pixels adds to the process, and the backward pass where there
    is one.
    """
    from diffusers import AutoencoderKL

    torch.set_num_threads(1)
    config = TINY if size == "tiny" else FULL
    levels = len(config["block_out_channels"])  # type: ignore[arg-type]
    vae = AutoencoderKL(
        **config,  # type: ignore[arg-type]
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
    )
    latents = Gaussian(torch.zeros(4, side // 2 ** (levels - 1), side // 2 ** (levels - 1)), 1.0)
    prior = LatentPrior(latents, vae, checkpoint=mode == "checkpoint")
    decoder = prior.decoder((1, 3, side, side))
    z = torch.zeros(1, *latents.mean.shape)
    with torch.no_grad():
        decoder(torch.zeros(1, 4, 4, 4))  # what the first call allocates for good
        _status("reset")
        before = _status("VmRSS")
        if mode == "none":
            decoder(z)
    if mode != "none":
        z.requires_grad_()
        torch.autograd.grad(decoder(z).square().sum(), z)
    return _status("VmHWM") - before


def _status(name: str) -> float:
    """VmRSS, what is resident now, or VmHWM, its peak since the last "reset", in MiB (Linux)."""
    if name == "reset":  # a process starts with the peak of the one that started it
        Path("/proc/self/clear_refs").write_text("5")
        return 0.0
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def memory() -> str:
    """The table of peaks, each measured in a process of its own."""
    rows = []
    for size, side in (("tiny", 256), ("full", 64)):
        found = []
        for mode in ("none", "graph", "checkpoint"):
            command = [sys.executable, __file__, "--only", f"{size}:{side}:{mode}"]
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found.append(float(out.splitlines()[-1]))
        rows.append([f"{size}, {side} x {side}", *(f"{v:.0f}" for v in found)])
        print(rows[-1], flush=True)
    return table(
        [
            "decoder",
            "MiB without a graph",
            "with its gradient",
            "with its gradient, checkpoint=True",
        ],
        rows,
    )


MAKE = {
    "linear": lambda: posteriors(COLUMNS),
    "folded": lambda: posteriors(FOLDED),
    "memory": memory,
}


def main(
    write: bool = True,
    sections: tuple[Literal["linear", "folded", "memory"], ...] = tuple(MAKE),
    only: str = "",
) -> None:
    """Measure.

    Args:
        write: rewrite the tables of docs/measurements/latents.md and speed.md.
        sections: which tables.
        only: measure this decoder here and print it as JSON (how the script calls itself).
    """
    if only:
        size, side, mode = only.split(":")
        print(json.dumps(peak(size, int(side), mode)))
        return
    for section in sections:
        text = MAKE[section]()
        print(f"{section}\n{text}\n")
        if write and section == "memory":
            rewrite(SPEED, "decoder-memory", text)
        elif write:
            rewrite(PAGE, section, text)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
