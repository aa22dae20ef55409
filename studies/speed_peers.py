"""What the same method costs beside the same network in hrdis, azula and deepinv.

    pip install deepinv==0.5.0 azula==0.11.1   # by hand: hrdis never depends on them
    python studies/speed_peers.py  # rewrites a section of measurements/speed.md

The task is fourfold enlargement with noise of 0.05. Each library is called as its own documentation
says, with a denoiser of its own convention and an operator that is cheap in it. The network is a
stand-in that returns half of its input and empties the caches, as a network does; its own time does
not count. The time is the processor's, and the libraries run in turns.
"""

import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from common.clock import Clock, problem_for
from common.pages import DOCS, rewrite, table
from torch import Tensor, nn

import hrdis

try:
    import azula.denoise
    import azula.guidance
    import azula.noise
    import azula.sample
    import deepinv
    import deepinv.sampling.sde_solver
except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision built for another torch
    raise SystemExit(
        "This comparison needs deepinv 0.5 and azula 0.11, and one of them cannot be imported "
        f"({error}). Install them by hand, with a torchvision that fits torch: pip install "
        "deepinv==0.5.0 azula==0.11.1"
    ) from error

PAGE = DOCS / "measurements" / "speed.md"
SCALE, NOISE = 4, 0.05

Run = Callable[[], object]


class StandIn(nn.Module):
    """A network that does nothing but sweep the caches.

    Args:
        clock: where the time of the sweep is kept apart.
    """

    def __init__(self, clock: Clock):
        super().__init__()
        self.clock, self.calls = clock, 0
        self.weight = nn.Parameter(torch.tensor(0.5))
        self.swept = np.zeros(2**23, np.float32)  # 32 MB

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        self.calls += 1
        with self.clock.part("network"):
            self.swept += 1
        return self.weight * x


def pooled(x: Tensor) -> Tensor:
    """Return the means of blocks."""
    return F.avg_pool2d(x, SCALE)


def repeated(y: Tensor) -> Tensor:
    """Return the pseudo-inverse of `pooled`: every pixel repeated."""
    return F.interpolate(y, scale_factor=float(SCALE), mode="nearest")


# ---- azula: images in [-1, 1] -------------------------------------------------------------------


class AzulaDenoiser(azula.denoise.Denoiser):
    """A network that predicts v, in azula's convention."""

    def __init__(self, prior: Any):
        super().__init__()
        self.net, self.schedule = prior.net, azula.noise.VPSchedule()
        alpha_bar = prior.schedule.alpha_bar.float()
        self.levels = ((1 - alpha_bar) / alpha_bar).sqrt()

    def forward(self, x_t: Tensor, t: Tensor, **_: Any) -> Any:
        alpha, sigma = self.schedule(t)
        level = torch.searchsorted(self.levels, sigma / alpha).clamp(max=999).expand(len(x_t))
        return azula.denoise.DiracPosterior(alpha * x_t - sigma * self.net(x_t, level))


def azula_runs(prior: Any, y: Tensor, calls: int) -> dict[str, Run]:
    """Return the methods that azula has."""
    q, g = AzulaDenoiser(prior), azula.guidance
    shape = (len(y), 3, SCALE * y.shape[-2], SCALE * y.shape[-1])

    def from_noise(sampler: Any) -> Run:
        return lambda: sampler(sampler.init(shape))

    def diffpir() -> Any:
        guided = g.DiffPIRDenoiser(q, y, pooled, (2 * NOISE) ** 2)
        return azula.sample.DDIMSampler(guided, eta=1.0, steps=calls, silent=True)

    return {
        "DPS": from_noise(g.DPSSampler(q, y, pooled, steps=calls, silent=True)),
        "PiGDM": from_noise(
            g.PGDMSampler(q, y, pooled, repeated, eta=1.0, steps=calls, silent=True)
        ),
        "DiffPIR": from_noise(diffpir()),
    }


# ---- deepinv: images in [0, 1] ------------------------------------------------------------------


class DeepinvDenoiser(deepinv.models.Denoiser):
    """A network that predicts v, in deepinv's convention."""

    def __init__(self, prior: Any):
        super().__init__()
        self.net, self.schedule = prior.net, prior.schedule

    def forward(self, x: Tensor, sigma: Any, **_: Any) -> Tensor:
        s = 2 * float(torch.as_tensor(sigma).flatten()[0])
        a = (1 + s * s) ** -0.5
        x_t = (a * (2 * x - 1)).float()
        level = torch.full((len(x),), self.schedule.nearest(max(s, 1e-3)))
        x0_hat: Tensor = a * x_t - s * a * self.net(x_t, level)
        return (x0_hat + 1) / 2


def deepinv_runs(prior: Any, y: Tensor, calls: int) -> dict[str, Run]:
    """Return the methods that deepinv has."""
    s, d, y01 = deepinv.sampling, DeepinvDenoiser(prior), (y + 1) / 2
    side = SCALE * y.shape[-1]
    noise = deepinv.physics.GaussianNoise(sigma=NOISE)
    plain = deepinv.physics.LinearPhysics(
        A=lambda x, **_: pooled(x),
        A_adjoint=lambda v, **_: repeated(v) / SCALE**2,
        noise_model=noise,
    )
    plain.A_dagger = lambda v, **_: repeated(v)
    # An orthogonal basis of a block of 16 pixels, its mean first.
    basis = torch.linalg.qr(torch.cat([torch.ones(16, 1), torch.eye(16)[:, :15]], 1))[0]
    basis = basis * basis[0, 0].sign()

    def to_spectrum(x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        blocks = F.pixel_unshuffle(x, SCALE).reshape(b, c, 16, -1)
        return (basis.T @ blocks).reshape(b, c, 16, h // SCALE, w // SCALE)

    def from_spectrum(z: Tensor) -> Tensor:
        b, c, _, h, w = z.shape
        blocks = (basis @ z.reshape(b, c, 16, -1)).reshape(b, 16 * c, h, w)
        return F.pixel_shuffle(blocks, SCALE)

    singular = torch.zeros(1, 3, 16, side // SCALE, side // SCALE)
    singular[:, :, 0] = 1 / SCALE
    decomposed = deepinv.physics.DecomposablePhysics(
        U=lambda z: z[:, :, 0],
        U_adjoint=lambda v: F.pad(v[:, :, None], (0, 0, 0, 0, 0, 15)),
        V=from_spectrum,
        V_adjoint=to_spectrum,
        mask=singular,
        img_size=(3, side, side),
        noise_model=noise,
    )

    def guided(fidelity: Any) -> Any:
        times = torch.linspace(1, 0, calls + 1, dtype=torch.float64)
        sde = s.VariancePreservingDiffusion(alpha=1.0, dtype=torch.float64)
        return s.PosteriorDiffusion(fidelity, d, sde, s.DDPMSolver(times), dtype=torch.float64)

    levels = torch.linspace(1, 0.01, calls).tolist()
    diffpir = s.DiffPIR(d, deepinv.optim.data_fidelity.L2(), sigma=NOISE, max_iter=calls)
    ddrm, dps = s.DDRM(d, sigmas=levels), s.DPS(d, num_steps=calls + 1)
    pigdm = guided(s.PiGDMDataFidelity())
    return {
        "DPS": lambda: dps(y01, plain),
        "PiGDM": lambda: pigdm(y01, plain),
        "DiffPIR": lambda: diffpir(y01, decomposed),
        "DDRM": lambda: ddrm(y01, decomposed),
    }


# ---- ours, and the table ------------------------------------------------------------------------


def our_runs(prior: Any, problem: hrdis.Problem, calls: int) -> dict[str, Run]:
    """Return the same methods of hrdis, with their default settings."""

    def run(solver: hrdis.Solver) -> Run:
        return lambda: hrdis.solve(solver, prior, problem, seeds=range(len(problem.y)))

    return {
        "DPS": run(hrdis.DPS(steps=calls)),
        "PiGDM": run(hrdis.PiGDM(steps=calls)),
        "DiffPIR": run(hrdis.DiffPIR(steps=calls)),
        "DDRM": run(hrdis.DDRM(steps=calls)),
    }


def beside(run: Run, net: StandIn) -> float:
    """Return the processor time of a run beside its network, milliseconds a call."""
    before, calls = Counter(net.clock.seconds), net.calls
    with net.clock.part("solver"):
        run()
    seconds = net.clock.seconds["solver"] - before["solver"]
    return 1000 * seconds / (net.calls - calls)


def passes(prior: Any, side: int, differentiated: bool) -> float:
    """Return the processor time of a call of the embedded network, milliseconds."""
    x = torch.zeros(1, 3, side, side, requires_grad=differentiated)
    started = time.process_time()
    with torch.set_grad_enabled(differentiated):
        out = prior(x, 100).x0_hat
        if differentiated:
            torch.autograd.grad(out.sum(), x)
    return 1000 * (time.process_time() - started)


def main(
    sides: tuple[int, ...] = (64, 256), calls: int = 8, rounds: int = 5, write: bool = True
) -> None:
    """Measure every method of the three libraries.

    Args:
        sides: image sides.
        calls: steps of a run.
        rounds: runs of each; the first, a rehearsal, is not counted.
        write: rewrite the section of the page.
    """
    torch.set_num_threads(1)
    embedded: Any = hrdis.load_prior("default")
    net = StandIn(Clock())
    prior = hrdis.priors.UNetPrior(net, prediction_type="v_prediction")
    lines = []
    for side in sides:
        problem = problem_for("ddrm", side, 1)
        libraries = {
            "hrdis": our_runs(prior, problem, calls),
            "azula": azula_runs(prior, problem.y, calls),
            "deepinv": deepinv_runs(prior, problem.y, calls),
        }
        for method in libraries["hrdis"]:
            found: dict[str, list[float]] = {}
            for k in range(rounds + 1):
                took = {"network": passes(embedded, side, method in ("DPS", "PiGDM"))}
                for name, runs in libraries.items():
                    if method in runs:
                        took[name] = beside(runs[method], net)
                if k:  # the first is a rehearsal
                    for name, milliseconds in took.items():
                        found.setdefault(name, []).append(milliseconds)
            whole = statistics.median(found["network"])
            cells = []
            for name in libraries:
                text = "-"
                if name in found:
                    own = statistics.median(found[name])
                    text = f"{own:.2f} ms, {100 * own / whole:.1f} %"
                cells.append(text)
            lines.append([method, f"{side} px", f"{whole:.0f} ms", *cells])
            print(lines[-1], flush=True)
    text = table(["method", "picture", "embedded network", *libraries], lines)
    print(text)
    if write:
        rewrite(PAGE, "peers", text)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
