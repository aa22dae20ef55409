"""Small files that cost without bound, and odd values: one line, in seconds and bounded memory."""

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hrdis.checkpoints import embedded_folder
from tests.priors.test_unet import CONFIG, SCHEDULER, unet

SECONDS = 20
MEMORY = 2 << 30  # bytes a case may take beside what importing took
CHILD = f"""
import json, resource, signal, sys, time
import diffusers, hrdis
from hrdis import load_prior
load_prior("default")

def late(*_):
    raise KeyboardInterrupt("more than {SECONDS} s")

signal.signal(signal.SIGALRM, late)
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {MEMORY}, used + {MEMORY}))
for name in sys.argv[1:]:
    signal.alarm({SECONDS})
    try:
        load_prior(name)
        outcome = "loaded"
    except BaseException as error:
        outcome = f"{{type(error).__name__}}: {{error}}"
    signal.alarm(0)
    print(json.dumps(outcome), flush=True)
"""

FLAT = {"file": "config.json"}
NOISE = {"file": "scheduler_config.json"}
SMALL = {"base": "small", "file": "config.json"}

#: Changes of a configuration, and a part of the message.
CONFIGURATIONS = {
    "layers": (FLAT, {"layers_per_block": 10**9}, "has 1000000000 in layers_per_block"),
    "layers of floats": (FLAT, {"layers_per_block": 1e300}, "has 1e+300 in layers_per_block"),
    "widths": (FLAT, {"block_out_channels": [8, 10**7]}, "has 10000000 in block_out_channels"),
    "wide levels": (FLAT, {"block_out_channels": [8, 8192]}, "does not fit its config.json"),
    "levels": (FLAT, {"block_out_channels": [8] * 10**5}, "100000 numbers in block_out_channels"),
    "no levels": (FLAT, {"block_out_channels": []}, "describes no network"),
    "text for layers": (FLAT, {"layers_per_block": "many"}, "describes no network"),
    "null": (FLAT, {"norm_num_groups": None}, "describes no network"),
    "zero groups": (FLAT, {"norm_num_groups": 0}, "describes no network"),
    "small blocks": (SMALL, {"middle": 10**9}, "has 1000000000 in middle"),
    "small widths": (SMALL, {"channels": [64, 8 * 10**6]}, "has 8000000 in channels"),
    "times": (NOISE, {"num_train_timesteps": 10**10}, "num_train_timesteps 10000000000"),
    "no times": (NOISE, {"num_train_timesteps": 0}, "num_train_timesteps 0"),
    "text for times": (NOISE, {"num_train_timesteps": "1000"}, "num_train_timesteps '1000'"),
    "text for beta": (NOISE, {"beta_start": "small"}, "beta_start 'small'"),
    "beta of NaN": (NOISE, {"beta_end": float("nan")}, "beta_end nan"),
    "large beta": (NOISE, {"beta_end": 3.0}, "makes no noise schedule"),
    "texts for betas": (NOISE, {"trained_betas": ["a"]}, "makes no noise schedule"),
    "nested betas": (NOISE, {"trained_betas": [[0.1], [0.2, 0.3]]}, "makes no noise schedule"),
    "list for schedule": (NOISE, {"beta_schedule": ["linear"]}, "has beta_schedule ['linear']"),
    "text for sigma": (
        NOISE,
        {"_class_name": "EDMEulerScheduler", "sigma_min": "low"},
        "has sigma_min 'low'",
    ),
}


def diffusers_folder(folder: Path) -> Path:
    folder.mkdir()
    unet().save_pretrained(folder)
    (folder / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    return folder


def change(file: Path, changes: dict) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def weight_files(folder: Path) -> dict[str, tuple[str, str]]:
    """Files of weights: name to load, and a part of the message."""
    state = {"conv_in.weight": torch.zeros(8, 3, 3, 3)}
    packed = io.BytesIO()
    torch.save(state, packed)
    with (
        zipfile.ZipFile(packed) as stored,
        zipfile.ZipFile(folder / "deflated.pt", "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in stored.namelist():
            content = stored.read(name)
            archive.writestr(name, bytes(1 << 26) if name.endswith("data/0") else content)
    # A pickle whose first text claims to have 4 GB.
    (folder / "long.pt").write_bytes(pickle.PROTO + b"\x02" + pickle.BINUNICODE + b"\xff" * 4)
    save_file(
        {
            "output_blocks.999999999999.0.in_layers.0.weight": torch.zeros(1),
            "time_embed.0.weight": torch.zeros(4, 1),
        },
        folder / "numbers.safetensors",
    )
    save_file(
        {"output_blocks.x.0": torch.zeros(1), "time_embed.0.weight": torch.zeros(4, 1)},
        folder / "text.safetensors",
    )
    return {
        "deflated": (f"adm:{folder}/deflated.pt", "its records expand to"),
        "long text": (f"adm:{folder}/long.pt", "cannot be read"),
        "block numbers": (f"adm:{folder}/numbers.safetensors", "is no diffusion model in guided"),
        "no block numbers": (f"adm:{folder}/text.safetensors", "is no diffusion model in guided"),
    }


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, tuple[str, str]]:
    """What loading each file in one child process gave, and the part of the message expected."""
    root = tmp_path_factory.mktemp("hostile")
    flat = diffusers_folder(root / "flat")
    names, expected = {}, {}
    for case, (about, changes, message) in CONFIGURATIONS.items():
        base = embedded_folder() if about.get("base") == "small" else flat
        folder = root / case.replace(" ", "-")
        shutil.copytree(base, folder)
        change(folder / about["file"], changes)
        names[case], expected[case] = str(folder), message
    for file in ("config.json", "scheduler_config.json", "index"):
        case = f"nested {file}"
        folder = root / case.replace(" ", "-")
        shutil.copytree(flat, folder)
        place = folder / file
        if file == "index":
            (folder / "diffusion_pytorch_model.safetensors").unlink()
            place = folder / "diffusion_pytorch_model.safetensors.index.json"
        place.write_text("[" * 10**6)
        names[case], expected[case] = str(folder), "cannot be read (maximum recursion depth"
    folder = root / "autoencoder"
    shutil.copytree(flat, folder / "unet")
    for place, file in (("vae", "config.json"), ("scheduler", "scheduler_config.json")):
        (folder / place).mkdir()
        shutil.copy(flat / file, folder / place / file)
    vae = {"_class_name": "AutoencoderKL", "latent_channels": 3, "layers_per_block": 10**9}
    (folder / "vae" / "config.json").write_text(json.dumps(vae))
    names["autoencoder"] = f"latent:{folder}"
    expected["autoencoder"] = "has 1000000000 in layers_per_block"
    for case, (name, message) in weight_files(root).items():
        names[case], expected[case] = name, message
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *names.values()],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "HRDIS_HOME": str(root / "home"), "OMP_NUM_THREADS": "1"},
    )
    lines = child.stdout.splitlines()
    assert len(lines) == len(names), child.stderr[-2000:]
    return {
        case: (json.loads(line), expected[case]) for case, line in zip(names, lines, strict=True)
    }


CASES = [
    *CONFIGURATIONS,
    "nested config.json", "nested scheduler_config.json", "nested index", "autoencoder",
    "deflated", "long text", "block numbers", "no block numbers",
]  # fmt: skip


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limit of memory is Linux's")
@pytest.mark.parametrize("case", CASES)
def test_hostile_file_is_refused_in_one_line(outcomes, case):
    outcome, message = outcomes[case]
    assert outcome.startswith("ValueError: ") and message in outcome
    assert "\n" not in outcome


def test_configuration_of_the_cases_is_loaded_unchanged(tmp_path):
    """Otherwise they would be refused for another reason."""
    import hrdis

    assert CONFIG["layers_per_block"] == 1
    assert hrdis.load_prior(diffusers_folder(tmp_path / "flat")).channels == (1, 3)
