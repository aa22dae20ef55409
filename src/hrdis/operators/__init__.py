"""Measurement operators."""

from . import masks as masks
from .base import BlindOperator as BlindOperator
from .base import Function as Function
from .base import LinearOperator as LinearOperator
from .base import Operator as Operator
from .base import Problem as Problem
from .base import SVDOperator as SVDOperator
from .identity import Identity as Identity
from .inpaint import Inpainting as Inpainting
from .matrix import Matrix as Matrix
from .superres import SuperResolution as SuperResolution
