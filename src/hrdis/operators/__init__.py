"""Measurement operators."""

from typing import TYPE_CHECKING, Any

from .. import _deprecated
from . import kernels as kernels
from . import kspace as kspace
from . import masks as masks
from .base import BlindOperator as BlindOperator
from .base import Function as Function
from .base import LinearOperator as LinearOperator
from .base import Operator as Operator
from .base import ProximalOperator as ProximalOperator
from .base import SVDOperator as SVDOperator
from .blur import Blur as Blur
from .blur import CircularBlur as CircularBlur
from .blur_separable import SeparableBlur as SeparableBlur
from .channelwise import Channelwise as Channelwise
from .color import Colorization as Colorization
from .composition import ComposedLinearOperator as ComposedLinearOperator
from .composition import ComposedOperator as ComposedOperator
from .composition import Composition as Composition
from .ct import CT as CT
from .deepinv import from_deepinv as from_deepinv
from .hadamard import WalshHadamard as WalshHadamard
from .hdr import HDR as HDR
from .identity import Identity as Identity
from .inpaint import Inpainting as Inpainting
from .linear_function import LinearFunction as LinearFunction
from .lowlight import LowLight as LowLight
from .matrix import Matrix as Matrix
from .mosaic import Mosaic as Mosaic
from .mri import MRI as MRI
from .mri import MultiCoilMRI as MultiCoilMRI
from .mri import SingleCoilMRI as SingleCoilMRI
from .nonlinear_blur import NonlinearBlur as NonlinearBlur
from .phase import PhaseRetrieval as PhaseRetrieval
from .rounding import JPEG as JPEG
from .rounding import Quantization as Quantization
from .sensing import CompressedSensing as CompressedSensing
from .superres import SuperResolution as SuperResolution

if TYPE_CHECKING:
    from ..problem import Problem as Problem


#: Old names, for one minor version.
RENAMED = {
    "Slices": Channelwise,
    "Chain": ComposedOperator,
    "LinearChain": ComposedLinearOperator,
}


def __getattr__(name: str) -> Any:
    if name == "Problem":
        from ..problem import Problem

        _deprecated.warn("hrdis.operators.Problem", "hrdis.Problem")
        return Problem
    if name in RENAMED:
        new = RENAMED[name]
        _deprecated.warn(f"hrdis.operators.{name}", f"hrdis.operators.{new.__name__}")
        return new
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
