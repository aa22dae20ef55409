"""Nonlinear blur: a network turns a sharp picture and a latent kernel into a blurred one."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..messages import bilingual, reason
from ..rng import stream
from .base import Operator
from .hints import crop_or_pad

SIDE = 128  # the network halves seven times
WIDTH = 512  # channels of the latent
SPREAD = 1.2  # its standard deviation
ORIGIN = (
    "GOPRO_wVAE.pth of github.com/VinAIResearch/blur-kernel-space-exploring is expected (Google "
    "Drive id 1vRoDpIsrTRYZKsOMPNbPcMtFDpCT6Foy, BSD-3-Clause)"
)


class NonlinearBlur(Operator):
    """A x = clip(2 G((x + 1) / 2, k) - 1, -1, 1): G is the generator of BKSE, k a latent kernel of
    N(0, 1.2^2).

    One latent per image, a function of ``seed`` and of the image's place in the batch, is fixed
    once and for all, which is the well-posed problem. The option ``resample=True`` draws another at
    every call, from a stream of its own per image, as the published experiments did. Measurement
    and data term then see different kernels, and A is no longer deterministic. The k-th call of a
    freshly built operator always draws the same.

    Args:
        weights: a file (.pth, .pt or .safetensors) or a state dict with feature_extractor.*,
            adapter.* and recon_trunk.*; kernel_extractor.* is not needed and dropped. Loading is
            strict. Or another operator's ``network``, to share it.
        seed: of the latents.
        latent: given latents instead, (b or 1, 512, h / 128, w / 128).
        resample: draw anew at every call.
        start: ``"y"``: start from y itself; ``"blur_again"``: from A y, as the published code.
        index: place of the first image, so that image i of a batch can be measured alone.

    Raises:
        ValueError: for a missing file, keys or shapes that are not the network's, a latent that
            does not fit, or, on use, sides that are no multiples of 128, or channels other than 3.

    Cost:
        about 4 G multiplications per call for 128 x 128 pixels; 23,662,531 parameters.

    Reference:
        Tran et al., Explore Image Deblurring via Encoded Blur Kernel Space, CVPR 2021, arXiv
        2104.00317.

    Differs from the official code:
        DPS, RED-diff and HRDIS draw the latent at every call (``resample=True``), and start from A
        y (``start="blur_again"``); RED-diff loads non-strictly, and thereby nothing.
    """

    families = ("deblur-nonlinear", "deblur", "sr4")

    latent: Tensor | None

    def __init__(
        self,
        weights: "str | Path | Mapping[str, Tensor] | BKSE",
        seed: int = 0,
        latent: Tensor | None = None,
        resample: bool = False,
        start: Literal["y", "blur_again"] = "y",
        index: int = 0,
    ):
        super().__init__()
        if start not in ("y", "blur_again"):
            raise ValueError(f"start is {start!r}. 'y' or 'blur_again' is expected.")
        if latent is not None and resample:
            raise ValueError(
                "Both latent and resample=True are given. One of them is expected: drop latent=."
            )
        if latent is not None and (latent.ndim != 4 or latent.shape[1] != WIDTH):
            raise ValueError(
                f"The latent has shape {tuple(latent.shape)}. (b or 1, {WIDTH}, h / {SIDE}, w / "
                f"{SIDE}) is expected."
            )
        self.network = _load(weights)
        self.seed, self.resample, self.start, self.index = seed, resample, start, index
        self.register_buffer("latent", latent)
        self._streams: dict[int, Any] = {}

    def extra_repr(self) -> str:
        given = (
            f"latent={tuple(self.latent.shape)}" if self.latent is not None else f"seed={self.seed}"
        )
        return f"{given}, resample={self.resample}, start={self.start!r}"

    def forward(self, x: Tensor) -> Tensor:
        c, h, w = x.shape[1:]
        if c != 3:
            raise ValueError(
                f"The image has {c} channels. 3 (red, green, blue) are expected: x.expand(-1, 3, "
                "-1, -1)."
            )
        if h % SIDE or w % SIDE:
            raise ValueError(
                f"The image is {h} x {w}. Multiples of {SIDE} are expected. "
                f"{crop_or_pad(h, w, SIDE)}"
            )
        k = self.latents(len(x), h, w)
        own = next(self.network.parameters())  # the network runs in its own precision
        blurred = self.network((x.to(own) + 1) / 2, k.to(own).expand(len(x), -1, -1, -1))
        return (2 * blurred - 1).clamp(-1, 1).to(x)

    def pinv(self, y: Tensor) -> Tensor:
        """Return the starting image, which is y itself or, with ``start="blur_again"``, A y."""
        return self(y) if self.start == "blur_again" else y.clone()

    def for_image(self, i: int) -> "NonlinearBlur":
        """Return the operator of image i alone; it shares the network."""
        latent = (
            self.latent if self.latent is None or len(self.latent) == 1 else self.latent[i : i + 1]
        )
        return NonlinearBlur(
            self.network, self.seed, latent, self.resample, self.start, self.index + i
        )

    def latents(self, b: int, h: int, w: int) -> Tensor:
        """Return the latents of b images of h x w pixels, (b or 1, 512, h / 128, w / 128)."""
        h, w = h // SIDE, w // SIDE
        if self.latent is not None:
            if len(self.latent) not in (1, b) or tuple(self.latent.shape[-2:]) != (h, w):
                raise ValueError(
                    f"The latent has shape {tuple(self.latent.shape)}, for {b} images of "
                    f"{h * SIDE} x {w * SIDE}. ({b} or 1, {WIDTH}, {h}, {w}) is expected."
                )
            return self.latent
        drawn = []
        for i in range(self.index, self.index + b):
            if not self.resample:
                numbers = stream(self.seed, "blur kernel", i)
            elif i in self._streams:  # it goes on where the last call ended
                numbers = self._streams[i]
            else:
                numbers = self._streams[i] = stream(self.seed, "blur kernel, resampled", i)
            k = numbers.standard_normal((WIDTH, h, w), dtype="float32")
            drawn.append(torch.from_numpy(k))
        return SPREAD * torch.stack(drawn)


class BKSE(nn.Module):
    """BKSE's generator G(x01, k), submodules named as in its weights file."""

    def __init__(self) -> None:
        super().__init__()
        slope = nn.LeakyReLU(0.1)
        self.feature_extractor = nn.Sequential(
            _conv(3, 64),
            slope,
            _conv(64, 64, 2),
            slope,
            _conv(64, 64, 2),
            slope,
            *[_Residual() for _ in range(10)],
        )
        level = None
        for outer, inner in ((512, 512), (256, 512), (128, 256), (64, 128)):
            level = UNetLevel(outer, inner, level)
        self.adapter = nn.ModuleDict({"model": UNetLevel(64, 64, level, outermost=True)})
        self.recon_trunk = nn.Sequential(
            *[_Residual() for _ in range(20)],
            _conv(64, 256), nn.PixelShuffle(2), slope, _conv(64, 256), nn.PixelShuffle(2), slope,
            _conv(64, 64), slope, _conv(64, 3),
        )  # fmt: skip

    def forward(self, x: Tensor, k: Tensor) -> Tensor:
        return self.recon_trunk(self.adapter["model"](self.feature_extractor(x), k)) + x


class _Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = _conv(64, 64), _conv(64, 64)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.conv2(self.conv1(h).relu())


class UNetLevel(nn.Module):
    """One level of the U-Net: halve, go deeper (or join the latent), double, and join the input."""

    def __init__(
        self, outer: int, inner: int, submodule: "UNetLevel | None", outermost: bool = False
    ):
        super().__init__()
        halve = nn.Conv2d(outer, inner, 4, 2, 1, bias=False)
        double = nn.ConvTranspose2d(2 * inner, outer, 4, 2, 1, bias=outermost)
        self.down = nn.Sequential(halve) if outermost else nn.Sequential(nn.LeakyReLU(0.2), halve)
        self.submodule = submodule
        self.up = nn.Sequential(nn.ReLU(), double, *([nn.Tanh()] if outermost else []))
        self.outermost = outermost

    def forward(self, h: Tensor, k: Tensor) -> Tensor:
        below = self.down(h)
        below = torch.cat([below, k], 1) if self.submodule is None else self.submodule(below, k)
        above = self.up(below)
        return above if self.outermost else torch.cat([above, h], 1)


def _conv(c: int, d: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c, d, 3, stride, 1)


def _load(weights: str | Path | Mapping[str, Tensor] | BKSE) -> BKSE:
    """Return the frozen network with these weights, after a check of every key.

    It is built without memory or random numbers.
    """
    if isinstance(weights, BKSE):
        return weights
    if isinstance(weights, Mapping):
        where, given = "The state dict", weights
    else:
        where, path = str(weights), Path(weights)
        if not path.is_file():
            said = f"There is no file {path}. {ORIGIN}"
            python = f"{said}: NonlinearBlur(weights='GOPRO_wVAE.pth')."
            raise ValueError(bilingual(python, f"{said}."))
        try:
            if path.suffix == ".safetensors":
                from safetensors.torch import load_file

                given = load_file(path)
            else:
                given = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # pickles fail in many ways
            why = reason(error)
            if isinstance(error, pickle.UnpicklingError):  # its message advises to run the code
                why = "it is no file of weights"
            raise ValueError(f"{path} cannot be read as weights ({why}). {ORIGIN}.") from None
        if not isinstance(given, Mapping):
            raise ValueError(
                f"{path} holds a {type(given).__name__}. A state dict of tensors is expected. "
                f"{ORIGIN}."
            )
    state = {k: v for k, v in given.items() if not k.startswith("kernel_extractor.")}
    with torch.device("meta"):
        network = BKSE()
    wanted = network.state_dict()
    missing, extra = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    other = []
    for key in sorted(wanted.keys() & state.keys()):
        if getattr(state[key], "shape", None) != wanted[key].shape:
            other.append(key)
    found = []
    kinds = {"keys missing": missing, "keys unexpected": extra, "of another shape": other}
    for kind, keys in kinds.items():
        if keys:
            dots = ", ..." if len(keys) > 3 else ""
            found.append(f"{len(keys)} {kind} ({', '.join(keys[:3])}{dots})")
    if found:
        raise ValueError(
            f"{where} does not fit the blurring network: {'; '.join(found)}. {ORIGIN}."
        )
    network.load_state_dict(state, assign=True)
    return network.requires_grad_(False).eval()
