"""Networks that score pictures: LPIPS, Inception features for FID and KID, a classifier for CA.
Weights are the user's.

Nothing is downloaded. A network that cannot be built raises `Missing` with the reason and what to
do about it, and the metric is reported as missing. Pictures come as (b, 3, h, w) in [-1, 1].
"""

import importlib
import runpy
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...images import to_unit
from ...solvers.base import settings

Range = Literal["[-1,1]", "[0,1]"]

#: LPIPS as others have computed it: backbone and the range of its input.
LPIPS_PRESETS: dict[str, tuple[Literal["alex", "vgg"], Range]] = {"red-diff": ("alex", "[0,1]")}


class Missing(Exception):
    """A metric cannot be computed; the message says why and what to do."""


@settings
class Scoring:
    """What to score pictures with; every file is the user's own."""

    lpips: Path | None = None
    """Weights under LPIPS: torchvision's AlexNet or VGG-16 (the linear layers come with `lpips`),
    or a whole LPIPS.
    """
    lpips_net: Literal["alex", "vgg"] = "alex"
    """Backbone of LPIPS."""
    lpips_range: Range = "[-1,1]"
    """Range of its input; [0,1] halves the contrast it expects."""
    lpips_preset: Literal["red-diff"] | None = None
    """red-diff: alex on [0,1], which most likely is what the paper's numbers are."""
    distance: str | None = None
    """FILE.py:NAME instead of LPIPS: makes a function of two batches in [-1, 1] to (b,)."""
    inception: Path | None = None
    """Weights of Inception v3 for FID and KID, the port of 2015-12-05:
    pt_inception-2015-12-05-6726825d.pth.
    """
    features: str | None = None
    """FILE.py:NAME instead of Inception: makes a function of uint8 pictures (b, 3, h, w) to (b,
    d).
    """
    resnet: Path | None = None
    """Weights of ResNet-50 for CA, IMAGENET1K_V1: resnet50-0676ba61.pth."""
    classifier: str | None = None
    """FILE.py:NAME instead of ResNet-50: makes a function of pictures in [0, 1] to logits (b,
    classes).
    """
    classes: Path | None = None
    """List of labels, "wnid/file label" a line; by default the list of the run."""
    crop: bool = False
    """CA on the centre 224 x 224 of 256; by default on the whole picture, as RED-diff."""
    device: str = "cpu"
    """Where the networks run."""
    batch: Annotated[int, Field(ge=1)] = 16
    """Pictures per call."""

    @property
    def lpips_form(self) -> tuple[str, str]:
        """Backbone and input range of LPIPS."""
        if self.distance is not None:
            return self.distance, "[-1,1]"
        return (
            LPIPS_PRESETS[self.lpips_preset]
            if self.lpips_preset
            else (self.lpips_net, self.lpips_range)
        )


@torch.random.fork_rng(devices=[])  # networks are born with random weights
def distance(options: Scoring) -> Callable[[Tensor, Tensor], Tensor]:
    """LPIPS: (x, truth) to the distance of each pair, (b,).

    Raises:
        Missing: without weights, or a package.

    Reference:
        Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR
        2018; version 0.1.
    """
    if options.distance is not None:
        own = _own(options.distance, options.device)
        return lambda x, y: own(x, y).reshape(len(x))
    if options.lpips is None:
        raise Missing(
            "no LPIPS weights given: --lpips FILE (torchvision's alexnet-owt-7be5be79.pth)"
        )
    package = _import("lpips")
    net, scale = options.lpips_form
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision's, on arguments that lpips gives it
        model = package.LPIPS(net=net, pnet_rand=True, verbose=False)
    _load(model, _backbone(_weights(options.lpips), model), options.lpips)
    model = model.to(options.device).eval()
    unit = scale == "[0,1]"
    return lambda x, y: model(*((to_unit(v) if unit else v) for v in (x, y))).reshape(len(x))


def _backbone(weights: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Weights of a whole LPIPS as they are; of torchvision's network renamed, with the linear
    layers of the package.
    """
    own = model.state_dict()
    if any(name.startswith("net.slice") for name in weights):
        return dict(weights)
    named = {
        name.split(".", 2)[2]: name for name in own if name.startswith("net.slice")
    }  # "0.weight"
    used = {
        named[k]: v for key, v in weights.items() if (k := key.removeprefix("features.")) in named
    }
    return used | {name: v for name, v in own.items() if not name.startswith("net.slice")}


@torch.random.fork_rng(devices=[])  # networks are born with random weights
def features(options: Scoring) -> Callable[[Tensor], Tensor]:
    """The features of FID and KID: pictures (b, 3, h, w) to (b, d), float64.

    Raises:
        Missing: without weights, or a package.
    """
    if options.features is not None:
        own = _own(options.features, options.device)
        return lambda x: own(_bytes(x)).double()
    if options.inception is None:
        raise Missing(
            "no Inception weights given: --inception FILE (pt_inception-2015-12-05-6726825d.pth)"
        )
    _import("torch_fidelity")
    fid = _import("torchmetrics.image.fid")
    _weights(options.inception)  # a damaged file is one message
    try:
        made = fid.FrechetInceptionDistance(
            2048, feature_extractor_weights_path=str(options.inception)
        )
    except RuntimeError as error:
        raise Missing(f"{options.inception} does not fit Inception v3 ({_first(error)})") from None
    model = made.inception.to(options.device).eval()
    return lambda x: model(_bytes(x)).double()


@torch.random.fork_rng(devices=[])  # networks are born with random weights
def classifier(options: Scoring) -> Callable[[Tensor], Tensor]:
    """The classifier of CA: pictures (b, 3, h, w) to the class of each, (b,).

    Raises:
        Missing: without weights, or a package.
    """
    if options.classifier is not None:
        own = _own(options.classifier, options.device)
        return lambda x: own(to_unit(x)).argmax(1)
    if options.resnet is None:
        raise Missing("no ResNet-50 weights given: --resnet FILE (resnet50-0676ba61.pth)")
    model = _import("torchvision.models").resnet50(weights=None)
    _load(model, _weights(options.resnet), options.resnet)
    model = model.to(options.device).eval()

    def classify(x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        if options.crop:
            x = x[..., (h - 224) // 2 : (h + 224) // 2, (w - 224) // 2 : (w + 224) // 2]
        mean, std = (
            x.new_tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        )
        return model((to_unit(x) - mean) / std).argmax(1)

    return classify


def _bytes(x: Tensor) -> Tensor:
    return (to_unit(x) * 255).round().byte()


def _import(name: str) -> Any:
    package = name.split(".")[0]
    try:
        return importlib.import_module(name)
    except Exception as error:  # torchvision fails with more than ImportError
        raise Missing(
            f"the package {package} cannot be imported ({_first(error)}): pip install "
            "'hrdis[perceptual]'"
        ) from None


def _weights(path: Path) -> Mapping[str, Tensor]:
    """A state dict from a file."""
    if not path.is_file():
        raise Missing(f"the weights {path} do not exist")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise Missing(f"the weights {path} cannot be read ({_first(error)})") from None
    if not isinstance(found, Mapping):
        raise Missing(f"{path} holds a {type(found).__name__}; a state dict of tensors is expected")
    return found


def _load(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise Missing(
            f"{path} does not fit the network: {' '.join(str(error).split())[:200]}"
        ) from None


def _own(spec: str, device: str) -> Callable[..., Tensor]:
    """What the user's ``FILE.py:NAME`` makes; the file is executed."""
    path, _, name = spec.rpartition(":")
    if not path.endswith(".py") or not name:
        raise Missing(f"{spec!r} names no function; FILE.py:NAME is expected: my.py:make")
    try:
        made = runpy.run_path(path)[name]()
    except Exception as error:
        raise Missing(f"{spec} cannot be made ({type(error).__name__}: {_first(error)})") from None
    return made.to(device).eval() if isinstance(made, nn.Module) else made


def _first(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
