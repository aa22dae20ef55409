"""Networks that score pictures: LPIPS, Inception features for FID and KID, a classifier for CA.
Weights are the user's.

Nothing is downloaded. A network that cannot be built raises `MetricUnavailable` with the reason and
the remedy, and the metric is reported as missing. Pictures are (b, 3, h, w) in [-1, 1].
"""

import importlib
import runpy
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from pydantic import Field
from torch import Tensor, nn

from ...images import to_unit
from ...solvers.base import settings

Range = Literal["[-1,1]", "[0,1]"]

#: Backbone and input range of LPIPS in other projects.
LPIPS_PRESETS: dict[str, tuple[Literal["alex", "vgg"], Range]] = {"red-diff": ("alex", "[0,1]")}


class MetricUnavailable(Exception):
    """A metric that cannot be computed; the message says why, and the remedy."""


#: A function of the user's own.
Function = Annotated[str | None, tyro.conf.arg(metavar="FILE.py:NAME")]


@settings
class Scoring:
    """Networks that score pictures; every file is the user's own."""

    lpips: Path | None = None
    """Weights under LPIPS: torchvision's AlexNet or VGG-16 (the linear layers come with ``lpips``),
    or a whole LPIPS.
    """
    lpips_net: Literal["alex", "vgg"] = "alex"
    """Backbone of LPIPS."""
    lpips_range: Range = "[-1,1]"
    """Range of its input; [0,1] halves the contrast it expects."""
    lpips_preset: Literal["red-diff"] | None = None
    """red-diff: alex on [0,1], which most likely is what the paper's numbers are."""
    distance: Function = None
    """FILE.py:NAME instead of LPIPS. It makes a function of two batches in [-1, 1] to (b,). Its
    column is called "distance".
    """
    inception: Path | None = None
    """Weights of Inception v3 for FID and KID, the port of 2015-12-05:
    pt_inception-2015-12-05-6726825d.pth.
    """
    features: Function = None
    """FILE.py:NAME instead of Inception. It makes a function of uint8 pictures (b, 3, h, w) to (b,
    d). Its columns are called FD and KD.
    """
    resnet: Path | None = None
    """Weights of ResNet-50 for CA, IMAGENET1K_V1: resnet50-0676ba61.pth."""
    classifier: Function = None
    """FILE.py:NAME instead of ResNet-50. It makes a function of pictures in [0, 1] to logits (b,
    classes). Its column is called "accuracy".
    """
    classes: Path | None = None
    """List of labels, "wnid/file label" a line; by default the list of the run."""
    crop: bool = False
    """CA on the centre 224 x 224 of 256; by default on the whole picture, as RED-diff."""
    device: Annotated[str, tyro.conf.arg(metavar="DEVICE")] = "cpu"
    """Device of the networks."""
    batch: Annotated[int, Field(ge=1, le=10_000)] = 16
    """Pictures per call."""

    @property
    def lpips_form(self) -> tuple[str, str]:
        """Backbone and input range of LPIPS."""
        if self.distance is not None:
            return self.distance, "[-1,1]"
        if self.lpips_preset:
            return LPIPS_PRESETS[self.lpips_preset]
        return self.lpips_net, self.lpips_range


# Networks are made with random weights before theirs are loaded, which must not move the global
# state of the user's program: hence `fork_rng`.


@torch.random.fork_rng(devices=[])
def distance(options: Scoring) -> Callable[[Tensor, Tensor], Tensor]:
    """Return LPIPS: (x, truth) to the distance of each pair, (b,).

    Raises:
        MetricUnavailable: without weights, or a package.

    Reference:
        Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR
        2018; version 0.1.
    """
    if options.distance is not None:
        own = load_function(options.distance, options.device)
        return lambda x, y: own(x, y).reshape(len(x))
    if options.lpips is None:
        raise MetricUnavailable(
            "no LPIPS weights given: --lpips FILE (torchvision's alexnet-owt-7be5be79.pth)"
        )
    package = _import("lpips")
    net, input_range = options.lpips_form
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision's, on arguments that lpips gives it
        model = package.LPIPS(net=net, pnet_rand=True, verbose=False)
    weights = _read_weights(options.lpips)
    _load_weights(model, _lpips_weights(weights, model), options.lpips)
    model = model.to(options.device).eval()

    def measure(x: Tensor, y: Tensor) -> Tensor:
        if input_range == "[0,1]":
            x, y = to_unit(x), to_unit(y)
        return model(x, y).reshape(len(x))

    return measure


def _lpips_weights(weights: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Return weights of a whole LPIPS as they are; those of torchvision's network under LPIPS'
    names, with the linear layers of the package.
    """
    if any(name.startswith("net.slice") for name in weights):
        return dict(weights)
    used: dict[str, Tensor] = {}
    named: dict[str, str] = {}
    for name, tensor in model.state_dict().items():
        if name.startswith("net.slice"):
            named[name.split(".", 2)[2]] = name  # "net.slice1.0.weight" is "0.weight" there
        else:
            used[name] = tensor
    for key, tensor in weights.items():
        short = key.removeprefix("features.")
        if short in named:
            used[named[short]] = tensor
    return used


@torch.random.fork_rng(devices=[])
def features(options: Scoring) -> Callable[[Tensor], Tensor]:
    """Return the features of FID and KID: pictures (b, 3, h, w) to (b, d), float64.

    Raises:
        MetricUnavailable: without weights, or a package.
    """
    if options.features is not None:
        own = load_function(options.features, options.device)
        return lambda x: own(_to_bytes(x)).double()
    if options.inception is None:
        raise MetricUnavailable(
            "no Inception weights given: --inception FILE (pt_inception-2015-12-05-6726825d.pth)"
        )
    _import("torch_fidelity")  # torchmetrics builds Inception with it, and says less if it lacks
    fid = _import("torchmetrics.image.fid")
    _read_weights(options.inception)  # a damaged file is one message
    try:
        made = fid.FrechetInceptionDistance(
            2048, feature_extractor_weights_path=str(options.inception)
        )
    except RuntimeError as error:
        raise MetricUnavailable(
            f"{options.inception} does not fit Inception v3 ({first_line(error)})"
        ) from None
    model = made.inception.to(options.device).eval()
    return lambda x: model(_to_bytes(x)).double()


@torch.random.fork_rng(devices=[])
def classifier(options: Scoring) -> Callable[[Tensor], Tensor]:
    """Return the classifier of CA: pictures (b, 3, h, w) to the class of each, (b,).

    Raises:
        MetricUnavailable: without weights, or a package.
    """
    if options.classifier is not None:
        own = load_function(options.classifier, options.device)
        return lambda x: own(to_unit(x)).argmax(1)
    if options.resnet is None:
        raise MetricUnavailable("no ResNet-50 weights given: --resnet FILE (resnet50-0676ba61.pth)")
    model = _import("torchvision.models").resnet50(weights=None)
    _load_weights(model, _read_weights(options.resnet), options.resnet)
    model = model.to(options.device).eval()

    def classify(x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        if options.crop:
            x = x[..., (h - 224) // 2 : (h + 224) // 2, (w - 224) // 2 : (w + 224) // 2]
        # The colours of ImageNet, by which the network was trained.
        mean = x.new_tensor((0.485, 0.456, 0.406))[:, None, None]
        std = x.new_tensor((0.229, 0.224, 0.225))[:, None, None]
        return model((to_unit(x) - mean) / std).argmax(1)

    return classify


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type if it has none."""
    return (str(error) or type(error).__name__).splitlines()[0]


def load_function(spec: str, device: str) -> Callable[..., Tensor]:
    """Load FILE.py:NAME and return the function it makes; the file is executed.

    Raises:
        MetricUnavailable: if it cannot be made.
    """
    path, _, name = spec.rpartition(":")
    if not path.endswith(".py") or not name:
        raise MetricUnavailable(f"{spec!r} names no function; FILE.py:NAME is expected: my.py:make")
    try:
        made = runpy.run_path(path)[name]()
    except Exception as error:  # the user's code may raise anything
        raise MetricUnavailable(
            f"{spec} cannot be made ({type(error).__name__}: {first_line(error)})"
        ) from None
    return made.to(device).eval() if isinstance(made, nn.Module) else made


def _to_bytes(x: Tensor) -> Tensor:
    return (to_unit(x) * 255).round().byte()


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:  # torchvision fails with more than ImportError
        raise MetricUnavailable(
            f"the package {name.split('.')[0]} cannot be imported ({first_line(error)}): pip "
            "install 'hrdis[perceptual]'"
        ) from None


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    """Return the state dict in a file."""
    if not path.is_file():
        raise MetricUnavailable(f"the weights {path} do not exist")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file may raise anything
        raise MetricUnavailable(
            f"the weights {path} cannot be read ({first_line(error)})"
        ) from None
    if not isinstance(found, Mapping):
        raise MetricUnavailable(
            f"{path} holds a {type(found).__name__}; a state dict of tensors is expected"
        )
    return found


def _load_weights(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise MetricUnavailable(
            f"{path} does not fit the network: {' '.join(str(error).split())[:200]}"
        ) from None
