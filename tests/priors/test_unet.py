"""A diffusers network as a prior: padding, the two parametrisations, precision, and files."""

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import hrdis
from hrdis import presets
from hrdis.checkpoints import load_prior, model_card
from hrdis.priors import UNetPrior
from hrdis.priors.diffusers import schedule_of
from tests.common.toys import normal

Q = hrdis.Schedule.linear()

# ---- networks -----------------------------------------------------------------------------------


class Stub(nn.Module):
    """Answers what it is told and keeps what it was shown."""

    def __init__(self, answer, dtype: torch.dtype = torch.float64):
        super().__init__()
        self.answer = answer
        self.weight = nn.Parameter(torch.ones(1, dtype=dtype))

    def forward(self, x, t):
        self.seen, self.times = x, t
        return self.answer(x)


class Scribbles(Stub):
    """Writes into what it is shown."""

    def forward(self, x, t):
        out = super().forward(x, t).clone()
        x.zero_()
        return out


CONFIG = {
    "sample_size": 16,
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D"),
    "norm_num_groups": 4,
    "add_attention": False,
}


def unet(**changes) -> nn.Module:
    """A tiny diffusers network whose weights are a function of their names."""
    from diffusers import UNet2DModel

    with torch.random.fork_rng(devices=[]):
        net = UNet2DModel(**{**CONFIG, **changes})
    for name, parameter in net.named_parameters():
        bound = 0.5 * parameter[0].numel() ** -0.5
        parameter.data = bound * normal(*parameter.shape, seed=len(name), dtype=torch.float32)
    return net


# ---- what the network sees and what comes back --------------------------------------------------


@given(st.integers(2, 40), st.integers(2, 40), st.sampled_from([1, 2, 4, 8, 16]))
def test_image_is_padded_by_reflection_below_and_right(h, w, multiple):
    net = Stub(lambda x: x)
    x = normal(1, 3, h, w)
    UNetPrior(net, multiple=multiple)(x, 5)
    margins = ((0, 0), (0, 0), (0, -h % multiple), (0, -w % multiple))
    assert np.array_equal(net.seen.numpy(), np.pad(x.numpy(), margins, mode="reflect"))


@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3]))
def test_any_size_comes_back_at_its_size(h, w, c):
    x = normal(2, c, h, w)
    x0_hat, eps = UNetPrior(Stub(lambda x: 0.5 * x))(x, 500)
    assert x0_hat.shape == eps.shape == x.shape
    torch.testing.assert_close(eps, 0.5 * x, rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", [(13, 21), (16, 16), (1, 7), (3, 40)], ids=str)
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("t", [0, 500, 999])
def test_both_forms_are_one_estimate_at_any_size(size, prediction_type, t):
    x = normal(2, 3, *size, dtype=torch.float32)
    x0_hat, eps = UNetPrior(unet(), prediction_type=prediction_type, multiple=2)(x, t)
    torch.testing.assert_close(Q.signal(t) * x0_hat + Q.noise(t) * eps, x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("t", [0, 500, 999])
def test_image_network_that_is_right_gives_image_and_noise(t):
    x0, z = normal(2, 3, 8, 8), normal(2, 3, 8, 8, seed=1)
    x0_hat, eps = UNetPrior(Stub(lambda x: x0), prediction_type="sample")(Q.diffuse(x0, t, z), t)
    assert torch.equal(x0_hat, x0)
    torch.testing.assert_close(eps, z, rtol=0, atol=1e-11)


@pytest.mark.parametrize("t", [0, 500, 999])
def test_epsilon_network_gives_eps_itself(t):
    x0, z = normal(2, 3, 8, 8), normal(2, 3, 8, 8, seed=1)
    x0_hat, eps = UNetPrior(Stub(lambda x: z))(Q.diffuse(x0, t, z), t)
    assert torch.equal(eps, z)
    torch.testing.assert_close(x0_hat, x0, rtol=0, atol=1e-12)


@pytest.mark.parametrize("t", [0, 500, 999])
def test_v_network_that_is_right_gives_image_and_noise(t):
    x0, z = normal(2, 3, 8, 8), normal(2, 3, 8, 8, seed=1)
    v = Q.signal(t) * z - Q.noise(t) * x0
    x0_hat, eps = UNetPrior(Stub(lambda x: v), prediction_type="v_prediction")(
        Q.diffuse(x0, t, z), t
    )
    torch.testing.assert_close(x0_hat, x0, rtol=0, atol=1e-14)
    torch.testing.assert_close(eps, z, rtol=0, atol=1e-14)


def test_unknown_prediction_type_is_refused():
    with pytest.raises(
        ValueError,
        match=r"^prediction_type is 'flow'\. 'epsilon', 'v_prediction' or 'sample' is exp",
    ):
        UNetPrior(Stub(lambda x: x), prediction_type="flow")


def test_network_is_told_the_time_of_every_image():
    net = Stub(lambda x: x)
    UNetPrior(net)(normal(3, 3, 8, 8), 437)
    assert net.times.tolist() == [437, 437, 437]
    assert not net.times.is_floating_point()


def test_grey_image_is_shown_in_three_channels():
    net = Stub(lambda x: x)
    x = normal(2, 1, 8, 8)
    UNetPrior(net)(x, 5)
    assert torch.equal(net.seen, x.expand(2, 3, 8, 8))


def test_answer_for_a_grey_image_is_the_mean_of_the_channels():
    channels = torch.tensor([1.0, 2.0, 6.0]).double().reshape(1, 3, 1, 1)
    _, eps = UNetPrior(Stub(lambda x: torch.zeros_like(x) + channels))(normal(2, 1, 8, 8), 5)
    torch.testing.assert_close(eps, torch.full((2, 1, 8, 8), 3.0).double(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("channels", [1, 3])
def test_learned_variance_comes_beside_the_pair(channels):
    net = Stub(lambda x: torch.cat([x, 0.5 * torch.ones_like(x)], dim=1))
    x = normal(2, channels, 8, 8)
    found = UNetPrior(net)(x, 5)
    x0_hat, eps = found
    torch.testing.assert_close(eps, x, rtol=0, atol=1e-14)
    assert torch.equal(found.v, torch.full_like(x, 0.5)) and x0_hat.shape == x.shape


def test_network_without_learned_variance_gives_none():
    assert UNetPrior(Stub(lambda x: x))(normal(2, 3, 8, 8), 5).v is None


def test_learned_variance_of_a_real_network_has_the_shape_of_the_image():
    found = UNetPrior(unet(out_channels=6), multiple=2)(normal(1, 3, 8, 8, dtype=torch.float32), 5)
    assert found.eps.shape == found.v.shape == (1, 3, 8, 8)


def test_bf16_network_hands_back_float32():
    x = normal(1, 3, 16, 16, dtype=torch.float32)
    wide, narrow = UNetPrior(unet()), UNetPrior(unet().to(torch.bfloat16))
    x0_hat, eps = narrow(x, 500)
    assert (x0_hat.dtype, eps.dtype, narrow.dtype) == (torch.float32, torch.float32, torch.bfloat16)
    difference = float((eps - wide(x, 500).eps).norm() / wide(x, 500).eps.norm())
    assert 1e-4 < difference < 0.03  # bf16 keeps 8 bits; below 1e-4 it would not have run in bf16


def test_network_keeps_its_own_precision_when_the_state_is_float64():
    net = Stub(lambda x: x, torch.float32)
    assert UNetPrior(net)(normal(1, 3, 8, 8), 5).eps.dtype == torch.float64
    assert net.seen.dtype == torch.float32


def test_weights_are_frozen_and_in_eval_mode():
    prior = UNetPrior(unet().train())
    assert not prior.net.training
    assert not any(p.requires_grad for p in prior.parameters())


def test_gradient_flows_to_the_image_when_asked_for():
    prior = UNetPrior(unet().double(), multiple=2)
    x, v = normal(1, 3, 6, 6).requires_grad_(), normal(1, 3, 6, 6, seed=1)
    (gradient,) = torch.autograd.grad((prior(x, 300).x0_hat * v).sum(), x)
    with torch.no_grad():
        step = 1e-5
        change = (prior(x + step * v, 300).x0_hat - prior(x - step * v, 300).x0_hat) / (2 * step)
        expected = float((change * v).sum())
    assert float((gradient * v).sum()) == pytest.approx(expected, rel=1e-6)


def test_image_is_treated_alike_in_any_batch():
    prior, x = UNetPrior(unet().double(), multiple=2), normal(3, 3, 10, 14)
    together = prior(x, 300)
    for i in range(3):
        # 1e-10: convolutions of another batch may sum in another order
        torch.testing.assert_close(
            together.eps[i : i + 1], prior(x[i : i + 1], 300).eps, rtol=0, atol=1e-10
        )


@pytest.mark.parametrize(("in_channels", "channels"), [(3, (1, 3)), (1, (1,)), (2, (2,))])
def test_prior_names_the_channels_of_its_network(in_channels, channels):
    assert UNetPrior(unet(in_channels=in_channels, out_channels=in_channels)).channels == channels


def test_one_channel_network_sees_grey_images_as_they_are():
    prior = UNetPrior(unet(in_channels=1, out_channels=1), multiple=2)
    assert prior(normal(2, 1, 6, 6, dtype=torch.float32), 5).eps.shape == (2, 1, 6, 6)


# ---- files --------------------------------------------------------------------------------------

SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
}
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A prior as diffusers writes it."""
    unet().save_pretrained(tmp_path)
    (tmp_path / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    return tmp_path


def test_loaded_prior_equals_the_saved_one_bit_for_bit(folder):
    x = normal(2, 3, 20, 12, dtype=torch.float32)
    saved, loaded = UNetPrior(unet(), multiple=2), load_prior(folder)
    assert torch.equal(loaded(x, 321).eps, saved(x, 321).eps)


def test_loaded_weights_are_aligned_copies(folder):
    """Tensors mapped from the file are not aligned, and change the last bits of a convolution."""
    assert {p.data_ptr() % 64 for p in load_prior(folder).parameters()} == {0}


def test_loading_leaves_the_global_generator_alone(folder):
    before = torch.random.get_rng_state()
    load_prior(folder)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_folder_says_what_the_network_predicts(folder):
    (folder / "scheduler_config.json").write_text(
        json.dumps(SCHEDULER | {"prediction_type": "v_prediction"})
    )
    assert load_prior(folder).prediction_type == "v_prediction"


def test_folder_says_to_which_multiple_sides_are_padded(folder):
    assert load_prior(folder).multiple == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_network_runs_in_the_precision_asked_for(folder, dtype):
    assert load_prior(folder, dtype=dtype).dtype == dtype


@pytest.mark.parametrize("prefix", ["", "diffusers:"])
def test_folder_is_a_prior_by_name(folder, prefix):
    prior = load_prior(f"{prefix}{folder}")
    assert prior.name == folder.name
    assert prior.schedule == Q


@pytest.mark.parametrize("prefix", ["", "diffusers:"])
def test_folder_with_presets_of_its_own_hands_them_to_its_prior(folder, prefix):
    assert load_prior(f"{prefix}{folder}").presets is None
    row = presets.Row("hrdis", "sr4", {"steps": 7})
    presets.write(folder / "presets.toml", presets.Presets("mine", (row,)))
    prior = load_prior(f"{prefix}{folder}")
    assert prior.presets == presets.Presets("mine", (row,))
    assert presets.choose(hrdis.HRDIS, ["sr4"], tuned=prior.presets).row == "sr4@mine"


def test_malformed_presets_are_refused_when_the_prior_is_loaded(folder):
    (folder / "presets.toml").write_text("format = 1")
    with pytest.raises(ValueError, match=r"presets\.toml, top level: prior is None"):
        load_prior(folder)


def test_model_card_is_the_file_beside_the_weights(folder):
    (folder / "MODEL_CARD.md").write_text("# A prior\n", encoding="utf-8")
    assert model_card(folder) == "# A prior\n"


def test_prior_without_a_model_card_says_so(folder):
    with pytest.raises(
        ValueError, match=r"^There is no model card in .*\. MODEL_CARD.md is expected"
    ):
        model_card(folder)


def test_unknown_prior_is_refused():
    with pytest.raises(
        ValueError, match=r"^There is no prior 'nowhere/at/all'\. 'default' or a folder with config"
    ):
        load_prior("nowhere/at/all")


@pytest.mark.parametrize("file", ["config.json", "scheduler_config.json", WEIGHTS])
def test_folder_without_a_file_is_refused(folder, file):
    (folder / file).unlink()
    with pytest.raises(ValueError, match=rf"{file} does not exist\. "):
        load_prior(folder)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_truncated_weights_are_refused(folder, share):
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: int(share * len(data))])
    with pytest.raises(
        ValueError,
        match=rf"{WEIGHTS} cannot be read \(.*\)\. It is damaged, truncated, or no file of w",
    ):
        load_prior(folder)


@pytest.mark.parametrize("file", ["config.json", "scheduler_config.json"])
@pytest.mark.parametrize("text", ['{"sample_size": 1', "", "[1, 2]", "\x00\xff"])
def test_damaged_configuration_is_refused(folder, file, text):
    (folder / file).write_text(text, encoding="latin-1")
    with pytest.raises(
        ValueError, match=rf"{file} (cannot be read \(.*\)|holds a list)\. (A )?JSON"
    ):
        load_prior(folder)


def change(folder: Path, file: str, **changes) -> None:
    config = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(config | changes))


def test_configuration_of_other_shapes_is_refused_with_the_differences(folder):
    change(folder, "config.json", block_out_channels=[8, 32])
    with pytest.raises(
        ValueError, match=rf"{WEIGHTS} does not fit its config.json: .*, \d+ of another shape \['"
    ):
        load_prior(folder)


def test_configuration_of_more_layers_is_refused_with_the_missing_keys(folder):
    change(folder, "config.json", layers_per_block=2)
    with pytest.raises(
        ValueError, match=r"does not fit its config.json: [1-9]\d* keys missing \['down_blocks"
    ):
        load_prior(folder)


def test_configuration_of_fewer_layers_is_refused_with_the_unexpected_keys(folder):
    unet(layers_per_block=2).save_pretrained(folder)
    change(folder, "config.json", layers_per_block=1)
    with pytest.raises(
        ValueError, match=r"0 keys missing \[\], [1-9]\d* unexpected \['down_blocks"
    ):
        load_prior(folder)


def test_configuration_of_an_averaged_network_is_read(folder):
    """diffusers' training scripts write the settings of the average beside those of the network."""
    before = load_prior(folder)(normal(1, 3, 8, 8, dtype=torch.float32), 300).x0_hat
    change(folder, "config.json", decay=0.9999, inv_gamma=1.0, power=0.75, optimization_step=100,
        min_decay=0.0,
           update_after_step=0, use_ema_warmup=True)  # fmt: skip
    assert torch.equal(
        load_prior(folder)(normal(1, 3, 8, 8, dtype=torch.float32), 300).x0_hat, before
    )


@pytest.mark.parametrize("kind", ["timestep", "identity"])
def test_network_that_wants_a_number_beside_every_picture_is_refused(folder, kind):
    change(folder, "config.json", class_embed_type=kind)
    with pytest.raises(
        ValueError, match=rf"has class_embed_type '{kind}': the network wants a number or a vector"
    ):
        load_prior(folder)


def test_configuration_of_another_class_is_refused(folder):
    change(folder, "config.json", _class_name="UNet2DConditionModel")
    with pytest.raises(
        ValueError, match=r"^The folder holds a UNet2DConditionModel\. A UNet2DModel is expected\."
    ):
        load_prior(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"block_out_channels": [8, 16, 32]},
        {"block_out_channels": "many"},
        {"norm_num_groups": 3},
        {"down_block_types": ["X", "Y"]},
        {"no_such_option": 1},
    ],
)
def test_configuration_that_makes_no_network_is_refused(folder, changes):
    change(folder, "config.json", **changes)
    with pytest.raises(
        ValueError, match=r"config.json describes no network that diffusers can make"
    ):
        load_prior(folder)


@pytest.mark.parametrize("key", ["prediction_type", "beta_schedule"])
def test_scheduler_that_is_not_understood_is_refused(folder, key):
    change(folder, "scheduler_config.json", **{key: "other"})
    with pytest.raises(ValueError, match=rf"{key} (is )?'other'\. "):
        load_prior(folder)


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path):
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, "w")


def test_payload_would_act_if_it_were_unpickled(tmp_path):
    """Otherwise the next test could not fail."""
    pickle.loads(pickle.dumps(Payload(tmp_path / "ran"))).close()
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("file", [WEIGHTS, "diffusion_pytorch_model.bin"])
def test_pickle_is_refused_and_never_executed(folder, tmp_path, file, zipped):
    (folder / WEIGHTS).unlink()
    marker = tmp_path / "ran"
    if zipped:
        torch.save(Payload(marker), folder / file)
    else:
        (folder / file).write_bytes(pickle.dumps(Payload(marker)))
    with pytest.raises(ValueError, match=rf"{file} (cannot be read|needs code to be read)"):
        load_prior(folder)
    assert not marker.exists()


def test_safetensors_header_that_lies_about_sizes_is_refused(folder):
    header = json.dumps(
        {"conv_in.weight": {"dtype": "F32", "shape": [8, 3, 3, 3], "data_offsets": [0, 10**9]}}
    ).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))
    with pytest.raises(ValueError, match=rf"{WEIGHTS} cannot be read"):
        load_prior(folder)


# ---- schedules ----------------------------------------------------------------------------------


def test_linear_schedule_is_read():
    assert schedule_of(SCHEDULER) == Q
    assert schedule_of({}) == Q


def test_scaled_linear_schedule_is_the_square_of_a_line():
    schedule = schedule_of(
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    )
    beta = 1 - schedule.alpha_bar[1:] / schedule.alpha_bar[:-1]
    assert float(beta[-1]) == pytest.approx(0.012, rel=1e-9)
    gaps = beta.sqrt().diff()
    torch.testing.assert_close(gaps, gaps.mean().expand_as(gaps), rtol=1e-8, atol=0)


def test_trained_betas_are_taken_as_they_are():
    assert schedule_of({"trained_betas": [0.1, 0.2]}).alpha_bar.tolist() == pytest.approx(
        [0.9, 0.72]
    )


@pytest.mark.parametrize("kind", ["diffusers", "ours"])
def test_schedule_equals_the_one_of_diffusers(kind):
    """The table a network was trained with: diffusers keeps it in float32."""
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(**SCHEDULER).alphas_cumprod.double()
    ours = schedule_of(
        SCHEDULER if kind == "ours" else dict(DDPMScheduler(**SCHEDULER).config)
    ).alpha_bar
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=0)


# ---- where images lie in memory -----------------------------------------------------------------


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("side", [16, 13])
def test_network_may_write_into_what_it_gets(layout, side):
    """The driver hands it no copy: `UNetPrior.overwrites`."""
    x = normal(2, 3, side, side).contiguous(memory_format=layout)
    before, prior = x.clone(), UNetPrior(Scribbles(lambda x: x / 2))
    found = prior(x, 100)
    assert torch.equal(x, before) and not prior.overwrites
    assert torch.equal(found.eps, before / 2)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_estimates_are_contiguous_whatever_the_network_gives(kind):
    net = Stub(lambda x: (x / 2).contiguous(memory_format=torch.channels_last))
    found = UNetPrior(net, prediction_type=kind)(normal(2, 3, 16, 16), 100)
    assert found.x0_hat.is_contiguous() and found.eps.is_contiguous()
