"""Networks in memory: which inputs they want beside image and time."""

import pytest
from torch import nn

from hrdis.priors.networks import CONDITIONS, check_call, check_conditions


class Network(nn.Module):
    def forward(self, x, t, text, *, scale, strength=1.0):
        return x


def function(x, t, *, scale):
    return x


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (Network(), "text, scale beside x and t, .*: net.forward = functools.partial(net.forward"),
        (nn.DataParallel(Network()), "text, scale beside x and t"),
        (function, "scale beside x and t, .*: call = functools.partial(call, scale=...)"),
    ],
    ids=["network", "wrapped", "function"],
)
def test_call_that_needs_more_is_refused_with_the_code_that_gives_it(call, said):
    message = said.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(TypeError, match=f"^It wants {message}"):
        check_call(call, 2, "x and t", "It")


@pytest.mark.parametrize("call", [lambda x, t: x, lambda x, t, scale=1.0: x, lambda *x: x[0]])
def test_call_that_needs_no_more_is_taken(call):
    check_call(call, 2, "x and t", "It")


def test_call_that_takes_less_is_refused():
    with pytest.raises(
        TypeError, match=r"^It is called with x and t, but takes 1 arguments\. 2 are"
    ):
        check_call(lambda x: x, 2, "x and t", "It")


CLASSES = {"class_embed_type": "timestep", "num_class_embeds": 4}


def test_classes_are_a_condition_that_is_given():
    check_conditions(CLASSES, "It")


@pytest.mark.parametrize("key", [key for key in CONDITIONS if key != "class_embed_type"])
def test_another_condition_is_refused_with_classes_and_without(key):
    for config in ({}, CLASSES):
        with pytest.raises(ValueError, match=rf"^It has {key} 256: the network wants"):
            check_conditions(config | {key: 256}, "It")
