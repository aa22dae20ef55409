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
        same = source is self._source and version == self._version
        if not same or source.requires_grad or len(self._made) >= MOST:
            self._source, self._version, self._made = source, version, {}
        if key not in self._made:
            with torch.inference_mode(False):  # kept for later callers, who may want a gradient
                self._made[key] = make()
        found: T = self._made[key]
        return found
