"""Constants that are made of an operator's buffers once, instead of with every product."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
#: Things kept for one buffer, such as those of eight sizes of images.
MOST = 8


class Derived:
    """Constants made of a buffer, kept until it is another one or was written into."""

    def __init__(self) -> None:
        self._source: Tensor | None = None
        self._version = 0
        self._made: dict[Any, Any] = {}

    def find(self, source: Tensor, key: Hashable, make: Callable[[], T]) -> T:
        """Return what ``make`` makes of the source for this key, or made of it before."""
        version = 0 if source.is_inference() else source._version
        same = source is self._source and version == self._version and not source.requires_grad
        made = self._made  # another thread may put another one in its place
        if not same or (key not in made and len(made) >= MOST):
            made = {}
            self._source, self._version, self._made = source, version, made
        if key not in made:
            with torch.inference_mode(False):  # kept for later callers, who may want a gradient
                made[key] = make()
        found: T = made[key]
        return found

    def __reduce__(self) -> tuple[type["Derived"], tuple[()]]:
        return Derived, ()  # another process may not have these devices
