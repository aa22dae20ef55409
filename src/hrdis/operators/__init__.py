"""Measurement operators."""

from . import masks as masks
from .base import BlindOperator as BlindOperator
from .base import LinearOperator as LinearOperator
from .base import Operator as Operator
from .base import SVDOperator as SVDOperator
from .deepinv import from_deepinv as from_deepinv
from .identity import Identity as Identity
from .inpaint import Inpainting as Inpainting
from .linear_function import LinearFunction as LinearFunction
from .matrix import Matrix as Matrix
from .problem import Function as Function
from .problem import Problem as Problem
from .superres import SuperResolution as SuperResolution
