"""Fillings of procedural pictures: flat colours, textures, ramps and smooth gradients."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

TEXTURED_SHARE = 2 / 3
FLAT_BELOW = 5.0  # radius, canvas pixels: on smaller leaves a texture would not be seen


def power_noise(rng: np.random.Generator, side: int, exponent: float) -> Floats:
    """Return anisotropic noise of spectrum 1/f^exponent, ``(side, side)``, mean 0 and deviation
    1.
    """
    angle, stretch = rng.uniform(0, np.pi), np.exp(rng.uniform(0, 1.5))
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    along = (np.cos(angle) * fx + np.sin(angle) * fy) * stretch
    across = (np.cos(angle) * fy - np.sin(angle) * fx) / stretch
    amplitude = (along**2 + across**2 + (0.5 / side) ** 2) ** (-exponent / 2)
    amplitude[0, 0] = 0  # no mean: the colour of the leaf is its mean
    noise = np.fft.irfft2(
        np.fft.rfft2(rng.standard_normal((side, side))) * amplitude, s=(side, side)
    )
    normalised: Floats = (noise / noise.std()).astype(np.float32)
    return normalised


def gradient(rng: np.random.Generator, side: int, colours: Floats) -> Floats:
    """Paint a picture without any edge, of two or three colours mixed by very smooth fields."""
    y, x = (np.mgrid[0:side, 0:side] / side).astype(np.float32)
    canvas = np.broadcast_to(colours[rng.integers(len(colours))], (side, side, 3)).astype(
        np.float32
    )
    for _ in range(int(rng.integers(1, 3))):
        angle, shift = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.5)
        field = np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5) + shift
        if rng.random() < 0.6:
            frequency = rng.uniform(0.3, 1.5, 2)
            phase = rng.uniform(0, 2 * np.pi)
            field = field + 0.3 * np.sin(2 * np.pi * (frequency[0] * x + frequency[1] * y) + phase)
        weight = 1 / (1 + np.exp(-rng.uniform(1, 5) * field))
        target = colours[rng.integers(len(colours))]
        canvas = canvas + weight[..., None].astype(np.float32) * (target - canvas)
    return canvas


class TextureFiller:
    """Fills the leaves of one picture, with colours of its palette and textures of a few kinds.

    Args:
        rng: where all choices come from.
        side: side of the canvas in pixels.
        colours: float32 ``(k, 3)``, 0 to 255.
    """

    def __init__(self, rng: np.random.Generator, side: int, colours: Floats):
        self._rng, self._side, self._colours = rng, side, colours
        self._noises = [power_noise(rng, side, rng.uniform(0.6, 2.2)) for _ in range(2)]

    def fill(self, patch: Floats, mask: Mask, y0: int, x0: int, radius: float) -> None:
        """Fill ``patch[mask]`` in place; the patch sits at ``(y0, x0)`` of the canvas."""
        rng = self._rng
        colour = self._colours[rng.integers(len(self._colours))]
        if radius < FLAT_BELOW or rng.random() > TEXTURED_SHARE:
            patch[mask] = colour
            return
        field = self._field(mask.shape, radius, y0, x0)
        contrast = np.exp(rng.uniform(np.log(0.01), np.log(0.25)))
        if rng.random() < 0.5:
            target = self._colours[rng.integers(len(self._colours))]
            weight = np.clip(2 * contrast * (0.5 + 0.5 * field), 0, 1)[..., None]
            inside = colour + weight * (target - colour)
        else:
            inside = colour + 255 * contrast * field[..., None] * np.ones(3, np.float32)
        if rng.random() < 0.5:
            inside = inside * (
                1 + rng.uniform(0.05, 0.4) * self._ramp(mask.shape, radius)[..., None]
            )
        patch[mask] = np.clip(inside, 0, 255)[mask]

    def _field(self, shape: tuple[int, ...], radius: float, y0: int, x0: int) -> Floats:
        """Return a texture with values of about -1 to 1."""
        rng = self._rng
        kind = rng.choice(["power", "power", "stripes", "fine", "ramp"])
        if kind == "power":
            noise = self._noises[rng.integers(len(self._noises))]
            # A window at a random place of a noise that is periodic: a new one for each leaf would
            # cost a Fourier transform.
            rows = (np.arange(shape[0]) + rng.integers(self._side)) % self._side
            columns = (np.arange(shape[1]) + rng.integers(self._side)) % self._side
            window: Floats = 0.5 * noise[np.ix_(rows, columns)]
            return window
        if kind == "stripes":
            # A warped sinusoid, or the square wave of its sign.
            u, v = self._coordinates(shape)
            period = np.exp(rng.uniform(np.log(5), np.log(max(8.0, 0.7 * radius))))
            warp = rng.uniform(0, 0.8) * np.sin(2 * np.pi * v / (period * rng.uniform(2, 8)))
            wave: Floats = np.sin(2 * np.pi * u / period + warp).astype(np.float32)
            if rng.random() < 0.4:
                np.sign(wave, out=wave)
            return wave
        if kind == "fine":
            return 0.5 * rng.standard_normal(shape, dtype=np.float32)
        return self._ramp(shape, radius)

    def _ramp(self, shape: tuple[int, ...], radius: float) -> Floats:
        u, _ = self._coordinates(shape)
        ramp: Floats = np.clip((u - u.mean()) / radius, -1, 1).astype(np.float32)
        return ramp

    def _coordinates(self, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
        """Return pixel coordinates of a patch along and across a random direction."""
        angle = self._rng.uniform(0, 2 * np.pi)
        c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        y = np.arange(shape[0], dtype=np.float32)[:, None]
        x = np.arange(shape[1], dtype=np.float32)[None, :]
        return c * x + s * y, c * y - s * x
