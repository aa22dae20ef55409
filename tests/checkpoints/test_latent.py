"""Latent diffusion models on disk: saved by diffusers, loaded by name, and what is refused."""

import json
import pickle

import pytest
import torch
from torch import nn

import hrdis
from hrdis.checkpoints import load_prior, weights_sha256
from hrdis.operators import Inpainting, SuperResolution
from tests.common.toys import normal, pixels
from tests.priors.test_latent import VAE
from tests.priors.test_unet import CONFIG, unet

SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
}
TEXT = {
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "norm_num_groups": 4,
    "attention_head_dim": 4,
    "cross_attention_dim": 6,
    "in_channels": 4,
    "out_channels": 4,
}


def _made(kind: str, **config) -> nn.Module:
    """A tiny network of diffusers whose weights are a function of their names."""
    import diffusers

    with torch.random.fork_rng(devices=[]):
        net = getattr(diffusers, kind)(**config)
    for name, parameter in net.named_parameters():
        parameter.data = parameter[0].numel() ** -0.5 * normal(
            *parameter.shape, seed=len(name), dtype=torch.float32
        )
    return net


def folder_of(
    where,
    kind="AutoencoderKL",
    text=False,
    scheduler=None,
    embedding=True,
    channels=4,
    **unet_changes,
):
    """A pipeline's folder as diffusers writes it."""
    from safetensors.torch import save_file

    autoencoder = _made(kind, **VAE, latent_channels=channels)
    if text:
        net = _made("UNet2DConditionModel", **{**TEXT, **unet_changes})
        if embedding:
            save_file(
                {"prompt_embeds": normal(1, 5, 6, dtype=torch.float32)},
                where / "prompt_embeds.safetensors",
            )
    else:
        net = unet(**{"in_channels": channels, "out_channels": channels, **unet_changes})
    autoencoder.save_pretrained(where / ("vqvae" if kind == "VQModel" else "vae"))
    net.save_pretrained(where / "unet")
    (where / "scheduler").mkdir()
    (where / "scheduler" / "scheduler_config.json").write_text(
        json.dumps({**SCHEDULER, **(scheduler or {})})
    )
    return net, autoencoder


def edit(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


KINDS = {
    "AutoencoderKL": {},
    "VQModel": {"kind": "VQModel", "channels": 3},
    "text": {"text": True},
    "v prediction": {"scheduler": {"prediction_type": "v_prediction"}},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["hrdis", "reddiff", "dps"])
def test_picture_is_restored_with_a_model_loaded_by_name(tmp_path, kind, name):
    folder_of(tmp_path, **KINDS[kind])
    prior = load_prior(f"latent:{tmp_path}")
    solver = hrdis.SOLVERS[name][0](steps=3)
    problem = hrdis.measure(
        Inpainting(pixels(18, 22)), 0.3 * normal(2, 3, 18, 22, dtype=torch.float32)
    )
    a, b = (hrdis.solve(solver, prior, problem, seeds=seeds) for seeds in ([0, 1], [0, 2]))
    assert a.x.shape == (2, 3, 18, 22)
    assert bool(a.finite.all())
    assert torch.equal(a.x[0], b.x[0])
    assert not torch.equal(a.x[1], b.x[1])


def test_loaded_model_is_the_saved_one(tmp_path):
    """One step of the network, and the decoder, against diffusers called by hand."""
    net, autoencoder = folder_of(tmp_path)
    prior, z = load_prior(f"latent:{tmp_path}"), normal(1, 4, 4, 4, dtype=torch.float32)
    with torch.no_grad():
        own = net(z, torch.tensor([500])).sample
        torch.testing.assert_close(
            prior.prior(z, 500).eps, own, rtol=0, atol=1e-6
        )  # channels lie last in memory
        shown = autoencoder.decode(z / autoencoder.config.scaling_factor).sample
        x = prior.picture(z / prior.bound, (1, 3, 16, 16))
    torch.testing.assert_close(x, shown, rtol=0, atol=1e-4 * float(shown.abs().max()))


def test_text_network_is_told_its_embedding(tmp_path):
    net, _ = folder_of(tmp_path, text=True)
    prior, z = load_prior(f"latent:{tmp_path}"), normal(2, 4, 4, 4, dtype=torch.float32)
    embedding = normal(1, 5, 6, dtype=torch.float32).expand(2, -1, -1)
    with torch.no_grad():
        own = net(z, torch.tensor([500, 500]), encoder_hidden_states=embedding).sample
        other = net(z, torch.tensor([500, 500]), encoder_hidden_states=0 * embedding).sample
        found = prior.prior(z, 500).eps
    torch.testing.assert_close(found, own, rtol=0, atol=1e-5)  # rounding of float32
    assert float((other - own).abs().max()) > 1e-3


def test_schedule_is_the_schedulers(tmp_path):
    folder_of(tmp_path)
    beta = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    assert torch.equal(
        load_prior(f"latent:{tmp_path}").prior.schedule.alpha_bar, (1 - beta).cumprod(0)
    )


def test_early_names_of_attention_are_read(tmp_path):
    """Stable Diffusion 1's autoencoder was saved with query, key, value and proj_attn."""
    from safetensors.torch import load_file, save_file

    folder_of(tmp_path)
    file = tmp_path / "vae" / "diffusion_pytorch_model.safetensors"
    x = normal(1, 3, 16, 16, dtype=torch.float32)
    before = load_prior(f"latent:{tmp_path}").latents(x)
    early = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state, renamed = load_file(file), {}
    for key, value in state.items():
        for new, old in early.items():
            key = key.replace(f".{new}.", f".{old}.")
        renamed[key] = value.clone()
    assert set(renamed) != set(state)
    save_file(renamed, file)
    assert torch.equal(load_prior(f"latent:{tmp_path}").latents(x), before)


@pytest.mark.parametrize(("upcast", "expected"), [(True, torch.float32), (False, torch.float16)])
def test_autoencoder_that_overflows_keeps_float32(tmp_path, upcast, expected):
    folder_of(tmp_path)
    edit(tmp_path / "vae" / "config.json", force_upcast=upcast)
    prior = load_prior(f"latent:{tmp_path}", dtype=torch.float16)
    assert {p.dtype for p in prior.vae.parameters()} == {expected}
    assert {p.dtype for p in prior.prior.parameters()} == {torch.float16}


def test_hash_of_a_model_covers_both_networks(tmp_path):
    folder_of(tmp_path)
    hashes = {weights_sha256(f"latent:{tmp_path}")}
    for part in ("unet", "vae"):
        file = tmp_path / part / "diffusion_pytorch_model.safetensors"
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
        hashes.add(weights_sha256(f"latent:{tmp_path}"))
    assert len(hashes) == 3


def test_command_restores_with_a_latent_model(tmp_path):
    from hrdis import images
    from hrdis.cli import main

    (tmp_path / "model").mkdir()
    folder_of(tmp_path / "model")
    images.write(
        tmp_path / "small.png", images.Picture(0.3 * normal(1, 3, 9, 11, dtype=torch.float32))
    )
    argv = [
        "restore",
        str(tmp_path / "small.png"),
        "--task",
        "sr2",
        "--prior",
        f"latent:{tmp_path / 'model'}",
    ]
    assert main([*argv, "--solver", "hrdis", "--steps", "3", "-o", str(tmp_path / "out.png")]) in (
        0,
        None,
    )
    assert images.read(tmp_path / "out.png").x.shape == (1, 3, 18, 22)
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["prior_sha256"] == weights_sha256(f"latent:{tmp_path / 'model'}")


# ---- refusals -----------------------------------------------------------------------------------


def _no_embedding(where):
    (where / "prompt_embeds.safetensors").unlink()


def _other_embedding(where):
    from safetensors.torch import save_file

    save_file({"prompt_embeds": torch.zeros(1, 5, 7)}, where / "prompt_embeds.safetensors")


def _broken_embedding(where):
    (where / "prompt_embeds.safetensors").write_bytes(b"nothing")


def _hostile(where):
    class Hostile:
        def __reduce__(self):
            return (pytest.fail, ("code was run on load",))

    file = where / "vae" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(pickle.dumps(Hostile()))


def _truncated(where):
    file = where / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _only_pickles(where):
    file = where / "vae" / "diffusion_pytorch_model.safetensors"
    file.rename(file.with_suffix(".bin"))


def _other_autoencoder(where):
    edit(where / "vae" / "config.json", block_out_channels=[4, 8, 16])


REFUSED = [
    (
        lambda w: (w / "transformer").mkdir(),
        r"holds a transformer\. A network of diffusion in unet/ is expected",
    ),
    (
        lambda w: edit(
            w / "scheduler" / "scheduler_config.json", _class_name="FlowMatchEulerDiscreteScheduler"
        ),
        r"has a FlowMatchEulerDiscreteScheduler\. A schedule of betas",
    ),
    (
        lambda w: edit(w / "scheduler" / "scheduler_config.json", rescale_betas_zero_snr=True),
        r"has rescale_betas_zero_snr, noise without any signal at the top\.",
    ),
    (
        lambda w: edit(w / "unet" / "config.json", num_class_embeds=10),
        r"has num_class_embeds = 10\. One without",
    ),
    (
        lambda w: edit(w / "unet" / "config.json", addition_embed_type="text_time"),
        r"addition_embed_type = 'text_time'",
    ),
    (
        lambda w: edit(w / "unet" / "config.json", in_channels=9),
        r"takes 9 channels, but its autoencoder makes 4\.",
    ),
    (
        lambda w: edit(w / "vae" / "config.json", _class_name="AutoencoderDC"),
        r"^The folder holds a AutoencoderDC\.",
    ),
    (
        _no_embedding,
        r"is told a text, and there is no prompt_embeds\.safetensors\. .* e = "
        r"pipe\.encode_prompt\(''",
    ),
    (
        _other_embedding,
        r"holds tensors of shapes \[\(1, 5, 7\)\]\. One of shape \(1, tokens, 6\) is expected",
    ),
    (_broken_embedding, r"prompt_embeds\.safetensors cannot be read"),
    (_hostile, r"vae/diffusion_pytorch_model\.safetensors cannot be read"),
    (_truncated, r"unet/diffusion_pytorch_model\.safetensors cannot be read"),
    (_only_pickles, r"vae/diffusion_pytorch_model\.safetensors does not exist\."),
    (
        _other_autoencoder,
        r"vae/\S+ does not fit its config\.json: 4 keys missing .*, 84 of another shape",
    ),
    (lambda w: (w / "unet" / "config.json").unlink(), r"unet/config\.json does not exist\."),
]


@pytest.mark.parametrize(("spoil", "message"), REFUSED, ids=[m[:40] for _, m in REFUSED])
def test_folder_that_cannot_be_used_is_refused_with_the_reason(tmp_path, spoil, message):
    folder_of(tmp_path, text=True)
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message):
        load_prior(f"latent:{tmp_path}")


def test_network_for_latents_alone_is_refused_as_a_pipeline(tmp_path):
    unet(**CONFIG).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"scheduler/scheduler_config\.json does not exist\."):
        load_prior(f"latent:{tmp_path}")


def test_loading_draws_no_random_number(tmp_path):
    folder_of(tmp_path, text=True)
    before = torch.random.get_rng_state()
    load_prior(f"latent:{tmp_path}")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_super_resolution_through_a_decoder_of_half_precision(tmp_path):
    folder_of(tmp_path)
    prior = load_prior(f"latent:{tmp_path}", dtype=torch.bfloat16)
    problem = hrdis.measure(SuperResolution(2), 0.3 * normal(1, 3, 16, 16, dtype=torch.float32))
    result = hrdis.solve(hrdis.HRDIS(steps=3), prior, problem, seeds=[0])
    assert result.x.dtype == torch.float32 and bool(result.finite.all())
