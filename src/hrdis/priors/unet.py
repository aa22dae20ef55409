"""Networks that predict noise, v or the image as priors: any image size, grey images, a precision
of their own, labels.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..schedule import Schedule, weighted_sum
from .base import Prediction, Prior
from .networks import check_call, check_conditions, config_of, uncopied, unwrapped

PredictionType = Literal["epsilon", "v_prediction", "sample"]


class AnySizeNetwork(nn.Module):
    """Wrapper that runs a network on images of any size, colour or grey, in the network's
    precision.

    The network is frozen and put in eval mode.

    Args:
        net: called as ``net(x, time).sample`` or ``net(x, time)``, x of shape (b, c, h, w), time of
            shape (b,); with ``class_labels=``, (b,), where its configuration has
            ``num_class_embeds``.
        multiple: images are padded by reflection to a multiple of this.

    Raises:
        TypeError, ValueError: for a network that wants more than that: a text, a guidance value,
            another picture.
    """

    def __init__(self, net: nn.Module, multiple: int = 8):
        super().__init__()
        net, config = uncopied(net), config_of(net)
        check_conditions(config, f"The configuration of {type(unwrapped(net)).__name__}")
        check_call(net, 2, "picture and time", f"The network {type(unwrapped(net)).__name__}")
        self.net, self.multiple = net.eval().requires_grad_(False), multiple
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.width: int = config.get("in_channels", 3)
        self.classes: int | None = config.get("num_class_embeds")

    @property
    def channels(self) -> tuple[int, ...]:
        """Image channels it accepts: 3 stands for grey images too."""
        return (1, 3) if self.width == 3 else (self.width,)

    @property
    def dtype(self) -> torch.dtype:
        """Precision the network runs in; images keep the caller's."""
        return next(self.net.parameters()).dtype

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the network's output for x, (b, k c, h, w); average the channels of a grey image.

        Args:
            x: (b, c, h, w) images.
            time: (b,) times.
            label: (b,) classes, for a class-conditional network.
        """
        b, c, h, w = x.shape
        grey = c == 1 and self.width == 3
        if grey:
            x = x.expand(-1, 3, -1, -1)
        padded = pad(x, -h % self.multiple, -w % self.multiple)
        # Always a copy, into which the network may write.
        padded = padded.to(self.dtype, memory_format=torch.channels_last, copy=True)
        options = {} if label is None else {"class_labels": label}
        out = self.net(padded, time, **options)
        # diffusers' networks return a record, others the tensor itself.
        out = getattr(out, "sample", out)
        if out.shape[-2:] != (h, w):
            out = out[..., :h, :w]
        out = out.to(x.dtype)
        # Sums of images that lie in memory differently take two to three times as long, and their
        # layout would go on to all that a solver makes of this one.
        out = out.contiguous()
        return out.reshape(b, -1, 3, h, w).mean(2) if grey else out


class UNetPrior(Prior):
    """Prior of a network that predicts noise, v or the image.

    Images are padded by reflection to a multiple of what the network's levels halve. Grey images
    are replicated to three channels, and the output is averaged back. A second half of output
    channels is the learned variance, ``Prediction.v``. From the output o the two estimates are

        epsilon:  eps = o,                             x0_hat = (x_t - b o) / a
        v:        x0_hat = a x_t - b o,                eps = a o + b x_t
        sample:   x0_hat = o,                          eps = (x_t - a o) / b

    with a = sqrt(alpha_bar_t), b = sqrt(1 - alpha_bar_t).

    Args:
        net: see ``AnySizeNetwork``.
        schedule: the noise schedule of its training; the linear one by default.
        prediction_type: the quantity it predicts, see above.
        multiple: image sides are padded to a multiple of this.
        name: name for records and messages.

    Cost:
        one network call, without gradient unless the caller asks for one through x_t; weights are
        frozen.
    """

    of_consistency = False
    overwrites = False

    def __init__(
        self,
        net: nn.Module,
        schedule: Schedule | None = None,
        prediction_type: PredictionType = "epsilon",
        multiple: int = 8,
        name: str = "custom",
    ):
        super().__init__()
        if prediction_type not in get_args(PredictionType):
            raise ValueError(
                f"prediction_type is {prediction_type!r}. 'epsilon', 'v_prediction' or 'sample' is "
                "expected."
            )
        self.network = AnySizeNetwork(net, multiple)
        self.schedule = schedule or Schedule.linear()
        self.prediction_type, self.name = prediction_type, name
        self.channels, self.classes = self.network.channels, self.network.classes
        self.multiple = multiple

    @property
    def net(self) -> nn.Module:
        """The network, without its wrapper."""
        return self.network.net

    @property
    def dtype(self) -> torch.dtype:
        """Precision the network runs in; states keep the caller's."""
        return self.network.dtype

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        a, b = self.schedule.signal(t), self.schedule.noise(t)
        time = torch.full((len(x_t),), t, device=x_t.device)
        out, v = self.network(x_t, time, self.labels_of(x_t)), None
        if out.shape[1] > x_t.shape[1]:
            out, v = out.split(x_t.shape[1], dim=1)
        if self.prediction_type == "epsilon":
            return Prediction(self.schedule.denoised(x_t, t, out), out, v)
        if self.prediction_type == "sample":
            return Prediction(out, (x_t - a * out) / b, v)
        return Prediction(weighted_sum(a, x_t, -b, out), weighted_sum(a, out, b, x_t), v)


def pad(x: Tensor, below: int, right: int) -> Tensor:
    """Pad at the bottom and the right by reflection, repeatedly where the image is smaller than the
    padding.
    """
    while below or right:
        b, r = min(below, max(x.shape[-2] - 1, 0)), min(right, max(x.shape[-1] - 1, 0))
        if (below and not b) or (right and not r):  # a side of one pixel has nothing to reflect
            return F.pad(x, (0, right, 0, below), mode="replicate")
        x = F.pad(x, (0, r, 0, b), mode="reflect")
        below, right = below - b, right - r
    return x
