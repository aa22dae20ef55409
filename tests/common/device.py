"""A device that exists in tests alone: it holds a GPU's rules and counts what crosses over.

Tensors on it claim the device `NAME` and compute on the CPU underneath. An operation on tensors of
both devices is refused, but for numbers without axes. What is read on the host and what is sent up
is counted, since each stops the queue of work.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

aten = torch.ops.aten


#: The one device beside the CPU that every build of torch can differentiate on.
NAME = torch.device("meta")


class OnDevice(torch.Tensor):
    """A tensor that claims to lie on the device; ``held`` is where its numbers are."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "OnDevice":
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(),
            dtype=held.dtype, device=NAME, requires_grad=held.requires_grad,
        )  # fmt: skip
        made.held = held
        return made

    def __init__(self, held: torch.Tensor):
        pass

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnDevice({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError("A tensor of the test device was used outside of `device`.")


@dataclass
class Traffic:
    """What crossed between host and device, by the operation that did it."""

    uploads: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)


class _Rules(TorchDispatchMode):
    def __init__(self, traffic: Traffic):
        super().__init__()
        self.traffic = traffic

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        flat, _ = tree_flatten((args, kwargs))
        on_device = any(isinstance(value, OnDevice) for value in flat)
        if func in (aten._local_scalar_dense.default, aten.item.default) and on_device:
            self.traffic.reads.append("a number")
            return func(args[0].held)
        if func is aten._to_copy.default:
            return self._copied(args[0], kwargs)
        if func is aten.copy_.default:
            return self._copied_into(args[0], args[1])
        target = kwargs.get("device")
        made_there = target is not None and torch.device(target).type == NAME.type
        if not on_device and not made_there:
            return func(*args, **kwargs)
        for value in flat:
            if isinstance(value, torch.Tensor) and not isinstance(value, OnDevice) and value.ndim:
                raise RuntimeError(
                    f"Expected all tensors to be on the same device: {func} was given one on "
                    f"{NAME} and one of shape {tuple(value.shape)} on the CPU."
                )
        if made_there:
            kwargs["device"] = torch.device("cpu")
        given = tree_map(_held, (args, kwargs))
        found = func(*given[0], **given[1])
        changed = {id(_held(value)): value for value in flat if isinstance(value, OnDevice)}
        return tree_map(lambda value: _wrapped(value, changed), found)

    def _copied(self, value: torch.Tensor, kwargs: dict[str, Any]) -> torch.Tensor:
        target = kwargs.pop("device", None)
        there = isinstance(value, OnDevice)
        goes_there = there if target is None else torch.device(target).type == NAME.type
        kwargs["device"] = torch.device("cpu")
        held = aten._to_copy.default(_held(value), **kwargs)
        if there and not goes_there:
            self.traffic.reads.append(f"shape {tuple(value.shape)}")
        if goes_there and not there:
            self.traffic.uploads.append(f"shape {tuple(value.shape)}")
        return OnDevice(held) if goes_there else held

    def _copied_into(self, target: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        if isinstance(target, OnDevice) != isinstance(source, OnDevice):
            crossed = self.traffic.uploads if isinstance(target, OnDevice) else self.traffic.reads
            crossed.append(f"shape {tuple(source.shape)}")
        aten.copy_.default(_held(target), _held(source))
        return target


def _held(value: Any) -> Any:
    return value.held if isinstance(value, OnDevice) else value


def _wrapped(value: Any, known: dict[int, OnDevice]) -> Any:
    if not isinstance(value, torch.Tensor) or isinstance(value, OnDevice):
        return value
    if id(value) in known:
        return known[id(value)]
    if value.is_conj():  # a wrapper has no bit for it: left as a view, the sign would be lost
        value = value.resolve_conj()
    return OnDevice(value)


@contextmanager
def device() -> Iterator[Traffic]:
    """Let the test device exist; yields the traffic, counted from here on."""
    traffic = Traffic()
    no_mixed_precision = mock.patch.multiple(
        "torch",
        autocast=lambda kind, *_, **__: nullcontext(),
        get_autocast_dtype=lambda kind: torch.float16,
        is_autocast_enabled=lambda kind: False,
    )
    with _Rules(traffic), no_mixed_precision:
        yield traffic


def sent(value: torch.Tensor) -> torch.Tensor:
    """Return a tensor of the CPU on the device, without counting it."""
    return OnDevice(value.detach().clone())
