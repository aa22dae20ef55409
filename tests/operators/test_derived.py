"""Constants made of a buffer: when they are kept, and when they are made anew."""

import pytest
import torch

from hrdis.operators.derived import Derived


def other(source):
    return source.clone()


def written_into(source):
    return source.add_(1)


def differentiated(source):
    return source.requires_grad_()


def test_constant_is_kept_while_its_buffer_is_the_same():
    source, kept = torch.ones(2), Derived()
    made = kept.find(source, "double", lambda: 2 * source)
    assert kept.find(source, "double", lambda: 2 * source) is made


@pytest.mark.parametrize("change", [other, written_into, differentiated])
def test_constant_is_made_anew_when_its_buffer_is_another(change):
    source, kept = torch.ones(2), Derived()
    made = kept.find(source, "double", lambda: 2 * source)
    changed = change(source)
    assert kept.find(changed, "double", lambda: 2 * changed) is not made
