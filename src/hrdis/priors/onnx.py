"""Networks in onnxruntime: exported once, compared with torch before they are trusted, and left to
torch where a gradient is asked for.
"""

import io
import warnings
from copy import copy
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from ..files import cache_folder, write_atomically
from ..messages import level_outside
from ..rng import ImageRNG
from .base import Prior
from .unet import UNetPrior

#: Largest difference of an output that is still rounding; 5e-6 was measured.
TOLERANCE = 1e-4
OPSET = 17


class OnnxNetwork(nn.Module):
    """Network that onnxruntime runs on the CPU, and torch where a gradient is asked for.

    Args:
        net: called as ``net(x, t)``; frozen, as later changes of its weights would not be seen.
        file: the network as `exported` wrote it.
    """

    def __init__(self, net: nn.Module, file: Path):
        super().__init__()
        onnxruntime = import_module("onnxruntime")  # optional, and heavy
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.net = net
        self._session = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        differentiated = torch.is_grad_enabled() and x.requires_grad
        if differentiated or x.device.type != "cpu" or x.dtype != torch.float32:
            out = self.net(x, t)
            return getattr(out, "sample", out)
        given = {"x": x.detach().contiguous().numpy(), "t": t.long().numpy()}
        return torch.from_numpy(self._session.run(None, given)[0])


class _Output(nn.Module):
    """A network whose output is a tensor, where that of diffusers' networks is a record."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        out = self.net(x, t)
        return getattr(out, "sample", out)


def has_onnxruntime() -> bool:
    """Return True if onnxruntime is installed, and onnx, which torch needs to export a network."""
    return find_spec("onnxruntime") is not None and find_spec("onnx") is not None


def with_onnxruntime(prior: Prior) -> Prior:
    """Return a copy of a prior whose network runs in onnxruntime.

    Args:
        prior: a `UNetPrior` without classes, in float32 on the CPU.

    Returns:
        the new prior, which shares the weights; the old one, with a warning, where outputs differ
        by more than 1e-4 at one of three times and two sizes.

    Raises:
        ValueError: for another prior, or without onnxruntime and onnx.

    Cost:
        an export of some seconds, once per network (it is kept in the cache folder), and six small
        calls of both.
    """
    if not has_onnxruntime():
        raise ValueError(
            "onnxruntime or onnx is not installed. Both are expected for --precision onnx: pip "
            "install 'hrdis[fast]'"
        )
    if (
        not isinstance(prior, UNetPrior)
        or prior.classes is not None
        or prior.dtype != torch.float32
        or next(prior.parameters()).device.type != "cpu"
    ):
        raise ValueError(
            f"The prior {prior.name!r} cannot run in onnxruntime. A network of images and times "
            "alone is expected, in fp32 on the CPU: --precision fp32"
        )
    fast = OnnxNetwork(prior.net, exported(prior.net, prior.network.width, prior.multiple))
    off = difference(prior.net, fast, prior.network.width, prior.multiple)
    if not off <= TOLERANCE:  # NaN too
        warnings.warn(
            f"In onnxruntime the network of {prior.name!r} differs by {off:.1e} from torch, more "
            f"than the {TOLERANCE:.0e} of rounding. torch runs it.",
            stacklevel=level_outside(),
        )
        return prior
    # Copies of the two modules around the network: a copied module shares the dictionary of its
    # parts with the original.
    network, other = copy(prior.network), copy(prior)
    network._modules = {**prior.network._modules, "net": fast}
    other._modules = {**prior._modules, "network": network}
    return other


def exported(net: nn.Module, channels: int, multiple: int) -> Path:
    """Return the file of a network for onnxruntime, in the cache folder; it is written if missing.

    Its name is a hash of the weights, the modules and torch's version.
    """
    digest = sha256(f"{torch.__version__} {OPSET} {net}".encode())
    for name, value in net.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().contiguous().numpy().tobytes())
    file = cache_folder() / "onnx" / f"{digest.hexdigest()}.onnx"
    if not file.is_file():
        side = 8 * multiple
        example = (torch.zeros(1, channels, side, side), torch.zeros(1, dtype=torch.long))
        axes = {0: "b", 2: "h", 3: "w"}
        content = io.BytesIO()
        with warnings.catch_warnings(), torch.no_grad():
            # The exporter by tracing is deprecated; its successor needs two packages more.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Output(net), example, content, dynamo=False, opset_version=OPSET,  # type: ignore[arg-type]
                input_names=["x", "t"], output_names=["out"],
                dynamic_axes={"x": axes, "t": {0: "b"}, "out": axes},
            )  # fmt: skip
        write_atomically(file, lambda out: out.write(content.getvalue()))
    return file


@torch.no_grad()
def difference(net: nn.Module, fast: nn.Module, channels: int, multiple: int) -> float:
    """Return the largest difference of two networks' outputs, for two sizes and three times.

    The outputs have about unit variance. One size is that of no example, and of two images.
    """
    worst, rng = 0.0, ImageRNG([0, 1], "onnx check")
    for images, height, width in ((1, 8, 8), (2, 12, 9)):
        x = rng.randn((channels, height * multiple, width * multiple))[:images]
        x = x.contiguous(memory_format=torch.channels_last)
        for t in (20, 300, 900):
            time = torch.full((images,), t)
            out = net(x, time)
            off = (getattr(out, "sample", out) - fast(x, time)).abs().max()
            if not off <= worst:
                worst = float(off)
    return worst
