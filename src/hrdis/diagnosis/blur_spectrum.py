"""Estimate a blur from the power spectrum, which has the zeros of a motion, the fall of a Gaussian.

The power of a photograph falls with frequency like a power law that depends a little on the
direction. A blur multiplies it by |K|^2. In logarithms that is a sum, so that every kernel of a
bank is compared with what the power law leaves, by least squares. The spectrum is Welch's (1967).
That a motion shows by its zeros is in Yitzhaky and Kopeika (1997).
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

SIDE = 128  # of a tile, in pixels
TILES = 16  # the liveliest ones are taken
LEAST = 64  # pixels; the side of a smaller picture holds too few frequencies
ABOVE = 6.0  # times the noise that a frequency is used down to
LENGTHS = np.arange(4.0, 32.0)
#: Shortest motion: the kernels of an enlargement look like one of 4 pixels. From the next length on
#: the stricter limits hold. The longest in the bank are there to be refused: they are as good as a
#: stripe.
SHORTEST, MIDDLING, LONGEST = 5.0, 22.0, 29.0
STEP = 6.0  # degrees
FINER = ((0.5, 2.0), (0.25, 0.75))  # steps in pixels and in degrees around the best so far
STEP_OF_WIDTH = 0.25
WIDTHS = np.arange(0.5, 4.6, STEP_OF_WIDTH)
#: Share of the spectrum's squares that a motion leaves at most, times what the power law leaves and
#: times what the best Gaussian leaves, for a middling length and for a long one. On 82 training
#: crops it finds 77 of 81 motions of 7 to 13 pixels, each with its length and angle, and none in
#: crops that are sharp, noisy, enlarged, out of a JPEG, or blurred by a Gaussian.
MOTION, LONG_MOTION = 0.8, 0.72
FEWEST, FEWEST_OF_LONG = 250, 450  # frequencies; with fewer, a dark scene without a motion had one
#: Factor by which a motion's logarithm fits best; 0.75 to 1.5 on those of training crops.
DEPTH, DEPTH_OF_LONG = (0.6, 1.8), (0.7, 1.4)
#: The same of a Gaussian, its least width, and the frequency at which nothing may be left: sharp
#: training crops reach 0.36 and more, those enlarged twice 0.3, those blurred by 1.8 pixels 0.26.
GAUSSIAN, GAUSSIAN_OVER_MOTION, NARROWEST, HIGHEST = 0.6, 0.85, 1.4, 0.27
FLOOR = 2e-3  # of |K|^2: what a window and rounding leave of a zero


@dataclass(frozen=True)
class SpectralFit:
    """The fit of a bank of kernels to a spectrum.

    Args:
        used: frequencies that stand out of the noise.
        cut: the highest of them, in cycles a pixel.
        motion, gaussian: the share of the squares that is left by the best kernel of each kind;
            1 is no better than the power law.
        length, angle: of the best motion, in pixels and degrees from the right, counter-clockwise.
        depth: factor by which that motion's logarithm fits best; 1 if it is one.
        width: standard deviation of the best Gaussian, in pixels.
    """

    used: int
    cut: float
    motion: float = 1.0
    gaussian: float = 1.0
    length: float = 0.0
    angle: float = 0.0
    depth: float = 0.0
    width: float = 0.0

    @property
    def is_motion(self) -> bool:
        """True if a straight motion explains the spectrum, and a Gaussian does not."""
        if not SHORTEST <= self.length < LONGEST:
            return False
        share, fewest, depth = MOTION, FEWEST, DEPTH
        if self.length >= MIDDLING:
            share, fewest, depth = LONG_MOTION, FEWEST_OF_LONG, DEPTH_OF_LONG
        alone = self.motion < share * min(1.0, self.gaussian)
        return alone and depth[0] < self.depth < depth[1] and self.used >= fewest

    @property
    def is_gaussian(self) -> bool:
        """True if a Gaussian explains the spectrum, which ends at low frequencies."""
        alone = self.gaussian < min(GAUSSIAN, GAUSSIAN_OVER_MOTION * self.motion)
        return alone and self.width > NARROWEST and self.cut < HIGHEST


def fit_spectrum(plane: np.ndarray, sigma: float = 0.0) -> SpectralFit:
    """Return how well straight motions and Gaussians explain the spectrum of a plane (h, w).

    Args:
        plane: brightness in grey levels.
        sigma: standard deviation of its white noise, in grey levels.

    Cost:
        a projection of 8000 frequencies for some 1000 kernels: half a second.
    """
    if min(plane.shape) < LEAST:
        return SpectralFit(0, 0.0)
    power = _averaged(periodogram(plane))
    h, w = power.shape
    fy, fx = np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w)[None]
    radius = np.hypot(fy, fx)
    noise = sigma**2 + 1 / 12
    cut = last_above(power, radius, ABOVE * noise)
    half = (fy > 0) | ((fy == 0) & (fx > 0))  # the other half is the same
    used = half & (radius >= max(0.03, 3 / min(h, w))) & (radius < cut)
    if used.sum() < 150:
        return SpectralFit(int(used.sum()), cut)
    basis = power_law(radius[used], np.arctan2(-fy, fx)[used])
    logs = np.log(np.maximum(power[used] - noise, 0.1 * noise))
    left = logs - basis @ (basis.T @ logs)
    total = float(left @ left)

    def tried(responses: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return the share of the squares each leaves, and the factor that would fit best."""
        columns = []
        for response in responses:
            columns.append(np.log(_averaged(_leaked(response)) + FLOOR)[used])
        M = np.stack(columns, 1)
        M -= basis @ (basis.T @ M)
        shares = np.square(left[:, None] - M).sum(0) / total
        return shares, (left @ M) / np.maximum(np.square(M).sum(0), 1e-9)

    gaussian, _ = tried([np.exp(-((2 * np.pi * s * radius) ** 2)) for s in WIDTHS])
    best = int(gaussian.argmin())
    width = float(WIDTHS[best])
    if 0 < best < len(WIDTHS) - 1:  # where a parabola through three values is least
        before, here, after = gaussian[best - 1 : best + 2]
        width += 0.5 * STEP_OF_WIDTH * float((before - after) / (before - 2 * here + after))
    pairs = [(length, angle) for length in LENGTHS for angle in np.arange(0, 180, STEP)]
    shares, _ = tried([_motion(length, angle, fy, fx) for length, angle in pairs])
    length, angle = pairs[int(shares.argmin())]
    for step_of_length, step_of_angle in FINER:
        pairs = []
        for longer in (-1, 0, 1):
            for turned in (-2, -1, 0, 1, 2):
                pairs.append((length + longer * step_of_length, angle + turned * step_of_angle))
        shares, depths = tried([_motion(length, angle, fy, fx) for length, angle in pairs])
        k = int(shares.argmin())
        length, angle = pairs[k]
    return SpectralFit(
        int(used.sum()), cut, float(shares[k]), float(gaussian[best]), float(pairs[k][0]),
        float(pairs[k][1]) % 180, float(depths[k]), width,
    )  # fmt: skip


def _motion(length: float, angle: float, fy: np.ndarray, fx: np.ndarray) -> np.ndarray:
    """Return |K|^2 of a straight motion."""
    turn = math.radians(angle)
    squares: np.ndarray = np.sinc(length * (fx * math.cos(turn) - fy * math.sin(turn))) ** 2
    return squares


def periodogram(plane: np.ndarray) -> np.ndarray:
    """Return the mean periodogram of the liveliest tiles, white noise of variance v giving v."""
    h, w = (min(n, SIDE) for n in plane.shape)
    window = np.outer(np.hanning(h + 1)[:h], np.hanning(w + 1)[:w])
    tiles = []
    for top in range(0, plane.shape[0] - h + 1, max(h // 2, 1)):
        for left in range(0, plane.shape[1] - w + 1, max(w // 2, 1)):
            tiles.append(plane[top : top + h, left : left + w])
    if len(tiles) > TILES:
        tiles.sort(key=lambda tile: -float(np.abs(np.diff(tile)).mean()))
    total = np.zeros((h, w))
    for tile in tiles[:TILES]:
        mean = (tile * window).sum() / window.sum()
        total += np.abs(np.fft.fft2((tile - mean) * window)) ** 2
    return total / (np.square(window).sum() * len(tiles[:TILES]))


def _averaged(power: np.ndarray) -> np.ndarray:
    """Return means over 3 x 3 frequencies, which make a periodogram less uneven."""
    for axis in (0, 1):
        power = (np.roll(power, 1, axis) + power + np.roll(power, -1, axis)) / 3
    return power


def _leaked(power: np.ndarray) -> np.ndarray:
    """Return what a Hann window makes of a spectrum, a sixth of which goes to each neighbour."""
    for axis in (0, 1):
        power = (np.roll(power, 1, axis) + 4 * power + np.roll(power, -1, axis)) / 6
    return power


def last_above(power: np.ndarray, radius: np.ndarray, least: float) -> float:
    """Return the frequency from which on the median power of a ring is below a level."""
    edges = np.linspace(0.02, 0.5, 25)
    for inner, outer in itertools.pairwise(edges):
        ring = (radius >= inner) & (radius < outer)
        if ring.any() and float(np.median(power[ring])) < least:
            return float(inner)
    return 0.5


def power_law(radius: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of the logarithm of a power law that depends on direction."""
    columns = [np.ones_like(radius), np.log(radius)]
    for k in (2, 4, 6):
        columns += [np.cos(k * direction), np.sin(k * direction)]
    columns += [np.cos(2 * direction) * np.log(radius), np.sin(2 * direction) * np.log(radius)]
    basis: np.ndarray = np.linalg.qr(np.stack(columns, 1))[0]
    return basis
