"""Is a prior what its card says, and does it denoise like a network trained on its schedule?"""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checkpoints import Card
from ..metrics import psnr
from ..priors.base import Prior
from ..rng import ImageRNG
from ..schedule import Schedule
from .base import Check, CheckReport
from .learned import check_response, check_weights, use_of_depths

#: Noise over signal for images in [-1, 1], and by how many dB one call must beat the best filter
#: there. The embedded prior gains 4.6, 4.0, 2.6, 1.6 and 0.5; with its weights shuffled -2.9 ...
#: -11, its first level permuted 0.4 ... -5, colours swapped -3 ... -10, on another schedule at most
#: 4.2, 3.5, 2.2, then -2 and -4.6 or below.
LEVELS = ((0.08, 1.5), (0.2, 1.5), (0.5, 0.5), (1.0, -0.5), (3.0, -1.5))
WIDTHS = (0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0)


#: What cards call the schedules that checkpoints are trained on.
SCHEDULES: dict[str, Callable[[], Schedule]] = {
    "linear betas 1e-4 to 0.02, 1000 steps": Schedule.linear,
    "cosine, 1000 steps": Schedule.cosine,
    "scaled-linear betas 0.00085 to 0.012, 1000 steps": lambda: Schedule(
        (1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2).cumprod(0)
    ),
}


@torch.no_grad()
def check_prior(prior: Prior, x: Tensor, card: Card | None = None, seed: int = 0) -> CheckReport:
    """Measure what one call of a prior does to noisy pictures, and compare it with its card.

    Args:
        prior: anything that `load_prior` returns.
        x: clean pictures (b, c, h, w) in [-1, 1], of the size the prior was trained at, and not of
            its training.
        card: what it is said to be.
        seed: of the noise.

    Returns:
        the `CheckReport`; its notes say in plain words what a failure looks like.

    Cost:
        seven calls on the pictures, three more for every resolution of its network and six more for
        all; six more if it fails.
    """
    q, z = prior.schedule, ImageRNG(range(seed, seed + len(x)), "check prior").randn_like(x)
    checks = _as_card(prior, card) if card is not None else []
    levels, off, seconds = [], 0.0, []
    for sigma, least in LEVELS:
        t = q.nearest(sigma)
        x_t = q.diffuse(x, t, z)
        started = time.perf_counter()
        found = prior(x_t, t)
        finite = bool(torch.isfinite(found.x0_hat).all())  # waits for the device too
        seconds.append(time.perf_counter() - started)
        again = q.signal(t) * found.x0_hat + q.noise(t) * found.eps
        off = max(off, float((again - x_t).abs().max()))
        x0_hat = found.x0_hat if finite else torch.full_like(x, torch.nan)
        levels.append(_level(x, x + q.sigma(t) * z, x0_hat, least, t))
    meaning = "x_t = sqrt(alpha_bar) x0_hat + sqrt(1 - alpha_bar) eps: both forms are one estimate."
    fix = "derive one from the other: x0_hat = schedule.denoised(x_t, t, eps)"
    checks.append(Check("two forms", off <= 1e-3, f"{off:.1e} (at most 0.001)", meaning, fix))
    checks += [*levels, *_top(prior, x, z), *check_weights(prior)]
    coarse = [q.nearest(sigma) for sigma, _ in LEVELS[2:]]
    checks += check_response(prior, lambda: [prior(q.diffuse(x, t, z), t) for t in coarse])
    size, median = f"{x.shape[-1]} x {x.shape[-2]}", sorted(seconds)[2]
    notes = [f"one call on {len(x)} pictures of {size}: {median:.2f} s"]

    def error() -> Tensor:
        errors = []
        for t in coarse:
            x0_hat = prior(q.diffuse(x, t, z), t).x0_hat
            errors.append((x0_hat - x).square().mean())
        return torch.stack(errors)

    grown = use_of_depths(prior, error) if len(x) > 1 else {}
    if len(grown) > 1:  # of a network with one resolution there is nothing to compare
        use = ", ".join(f"x {factor:.2f} at {side} px" for side, factor in grown.items())
        notes.append(
            f"error with another picture's features: {use}; a resolution near x 1.00 is of no use"
        )
    if not all(check.passed for check in levels):
        notes.append(_verdict(prior, x, z, levels))
    return CheckReport(
        f"{prior.name}: a prior, tried on {len(x)} pictures", tuple(checks), notes=tuple(notes)
    )


def _as_card(prior: Prior, card: Card) -> list[Check]:
    """Compare parameters and schedule with the card."""
    checks, count = [], sum(p.numel() for p in prior.parameters())
    if card.parameters is not None:
        fix = f"another file than the card's, or another scheme than {card.scheme!r}"
        said = f"{count} (its card says {card.parameters})"
        checks.append(
            Check(
                "parameters",
                count == card.parameters,
                said,
                "Another number is another network.",
                fix,
            )
        )
    if card.schedule in SCHEDULES:
        right = SCHEDULES[card.schedule]()
        same = len(right) == len(prior.schedule) and torch.allclose(
            right.alpha_bar, prior.schedule.alpha_bar, 1e-6, 0
        )
        said = f"{'' if same else 'not '}{card.schedule}"
        meaning = "A network knows the noise of the schedule it was trained on."
        checks.append(
            Check("schedule", same, said, meaning, "give the loader the schedule of the card")
        )
    return checks


def _level(x: Tensor, noisy: Tensor, x0_hat: Tensor, least: float, t: int) -> Check:
    """Compare one call with the noisy image and with the best of simple filters.

    The best filter is chosen with the truth, which favours the filters.
    """
    network = float(psnr(x0_hat.nan_to_num(nan=9.0).clamp(-1, 1), x).mean())
    given, filtered = _close(noisy, x), max(_close(smooth, x) for smooth in _filters(noisy))
    sigma = float((noisy - x).square().mean().sqrt()) * 127.5
    said = (
        f"{network:.2f} dB; noisy {given:.2f}, best filter {filtered:.2f}: "
        f"{network - filtered:+.2f} dB (at least {least:+.1f})"
    )
    meaning = (
        f"A trained prior beats filters at noise of {sigma:.0f}/255 (t = {t}), the more so the "
        "weaker the noise."
    )
    return Check(
        f"noise {sigma:.0f}/255", network - filtered >= least, said, meaning, "see the note below"
    )


def _close(x: Tensor, truth: Tensor) -> float:
    return float(psnr(x.clamp(-1, 1), truth).mean())


def _filters(x: Tensor) -> list[Tensor]:
    """Return x through Gaussian filters of several widths, and medians of 3 x 3 and 5 x 5."""
    found = []
    for width in WIDTHS:
        r = min(max(1, round(3 * width)), min(x.shape[-2:]) - 1)
        k = torch.exp(-(torch.arange(-r, r + 1).to(x) ** 2) / (2 * width**2))
        k = (k / k.sum()).expand(x.shape[1], 1, 1, -1)
        across = F.conv2d(F.pad(x, (r, r, r, r), mode="reflect"), k, groups=x.shape[1])
        found.append(F.conv2d(across, k.mT, groups=x.shape[1]))
    for n in (3, 5):
        padded = F.pad(x, (n // 2,) * 4, mode="reflect").unfold(2, n, 1).unfold(3, n, 1)
        found.append(padded.flatten(-2).median(-1).values)
    return found


def _top(prior: Prior, x: Tensor, z: Tensor) -> list[Check]:
    """Check the noise statistics and the output range where nothing but noise is left."""
    t = len(prior.schedule) - 1
    found = prior(prior.schedule.diffuse(x, t, z), t)
    eps, reach = float(found.eps.square().mean().sqrt()), float(found.x0_hat.square().mean().sqrt())
    meaning = f"At t = {t} all is noise: its estimate has a standard deviation of 1."
    limit = 20.0  # an eps network's error of 0.1 divided by a signal of 0.006
    return [
        Check("noise at the top", abs(eps - 1) <= 0.1, f"{eps:.3f} (0.9 to 1.1)", meaning,
        "see the note below"),
        Check(
            "range at the top", reach <= limit,
            f"rms {reach:.2f}, largest {float(found.x0_hat.abs().max()):.1f} (rms at most "
            f"{limit:g})",
            "The denoised image is an image, in [-1, 1] and a little beyond.",
            "see the note below",
        ),
    ]  # fmt: skip


def _verdict(prior: Prior, x: Tensor, z: Tensor, levels: list[Check]) -> str:
    """Explain the likely cause of a failed check."""
    if better := _another(prior, x, z):
        return (
            f"It denoises like a network {better}: its schedule or prediction type is declared "
            "wrongly."
        )
    weakest = prior.schedule.nearest(LEVELS[0][0])
    x_t = prior.schedule.diffuse(x, weakest, z)
    out = prior(x_t, weakest).x0_hat.nan_to_num(nan=9.0)
    if _close(out, x) <= _close(x_t / prior.schedule.signal(weakest), x):
        return (
            "It makes pictures worse than their noise: like random weights, inputs in another "
            "range or order of colours, or times in another form. This is not the network that its "
            "card or settings describe."
        )
    passed = sum(check.passed for check in levels)
    return (
        f"It denoises, but not as well as a trained prior ({passed} of {len(levels)} levels): like "
        "weights of which some are in the wrong place (attention rows in another order, another "
        "checkpoint's layer), another schedule, or a prior of quite another kind of picture: "
        "--photos FOLDER of its own kind tells."
    )


def _another(prior: Prior, x: Tensor, z: Tensor) -> str:
    """Return the schedule and prediction type with which the network is 1 dB better.

    "" if there is none.
    """
    declared: str = getattr(prior, "prediction_type", "epsilon")
    scores: dict[tuple[str, str], float] = {}
    own = "on its own schedule"
    candidates = {own: prior.schedule}
    for name, make in SCHEDULES.items():
        candidates[f"trained on {name}"] = make()
    for name, q in candidates.items():
        for sigma in (LEVELS[2][0], LEVELS[3][0]):
            t = q.nearest(sigma)
            if t >= len(prior.schedule):
                break
            x_t = q.diffuse(x, t, z)
            found = prior(x_t, t)
            output = found.eps  # of the network itself, made again from what the prior says
            if declared == "v_prediction":
                signal, noise = prior.schedule.signal(t), prior.schedule.noise(t)
                output = signal * found.eps - noise * found.x0_hat
            elif declared == "sample":
                output = found.x0_hat
            readings = {
                "epsilon": q.denoised(x_t, t, output),
                "v_prediction": q.signal(t) * x_t - q.noise(t) * output,
                "sample": output,
            }
            for kind, x0_hat in readings.items():
                near = _close(x0_hat.nan_to_num(nan=9.0), x) / 2
                scores[name, kind] = scores.get((name, kind), 0.0) + near
    best = max(scores, key=lambda key: scores[key])
    better = scores[best] - scores[own, declared]
    filtered = max(_close(smooth, x) for smooth in _filters(x + LEVELS[2][0] * z)) / 2
    filtered += max(_close(smooth, x) for smooth in _filters(x + LEVELS[3][0] * z)) / 2
    if better < 1 or scores[best] < filtered:
        return ""
    return f"{best[0]} that predicts {best[1]} ({better:.1f} dB better than as declared)"
