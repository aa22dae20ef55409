"""Weight files of other people: damaged, hostile, or another model's; read once, and never run."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import hrdis
from hrdis.checkpoints import identity, weights_sha256
from hrdis.checkpoints.unet import build_unet
from hrdis.checkpoints.weights import iterate_tensors, shards, tensor_shapes
from tests.checkpoints.test_adm import drawer, save
from tests.common.networks import adm_state, ddpm_state

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "b.bias": torch.ones(4, dtype=torch.float16)}
SCHEMES = ["adm", "adm-legacy", "adm-imagenet256", "adm-cd-bedroom256", "ddpm", "ddpm-celebahq256"]


@pytest.mark.parametrize("suffix", [".pt", ".ckpt", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_file_is_read_as_it_was_saved(tmp_path, suffix, prefix):
    file = save({prefix + key: value for key, value in STATE.items()}, tmp_path / f"x{suffix}")
    assert tensor_shapes(file) == {"a.weight": (2, 3), "b.bias": (4,)}
    found = dict(iterate_tensors(file))
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[key], STATE[key]) for key in STATE)


@pytest.mark.parametrize(
    "prefix", ["_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "model.module."]
)
def test_names_that_wrappers_leave_are_taken_away(tmp_path, prefix):
    file = save({prefix + name: tensor for name, tensor in STATE.items()}, tmp_path / "x.pt")
    assert set(tensor_shapes(file)) == set(STATE) == {name for name, _ in iterate_tensors(file)}


def test_state_of_an_optimiser_is_called_that(tmp_path):
    moments = {
        "state": {0: {"exp_avg": torch.zeros(3)}},
        "param_groups": [{"lr": 1e-4, "params": [0]}],
    }
    torch.save(moments, tmp_path / "opt.pt")
    with pytest.raises(
        ValueError, match=r"opt\.pt is the state of an optimiser, which holds no network\. .*beside"
    ):
        tensor_shapes(tmp_path / "opt.pt")


def test_kind_of_a_file_is_told_by_its_content(tmp_path):
    save(STATE, tmp_path / "x.safetensors").rename(tmp_path / "x.pt")
    assert tensor_shapes(tmp_path / "x.pt") == {"a.weight": (2, 3), "b.bias": (4,)}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("suffix", [".pt", ".ckpt", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated_file_is_refused(tmp_path, scheme, suffix, share):
    state = adm_state(
        drawer(), channels=32, mult=(1, 1), blocks=1, attention=(), scale_shift=True, updown=True
    )
    file = save(state, tmp_path / f"x{suffix}")
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=rf"x{suffix} (cannot be read \(|is no|is not|has the)"):
        hrdis.load_prior(f"{scheme}:{file}")


@pytest.mark.parametrize("suffix", [".pt", ".ckpt", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_file_is_called_that(tmp_path, suffix, share):
    state = {"w": torch.zeros(100_000), "v": torch.zeros(100_000)}
    file = save(state, tmp_path / f"x{suffix}")
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    with pytest.raises(
        ValueError,
        match=rf"x{suffix} cannot be read \(.*\)\. It is damaged, truncated, or no file of",
    ):
        tensor_shapes(file)
        dict(iterate_tensors(file))


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"<html><body>Sign in</body></html>", b"PK\x03\x04" + b"x" * 50]
)
def test_file_that_holds_no_weights_is_refused(tmp_path, content):
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"x.pt cannot be read \(.*fetch it again\."):
        hrdis.load_prior(f"adm-imagenet256:{tmp_path / 'x.pt'}")


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path):
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, "w")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", ["zip", "old", "bare", "beside weights"])
def test_hostile_pickle_is_refused_and_never_run(tmp_path, scheme, kind):
    marker, file = tmp_path / "ran", tmp_path / "x.pt"
    pickle.loads(
        pickle.dumps(Payload(marker))
    ).close()  # it would act; otherwise this test could not fail
    marker.unlink()
    if kind == "bare":
        file.write_bytes(pickle.dumps({"w": Payload(marker)}))
    else:
        content = (
            {"w": torch.zeros(3), "x": Payload(marker)}
            if kind == "beside weights"
            else Payload(marker)
        )
        torch.save(content, file, _use_new_zipfile_serialization=kind != "old")
    with pytest.raises(
        ValueError, match=r"x.pt needs code to be read, so it was not\. .*weights_only=False"
    ):
        hrdis.load_prior(f"{scheme}:{file}")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"ema": STATE, "step": 3}, r"it holds 'ema', 'step'"),
        ([STATE, STATE], "it holds list"),
    ],
)
def test_file_with_weights_further_inside_says_how_to_take_them_out(tmp_path, content, said):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(
        ValueError, match=rf"is no flat dictionary of tensors \({said}\)\. .*torch.save\(torch.load"
    ):
        hrdis.load_prior(f"adm:{tmp_path / 'x.pt'}")


@pytest.mark.parametrize("content", [{}, torch.zeros(3), [1, 2], {"step": 3}])
def test_file_without_weights_is_called_that(tmp_path, content):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"x\.pt (is|holds) .*nother file is expected\.$"):
        hrdis.load_prior(f"adm:{tmp_path / 'x.pt'}")


ADM = {
    "channels": 32,
    "mult": (1, 1),
    "blocks": 1,
    "attention": (),
    "scale_shift": True,
    "updown": True,
}


def of_edm():
    return {
        "model.map_layer0.weight": torch.zeros(4, 4),
        "model.enc.64x64_conv.weight": torch.zeros(4, 3, 3, 3),
    }


def of_diffusers():
    return {
        "down_blocks.0.resnets.0.norm1.weight": torch.zeros(4),
        "conv_in.weight": torch.zeros(4, 3, 3, 3),
    }


def of_ddpm():
    return ddpm_state(drawer(), widths=(32, 32), blocks=1, attention=())


def of_classifier():
    return {
        k: v for k, v in adm_state(drawer(), **ADM).items() if not k.startswith("output_blocks")
    }


@pytest.mark.parametrize(
    ("scheme", "make", "said"),
    [
        ("adm", of_edm, "a network of EDM"),
        ("adm-imagenet256", of_edm, "a network of EDM"),
        ("ddpm", of_edm, "a network of EDM"),
        ("adm-ffhq256", of_diffusers, r"hrdis.load_prior\('diffusers:"),
        ("ddpm-celebahq256", of_diffusers, r"hrdis.load_prior\('diffusers:"),
        ("adm", of_classifier, "a classifier"),
        ("adm", of_ddpm, r"hrdis.load_prior\('ddpm:.*x.pt'"),
        ("ddpm", lambda: adm_state(drawer(), **ADM), r"hrdis.load_prior\('adm:.*x.pt'\)"),
        ("adm", lambda: STATE, r"Its first keys are \['a.weight', 'b.bias'\]"),
        ("ddpm", lambda: STATE, r"Its first keys are \['a.weight', 'b.bias'\]"),
    ],
)  # fmt: skip
def test_file_of_another_model_is_refused_and_named(tmp_path, scheme, make, said):
    with pytest.raises(ValueError, match=rf"x.pt is no .*{said}"):
        hrdis.load_prior(f"{scheme}:{save(make(), tmp_path / 'x.pt')}")


def test_folder_in_place_of_a_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        hrdis.load_prior(f"adm:{tmp_path}")


LOAD = """
import os, sys
from diffusers import UNet2DModel
from hrdis.checkpoints import adm

def kilobytes(what):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(what))

structure = adm.ADMStructure(channels=128, mult=(1, 2, 2, 2), blocks=2, attention=(3,))
network = adm.ADMNetwork(structure=structure, qkv_order="new")
for file in sys.argv[1:]:
    if os.fork():
        os.wait()
        continue
    # what a load needs of the libraries is in memory then, and is not counted
    adm.load(file, network=network)
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")
    before = kilobytes("VmRSS")
    prior = adm.load(file, network=network)
    print(1024 * (kilobytes("VmHWM") - before) / os.path.getsize(file), flush=True)
    os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="Linux counts peaks per process"
)
def test_loading_holds_a_file_once(tmp_path):
    """The network is as large as the file; a second copy would make it twice
    (studies/load_memory.py: 1.08).
    """
    options = {
        "channels": 128,
        "mult": (1, 2, 2, 2),
        "blocks": 2,
        "attention": (3,),
        "scale_shift": True,
        "updown": True,
    }
    state = adm_state(lambda *shape: torch.full(shape, 0.1), **options)
    files = [save(state, tmp_path / f"x{suffix}") for suffix in (".pt", ".safetensors")]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    command = [sys.executable, "-c", LOAD, *map(str, files)]
    out = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    ).stdout
    peaks = [float(line) for line in out.split()]
    assert len(peaks) == 2 and all(0.9 < peak < 1.5 for peak in peaks), peaks


def test_index_that_names_a_file_too_long_for_the_system_is_refused(tmp_path):
    index = tmp_path / "weights.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "x" * 5000}}))
    with pytest.raises(ValueError, match="weight_map of file names"):
        shards(index)


def test_kind_of_network_that_is_no_name_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^The folder holds a a b\. A UNet2DModel"):
        build_unet({"_class_name": "a\nb"})


@pytest.mark.parametrize("read", [hrdis.load_prior, identity, weights_sha256])
@pytest.mark.parametrize(
    "name", ["gone", "adm:gone.pt", "x" * 300, "adm:" + "x" * 300, "~nobody-here/a"]
)
def test_prior_that_is_not_there_is_refused_in_one_line(read, name, tmp_path, monkeypatch):
    """A page asks for the hashes first, also where a model was removed since it began."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as error:
        read(name)
    assert "\n" not in str(error.value)
