"""Conversion of guided-diffusion networks, against their forward pass written down independently
(`networks.py`).
"""

import itertools

import pytest
import torch

import hrdis
from hrdis.checkpoints.adm import (
    adm_to_unet2d,
    load,
    module_names,
    prior_of,
    split_qkv,
    unet_config,
)
from hrdis.checkpoints.adm_networks import NETWORKS, REFUSED, ADMNetwork, ADMStructure
from hrdis.checkpoints.adm_shapes import guess_network, structure_of
from hrdis.checkpoints.unet import convert
from tests.common.networks import adm, adm_state
from tests.common.toys import normal

SMALL = {"channels": 32, "mult": (1, 2, 2), "blocks": 1, "attention": (1,)}


def drawer(seed: int = 0, dtype: torch.dtype = torch.float32):
    """Weights whose size keeps the signal near 1, of any sign; norms' gains near 1."""
    calls = itertools.count(1000 * seed)

    def draw(*shape):
        z = normal(*shape, seed=next(calls), dtype=dtype)
        return z * (z[0].numel() ** -0.5 if len(shape) > 1 else 0.3) + (
            1.0 if len(shape) == 1 else 0.0
        )

    return draw


def small(seed: int = 0, unit: int = 1, dtype: torch.dtype = torch.float32, **changes):
    """A state dict, and the structure that it has."""
    options = SMALL | changes
    structure = ADMStructure(
        **{"resblock_updown" if k == "updown" else k: v for k, v in options.items()}
    )
    options = {"scale_shift": True, "updown": True} | options
    return adm_state(drawer(seed, dtype), unit=unit, **options), structure


def gap(net, state, *, order, head=16, structure, x=None, label=None) -> float:
    """Largest difference of the two networks over the largest output."""
    x = normal(2, structure.in_channels, 16, 16, seed=77, dtype=torch.float32) if x is None else x
    t = torch.tensor([437, 3])
    expected = adm(
        state, x, t, order=order, head=head, scale_shift=structure.scale_shift, label=label
    )
    with torch.no_grad():
        found = net(x, t, class_labels=label).sample
    return float((found - expected).abs().max() / expected.abs().max())


# ---- the network is the same
# ----------------------------------------------------------------------


@pytest.mark.parametrize("updown", [True, False], ids=["resblock", "conv"])
@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("scale_shift", [True, False], ids=["scale_shift", "default"])
@pytest.mark.parametrize("order", ["legacy", "new", "edm"])
def test_converted_network_equals_the_original(order, scale_shift, blocks, updown):
    state, structure = small(scale_shift=scale_shift, blocks=blocks, updown=updown)
    net = adm_to_unet2d(state, ADMNetwork(structure=structure, qkv_order=order, head_channels=16))
    assert gap(net, state, order=order, structure=structure) < 1e-5


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": 7},
        {"mult": (1, 1, 2, 2), "attention": (2, 3)},
        {"mult": (1, 2), "attention": ()},
        {"mult": (1, 2, 2), "attention": (0, 1, 2)},
        {"mult": (1,), "attention": (0,)},
        {"out_channels": 3},
        {"in_channels": 1, "out_channels": 2},
        {"in_channels": 2, "out_channels": 4, "blocks": 3},
        {"unit": 2, "out_channels": 3, "scale_shift": False},
    ],
    ids=str,
)
def test_converted_network_of_another_structure_equals_the_original(changes):
    state, structure = small(**changes)
    label = torch.tensor([3, 6]) if structure.classes else None
    net = adm_to_unet2d(
        state, ADMNetwork(structure=structure, qkv_order="legacy", head_channels=16)
    )
    assert gap(net, state, order="legacy", structure=structure, label=label) < 1e-5


@pytest.mark.parametrize("head", [8, 32, 64])
def test_head_size_is_that_of_the_preset(head):
    state, structure = small(channels=64)
    net = adm_to_unet2d(
        state, ADMNetwork(structure=structure, qkv_order="legacy", head_channels=head)
    )
    assert gap(net, state, order="legacy", head=head, structure=structure) < 1e-5
    assert gap(net, state, order="legacy", head=16, structure=structure) > 1e-3


def test_converted_network_equals_the_original_to_rounding_in_double_precision():
    """No difference is hidden behind the 1e-5: only the sinusoids stay in single precision, in
    both.
    """
    state, structure = small(dtype=torch.float64)
    preset = ADMNetwork(structure=structure, qkv_order="new", head_channels=16)
    net = adm_to_unet2d(state, preset, torch.float64)
    x = normal(2, 3, 16, 16, seed=5)
    assert gap(net, state, order="new", structure=structure, x=x) < 1e-8


@pytest.mark.parametrize(
    ("right", "wrong"), list(itertools.permutations(["legacy", "new", "edm"], 2))
)
def test_wrong_order_of_the_attention_rows_changes_the_output(right, wrong):
    """It loads without an error, so the preset has to know."""
    state, structure = small()
    net = adm_to_unet2d(state, ADMNetwork(structure=structure, qkv_order=wrong, head_channels=16))
    assert gap(net, state, order=right, structure=structure) > 1e-3


@pytest.mark.parametrize(
    "option",
    [
        {"norm_eps": 1e-2},
        {"flip_sin_to_cos": False},
        {"freq_shift": 1},
        {"attention_head_dim": 32},
        {"act_fn": "gelu"},
    ],
    ids=str,
)
def test_another_option_would_change_the_output(option):
    """Each option of the network matters, so the tests above see it."""
    state, structure = small()
    preset = ADMNetwork(structure=structure, qkv_order="legacy", head_channels=16)
    net = convert(
        unet_config(preset) | option, module_names(structure), shapes(state), state.items(),
        expected="it",
        split=lambda rows: split_qkv(rows, "legacy", 16),
    )  # fmt: skip
    assert gap(net, state, order="legacy", structure=structure) > 1e-4


def test_middle_attention_has_its_norm():
    """diffusers leaves it out with scale-shift unless told; the keys would differ, and so would the
    picture.
    """
    state, structure = small()
    net = adm_to_unet2d(
        state, ADMNetwork(structure=structure, qkv_order="legacy", head_channels=16)
    )
    assert net.mid_block.attentions[0].group_norm.num_groups == 32


@pytest.mark.parametrize(
    ("order", "row"),
    [
        ("legacy", lambda p, h, d: h * 12 + p * 4 + d),
        ("new", lambda p, h, d: p * 8 + h * 4 + d),
        ("edm", lambda p, h, d: h * 12 + d * 3 + p),
    ],
)
def test_rows_go_where_the_table_says(order, row):
    """Two heads of four channels: part p, head h, channel d."""
    parts = split_qkv(torch.arange(24), order, 4)
    for p, h, d in itertools.product(range(3), range(2), range(4)):
        assert int(parts[p][h * 4 + d]) == row(p, h, d)


def test_state_dict_is_left_as_it_is():
    state, structure = small()
    before = {key: value.clone() for key, value in state.items()}
    net = adm_to_unet2d(
        state, ADMNetwork(structure=structure, qkv_order="legacy", head_channels=16)
    )
    for parameter in net.parameters():
        parameter.data.zero_()
    assert all(torch.equal(state[key], before[key]) for key in before)


# ---- the published networks: names, shapes, sizes
# ---------------------------------------------------

FULL = {
    "adm-imagenet256": (566, 552_814_086),
    "adm-imagenet256-cond": (567, 553_838_086),
    "adm-lsun-bedroom256": (566, 552_814_086),
    "adm-ffhq256": (362, 93_563_910),
    "adm-cd-bedroom256": (566, 526_304_771),
    "adm-edm-bedroom256": (566, 526_304_771),
}


def meta(*shape):
    return torch.empty(*shape, device="meta")


def full(name: str):
    """The state dict of a published network, without its weights."""
    s = NETWORKS[name].structure
    options = {k: v for k, v in vars(s).items() if k != "resblock_updown"}
    return adm_state(
        meta, updown=s.resblock_updown, unit=2 if s.out_channels == 3 else 1, **options
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_preset_has_the_keys_and_sizes_of_the_published_file(name):
    state = full(name)
    net = adm_to_unet2d(state, NETWORKS[name])
    count = sum(parameter.numel() for parameter in net.parameters())
    assert count == sum(tensor.numel() for tensor in state.values())
    if name in FULL:
        assert (len(state), count) == FULL[name]


@pytest.mark.parametrize("name", ["adm-imagenet256", "adm-ffhq256"])
def test_attention_and_resampling_sit_where_the_published_network_has_them(name):
    """As counted in the original module."""
    state = full(name)
    at = {
        place: sorted(
            {
                int(k.split(".")[1])
                for k in state
                if k.startswith(place) and k.endswith("qkv.weight")
            }
        )
        for place in ("input_blocks", "output_blocks")
    }
    down = sorted(
        int(key.split(".")[1])
        for key, (unet,) in _single_targets(NETWORKS[name].structure).items()
        if "downsamplers" in unet and key.endswith("in_layers.0")
    )
    up = sorted(
        key.removesuffix(".in_layers.0")
        for key, (unet,) in _single_targets(NETWORKS[name].structure).items()
        if "upsamplers" in unet and key.endswith("in_layers.0")
    )
    if name == "adm-imagenet256":
        assert at == {"input_blocks": [10, 11, 13, 14, 16, 17], "output_blocks": list(range(9))}
        assert down == [3, 6, 9, 12, 15]
        assert up == sorted(f"output_blocks.{n}" for n in ("2.2", "5.2", "8.2", "11.1", "14.1"))
    else:
        assert at == {"input_blocks": [9], "output_blocks": [2, 3]}
        assert down == [2, 4, 6, 8, 10]
        assert up == sorted(f"output_blocks.{n}" for n in ("1.1", "3.2", "5.1", "7.1", "9.1"))


def _single_targets(structure):
    return {key: targets for key, targets in module_names(structure).items() if len(targets) == 1}


@pytest.mark.parametrize("name", NETWORKS)
def test_preset_knows_the_order_of_its_attention_rows(name):
    """guided-diffusion: legacy but for the 64 x 64 network; consistency_models: new."""
    theirs_new = name == "adm-imagenet64-cond" or name.split("-")[1] in ("edm", "cd", "ct")
    assert NETWORKS[name].qkv_order == ("new" if theirs_new else "legacy")
    assert NETWORKS[name].schedule == ("cosine" if name == "adm-imagenet64-cond" else "linear")
    assert NETWORKS[name].head_channels == 64


def test_network_has_the_options_of_the_table():
    config = unet_config(NETWORKS["adm-imagenet256"])
    assert config["block_out_channels"] == (256, 256, 512, 512, 1024, 1024)
    assert config["down_block_types"] == ("ResnetDownsampleBlock2D",) * 3 + ("AttnDownBlock2D",) * 3
    assert config["up_block_types"] == ("AttnUpBlock2D",) * 3 + ("ResnetUpsampleBlock2D",) * 3
    assert (config["norm_eps"], config["attn_norm_num_groups"], config["flip_sin_to_cos"]) == (
        1e-5,
        32,
        True,
    )


def test_cosine_schedule_equals_the_one_of_diffusers():
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod.double()
    # 1e-3: theirs is a product of a thousand numbers in single precision, down to 1e-9
    torch.testing.assert_close(hrdis.Schedule.cosine().alpha_bar, theirs, rtol=1e-3, atol=1e-12)


# ---- guessing
# ---------------------------------------------------------------------------------------


def shapes(state):
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


@pytest.mark.parametrize("name", NETWORKS)
def test_structure_of_a_published_file_is_read_from_its_shapes(name):
    assert structure_of(shapes(full(name))) == NETWORKS[name].structure


@pytest.mark.parametrize("updown", [True, False])
@pytest.mark.parametrize("attention", [(), (0,), (1, 2)])
def test_structure_of_a_small_network_is_read_from_its_shapes(updown, attention):
    state, structure = small(updown=updown, attention=attention, blocks=2)
    assert structure_of(shapes(state)) == structure


@pytest.mark.parametrize(
    "name", ["adm-imagenet256", "adm-lsun-cat256", "adm-ffhq256", "adm-imagenet64-cond"]
)
def test_preset_is_guessed_where_all_that_fit_run_alike(name):
    found, preset = guess_network(shapes(full(name)), "x.pt"), NETWORKS[name]
    assert (found.structure, found.qkv_order, found.schedule) == (
        preset.structure,
        preset.qkv_order,
        preset.schedule,
    )


@pytest.mark.parametrize("name", ["adm-cd-bedroom256", "adm-edm-imagenet64-cond"])
def test_guess_between_networks_that_run_differently_is_refused_with_their_names(name):
    with pytest.raises(
        ValueError, match=rf"run differently.*hrdis.load_prior\('<name>:x.pt'\).*{name}"
    ):
        guess_network(shapes(full(name)), "x.pt")


def test_guess_of_an_unknown_network_is_refused_with_the_code():
    state, _ = small()
    with pytest.raises(
        ValueError,
        match=r"no network known by name.*hrdis.load_prior\('adm-legacy:x.pt'\).*adm-new:",
    ):
        guess_network(shapes(state), "x.pt")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"mult": (1, 1, 2, 3, 4), "attention": (2, 3, 4)}, "4 attention heads"),
        ({"mult": (0.5, 1, 1, 2, 2, 4, 4), "attention": (4, 5, 6)}, "half as wide"),
        (
            {"channels": 192, "mult": (1, 1, 2, 2, 4, 4), "attention": (3, 4, 5), "in_channels": 6},
            "small picture",
        ),
    ],
    ids=["128", "512", "upsampler"],
)
@pytest.mark.parametrize("preset", [None, "adm-imagenet256-cond"])
def test_network_that_cannot_be_expressed_is_refused_with_the_reason(options, reason, preset):
    options = {"channels": 256, "blocks": 2, "classes": 1000} | options
    state = adm_state(meta, scale_shift=True, updown=True, **options)
    with pytest.raises(ValueError, match=rf"cannot be loaded: .*{reason}"):
        guess_network(shapes(state), "x.pt") if preset is None else adm_to_unet2d(
            state, NETWORKS[preset]
        )


@pytest.mark.parametrize("name", REFUSED)
def test_name_of_a_network_that_cannot_be_expressed_says_so(name):
    with pytest.raises(ValueError, match=rf"^{name} cannot be loaded: "):
        hrdis.load_prior(f"{name}:x.pt")


# ---- contradictions
# ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        (
            {"blocks": 2},
            r"34 keys missing \['input_blocks.3.0.skip_connection.bias'.*112 unexpected "
            r"\['input_blocks",
        ),
        (
            {"attention": (1, 2)},
            r"10 keys missing \['output_blocks.1.1.*28 unexpected \['input_blocks.5.1.norm.bias'",
        ),
        ({"attention": ()}, r"[1-9]\d* keys missing \['input_blocks.3.1.norm.bias'"),
        ({"out_channels": 3}, r"2 of another shape \['out.2.bias is \(3,\), not \(6,\)'"),
        (
            {"scale_shift": False},
            r"of another shape \['input_blocks.1.0.emb_layers.1.bias is \(32,\), not \(64,\)'",
        ),
        (
            {"updown": False},
            r"[1-9]\d* keys missing .* [1-9]\d* unexpected \['input_blocks.2.0.op.bias'",
        ),
        ({"classes": 10}, r"0 keys missing \[\], 1 unexpected \['label_emb.weight'\]"),
        ({"channels": 64}, r"of another shape \['input_blocks.0.0.bias is \(64,\), not \(32,\)'"),
    ],
    ids=str,
)
def test_file_that_contradicts_its_preset_is_refused_with_the_differences(changes, difference):
    _, structure = small()
    state, _ = small(**changes)
    with pytest.raises(ValueError, match=rf"is not the network of its preset: .*{difference}"):
        adm_to_unet2d(state, ADMNetwork(structure=structure, qkv_order="legacy", head_channels=16))


@pytest.mark.parametrize("damage", ["missing", "unexpected", "shape"])
def test_any_single_tensor_that_is_wrong_is_refused(damage):
    """No parameter can keep a random value: each must be in the file, and each in the file must be
    used.
    """
    state, structure = small()
    for key in list(state)[:: len(state) // 12]:
        broken = dict(state)
        if damage == "missing":
            del broken[key]
        elif damage == "unexpected":
            broken[f"{key}x"] = state[key]
        else:
            broken[key] = state[key][:-1]
        with pytest.raises(ValueError, match="The state dict"):
            adm_to_unet2d(
                broken, ADMNetwork(structure=structure, qkv_order="legacy", head_channels=16)
            )


def test_network_has_no_weight_until_it_is_assigned():
    """A converter that forgot a key would fail: the network starts without memory."""
    state, structure = small()
    only = {"input_blocks.0.0": ("conv_in",)}
    with pytest.raises(RuntimeError, match="Missing key"):
        few = {key: state[key] for key in ("input_blocks.0.0.weight", "input_blocks.0.0.bias")}
        preset = ADMNetwork(structure=structure, qkv_order="legacy", head_channels=16)
        convert(unet_config(preset), only, shapes(few), few.items(), expected="x")


@pytest.mark.parametrize(
    ("changes", "message"), [({"channels": 48, "mult": (1, 2)}, "48 channels. Multiples of 32")]
)
def test_unknown_width_is_refused(changes, message):
    state, structure = small(**changes)
    with pytest.raises(ValueError, match=message):
        adm_to_unet2d(state, ADMNetwork(structure=structure, qkv_order="legacy", head_channels=16))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out_channels": 5}, "3 channels in and 5 out"),
        ({"in_channels": 4, "out_channels": 6}, "4 channels in and 6 out"),
        ({"head_channels": 48}, "no heads of 48.*num_heads=4"),
        ({"qkv_order": "old"}, "qkv_order is 'old'"),
        ({"predicts": "edm"}, "3 channels in and 6 out"),
    ],
)
def test_preset_that_no_network_has_is_refused(options, message):
    of_structure = {k: v for k, v in options.items() if k in ("in_channels", "out_channels")}
    rest = {"qkv_order": "new", "head_channels": 32} | {
        k: v for k, v in options.items() if k not in of_structure
    }
    with pytest.raises(ValueError, match=message):
        ADMNetwork(structure=ADMStructure(**SMALL, **of_structure), **rest)


# ---- files, by name, to a picture
# -----------------------------------------------------------------


def save(state, file):
    if file.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(state, file)
    else:
        torch.save(state, file, _use_new_zipfile_serialization=file.suffix == ".pt")
    return file


@pytest.mark.parametrize("suffix", [".pt", ".ckpt", ".safetensors"])
def test_file_loads_as_the_state_dict_bit_for_bit(tmp_path, suffix):
    state, structure = small()
    preset = ADMNetwork(structure=structure, qkv_order="legacy", head_channels=16)
    prior = load(save(state, tmp_path / f"net{suffix}"), network=preset)
    x = normal(1, 3, 16, 16, dtype=torch.float32)
    assert torch.equal(
        prior(x, 321).eps, prior_of(adm_to_unet2d(state, preset), preset, "x")(x, 321).eps
    )
    assert (prior.name, prior.channels, prior.multiple) == ("net", (1, 3), 4)
    assert {p.data_ptr() % 64 for p in prior.parameters()} == {0}


@pytest.mark.parametrize("scheme", ["adm-legacy", "adm-new"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_picture_is_restored_with_a_network_loaded_by_name(tmp_path, scheme, suffix):
    state, structure = small(channels=64, mult=(1, 2))
    file = save(state, tmp_path / f"net{suffix}")
    prior = hrdis.load_prior(f"{scheme}:{file}")
    x0 = normal(1, 3, 18, 14, dtype=torch.float32).clamp(-1, 1)
    problem = hrdis.measure(
        hrdis.operators.SuperResolution(2), x0, noise=hrdis.noise.Gaussian(0.05), seeds=[0]
    )
    result = hrdis.solve(hrdis.HRDIS(steps=3), prior, problem, seeds=[0])
    assert result.x.shape == x0.shape and bool(result.finite.all())
    preset = ADMNetwork(structure=structure, qkv_order=scheme.removeprefix("adm-"))
    again = hrdis.solve(hrdis.HRDIS(steps=3), load(file, network=preset), problem, seeds=[0])
    assert torch.equal(result.x, again.x)


@pytest.mark.parametrize("predicts", ["edm", "consistency"])
@pytest.mark.parametrize("t", [0, 300, 900, 999])
def test_denoiser_is_preconditioned_and_told_the_noise(tmp_path, predicts, t):
    """sigma_data = 0.5, 1000 x ln(sigma) / 4; sigma from 0.002 to 80, beyond which the bridge
    clamps.
    """
    state, structure = small(out_channels=3, scale_shift=False, unit=2)
    preset = ADMNetwork(structure=structure, qkv_order="new", head_channels=16, predicts=predicts)
    prior = load(save(state, tmp_path / "net.pt"), network=preset)
    x_t = normal(2, 3, 16, 16, dtype=torch.float32)
    level = prior.schedule.sigma(t)
    s, x = level.clamp(max=80), x_t / prior.schedule.signal(t) * (80 / level).clamp(max=1)
    above = s - 0.002 if predicts == "consistency" else s
    inner = adm(
        state,
        x / (s**2 + 0.25).sqrt(),
        (250 * s.log()).float().expand(2),
        order="new",
        head=16,
        scale_shift=False,
    )
    expected = 0.25 / (above**2 + 0.25) * x + above * 0.5 / (s**2 + 0.25).sqrt() * inner
    size = float(expected.abs().max())
    if predicts == "consistency":
        expected = expected.clamp(-1, 1)
    torch.testing.assert_close(prior(x_t, t).x0_hat, expected.float(), rtol=0, atol=1e-5 * size)


@pytest.mark.parametrize("predicts", ["edm", "consistency"])
def test_picture_is_restored_with_a_denoiser(tmp_path, predicts):
    state, structure = small(out_channels=3, scale_shift=False, mult=(1, 2))
    preset = ADMNetwork(structure=structure, qkv_order="new", head_channels=16, predicts=predicts)
    prior = load(save(state, tmp_path / "net.pt"), network=preset)
    x0 = normal(1, 3, 18, 14, dtype=torch.float32).clamp(-1, 1)
    problem = hrdis.measure(
        hrdis.operators.SuperResolution(2), x0, noise=hrdis.noise.Gaussian(0.05), seeds=[0]
    )
    result = hrdis.solve(hrdis.HRDIS(steps=3), prior, problem, seeds=[0])
    assert result.x.shape == x0.shape and bool(result.finite.all())


@pytest.mark.parametrize("label", [0, 6])
def test_class_conditional_network_is_told_its_label(tmp_path, label):
    state, structure = small(classes=7, channels=64)
    prior = hrdis.load_prior(f"adm-legacy:{save(state, tmp_path / 'net.pt')}", label=label)
    x = normal(1, 3, 16, 16, dtype=torch.float32)
    options = {"order": "legacy", "head": 64, "scale_shift": structure.scale_shift}
    expected = adm(state, x, torch.tensor([321]), label=torch.tensor([label]), **options)[:, :3]
    torch.testing.assert_close(
        prior(x, 321).eps, expected, rtol=0, atol=1e-5 * float(expected.abs().max())
    )


def test_class_conditional_network_without_a_label_is_refused(tmp_path):
    state, _ = small(classes=7, channels=64)
    with pytest.raises(ValueError, match=r"load_prior\(name, label=0\)"):
        hrdis.load_prior(f"adm-legacy:{save(state, tmp_path / 'net.pt')}")


def test_learned_variance_reaches_the_solver(tmp_path):
    state, structure = small()
    preset = ADMNetwork(structure=structure, qkv_order="legacy", head_channels=16)
    found = load(save(state, tmp_path / "net.pt"), network=preset)(
        normal(1, 3, 16, 16, dtype=torch.float32), 5
    )
    assert found.eps.shape == found.v.shape == (1, 3, 16, 16)


def test_precision_is_the_one_asked_for(tmp_path):
    state, structure = small()
    preset = ADMNetwork(structure=structure, qkv_order="legacy", head_channels=16)
    prior = load(save(state, tmp_path / "net.pt"), torch.bfloat16, network=preset)
    assert {p.dtype for p in prior.parameters()} == {torch.bfloat16}


def test_wrong_preset_by_name_is_refused_with_the_differences(tmp_path):
    state, _ = small()
    with pytest.raises(
        ValueError, match=r"net.pt is not the network of 'adm-ffhq256': .* keys missing"
    ):
        hrdis.load_prior(f"adm-ffhq256:{save(state, tmp_path / 'net.pt')}")


def test_missing_file_says_where_to_get_it(tmp_path):
    with pytest.raises(
        ValueError,
        match=(
            r"x.pt does not exist\..*2\.21 GB.*MIT.*curl -L -o .*x.pt "
            r"'https://.*256x256_diffusion_uncond\.pt"
        ),
    ):
        hrdis.load_prior(f"adm-imagenet256:{tmp_path / 'x.pt'}")


def test_scheme_with_a_typo_is_answered_with_the_one_that_was_meant():
    with pytest.raises(
        ValueError, match=r"There is no prior .* Did you mean 'adm-imagenet256:x.pt'\?"
    ):
        hrdis.load_prior("adm-imagnet256:x.pt")
