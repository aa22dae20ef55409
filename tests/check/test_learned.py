"""A check of a prior tells a network that learned, all of it, from one of which parts never did."""

import copy

import pytest
import torch
from torch import nn

from hrdis.check.learned import SHARE, check_response, check_weights, drawn, use_of_depths
from hrdis.checkpoints import load_prior
from hrdis.training import network
from hrdis.training.settings import TrainSettings
from tests.common.toys import normal

SHAPE = (32, 24, 3, 3)
SETTINGS = TrainSettings(channels=(8, 16), blocks=1, middle=1)


def uniform(bound):
    return (torch.special.ndtr(normal(1, *SHAPE)[0]) * 2 - 1) * bound


INITIAL = {
    "ours, and torch's": uniform((24 * 9) ** -0.5),
    "uniform of Xavier, after weight decay": 0.97 * uniform((6 / (24 * 9 + 32 * 9)) ** 0.5),
    "normal of Kaiming": normal(1, *SHAPE)[0] * (2 / (24 * 9)) ** 0.5,
    "normal, 0.02": normal(1, *SHAPE)[0] * 0.02,
    "in half precision": uniform((24 * 9) ** -0.5).half(),
}


@pytest.mark.parametrize("weight", INITIAL.values(), ids=INITIAL)
def test_draws_are_known(weight):
    assert drawn(weight) in ("uniform", "normal")


def test_uniform_draw_of_the_trainer_is_known():
    net = network.build(TrainSettings(channels=(16, 24), blocks=1, middle=1))
    assert drawn(net.encoder[0][0].conv1.weight) == "uniform"


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_draws_that_moved_are_no_draws_any_more(share):
    """What gradients add has long tails."""
    start = uniform((24 * 9) ** -0.5)
    assert not drawn(start + share * start.std() * normal(1, *SHAPE, seed=1)[0] ** 3 / 15**0.5)


@pytest.mark.parametrize(
    "weight", [torch.zeros(SHAPE), torch.ones(3, 3), torch.full(SHAPE, torch.nan)], ids=str
)
def test_zeros_few_numbers_and_nan_are_not_judged(weight):
    assert drawn(weight) == ""


def test_every_weight_of_the_embedded_prior_has_learned():
    check = check_weights(load_prior("default"))[0]
    assert check.passed and check.measured.startswith("0 of ")


def test_untouched_layers_are_named_with_their_share():
    net = copy.deepcopy(load_prior("default").net)
    with torch.no_grad():
        net.middle[0].conv1.weight.copy_(_draw(net.middle[0].conv1.weight))
        net.middle[0].conv2.weight.copy_(0.999 * _draw(net.middle[0].conv2.weight))
    check = check_weights(net)[0]
    assert not check.passed and 2 * net.middle[0].conv1.weight.numel() > SHARE * sum(
        p.numel() for p in net.parameters()
    )
    assert check.measured.startswith("2 of ") and "middle.0.conv1, middle.0.conv2" in check.measured


def _draw(weight):
    bound = weight[0].numel() ** -0.5
    return ((torch.special.ndtr(normal(1, *weight.shape)[0]) * 2 - 1) * bound).float()


def test_new_network_fails():
    net = network.build(TrainSettings(channels=(16, 24), blocks=1, middle=1))
    assert not check_weights(net)[0].passed


def test_module_without_layers_is_not_judged():
    assert check_weights(nn.ReLU()) == [] and check_response(nn.ReLU(), lambda: None) == []


@pytest.fixture
def judged():
    """A small network in which every depth matters, and its error against what it said itself."""
    net = network.build(SETTINGS)
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            p.copy_(0.3 * normal(1, *p.shape, seed=i)[0])
        x, t = normal(3, 3, 16, 16, dtype=torch.float32), torch.tensor([9, 9, 9])
        truth = net(x, t) + 0.01 * normal(3, 3, 16, 16, seed=1, dtype=torch.float32)

    @torch.no_grad()
    def error():
        return (net(x, t) - truth).square().mean()[None]

    return net, error


def test_network_whose_layers_all_respond_passes(judged):
    check = check_response(*judged)[0]
    assert check.passed and "at 8 px" in check.measured and "at 4 px" in check.measured


def test_layer_whose_activations_have_died_fails(judged):
    """SiLU passes nothing on where all that comes in is far below zero: the layer after it adds its
    bias alone.
    """
    net, error = judged
    with torch.no_grad():
        net.middle[0].modulation.bias[8 * 2 :] = -50.0
        net.middle[0].modulation.weight.zero_()
    check = check_response(net, error)[0]
    assert not check.passed and "dead: middle.0.conv2" in check.measured


def test_use_of_a_depth_that_adds_nothing_is_one(judged):
    net, error = judged
    assert use_of_depths(net, error)[4] > 1.02
    with torch.no_grad():
        net.upsample[0].weight.zero_()
    assert use_of_depths(net, error)[4] == pytest.approx(1.0)


def test_hooks_are_taken_away(judged):
    net, error = judged
    before = error()
    use_of_depths(net, error)
    check_response(net, error)
    assert error() == before and not any(m._forward_hooks for m in net.modules())
