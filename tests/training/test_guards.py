"""A network that cannot learn is not trained: gradients are checked, and so is movement."""

import warnings

import pytest
import torch
from torch import nn

from hrdis.training import guards, network
from hrdis.training.guards import PLAIN, Execution, Movement, checked, differences, gradients
from hrdis.training.muon import MuonAdamW
from hrdis.training.settings import TrainSettings
from tests.common.toys import normal

SMALL = TrainSettings(channels=(8, 16), blocks=1, middle=1)


@pytest.fixture
def net():
    return network.build(SMALL)


@pytest.fixture
def batch():
    """x_t, t and v of four images."""
    x, v = (
        normal(4, 3, 16, 16, dtype=torch.float32),
        normal(4, 3, 16, 16, seed=1, dtype=torch.float32),
    )
    return x, torch.tensor([0, 50, 300, 900]), v


class Deaf(torch.autograd.Function):
    """Passes values on, and no gradient back: what a broken compiler does."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return torch.zeros_like(gradient)


def deafen(net, *modules):
    """Let no gradient pass behind these modules of the network."""
    for name in modules:
        net.get_submodule(name).register_forward_hook(lambda module, args, out: Deaf.apply(out))
    return net


def train(net, batch, steps=50):
    """Train a network on one batch."""
    optimizer = MuonAdamW(net.named_parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        (network.predict(net, *batch[:2]) - batch[2]).square().mean().backward()
        optimizer.step(0.01, 1e-3)
    return net


@pytest.mark.parametrize("asked", [PLAIN, Execution(), Execution(bf16=True)], ids=str)
def test_right_gradients_keep_the_execution_asked_for(net, batch, asked):
    with warnings.catch_warnings(action="error"):
        assert checked(net, asked, *batch) == asked


def test_check_leaves_every_parameter_as_it_was(net, batch):
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    checked(net, Execution(), *batch)
    assert all(
        torch.equal(p, before[name]) and p.grad is None for name, p in net.named_parameters()
    )


def test_compiler_that_loses_gradients_is_dropped_with_a_warning(net, batch, monkeypatch):
    """As inductor did behind the upsamplers: the loss is right, the gradients of whole levels are
    zero.
    """

    def broken(module, **options):
        twin = network.build(SMALL)
        for name, part in twin.named_modules():
            for leaf in part._parameters:
                part._parameters[leaf] = module.get_submodule(name)._parameters[leaf]
        return deafen(twin, "upsample.0")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.warns(
        UserWarning,
        match=r"^Run compiled, channels-last, the network has other gradients than run pl",
    ):
        assert checked(net, Execution(compile=True), *batch) == Execution()


def test_compiler_that_fails_is_dropped_with_a_warning(net, batch, monkeypatch):
    def fails(module, **options):
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", fails)
    with pytest.warns(UserWarning, match=r"cannot be compiled here \(RuntimeError\)"):
        assert checked(net, Execution(compile=True), *batch) == Execution()


def test_network_whose_gradients_are_zero_is_refused_by_name(net, batch):
    with pytest.raises(
        ValueError, match=r"^\d+ of \d+ parameters get no gradient: .*middle\.0\.norm\.weight"
    ):
        checked(deafen(net, "upsample.0"), Execution(), *batch)


def test_differences_name_a_gradient_that_is_lost(net, batch):
    plain = gradients(train(net, batch, 3), PLAIN, *batch)
    other = {**plain, "middle.0.conv1.weight": torch.zeros_like(plain["middle.0.conv1.weight"])}
    assert differences(plain, other, guards.TOLERANCE["bf16"]) == {
        "middle.0.conv1.weight": pytest.approx(1.0)
    }
    assert not differences(plain, plain, 0.0)


def test_every_parameter_moves_in_fifty_steps(net, batch):
    movement = Movement(net)
    movement.check(train(net, batch), 50)


def test_parameters_without_gradients_are_named_after_fifty_steps(net, batch):
    """Weight decay alone makes them smaller: that is no movement."""
    movement = Movement(net)
    train(deafen(net, "upsample.0"), batch)
    behind = [
        name
        for name, _ in net.named_parameters()
        if name.startswith(("middle", "downsample", "upsample"))
    ]
    assert set(behind) <= set(movement.unmoved(net))
    with pytest.raises(RuntimeError, match=r"^After 50 steps \d+ of \d+ parameters have not moved"):
        movement.check(net, 50)


@pytest.mark.slow
def test_inductor_is_used_only_where_its_gradients_are_right(batch):
    """torch 2.13.0 on a CPU gives zeros behind the upsamplers of diffusers' network; a later one
    may be right.
    """
    settings = TrainSettings(network="unet2d", channels=(8, 16, 24), blocks=1)
    net = network.build(settings)
    with warnings.catch_warnings(record=True):
        found = checked(net, Execution(compile=True), *batch)
    plain = gradients(net, PLAIN, *batch)
    assert not differences(plain, gradients(net, found, *batch), guards.TOLERANCE["fp32"])


def test_parameter_of_one_number_may_move_as_it_likes():
    scalar = nn.ParameterDict({"p": torch.ones(1)})
    movement = Movement(scalar)
    assert movement.unmoved(scalar) == ["p"]
    with torch.no_grad():
        scalar["p"].mul_(0.5)
    assert movement.unmoved(scalar) == []
