"""Measurement operators."""

from . import kernels as kernels
from . import kspace as kspace
from . import masks as masks
from .base import BlindOperator as BlindOperator
from .base import LinearOperator as LinearOperator
from .base import Operator as Operator
from .base import SVDOperator as SVDOperator
from .blur import Blur as Blur
from .blur import CircularBlur as CircularBlur
from .blur_separable import SeparableBlur as SeparableBlur
from .color import Colorization as Colorization
from .composition import Chain as Chain
from .composition import Composition as Composition
from .composition import LinearChain as LinearChain
from .ct import CT as CT
from .hadamard import WalshHadamard as WalshHadamard
from .identity import Identity as Identity
from .inpaint import Inpainting as Inpainting
from .matrix import Matrix as Matrix
from .mri import MRI as MRI
from .mri import MultiCoilMRI as MultiCoilMRI
from .mri import SingleCoilMRI as SingleCoilMRI
from .problem import Function as Function
from .problem import Problem as Problem
from .sensing import CompressedSensing as CompressedSensing
from .superres import SuperResolution as SuperResolution
