"""The network of the embedded prior."""

import json

import pytest
import torch

from hrdis.checkpoints import load_prior
from hrdis.priors.small_unet import ResidualBlock, SmallUNet
from hrdis.schedule import Schedule
from hrdis.training import network
from hrdis.training.settings import TrainSettings
from tests.common.toys import normal


def drawn(module):
    """Give a module made on no device parameters in float64, all of them drawn: none is zero."""
    module = module.to_empty(device="cpu").double().requires_grad_(False)
    for i, p in enumerate(module.parameters()):
        p.copy_(0.2 * normal(1, *p.shape, seed=i)[0])
    return module


@pytest.fixture
def net():
    with torch.device("meta"):
        return drawn(SmallUNet((8, 16), blocks=1, middle=1, embedding=16))


def test_size_is_the_one_said():
    with torch.device("meta"):
        assert sum(p.numel() for p in SmallUNet().parameters()) == 1_978_540


@pytest.mark.parametrize("size", [(8, 8), (16, 24)], ids=str)
def test_output_has_the_shape_of_the_input(net, size):
    x = normal(2, 3, *size)
    assert net(x, torch.tensor([0, 999])).shape == x.shape


def test_network_may_have_more_than_two_levels():
    with torch.device("meta"):
        deep = drawn(SmallUNet((8, 16, 24), blocks=1, middle=1, embedding=16))
    x = normal(1, 3, deep.multiple, 2 * deep.multiple)
    assert deep(x, torch.tensor([500])).shape == x.shape


def test_images_of_a_batch_do_not_see_each_other(net):
    x, t = normal(3, 3, 8, 16), torch.tensor([3, 200, 900])
    alone = torch.cat([net(x[i : i + 1], t[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(net(x, t), alone, rtol=0, atol=1e-10)


def test_network_is_convolutional(net):
    """Moved by a whole cell, the picture's inside comes out moved, but for the statistics of the
    group norms.
    """
    x = normal(1, 3, 32, 32).roll(0)
    t = torch.tensor([100])
    moved = net(x.roll((net.multiple, net.multiple), (2, 3)), t).roll(
        (-net.multiple, -net.multiple), (2, 3)
    )
    inside = (..., slice(12, 16), slice(12, 16))
    torch.testing.assert_close(moved[inside], net(x, t)[inside], rtol=0.2, atol=0.2)


def test_block_is_the_formula_beside_it():
    with torch.device("meta"):
        block = drawn(ResidualBlock(8, 4))
    x, e = normal(2, 8, 4, 4), normal(2, 4)
    g, b = (e @ block.modulation.weight.mT + block.modulation.bias)[:, :, None, None].chunk(2, 1)
    h = (1 + g) * block.conv1(torch.group_norm(x, 8, block.norm.weight, block.norm.bias)) + b
    torch.testing.assert_close(block(x, e), x + block.conv2(h * h.sigmoid()), rtol=0, atol=1e-10)


def test_time_is_embedded_by_its_noise_level(net):
    """Equal to sines and cosines of exp(linspace(-1.5, 2, 32)) ln(sigma_t / alpha_t), in
    float32.
    """
    waves = []
    net.time.linear1.register_forward_pre_hook(lambda module, args: waves.append(args[0]))
    net.time(torch.tensor([0, 500, 999]))
    q = Schedule.linear()
    level = torch.stack([q.sigma(t).log() for t in (0, 500, 999)])[:, None]
    phase = level * torch.linspace(-1.5, 2, 32, dtype=torch.float64).exp()
    torch.testing.assert_close(
        waves[0], torch.cat([phase.sin(), phase.cos()], 1), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_keeps_the_noise_levels(net, dtype):
    x, t = normal(1, 3, 8, 8, dtype=torch.float32), torch.tensor([999])
    full, half = net.float()(x, t), net.to(dtype)(x.to(dtype), t).float()
    assert float((half - full).norm() / full.norm()) < 0.05


def test_new_network_starts_near_the_identity_and_predicts_nothing():
    net = network.build(TrainSettings(channels=(8, 16)))
    assert not net(normal(1, 3, 8, 8, dtype=torch.float32), torch.tensor([5])).any()
    assert not net.middle[0].modulation.weight.any()


def test_configuration_builds_the_same_network(net):
    with torch.device("meta"):
        twin = SmallUNet.from_config(json.loads(json.dumps(net.config)))
    assert {n: p.shape for n, p in twin.named_parameters()} == {
        n: p.shape for n, p in net.named_parameters()
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": [12]},
        {"channels": []},
        {"channels": 64},
        {"blocks": 0},
        {"middle": 1.5},
        {"embedding": None},
    ],
    ids=str,
)
def test_configuration_that_describes_no_network_is_refused(net, wrong):
    with pytest.raises(
        ValueError, match=r"^The folder's config\.json describes no SmallUNet: channels"
    ):
        SmallUNet.from_config(net.config | wrong)


def test_embedded_prior_is_this_network():
    assert isinstance(load_prior("default").net, SmallUNet)
