"""Conversion of the original DDPM's networks, against their forward pass written down independently
(`networks.py`).
"""

import pytest
import torch

import hrdis
from hrdis.checkpoints.ddpm import (
    NETWORKS,
    DDPMStructure,
    load,
    module_names,
    structure_of,
    unet_config,
)
from hrdis.checkpoints.unet import convert
from tests.checkpoints.test_adm import drawer, meta, save, shapes
from tests.common.networks import ddpm, ddpm_state
from tests.common.toys import normal

SMALL = {"widths": (32, 64, 64), "blocks": 1, "attention": (1,)}


def small(dtype: torch.dtype = torch.float32, **changes):
    """A state dict, and the structure that it has."""
    options = SMALL | changes
    return ddpm_state(drawer(3, dtype), **options), DDPMStructure(**options)


def converted(state, s: DDPMStructure, dtype=torch.float32):
    return convert(
        unet_config(s), module_names(s), shapes(state), state.items(), expected="it", dtype=dtype
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"blocks": 2},
        {"attention": (0, 2), "widths": (64, 32, 64)},
        {"attention": ()},
        {"widths": (32, 32, 64, 64), "attention": (2, 3), "channels": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-8)], ids=str
)
def test_converted_network_equals_the_original(changes, dtype, tolerance):
    state, s = small(dtype, **changes)
    x, t = normal(2, s.channels, 16, 24, dtype=dtype), torch.tensor([437, 3])
    expected = ddpm(state, x, t, levels=len(s.widths), blocks=s.blocks)
    with torch.no_grad():
        found = converted(state, s, dtype)(x, t).sample
    assert float((found - expected).abs().max() / expected.abs().max()) < tolerance


@pytest.mark.parametrize(
    "option",
    [{"downsample_padding": 1}, {"norm_eps": 1e-2}, {"flip_sin_to_cos": True}, {"freq_shift": 0}],
    ids=str,
)
def test_another_option_would_change_the_output(option):
    """Each option of the network matters, so the test above sees it."""
    state, s = small()
    x, t = normal(2, 3, 16, 16, dtype=torch.float32), torch.tensor([437, 3])
    net = convert(
        unet_config(s) | option, module_names(s), shapes(state), state.items(), expected="it"
    )
    with torch.no_grad():
        expected, found = ddpm(state, x, t, levels=3, blocks=1), net(x, t).sample
    assert float((found - expected).abs().max() / expected.abs().max()) > 1e-4


@pytest.mark.parametrize("name", NETWORKS)
def test_preset_has_the_keys_and_sizes_of_the_published_file(name):
    s = NETWORKS[name][0]
    state = ddpm_state(meta, **vars(s))
    net = converted(state, s)
    assert (
        sum(p.numel() for p in net.parameters())
        == sum(v.numel() for v in state.values())
        == 113_673_219
    )
    assert structure_of(shapes(state)) == s
    assert net.config["norm_eps"] == 1e-6


@pytest.mark.parametrize("suffix", [".pt", ".ckpt", ".safetensors"])
def test_picture_is_restored_with_a_network_loaded_by_name(tmp_path, suffix):
    state, _ = small()
    file = save(state, tmp_path / f"net{suffix}")
    prior = hrdis.load_prior(f"ddpm:{file}")
    assert (prior.name, prior.multiple, prior.schedule) == ("net", 4, hrdis.Schedule.linear())
    x0 = normal(1, 3, 18, 14, dtype=torch.float32).clamp(-1, 1)
    problem = hrdis.measure(
        hrdis.operators.SuperResolution(2), x0, noise=hrdis.noise.Gaussian(0.05), seeds=[0]
    )
    result = hrdis.solve(hrdis.HRDIS(steps=3), prior, problem, seeds=[0])
    assert result.x.shape == x0.shape and bool(result.finite.all())


def test_file_that_contradicts_its_preset_is_refused_with_the_differences(tmp_path):
    state, _ = small()
    with pytest.raises(
        ValueError,
        match=r"net.pt is not the network of 'ddpm-celebahq256': [1-9]\d* keys missing \['",
    ):
        hrdis.load_prior(f"ddpm-celebahq256:{save(state, tmp_path / 'net.pt')}")


@pytest.mark.parametrize(
    "key", ["mid.attn_1.k.weight", "up.2.block.1.nin_shortcut.bias", "down.0.downsample.conv.bias"]
)
def test_tensor_that_is_missing_is_refused(tmp_path, key):
    state, _ = small()
    del state[key]
    with pytest.raises(
        ValueError, match=rf"net.pt is not such a network: 1 keys missing \['{key}'\], 0 unexpected"
    ):
        load(save(state, tmp_path / "net.pt"))


@pytest.mark.parametrize("name", NETWORKS)
def test_missing_file_says_where_to_get_it(name, tmp_path):
    with pytest.raises(
        ValueError,
        match=(
            r"x.ckpt does not exist\. .*\. Download it \(0.45 GB, licence: .*\): curl -L -o "
            r".*x.ckpt 'https://"
        ),
    ):
        hrdis.load_prior(f"{name}:{tmp_path / 'x.ckpt'}")
