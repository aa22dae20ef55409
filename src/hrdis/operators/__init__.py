"""Measurement operators."""

from . import masks as masks
from .base import BlindOperator as BlindOperator
from .base import LinearOperator as LinearOperator
from .base import Operator as Operator
from .base import SVDOperator as SVDOperator
from .hdr import HDR as HDR
from .identity import Identity as Identity
from .inpaint import Inpainting as Inpainting
from .lowlight import LowLight as LowLight
from .matrix import Matrix as Matrix
from .nonlinear_blur import NonlinearBlur as NonlinearBlur
from .phase import PhaseRetrieval as PhaseRetrieval
from .problem import Function as Function
from .problem import Problem as Problem
from .rounding import JPEG as JPEG
from .rounding import Quantization as Quantization
from .superres import SuperResolution as SuperResolution
