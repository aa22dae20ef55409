"""All estimators in the order in which each needs what the others found."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..diagnosis import (
    Answer,
    Blurring,
    Compression,
    Finding,
    NoiseLevel,
    Resolution,
    Specks,
    Stamp,
    estimate_blur,
    estimate_compression,
    estimate_noise,
    estimate_resolution,
    find_specks,
    find_stamp,
    noise_under_jpeg,
)
from ..diagnosis.noise import ACT as LEAST_NOISE
from ..diagnosis.noise import ALIKE
from ..priors.base import Prior
from .likelihood import likely_level
from .network import agreed_level, best_weight, estimate, implied_level, middling, moments
from .restorations import clean_jpeg

AnyFinding = TypeVar("AnyFinding", bound=Finding)

#: Level from which on noise of its own in each colour counts where the patches, which take texture
#: for noise, find twice as much. On such a training crop 1.5 to 2.5 levels were taken for 3.2 to
#: 3.8, at a loss of 2.9 dB.
TEXTURED = 4.0
#: Power, and bound, of the factor by which the patches' higher level raises the prior's, which is
#: 1 to 3 % low where texture looks like noise to neither. Of 480 training pictures with noise of 2
#: to 50 levels 446 are within 10 % then, and 437 without.
PATCHES_POWER, PATCHES_MOST = 0.25, 1.35
#: Expected gain in dB below which noise that is the same in all colours may be texture. On training
#: crops texture was taken for noise of 5 to 12 levels with an expected gain of 1.3 to 1.4. Noise of
#: 10 levels in a JPEG has 1.2 to 15, and where it has less than 1.5, 0.3 dB are to be had.
LEAST_ALIKE = 1.5
#: Factor from which on an enlargement's spectrum ends as early as that of a blur. On training crops
#: that were enlarged 1.5 or 2 times it never passes for a blur.
LARGE = 2.2
#: Kinds of damage that are filled as a mask shows, each in words.
FILLED = {"scratches": "Specks and scratches", "stamp": "Date stamp"}
#: What noise leaves behind when it is taken away, as a share of its level. With 0.3 of a level of
#: 5.0 a blur of 2.0 pixels was found as 2.7 on one crop and as 1.8 on another.
LEFT_OVER = 0.27
#: Grey levels of noise from which on what is left of a picture is too soft to show a blur: after 25
#: levels a sharp training crop looks blurred.
MOST_NOISE = 8.0


@dataclass(frozen=True)
class Diagnosis:
    """The damage found in a picture, one answer per kind.

    Args:
        jpeg, enlarged, noise, blur, scratches, stamp: the answers.
    """

    jpeg: Compression
    enlarged: Resolution
    noise: NoiseLevel
    blur: Blurring
    scratches: Specks
    stamp: Stamp

    def findings(self) -> dict[str, Finding]:
        """Return the answers by the names that ``only`` takes."""
        return {
            "noise": self.noise,
            "jpeg": self.jpeg,
            "enlarged": self.enlarged,
            "blur": self.blur,
            "scratches": self.scratches,
            "stamp": self.stamp,
        }

    def mask(self, kinds: Collection[str] = ()) -> Tensor | None:
        """Return which pixels are proposed to be filled, (h, w) bool; None without a proposal.

        Args:
            kinds: which of ``FILLED`` count; all if none of them is named.
        """
        named = [kind for kind in FILLED if kind in kinds] or FILLED
        whole: Tensor | None = None
        for name, finding in (("scratches", self.scratches), ("stamp", self.stamp)):
            mask = finding.mask
            if name in named and finding.found != "no" and mask is not None:
                whole = mask if whole is None else whole | mask
        return whole

    def sentences(self) -> list[str]:
        """Return one line per kind of damage, with its name, the answer, and the reason."""
        lines = []
        for name, finding in self.findings().items():
            lines.append(f"{name}: {finding.found}. {finding.why}")
        return lines

    def record(self) -> dict[str, Any]:
        """Return all answers as what JSON holds, masks and tables of steps left out."""
        found = {}
        for name, finding in self.findings().items():
            values = asdict(finding)
            values.pop("mask", None)
            for key, value in values.items():
                if isinstance(value, float) and abs(value) == float("inf"):
                    values[key] = None
            found[name] = values
        return found


def diagnose(
    x: Tensor,
    tables: Sequence[int] | None = None,
    prior: Prior | None = None,
    on_progress: Callable[[str], object] | None = None,
) -> Diagnosis:
    """Return what is wrong with a picture.

    JPEG comes first, since it looks like noise, like an enlargement and like a blur; the true
    resolution and the noise before the blur, whose measure needs both.

    Args:
        x: (1, c, h, w) in [-1, 1].
        tables: the 64 steps of the brightness by rows, if its file is a JPEG.
        prior: tells noise from texture where it is given.
        on_progress: called with what is looked for, before each of six looks.

    Cost:
        3 to 6 s a megapixel; with a prior at most 6 network calls on 192 x 192 pixels.
    """
    tell = on_progress or (lambda what: None)
    x = x.detach().cpu()
    if x.shape[1] == 3 and torch.equal(x[:, :1], x[:, 1:2]) and torch.equal(x[:, :1], x[:, 2:]):
        x = x[:, :1]  # grey that is stored as colour
    tell("looking for traces of JPEG")
    jpeg = former_jpeg(x, tables)
    tell("looking for an enlargement")
    enlarged = estimate_resolution(x)
    if enlarged.found == "yes" and jpeg.found == "yes":
        # smooth blocks are spanned by the kernels of an enlargement, too
        enlarged = _unsure(replace(enlarged, low=1), "or only smoothed by JPEG")
    tell("measuring the noise")
    level = estimate_noise(x)
    if prior is not None:
        level = settled(prior, x, level)
    if jpeg.found == "yes":
        level = beside_jpeg(level, x, jpeg, prior)
    if enlarged.found == "yes" and level.white is False:
        level = _unsure(level, "but the picture was enlarged, which smooths its grain")
    known = known_noise(level)
    tell("looking for blur")
    blur = estimate_blur(x, known)
    if blur.found == "yes" and blur.source == "spectrum":
        if blur.kind == "motion" and level.found == "yes" and level.white is False:
            level = _unsure(level, "or the streaks of the motion")
        if enlarged.found == "yes" and enlarged.value < LARGE:
            # the kernels of an enlargement span what a blur has smoothed
            enlarged = _unsure(replace(enlarged, low=1), "or only blurred")
    below = None
    if prior is not None and enlarged.found != "yes":
        below = hidden_blur(prior, x, level, jpeg)
    if below is not None and below.found == "yes":
        blur = below
    elif blur.found == "yes" and (enlarged.found == "yes" or jpeg.found == "yes"):
        what = "an enlargement" if enlarged.found == "yes" else "JPEG"
        of_edges = replace(blur, source="edges", width=0.0, frequencies=0)
        blur = _unsure(of_edges, f"or softened by {what}")
    tell("looking for specks and scratches")
    marks = find_specks(x, known)
    others = (jpeg.found, enlarged.found, level.found, blur.found)
    if marks.found == "yes" and "yes" in others:
        # grain, ringing and softened edges look like specks: propose the mask, and claim nothing
        marks = replace(marks, found="unsure")
    tell("looking for a date stamp")
    stamp = find_stamp(x, known)
    return Diagnosis(jpeg, enlarged, level, blur, marks, stamp)


def beside_jpeg(level: NoiseLevel, x: Tensor, jpeg: Compression, prior: Prior | None) -> NoiseLevel:
    """Return the noise that was there before a picture became a JPEG, or what is left of it.

    Args:
        level: what was found without a thought of JPEG.
        x: (1, c, h, w) in [-1, 1].
        jpeg: what was found of it.
        prior: tells noise from texture where it is given.

    Cost:
        one network call on 192 x 192 pixels at most.
    """
    hidden = noise_under_jpeg(x, jpeg)
    if hidden >= LEAST_NOISE:
        if level.alike and level.found == "yes":
            return level  # the brightness says how much of it JPEG has left
        why = f"Noise of about {hidden:.0f} grey levels before the picture became a JPEG."
        return replace(
            level, found="yes", value=hidden, low=0.8 * hidden, high=1.25 * hidden, why=why,
            white=True, curve=(), before_jpeg=True,
        )  # fmt: skip
    if level.found != "yes":
        return level
    # JPEG's ringing and texture that it has coarsened look like noise.
    of_jpeg = level.value <= 1.3 * jpeg.damage
    if not of_jpeg and level.white is False:
        # To the prior they look like structure: it calls less than a third of them noise.
        part = middling(x.float())
        of_jpeg = prior is None or implied_level(prior, part, level.value) <= 0.45 * level.value
    return _unsure(level, "or what JPEG leaves of texture") if of_jpeg else level


def known_noise(level: NoiseLevel) -> float:
    """Return the level that later looks allow for.

    It is 0 where there is no noise, and where texture may be coarse noise, which is none to the
    measure of edges.
    """
    texture = level.found == "unsure" and level.white is False
    if level.found == "no" or texture or level.value < LEAST_NOISE:
        return 0.0
    return level.value


def former_jpeg(x: Tensor, tables: Sequence[int] | None = None) -> Compression:
    """Return the compression that limits a picture: that of its file, or a worse one before.

    Args:
        x: (1, c, h, w) in [-1, 1].
        tables: the 64 steps of the brightness by rows, if its file is a JPEG.

    Cost:
        that of `hrdis.diagnosis.estimate_compression`; twice where the file is a good JPEG.
    """
    jpeg = estimate_compression(x, tables)
    if tables is not None and jpeg.found == "no":
        before = estimate_compression(x)  # saved well, but maybe badly before
        if (before.found == "yes" and before.offset != (0, 0)) or before.value < jpeg.value - 8:
            jpeg = before
    return jpeg


def hidden_blur(prior: Prior, x: Tensor, level: NoiseLevel, jpeg: Compression) -> Blurring | None:
    """Return the blur that shows once white noise, or JPEG's artefacts, are gone from a part.

    None where there is neither of them, or both. The sharpest edges of training crops without a
    blur stay sharp when noise or artefacts are taken away.

    Args:
        prior: of colour pictures.
        x: (1, c, h, w) in [-1, 1].
        level, jpeg: what was found.

    Cost:
        1 network call on 192 x 192 pixels for noise, 5 for JPEG.
    """
    noisy = level.found == "yes" and level.white is True and not level.before_jpeg
    if noisy and level.value > MOST_NOISE:
        return None
    if noisy == (jpeg.found == "yes"):
        return None
    part = middling(x.float())
    if noisy:
        what, clean = "the noise", estimate(prior, part, level.value)
    else:
        mended = clean_jpeg(prior, part, jpeg)
        what, clean = "JPEG's artefacts", mended.x
        if not mended.done:
            return None
    blur = estimate_blur(clean.clamp(-1, 1), LEFT_OVER * level.value if noisy else 0.0)
    return replace(blur, why=f"{blur.why[:-1]}, seen in a part without {what}.")


def settled(prior: Prior, x: Tensor, found: NoiseLevel) -> NoiseLevel:
    """Return the noise that a prior and the estimator agree on.

    The prior starts from the estimate and knows texture, so that what it does not recognise as
    noise is none. On 90 % of training photographs as they are it ends below 1.0 levels, and below
    2.4 on all of 85. With noise of 2 levels it ends between 1.8 and 2.65 on 90 %. Coarse noise it
    takes for texture, and has no say there.

    Args:
        prior: of colour pictures.
        x: (1, c, h, w) in [-1, 1].
        found: what `hrdis.diagnosis.noise` found.
    """
    if found.white is False or found.value < 1 or not math.isfinite(found.high):
        return found
    seen = x.mean(1, keepdim=True) if found.alike else x
    own = value = 0.0
    if found.alike:
        # A JPEG leaves noise in the mean of the channels that is not white. The most likely level
        # of white noise is far below it: stay close to the patches'.
        own = agreed_level(prior, seen.float(), found.value)
        value = math.sqrt(found.value * own) if own > 0.8 * found.value else own
        if estimate_noise((x[:, :1] - x[:, 1:2]) / 2).value >= ALIKE * own:
            # What is the same in all colours is texture, and the noise is not.
            channels = [estimate_noise(channel).value for channel in x.split(1, 1)]
            level = math.sqrt(sum(channel**2 for channel in channels) / len(channels))
            found = replace(found, value=level, channels=tuple(channels), alike=False)
            seen = x
    if not found.alike:
        own = likely_level(prior, seen.float(), found.value)
        value = own * min(max(found.value / own, 1.0), PATCHES_MOST) ** PATCHES_POWER
    low, high = 0.93 * min(value, own), 1.07 * max(value, min(found.value, 1.25 * own))
    answer: Answer = "yes" if value >= LEAST_NOISE else "no"
    why = f"Noise of {value:.1f} grey levels ({low:.1f} to {high:.1f})"
    if answer == "yes" and found.alike:
        part = middling(seen.float())
        _, square, divergence = moments(prior, part, value, estimate(prior, part, value))
        if best_weight(value, square, divergence)[1] < LEAST_ALIKE:
            return _unsure(replace(found, value=value, low=low, high=high, why=f"{why}."),
                           "or fine texture: it is the same in all colours")  # fmt: skip
    if answer == "yes" and own < 0.5 * found.value and (found.alike or value < TEXTURED):
        return _unsure(replace(found, value=value, low=low, high=high, why=f"{why}."),
                       "or texture: by their patches it is twice as much")  # fmt: skip
    if answer == "no":
        why = f"Noise of about {value:.1f} grey levels, no more than a photograph's own grain"
    elif found.curve:
        why += f", {found.curve[0][1]:.1f} in the dark and {found.curve[-1][1]:.1f} in the light"
    if answer == "yes" and found.alike:
        why += ", the same in all colours"
    return replace(found, found=answer, value=value, low=low, high=high, why=f"{why}.")


def _unsure(finding: AnyFinding, why: str) -> AnyFinding:
    """Return a finding that is no longer sure, with a second explanation of what was seen."""
    return replace(finding, found="unsure", why=f"{finding.why[:-1]}, {why}.")
