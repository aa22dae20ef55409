"""diffusers' models as priors: folders, pipelines, schedulers of three kinds, labels, the hub, and
live objects.
"""

import http.server
import json
import math
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

import hrdis
from hrdis.checkpoints import (
    FetchError,
    fetch_model,
    load_prior,
    presets_of,
    weights_sha256,
)
from hrdis.priors import DenoiserPrior, UNetPrior, from_diffusers
from tests.common.toys import normal
from tests.priors.test_unet import CONFIG, SCHEDULER, Payload, unet

Q = hrdis.Schedule.linear()
WEIGHTS = "diffusion_pytorch_model.safetensors"
ATTENTION = {
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "add_attention": True,
    "attention_head_dim": 8,
}
EDM = {"_class_name": "EDMEulerScheduler", "sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": 0.5}
CM = {
    "_class_name": "CMStochasticIterativeScheduler",
    "sigma_min": 0.002,
    "sigma_max": 80.0,
    "sigma_data": 0.5,
}
X = normal(2, 3, 12, 12, dtype=torch.float32)


def save(folder: Path, scheduler: dict, pipeline: bool = False, **changes) -> Path:
    """A model as diffusers writes it, flat or as a pipeline."""
    net = folder / "unet" if pipeline else folder
    unet(**changes).save_pretrained(net)
    where = folder / "scheduler" if pipeline else folder
    where.mkdir(exist_ok=True)
    (where / "scheduler_config.json").write_text(json.dumps(scheduler))
    if pipeline:
        (folder / "model_index.json").write_text(json.dumps({"_class_name": "DDPMPipeline"}))
    return folder


def restored(prior: hrdis.Prior) -> torch.Tensor:
    x = 0.4 * normal(1, 3, 8, 8, seed=4, dtype=torch.float32).clamp(-2, 2)
    problem = hrdis.measure(hrdis.operators.SuperResolution(scale=2), x, seeds=[0])
    result = hrdis.solve(hrdis.HRDIS(steps=4), prior, problem, seeds=[0])
    assert bool(result.finite.all()) and result.x.shape == x.shape
    return result.x


# ---- each kind, saved, loaded by its public name, restoring a picture
# ------------------------------


@pytest.mark.parametrize("pipeline", [False, True])
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_noise_predictor_of_each_kind_restores_a_picture(tmp_path, kind, pipeline):
    save(tmp_path, SCHEDULER | {"prediction_type": kind, "clip_sample": True}, pipeline)
    saved = UNetPrior(unet(), Q, kind, multiple=2)
    assert torch.equal(restored(load_prior(f"diffusers:{tmp_path}")), restored(saved))


@pytest.mark.parametrize(
    ("scheduler", "scheme"),
    [(EDM, "diffusers"), (EDM, "edm"), (CM, "diffusers"), (CM, "consistency"), (SCHEDULER, "edm"),
     (SCHEDULER, "consistency"), (CM, "edm")],
    ids=lambda v: v if isinstance(v, str) else v.get("_class_name", "none"),
)  # fmt: skip
def test_denoising_network_restores_a_picture(tmp_path, scheduler, scheme):
    save(tmp_path, scheduler)
    prior = load_prior(f"{scheme}:{tmp_path}")
    assert isinstance(prior, DenoiserPrior) and prior.name == tmp_path.name
    restored(prior)


@pytest.mark.parametrize(
    ("scheduler", "scheme", "told"),
    [(EDM, "edm", 0.25), (CM, "edm", 250.0), (CM, "consistency", 250.0)],
)
@pytest.mark.parametrize("t", [3, 500])
def test_denoising_network_is_preconditioned_as_it_was_trained(
    tmp_path, scheduler, scheme, told, t
):
    """By the formulas with numbers, on the network that was saved."""
    save(tmp_path, scheduler)
    s, d = float(Q.sigma(t)), 0.5
    x = X / Q.signal(t)
    F = unet()((x / math.sqrt(s * s + d * d)).float(), torch.full((2,), told * math.log(s))).sample
    low = 0.002 if scheme == "consistency" else 0.0
    skip, out = d * d / ((s - low) ** 2 + d * d), (s - low) * d / math.sqrt(s * s + d * d)
    expected = (skip * x + out * F).float()
    if scheme == "consistency":
        expected = expected.clamp(-1, 1)
    found = load_prior(f"{scheme}:{tmp_path}")(X, t).x0_hat
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("t", [3, 500])
@pytest.mark.parametrize("name", ["EDMEulerScheduler", "CMStochasticIterativeScheduler"])
def test_denoiser_is_that_of_the_scheduler(name, t):
    """What diffusers' own classes make of the network's output: an independent account of the
    formulas.
    """
    import diffusers

    scheduler, s = getattr(diffusers, name)(), float(Q.sigma(t))
    x, net = X / float(Q.signal(t)), unet()
    with torch.no_grad():
        if name.startswith("EDM"):
            told = scheduler.precondition_noise(s).expand(2)
            F = net(scheduler.precondition_inputs(x, s), told).sample
            expected = scheduler.precondition_outputs(x, F, s)
        else:
            F = net(
                x / (s**2 + 0.5**2) ** 0.5, torch.full((2,), float(scheduler.sigma_to_t(s)))
            ).sample
            c_skip, c_out = scheduler.get_scalings_for_boundary_condition(torch.tensor(s))
            expected = (c_out * F + c_skip * x).clamp(-1, 1)  # as consistency_models does
    found = from_diffusers(net, scheduler)(X, t).x0_hat
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_edm_network_of_v_is_refused(tmp_path):
    save(tmp_path, EDM | {"prediction_type": "v_prediction"})
    with pytest.raises(
        ValueError, match=r"has prediction_type 'v_prediction'\. 'epsilon' is expected of an EDM"
    ):
        load_prior(f"diffusers:{tmp_path}")


# ---- schedulers
# ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        SCHEDULER,
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 200},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["DDPMScheduler", "DDIMScheduler", "DPMSolverMultistepScheduler"])
def test_schedule_is_that_of_diffusers(name, config):
    import diffusers

    scheduler = getattr(diffusers, name)(**config)
    ours = from_diffusers(unet(), scheduler).schedule.alpha_bar
    torch.testing.assert_close(ours, scheduler.alphas_cumprod.double(), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(
    "name", ["FlowMatchEulerDiscreteScheduler", "ScoreSdeVeScheduler", "SCMScheduler"]
)
def test_scheduler_without_betas_is_refused(name):
    with pytest.raises(ValueError, match=rf"^The scheduler is a {name}, which has no betas\. "):
        from_diffusers(unet(), {"_class_name": name, "num_train_timesteps": 1000})


def test_schedule_without_signal_at_its_top_is_refused():
    with pytest.raises(ValueError, match=r"^The scheduler has rescale_betas_zero_snr"):
        from_diffusers(unet(), SCHEDULER | {"rescale_betas_zero_snr": True})


@pytest.mark.parametrize(
    "changes", [{"clip_sample": True}, {"thresholding": True}, {"variance_type": "fixed_large"}]
)
def test_options_of_diffusers_sampling_change_nothing(changes):
    plain, other = (from_diffusers(unet(), SCHEDULER | c)(X, 300) for c in ({}, changes))
    assert torch.equal(plain.x0_hat, other.x0_hat)


# ---- weights
# ---------------------------------------------------------------------------------------

OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def old(name: str) -> str:
    for new, before in OLD.items():
        name = name.replace(f".{new}.", f".{before}.")
    return name


def test_names_of_early_files_are_read(tmp_path):
    """As google/ddpm-celebahq-256 has them."""
    from safetensors.torch import save_file

    save(tmp_path, SCHEDULER, **ATTENTION)
    expected = load_prior(tmp_path)(X, 300).eps
    state = {old(name): tensor for name, tensor in unet(**ATTENTION).state_dict().items()}
    assert sum("proj_attn" in name for name in state) > 0
    save_file(state, tmp_path / WEIGHTS)
    assert torch.equal(load_prior(tmp_path)(X, 300).eps, expected)


@pytest.mark.parametrize("suffix", ["fp16.safetensors", "bin", "fp16.bin"])
def test_weights_of_another_form_are_read(tmp_path, suffix):
    from safetensors.torch import save_file

    save(tmp_path, SCHEDULER)
    (tmp_path / WEIGHTS).unlink()
    half = "fp16" in suffix
    state = {
        name: tensor.half() if half else tensor for name, tensor in unet().state_dict().items()
    }
    file = tmp_path / f"diffusion_pytorch_model.{suffix}"
    torch.save(state, file) if suffix.endswith("bin") else save_file(state, file)
    found, exact = load_prior(tmp_path), UNetPrior(unet(), multiple=2)(X, 300).eps
    assert found.dtype == torch.float32
    assert float((found(X, 300).eps - exact).abs().max()) <= (0.01 if half else 0)
    assert len(weights_sha256(tmp_path)) == 64


def test_whole_weights_come_before_half_ones(tmp_path):
    save(tmp_path, SCHEDULER)
    (tmp_path / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"no weights")
    load_prior(tmp_path)


def test_hostile_bin_is_not_run(tmp_path):
    save(tmp_path, SCHEDULER)
    (tmp_path / WEIGHTS).unlink()
    marker = tmp_path / "ran"
    (tmp_path / "diffusion_pytorch_model.bin").write_bytes(
        pickle.dumps(Payload(marker), protocol=2)
    )
    with pytest.raises(
        ValueError, match=r"diffusion_pytorch_model\.bin (needs code|cannot be read)"
    ):
        load_prior(tmp_path)
    assert not marker.exists()


@pytest.mark.parametrize("kind", ["bin", "safetensors"])
@pytest.mark.parametrize("share", [0.1, 0.9])
def test_truncated_weights_of_a_pipeline_are_refused(tmp_path, share, kind):
    save(tmp_path, EDM, pipeline=True)
    (tmp_path / "unet" / WEIGHTS).unlink() if kind == "bin" else None
    file = tmp_path / "unet" / f"diffusion_pytorch_model.{kind}"
    if kind == "bin":
        torch.save(unet().state_dict(), file)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(ValueError, match=r"diffusion_pytorch_model\.\w+ cannot be read \("):
        load_prior(f"diffusers:{tmp_path}")


def test_one_missing_weight_is_refused(tmp_path):
    """Or it would stay random."""
    from safetensors.torch import save_file

    save(tmp_path, SCHEDULER)
    state = unet().state_dict()
    del state["conv_out.bias"]
    save_file(state, tmp_path / WEIGHTS)
    with pytest.raises(
        ValueError, match=r"does not fit its config.json: 1 keys missing \['conv_out.bias'\]"
    ):
        load_prior(tmp_path)


def test_weights_of_another_model_are_refused(tmp_path):
    from safetensors.torch import save_file

    save(tmp_path, SCHEDULER)
    save_file({"output_blocks.0.0.in_layers.0.weight": torch.ones(3)}, tmp_path / WEIGHTS)
    with pytest.raises(
        ValueError, match=r"It is a network in guided-diffusion's layout: hrdis.load_prior\('adm:"
    ):
        load_prior(tmp_path)


# ---- labels
# ----------------------------------------------------------------------------------------

CLASSES = {"num_class_embeds": 4}


@pytest.mark.parametrize(
    "scheduler", [SCHEDULER, EDM, CM], ids=lambda s: s.get("_class_name", "noise")
)
def test_label_reaches_the_network(tmp_path, scheduler):
    save(tmp_path, scheduler, **CLASSES)
    prior = load_prior(f"diffusers:{tmp_path}", label=3)
    assert (prior.classes, prior.label) == (4, 3)
    by_label = [prior.labelled(k)(X, 300).eps for k in range(4)]
    assert torch.equal(by_label[3], prior(X, 300).eps) and prior.label == 3
    for k in range(3):
        assert float((by_label[k] - by_label[3]).abs().max()) > 1e-4
    restored(prior)


def test_label_is_the_row_of_the_embedding():
    net = unet(**CLASSES)
    expected = net(X, torch.tensor([300, 300]), class_labels=torch.tensor([2, 2])).sample
    found = from_diffusers(net, SCHEDULER).labelled(2)(X, 300).eps
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_missing_label_is_refused(tmp_path):
    save(tmp_path, SCHEDULER, **CLASSES)
    with pytest.raises(
        ValueError,
        match=r"was trained on 4 classes and was told none\. .*load_prior\(name, label=0",
    ):
        load_prior(tmp_path)


@pytest.mark.parametrize("label", [-1, 4, 1.5, "3", True])
def test_label_that_is_no_class_is_refused(tmp_path, label):
    save(tmp_path, SCHEDULER, **CLASSES)
    with pytest.raises(
        ValueError,
        match=r"^label is .*\. A class of the prior .*, a whole number from 0 to 3, is exp",
    ):
        load_prior(tmp_path, label=label)


@pytest.mark.parametrize("scheduler", [SCHEDULER, EDM], ids=["noise", "edm"])
def test_label_for_an_unconditional_model_is_refused(tmp_path, scheduler):
    save(tmp_path, scheduler)
    with pytest.raises(
        ValueError, match=r"was trained without classes, but label is 1\. It is loaded without one"
    ):
        load_prior(tmp_path, label=1)


def test_solver_refuses_a_missing_label_before_the_first_call():
    prior = from_diffusers(unet(**CLASSES), SCHEDULER)
    with pytest.raises(ValueError, match=r"was told none"):
        hrdis.iterate(
            hrdis.HRDIS(steps=2),
            prior,
            hrdis.Problem(X, hrdis.operators.Identity(), 0.1),
            seeds=[0, 1],
        )


def test_priors_of_two_labels_share_their_weights():
    prior = from_diffusers(unet(**CLASSES), SCHEDULER)
    one, two = prior.labelled(1), prior.labelled(2)
    assert one.net is two.net and (one.label, two.label, prior.label) == (1, 2, None)


def test_command_takes_a_label(tmp_path):
    from hrdis import images
    from hrdis.cli import main

    (tmp_path / "model").mkdir()
    save(tmp_path / "model", SCHEDULER, **CLASSES)
    images.save(tmp_path / "in.png", X[:1].clamp(-1, 1))
    call = ["restore", str(tmp_path / "in.png"), "--task", "denoise", "--noise", "0.1", "--steps",
        "3", "--prior",
            str(tmp_path / "model"), "-o", str(tmp_path / "out.png")]  # fmt: skip
    with pytest.raises(SystemExit) as missing:
        sys.exit(main(call))
    assert missing.value.code == 2
    assert main([*call, "--label", "2"]) == 0
    assert json.loads((tmp_path / "out.json").read_text())["label"] == 2


# ---- live objects
# ----------------------------------------------------------------------------------


def pair():
    from diffusers import DDPMScheduler

    return unet(), DDPMScheduler(**SCHEDULER)


@pytest.mark.parametrize("form", ["function", "tuple", "pipeline"])
def test_live_network_is_a_prior(form):
    from diffusers import DDPMPipeline

    net, scheduler = pair()
    given = {"function": lambda: from_diffusers(net, scheduler), "tuple": lambda: (net, scheduler),
             "pipeline": lambda: DDPMPipeline(net, scheduler)}[form]()  # fmt: skip
    assert torch.equal(restored(given), restored(UNetPrior(unet(), Q, multiple=2)))


@pytest.mark.parametrize(
    "wrap", [nn.DataParallel, torch.compile, lambda net: torch.compile(nn.DataParallel(net))]
)
def test_live_network_may_be_wrapped(wrap):
    net, scheduler = pair()
    assert from_diffusers(wrap(net), scheduler).net is net


def test_network_alone_is_refused_with_the_call_that_takes_it():
    with pytest.raises(
        TypeError,
        match=r"^prior is a UNet2DModel\. A prior is expected: hrdis\.priors\.from_diffuse",
    ):
        hrdis.solve(
            hrdis.HRDIS(), unet(), hrdis.Problem(X, hrdis.operators.Identity(), 0.1), seeds=[0, 1]
        )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            (nn.ReLU(), SCHEDULER),
            r"^unet is a ReLU\. A diffusers UNet2DModel is expected: from_diffusers\(",
        ),
        ((None, SCHEDULER), r"^unet is a NoneType\."),
        (("net", None), r"^scheduler is a NoneType\. The diffusers scheduler that"),
    ],
)
def test_what_is_no_pair_is_refused(given, message):
    given = (unet(), None) if given[0] == "net" else given
    with pytest.raises(TypeError, match=message):
        from_diffusers(*given)


# ---- the hub
# ---------------------------------------------------------------------------------------


class Hub(http.server.BaseHTTPRequestHandler):
    """What huggingface_hub asks of the hub for one model: its list of files, and each file with its
    hash.
    """

    files: dict[str, bytes]
    asked: list[str]

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        path = self.path.split("?")[0]
        self.asked.append(f"{self.command} {path}")
        if path.startswith("/api/models/me/small/tree/"):
            sizes = ((name, len(data)) for name, data in self.files.items())
            listed = [
                {"type": "file", "path": name, "size": size, "oid": "b" * 40}
                for name, size in sizes
            ]
            content = json.dumps(listed).encode()
        elif path.startswith("/api/models/me/small"):
            siblings = [{"rfilename": name} for name in self.files]
            content = json.dumps({"id": "me/small", "sha": "a" * 40, "siblings": siblings}).encode()
        elif "/me/small/resolve/" in path and path.split("/", 5)[-1] in self.files:
            content = self.files[path.split("/", 5)[-1]]
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hash(content) & 0xFFFFFFFFFFFF:x}"')
        self.send_header("X-Repo-Commit", "a" * 40)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(tmp_path):
    """A hub on this computer with one model, me/small; gives its address and handler."""
    (tmp_path / "remote").mkdir()
    folder = save(tmp_path / "remote", EDM, pipeline=True)
    files = {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }
    handler = type(
        "Small", (Hub,), {"files": files | {"run_me.py": b"raise SystemExit"}, "asked": []}
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def at(tmp_path, monkeypatch):
    """Point huggingface_hub at an address, with an empty cache; what its environment variables do
    in a new process.
    """
    from huggingface_hub import constants

    def point(address: str, offline: bool = False) -> None:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.partition("/{repo_id}")
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + template[1] + template[2]
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("HRDIS_HOME", str(tmp_path / "home"))
        monkeypatch.delenv("HRDIS_OFFLINE", raising=False)

    return point


def test_model_of_the_hub_is_fetched_by_get_alone_and_then_needs_no_network(hub, at):
    address, handler = hub
    at(address)
    with pytest.raises(
        ValueError,
        match=r"no model of that id was fetched\. .*: hrdis model download diffusers:me/small$",
    ):
        load_prior("diffusers:me/small")
    assert not handler.asked
    assert "a" * 40 in fetch_model("me/small")[0]
    first = load_prior("diffusers:me/small")
    assert first.name == "small" and isinstance(first, DenoiserPrior)
    restored(first)
    got = {path.split("/", 5)[-1] for path in handler.asked if "/resolve/" in path}
    assert "run_me.py" not in got and "unet/diffusion_pytorch_model.safetensors" in got
    handler.asked.clear()
    at(address, offline=True)
    again = load_prior("diffusers:me/small")
    assert torch.equal(again(X, 300).eps, first(X, 300).eps)
    assert (
        len(weights_sha256("diffusers:me/small")) == 64 and presets_of("diffusers:me/small") is None
    )
    assert fetch_model("me/small") == [] and not handler.asked


def test_model_of_the_hub_is_that_of_its_pin(hub, at, tmp_path):
    at(hub[0])
    fetch_model("me/small")
    file = next((tmp_path / "cache").rglob("scheduler_config.json"))
    file.write_text(file.read_text().replace("{", '{"changed": 1, ', 1))
    with pytest.raises(
        ValueError, match=r"scheduler_config\.json is not the file of the prior 'me/small'"
    ):
        load_prior("diffusers:me/small")


def test_model_of_the_hub_without_safetensors_is_read_without_code(hub, at, tmp_path):
    address, handler = hub
    torch.save(unet().state_dict(), tmp_path / "weights")
    del handler.files["unet/diffusion_pytorch_model.safetensors"]
    handler.files["unet/diffusion_pytorch_model.bin"] = (tmp_path / "weights").read_bytes()
    at(address)
    fetch_model("me/small")
    assert torch.equal(
        load_prior("diffusers:me/small")(X, 300).eps,
        load_prior(f"edm:{tmp_path / 'remote'}")(X, 300).eps,
    )


def test_file_added_to_a_pinned_model_is_not_loaded_in_place_of_a_pinned_one(hub, at, tmp_path):
    """Other programs add files to the hub's cache, and one of a better form is read first."""
    address, handler = hub
    torch.save(unet().state_dict(), tmp_path / "weights")
    better = handler.files.pop("unet/diffusion_pytorch_model.safetensors")
    handler.files["unet/diffusion_pytorch_model.bin"] = (tmp_path / "weights").read_bytes()
    at(address)
    fetch_model("me/small")
    unet_folder = next((tmp_path / "cache").rglob("diffusion_pytorch_model.bin")).parent
    (unet_folder / "notes.json").write_text("{}")
    load_prior("diffusers:me/small")
    (unet_folder / WEIGHTS).write_bytes(better)
    with pytest.raises(ValueError, match=rf"{WEIGHTS} is not on the card of the prior 'me/small'"):
        load_prior("diffusers:me/small")


@pytest.mark.parametrize("offline", [True, False])
def test_hub_that_cannot_be_reached_says_what_to_do(at, offline):
    at("http://127.0.0.1:9", offline)  # nobody listens on port 9
    with pytest.raises(FetchError, match=r"^The model 'me/small' cannot be fetched") as found:
        fetch_model("me/small")
    assert "hf download me/small --local-dir small" in str(found.value)
    assert str(found.value).endswith("load that: diffusers:./small")
    assert ("HF_HUB_OFFLINE is set" in str(found.value)) == offline


def test_unknown_model_of_the_hub_is_refused(hub, at):
    at(hub[0])
    with pytest.raises(FetchError, match=r"^There is no model 'me/none' on http://127"):
        fetch_model("me/none")


@pytest.mark.slow
def test_environment_variables_of_the_hub_are_respected(tmp_path, hub):
    """In processes of their own: huggingface_hub reads its settings when it is imported."""
    keep = {
        k: v
        for k, v in os.environ.items()
        if not k.lower().endswith("_proxy") and not k.startswith("HF_")
    }
    env = keep | {
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": hub[0],
        "HRDIS_HOME": str(tmp_path / "home"),
    }
    code = (
        "import hrdis; hrdis.checkpoints.fetch_model('me/small'); "
        "print(hrdis.load_prior('diffusers:me/small').name)"
    )
    for offline in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code], env=env | {"HF_HUB_OFFLINE": offline},
            capture_output=True, text=True,
            timeout=200,
        )  # fmt: skip
        assert done.stdout == "small\n", done.stderr
        asked, hub[1].asked[:] = list(hub[1].asked), []
        assert bool(asked) == (offline == "0")


def test_what_is_neither_folder_nor_id_is_refused(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"^There is no folder '/no/such/folder'\. A folder of diffusers is expected",
    ):
        load_prior("diffusers:/no/such/folder")


def test_tiny_network_is_the_one_of_the_other_tests():
    """What is saved and loaded above is small on purpose."""
    assert sum(p.numel() for p in unet().parameters()) < 50_000 and CONFIG["in_channels"] == 3
