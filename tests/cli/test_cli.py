"""The command line, end to end, with a small random network where quality does not matter."""

import hashlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from rich.progress import Progress, ProgressColumn

import hrdis
from hrdis import cli, images
from hrdis.checkpoints import load_prior
from hrdis.checkpoints.unet import build_unet
from hrdis.cli import progress
from hrdis.cli.parsing import parse
from hrdis.cli.train import Train
from hrdis.devices import pick_device
from hrdis.repairs import NAMES
from hrdis.restoration import Job
from hrdis.rng import stream
from hrdis.training import state as states
from hrdis.training.model_card import command
from hrdis.training.settings import preset
from tests.common.toys import random_weights

FAST = ["--steps", "3", "--start", "300"]


@pytest.fixture(scope="session")
def prior(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a tiny network whose weights are noise."""
    folder = tmp_path_factory.mktemp("tiny-prior")
    config = {
        "sample_size": 16, "in_channels": 3, "out_channels": 3, "block_out_channels": [8, 16],
        "layers_per_block": 1,
        "down_block_types": ["DownBlock2D"] * 2, "up_block_types": ["UpBlock2D"] * 2,
        "add_attention": False,
        "norm_num_groups": 4,
    }  # fmt: skip
    net = build_unet(config)
    rng = stream(0, "tiny prior")
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.from_numpy(0.1 * rng.standard_normal(p.shape, dtype=np.float32)))
    net.save_pretrained(folder)
    (folder / "scheduler_config.json").write_text(
        '{"prediction_type": "v_prediction", "beta_schedule": "linear"}'
    )
    (folder / "MODEL_CARD.md").write_text("# Tiny\n\nA network of noise.\n")
    return str(folder)


def photo(path: Path, mode: str = "RGB", size: tuple[int, int] = (24, 20)) -> Path:
    """A smooth picture."""
    w, h = size
    x, y = np.meshgrid(np.linspace(0, 1, w), np.linspace(0, 1, h))
    rgb = np.stack([x, y, 1 - x], -1)
    if mode == "I;16":
        Image.fromarray((x * 65535).astype(np.uint16)).save(path)
    elif mode == "RGBA":
        Image.fromarray((np.dstack([rgb, y]) * 255).astype(np.uint8)).save(path)
    else:
        Image.fromarray((rgb * 255).astype(np.uint8)).convert(mode).save(path)
    return path


def hole(path: Path, size: tuple[int, int] = (24, 20)) -> Path:
    """A mask, white where 5 x 4 pixels are lost."""
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[8:12, 10:15] = 255
    Image.fromarray(mask).save(path)
    return path


def run(*words: object) -> int:
    return cli.main([str(w) for w in words])


# ---- train --------------------------------------------------------------------------------------

#: Every option of ``hrdis train`` with a value that a tiny run on a CPU can have.
TRAIN_FLAGS = {
    "--hours": "1", "--steps": "6", "--decay": "0.5", "--resume": "None", "--start-from": "None",
    "--pixels": "512",
    "--patches": "8 16", "--lr": "0.01", "--lr-first": "0.02", "--settle": "3",
    "--adam-lr": "0.002", "--warmup": "2",
    "--ema-decay": "0.9", "--procedural": "0.5", "--procedural-pool": "2", "--network": "small",
    "--channels": "8 16",
    "--blocks": "1", "--middle": "1", "--precision": "bf16", "--compile": "", "--threads": "1",
    "--workers": "1",
    "--device": "cpu", "--seed": "2", "--licences": "CC0-1.0", "--long-side": "64",
    "--checkpoint-minutes": "1",
    "--max-minutes": "1", "--log-every": "2", "--memory": "1",
}  # fmt: skip


def photographs(folder: Path, count: int = 4) -> Path:
    """A folder of small pictures whose manifest says CC0."""
    folder.mkdir(exist_ok=True)
    for i in range(count):
        photo(folder / f"{i}.png", size=(40 + i, 40))
    rows = "".join(f"{i}.png,somebody,CC0-1.0\n" for i in range(count))
    (folder / "manifest.csv").write_text("file,author,licence\n" + rows)
    return folder


def test_train_has_no_other_flags_than_those_tried_here(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("train", "--help")
    shown = set(
        re.findall(r"^[│\s]*(?:-\w \w+, )?(--[a-z][a-z-]+)", capsys.readouterr().out, re.MULTILINE)
    )
    assert shown - {"--help", "--output"} == set(TRAIN_FLAGS)


def test_train_takes_every_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda net, **options: net)  # a minute for the real one
    flags = [word for flag, value in TRAIN_FLAGS.items() for word in (flag, *value.split())]
    assert run("train", photographs(tmp_path / "photos"), "-o", tmp_path / "out", *flags) == 0
    record = json.loads((tmp_path / "out" / "settings.json").read_text())["settings"]
    assert (record["steps"], record["patches"], record["precision"]) == (6, [8, 16], "bf16")
    assert (
        sum("loss" in line for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines())
        == 3
    )
    assert load_prior(tmp_path / "out").net.channels == (8, 16)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_command_in_the_card_asks_for_the_settings_it_was_made_with(
    device: Literal["cpu", "cuda"],
) -> None:
    settings = replace(
        preset(device), steps=7, decay=1.0, compile=True, patches=(8, 16),
        licences=("CC0-1.0", "Public domain"),
        resume=Path("my runs/one"), network="unet2d", procedural=0.0,
    )  # fmt: skip
    words = shlex.split(command(settings))
    assert words[:2] == ["hrdis", "train"]
    assert parse(Train, words[2:], "train", "", settings=preset(device)).settings == settings


def test_train_fits_a_tiny_set_of_pictures(tmp_path: Path) -> None:
    """What is learnt shows: on pictures like those trained on, held-out denoising gains
    decibels.
    """
    photographs(tmp_path / "photos", 6)
    flags = (
        "--steps 250 --pixels 1024 --patches 16 --channels 16 32 --blocks 1 --procedural 0 "
        "--ema-decay 0.9"
    )
    flags += " --threads 1 --device cpu --log-every 10"
    assert run("train", tmp_path / "photos", "-o", tmp_path / "out", *flags.split()) == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < 0.5 * losses[0]
    assert lines[-1]["psnr"]["50"] > 14.15 + 5  # noise of 50/255 alone: 14.15 dB


@pytest.mark.skipif(os.name != "posix", reason="needs SIGTERM")
def test_train_that_is_told_to_end_saves_everything(tmp_path: Path) -> None:
    """Batch systems send SIGTERM before they kill: the state of the present step is kept, and no
    cache is left.
    """
    flags = (
        "--pixels 1024 --patches 16 --channels 8 16 --blocks 1 --procedural-pool 2 --device cpu "
        "--log-every 1"
    )
    photographs(tmp_path / "photos")
    words = [
        sys.executable,
        "-m",
        "hrdis",
        "train",
        tmp_path / "photos",
        "-o",
        tmp_path / "out",
        *flags.split(),
    ]
    process = subprocess.Popen(
        [*words, "--threads", "1", "--workers", "1"], stderr=subprocess.PIPE, text=True
    )
    log = tmp_path / "out" / "log.jsonl"
    while process.poll() is None and not (log.is_file() and log.read_text()):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143 and "Ended by SIGTERM" in said
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert states.read(tmp_path / "out").step == steps[-1]
    assert not (tmp_path / "out" / ".cache").exists()


# ---- restore ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "I;16"])
def test_restore_keeps_the_kind_of_picture(tmp_path: Path, prior: str, mode: str) -> None:
    given = photo(tmp_path / "in.png", mode)
    out = tmp_path / "out.png"
    assert (
        run(
            "restore",
            given,
            "-o",
            out,
            "--task",
            "inpaint",
            "--mask",
            hole(tmp_path / "m.png"),
            "--prior",
            prior,
            *FAST,
        )
        == 0
    )
    image = Image.open(out)
    assert image.size == (24, 20)
    # A 16-bit picture is opened as "I" by Pillow 10.
    assert {"I": "I;16"}.get(image.mode, image.mode) == {"P": "RGB"}.get(mode, mode)


def test_restore_leaves_observed_pixels_alone(tmp_path: Path, prior: str) -> None:
    given, out = photo(tmp_path / "in.png"), tmp_path / "out.png"
    run(
        "restore",
        given,
        "-o",
        out,
        "--task",
        "inpaint",
        "--mask",
        hole(tmp_path / "m.png"),
        "--prior",
        prior,
        *FAST,
    )
    before, after = np.asarray(Image.open(given)), np.asarray(Image.open(out))
    lost = np.asarray(Image.open(tmp_path / "m.png")) > 0
    assert np.array_equal(before[~lost], after[~lost])
    assert not np.array_equal(before[lost], after[lost])


def test_restore_redraws_observed_pixels_when_asked(tmp_path: Path, prior: str) -> None:
    given, out = photo(tmp_path / "in.png"), tmp_path / "out.png"
    mask = hole(tmp_path / "m.png")
    run(
        "restore",
        given,
        "-o",
        out,
        "--task",
        "inpaint",
        "--mask",
        mask,
        "--prior",
        prior,
        "--no-keep-known",
        *FAST,
    )
    lost = np.asarray(Image.open(mask)) > 0
    assert not np.array_equal(
        np.asarray(Image.open(given))[~lost], np.asarray(Image.open(out))[~lost]
    )


@pytest.mark.parametrize(("task", "scale"), [("sr2", 2), ("sr4", 4), ("sr4-bicubic", 4)])
def test_restore_enlarges(tmp_path: Path, prior: str, task: str, scale: int) -> None:
    out = tmp_path / "out.jpg"
    assert (
        run(
            "restore",
            photo(tmp_path / "in.png", size=(13, 9)),
            "-o",
            out,
            "--task",
            task,
            "--prior",
            prior,
            *FAST,
        )
        == 0
    )
    assert Image.open(out).size == (13 * scale, 9 * scale)


def test_restore_enlarges_transparency_too(tmp_path: Path, prior: str) -> None:
    out = tmp_path / "out.png"
    run(
        "restore",
        photo(tmp_path / "in.png", "RGBA"),
        "-o",
        out,
        "--task",
        "sr2",
        "--prior",
        prior,
        *FAST,
    )
    alpha = np.asarray(Image.open(out).getchannel("A")).astype(float)
    assert alpha.shape == (40, 48) and alpha[-1].mean() > 240 and alpha[0].mean() < 15


def test_restore_takes_transparent_pixels_as_holes(tmp_path: Path, prior: str) -> None:
    pixels = np.full((16, 16, 4), 200, np.uint8)
    pixels[4:8, 4:8, 3] = 0
    pixels[..., 3][pixels[..., 3] > 0] = 255
    Image.fromarray(pixels).save(tmp_path / "in.png")
    out = tmp_path / "out.jpg"
    assert (
        run(
            "restore",
            tmp_path / "in.png",
            "-o",
            out,
            "--task",
            "inpaint",
            "--mask-marks",
            "transparent",
            "--prior",
            prior,
            *FAST,
        )
        == 0
    )
    assert Image.open(out).mode == "RGB"


@pytest.mark.parametrize("solver", ["hrdis", "reddiff", "cr"])
def test_restore_denoises_with_solvers_of_noisy_problems(
    tmp_path: Path, prior: str, solver: str
) -> None:
    out = tmp_path / "out.png"
    words = ["--task", "denoise", "--noise", "0.1", "--solver", solver, "--prior", prior, *FAST]
    assert run("restore", photo(tmp_path / "in.png"), "-o", out, *words) == 0


def test_restore_draws_samples(tmp_path: Path, prior: str) -> None:
    words = ["restore", photo(tmp_path / "in.png"), "--task", "sr2", "--prior", prior, *FAST]
    assert run(*words, "-o", tmp_path / "all.png", "--samples", "3", "--seed", "5") == 0
    names = {p.name for p in tmp_path.glob("all*")}
    assert names == {
        "all.png", "all-2.png", "all-3.png", "all-mean.png",
        "all-uncertainty.png", "all-overview.png",
        "all.json"
    }  # fmt: skip
    run(*words, "-o", tmp_path / "one.png", "--seed", "6")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "all-2.png").read_bytes()


def test_restore_takes_the_last_of_an_option_given_twice(tmp_path: Path, prior: str) -> None:
    out = tmp_path / "out.png"
    words = [
        "--task",
        "inpaint",
        "--task",
        "sr4",
        "--solver",
        "ddnm",
        "--solver",
        "hrdis",
        "--prior",
        prior,
        *FAST,
    ]
    assert run("restore", photo(tmp_path / "in.png"), "-o", out, *words) == 0
    record = json.loads((tmp_path / "out.json").read_text())
    assert (record["task"], record["solver"], record["preset"]) == ("sr4", "hrdis", "sr4")


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".bmp", ".png", ".tif"])
def test_sixteen_bits_can_be_written_to_every_format(
    tmp_path: Path, prior: str, suffix: str
) -> None:
    out = tmp_path / f"out{suffix}"
    assert (
        run(
            "restore",
            photo(tmp_path / "in.png", "I;16"),
            "-o",
            out,
            "--task",
            "sr2",
            "--prior",
            prior,
            *FAST,
        )
        == 0
    )
    assert Image.open(out).size == (48, 40)


def test_a_reader_that_leaves_is_no_error() -> None:
    process = subprocess.run(
        f"{sys.executable} -m hrdis list solvers | head -1",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0 and not process.stderr


def test_restore_is_repeatable_from_its_record(tmp_path: Path, prior: str) -> None:
    given, out = photo(tmp_path / "in.png"), tmp_path / "out.png"
    run(
        "restore",
        given,
        "-o",
        out,
        "--task",
        "sr2",
        "--prior",
        prior,
        "--seed",
        "3",
        "--lr",
        "0.03",
        *FAST,
    )
    record = json.loads((tmp_path / "out.json").read_text())
    settings = [w for name, v in record["settings"].items() if v is not None and not isinstance(v,
        bool)
                for w in (f"--{name.replace('_', '-')}", str(v))]  # fmt: skip
    again = tmp_path / "again.png"
    words = ["--task", record["task"], "--solver", record["solver"], "--prior", record["prior"]]
    assert run("restore", given, "-o", again, *words, "--seed", record["seeds"][0], *settings) == 0
    assert again.read_bytes() == out.read_bytes()
    assert record["network_calls"] == 3 and record["settings"]["lr"] == 0.03


def test_restore_runs_large_pictures_in_tiles(tmp_path: Path, prior: str) -> None:
    out = tmp_path / "out.png"
    words = ["--task", "sr2", "--prior", prior, "--tile", "64", "--overlap", "16", *FAST]
    assert run("restore", photo(tmp_path / "in.png", size=(80, 50)), "-o", out, *words) == 0
    assert Image.open(out).size == (160, 100)


# ---- blur and colours ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "task", ["deblur-gauss", "deblur-motion", "deblur-uniform", "deblur-aniso", "colorize"]
)
def test_degrade_then_restore_at_any_size(tmp_path: Path, prior: str, task: str) -> None:
    good, damaged, out = (
        photo(tmp_path / "good.png", size=(53, 42)),
        tmp_path / "bad.png",
        tmp_path / "out.png",
    )
    assert run("degrade", good, "--task", task, "-o", damaged) == 0
    words = ["--kernel", tmp_path / "bad-kernel.npy"] if task == "deblur-motion" else []
    assert (
        run(
            "restore",
            damaged,
            "--task",
            task,
            "-o",
            out,
            "--prior",
            prior,
            "--samples",
            "2",
            *words,
            *FAST,
        )
        == 0
    )
    assert Image.open(out).size == (53, 42)
    assert Image.open(out).mode == "RGB"
    assert Image.open(damaged).mode == ("L" if task == "colorize" else "RGB")
    record = json.loads((tmp_path / "out.json").read_text())
    assert (record["kernel_sha256"] is None) == (task != "deblur-motion")


def test_degrade_then_restore_by_a_network_of_given_weights(
    tmp_path: Path, prior: str, capfd: pytest.CaptureFixture[str]
) -> None:
    good, bad, out = (
        photo(tmp_path / "good.png", size=(150, 128)),
        tmp_path / "bad.png",
        tmp_path / "out.png",
    )
    weights = tmp_path / "bkse.pth"
    torch.save(random_weights(), weights)
    words = ["--task", "deblur-nonlinear", "--weights", weights]
    assert run("degrade", good, *words, "--seed", "3", "-o", bad) == 0
    assert Image.open(bad).size == (128, 128)
    assert not np.array_equal(np.asarray(Image.open(bad)), np.asarray(Image.open(good))[:, :128])
    kernel = tmp_path / "bad-kernel.npy"
    assert np.load(kernel).shape == (1, 512, 1, 1)
    settings = ["--prior", prior, "--samples", "1", *FAST]
    assert run("restore", bad, *words, "--kernel", kernel, "-o", out, *settings) == 0
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert "seed 0" not in capfd.readouterr().err
    assert run("restore", bad, *words, "-o", tmp_path / "guess.png", *settings) == 0
    assert "taken to be that of seed 0" in capfd.readouterr().err
    assert not np.array_equal(
        np.asarray(Image.open(tmp_path / "guess.png")), np.asarray(Image.open(out))
    )


@pytest.mark.parametrize(
    ("given", "restored"), [("L", "RGB"), ("I;16", "RGB"), ("RGB", "RGB"), ("RGBA", "RGBA")]
)
def test_restore_gives_colours_to_pictures_of_any_kind(
    tmp_path: Path, prior: str, given: str, restored: str
) -> None:
    out = tmp_path / "out.png"
    assert (
        run(
            "restore",
            photo(tmp_path / "in.png", given),
            "-o",
            out,
            "--task",
            "colorize",
            "--prior",
            prior,
            *FAST,
        )
        == 0
    )
    assert Image.open(out).mode == restored


def test_profile_of_a_grey_picture_is_not_copied_to_a_coloured_one(
    tmp_path: Path, prior: str
) -> None:
    Image.new("L", (20, 16), 90).save(tmp_path / "in.png", icc_profile=b"a grey profile")
    run(
        "restore",
        tmp_path / "in.png",
        "-o",
        tmp_path / "out.png",
        "--task",
        "colorize",
        "--prior",
        prior,
        *FAST,
    )
    Image.new("RGB", (20, 16), (90, 80, 70)).save(
        tmp_path / "rgb.png", icc_profile=b"a profile of colours"
    )
    run("degrade", tmp_path / "rgb.png", "-o", tmp_path / "grey.png", "--task", "colorize")
    run("degrade", tmp_path / "rgb.png", "-o", tmp_path / "blurred.png", "--task", "deblur-uniform")
    assert "icc_profile" not in Image.open(tmp_path / "out.png").info
    assert "icc_profile" not in Image.open(tmp_path / "grey.png").info
    assert "icc_profile" in Image.open(tmp_path / "blurred.png").info


def test_restore_sharpens_grey_pictures_to_grey_ones(tmp_path: Path, prior: str) -> None:
    out = tmp_path / "out.png"
    words = ["--task", "deblur-uniform", "--prior", prior, *FAST]
    assert run("restore", photo(tmp_path / "in.png", "L"), "-o", out, *words) == 0
    assert Image.open(out).mode == "L"


# ---- bad input: one message, status 2, nothing written -------------------------------------------

BAD = {
    "missing.png --task sr4": "missing.png does not exist",
    "empty.png --task sr4": "is empty",
    "text.png --task sr4": "is no picture",
    "cut.png --task sr4": "truncated",
    ". --task sr4": "names a picture. For several pictures",
    "in.png --task sr44": "Did you mean 'sr4'?",
    "in.png --task sr4 --solver hrdiss": "Did you mean 'hrdis'?",
    "in.png --task sr4 --lrr 1": "--lrr",
    "in.png --task sr4 --lr -1": "lr is -1.0",
    "in.png --task sr4 --beta 7": "beta is 7.0",
    "in.png --task sr4 --steps many": "many",
    "in.png --task sr4 --steps 2000": "do not fit",
    "in.png --task sr4 --samples 0": "--samples is 0",
    "in.png --task sr4 --noise -1": "--noise is -1",
    "in.png --task sr4 --noise loud": "loud",
    "in.png --task denoise": "needs the strength of the noise",
    "in.png --task sr4 --noise 0.1 --solver ddnm": "without noise",
    "in.png --task hdr --solver pigdm": "The solver pigdm needs an adjoint, which this task",
    "in.png --task sr4 --mask m.png": "takes none",
    "in.png --task inpaint": "needs a mask",
    "in.png --task cs25": "The task 'cs25' does not measure a picture",
    "in.png --task cs-walsh4": "The task 'cs-walsh4' does not measure a picture",
    "in.png --task mri4": "The task 'mri4' does not measure a picture",
    "in.png --task ct60": "The task 'ct60' does not measure a picture",
    "in.png --task deblur-nonlinear": "needs the weights of its network",
    "in.png --task deblur-nonlinear --weights missing.pth": "There is no file missing.pth",
    "in.png --task deblur-nonlinear --weights text.png": "cannot be read as weights",
    "in.png --task sr4 --weights text.png": "has no network",
    "in.png --task deblur-motion": "needs the kernel of the blur",
    "in.png --task deblur-motion --kernel missing.npy": "missing.npy does not exist",
    "in.png --task deblur-motion --kernel text.png": "text.png is no picture that can be read",
    "in.png --task deblur-motion --kernel empty.npy": "empty.npy cannot be read",
    "in.png --task inpaint --mask zero-one.png": "multiply its values by 255",
    "in.png --task sr2 -o x.jpg --operator my.py:make": "Either --task or --operator",
    "in.png --task deblur-motion --kernel m.png": "holds a kernel of 200 x 200",
    "in.png --task deblur-gauss --kernel m.png": "takes none",
    "out-2.png --task deblur-gauss --mask m.png": "takes none",
    "thin.png --task deblur-gauss": "too small to be mirrored",
    "in.png --task deblur-motion --kernel m.png -o m.png": "m.png is an input",
    "in.png --task inpaint --mask missing.png": "missing.png does not exist",
    "in.png --task inpaint --mask text.png": "is no picture",
    "in.png --task inpaint --mask wide.png": "Both must agree",
    "in.png --task inpaint --mask white.png": "white.png marks every pixel as a hole",
    "in.png --task inpaint --mask-marks transparent": "has no transparency",
    "in.png --task sr4 --prior nowhere": "There is no model 'nowhere'",
    "in.png --task sr4 --prior .": "config.json does not exist",
    "in.png --task sr4 --device tpu9": "cannot be used",
    "in.png --task sr4 --tile 8": "--tile is 8",
    "in.png --task sr4 --overlap 600": "overlap is 600",
    "in.png --task sr4 -o out.xyz": "suffix",
    "in.png --task sr4 -o in.png": "in.png is an input",
    "in.png --task inpaint --mask m.png -o m.png": "m.png is an input",
    "out-2.png --task sr2 --samples 2": "out-2.png is an input",
    "in.png --task sr4 -o notes.png": "notes.json exists",
    "big.png --task sr16": "megapixels",
    "in.png --task inpaint --mask empty.npy": "cannot be read as an array",
    "in.png --task sr4 --prior ~nobody/x": "There is no model",
    "in.png --task sr4 -o text.png/out.png": "Nothing can be written",
}


#: Calls, names and arguments in Python, which are no advice for somebody at a shell.
PYTHONIC = re.compile(
    r"\b(hrdis|torch|np|TASKS|kernels|images)[.\[]\w|\w\(\w+[=,)]|\b[a-z_]+=['\"\w]"
)


@pytest.mark.parametrize("words", BAD)
def test_bad_input_is_refused(
    tmp_path: Path,
    prior: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = photo(tmp_path / "in.png", size=(200, 200)).read_bytes()
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("words")
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    hole(tmp_path / "m.png", (200, 200))
    hole(tmp_path / "wide.png", (201, 200))
    Image.new("L", (200, 200), 255).save(tmp_path / "white.png")
    photo(tmp_path / "out-2.png")
    photo(tmp_path / "thin.png", size=(40, 8))
    Image.new("L", (1000, 1000)).save(tmp_path / "big.png")
    Image.fromarray(np.eye(200, dtype=np.uint8)).save(tmp_path / "zero-one.png")
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "empty.npy").write_bytes(b"")
    before = sorted(p.name for p in tmp_path.iterdir())
    argv = ["restore", *words.split()]
    argv += [] if "-o" in argv else ["-o", "out.png"]
    argv += [] if "--prior" in argv else ["--prior", prior]
    status = run(*argv)
    said = capfd.readouterr().err
    assert status == 2
    assert BAD[words] in " ".join(said.replace("│", " ").split())
    assert "Traceback" not in said
    assert not PYTHONIC.search(said)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


@pytest.mark.parametrize("ground", [0, 255])
@pytest.mark.parametrize(
    "task", ["sr2", "sr4", "deblur-gauss", "deblur-aniso", "quantize", "jpeg10", "colorize"]
)
def test_ground_at_an_end_of_the_range_stays_there(
    tmp_path: Path, prior: str, task: str, ground: int
) -> None:
    page = np.full((48, 48), ground, np.uint8)
    page[5:7, 4:40] = 255 - ground
    picture = Image.fromarray(page)
    (picture if task == "colorize" else picture.convert("RGB")).save(tmp_path / "in.png")
    words = ["--task", task, "--steps", "2", "--prior", prior]
    assert run("restore", tmp_path / "in.png", "-o", tmp_path / "out.png", *words) == 0
    out = np.asarray(Image.open(tmp_path / "out.png"))
    assert set(out[len(out) // 2 :].flat) == {ground}


def test_damaged_and_restored_files_keep_their_notes(tmp_path: Path, prior: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    whole = Image.open(photo(tmp_path / "in.png", size=(32, 32))).convert("RGBA")
    whole.putalpha(
        Image.fromarray(np.pad(np.zeros((4, 4), np.uint8), ((4, 24), (4, 24)), constant_values=255))
    )
    whole.save(tmp_path / "in.png", dpi=(300, 300), exif=exif, icc_profile=b"a profile")
    for argv in (
        ["degrade", tmp_path / "in.png", "--task", "sr2", "-o", tmp_path / "bad.png"],
        ["restore", tmp_path / "in.png", "--task", "inpaint", "--mask-marks", "transparent", "-o",
        tmp_path / "out.png", "--steps",
         "2", "--prior", prior],
    ):  # fmt: skip
        assert run(*argv) == 0
    for name, dpi in (("bad.png", 150), ("out.png", 300)):
        with Image.open(tmp_path / name) as kept:
            assert kept.getexif()[0x010F] == "a camera" and kept.info["icc_profile"] == b"a profile"
            assert kept.info["dpi"][0] == pytest.approx(dpi, abs=0.1)


@pytest.mark.parametrize("task", ["sr2", "denoise --noise 0.01"])
def test_colours_under_transparent_pixels_leak_into_no_damaged_picture(
    tmp_path: Path, task: str
) -> None:
    y, x = np.mgrid[:33, :33] - 16
    disk = (x**2 + y**2 < 100)[:32, :32]
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[disk] = [250, 220, 60, 255]
    Image.fromarray(pixels).save(tmp_path / "s.png")
    assert (
        run("degrade", tmp_path / "s.png", "--task", *task.split(), "-o", tmp_path / "o.png") == 0
    )
    seen = np.asarray(Image.open(tmp_path / "o.png")).astype(int)
    assert np.abs(seen[seen[..., 3] > 0][:, :3] - [250, 220, 60]).max() < 20


def test_unknown_command_names_the_likeliest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("restor") == 2
    assert "Did you mean 'restore'?" in capsys.readouterr().err


def test_nan_is_not_written(tmp_path: Path, prior: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--task", "sr2", "--lr", "1e30", "--prior", prior, "--steps", "5"]
    assert run("restore", photo(tmp_path / "in.png"), "-o", tmp_path / "out.png", *words) == 1
    said = capsys.readouterr().err
    assert "(NaN or infinite) and was not saved" in said
    assert not (tmp_path / "out.png").exists()


def test_sample_that_became_nan_costs_the_others_nothing(
    tmp_path: Path, prior: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = Job.finish

    def finish(self: Job, x: torch.Tensor) -> torch.Tensor:
        x = real(self, x).clone()
        if len(x) == 4:
            x[2] = torch.nan
        return x

    monkeypatch.setattr(Job, "finish", finish)
    words = ["--task", "sr2", "--prior", prior, *FAST, "--samples", "4", "--seed", "3"]
    assert run("restore", photo(tmp_path / "in.png"), "-o", tmp_path / "out.png", *words) == 1
    assert "The samples of seed 5 became invalid" in capsys.readouterr().err
    assert [(tmp_path / f"out{end}.png").exists() for end in ("", "-2", "-3", "-4")] == [
        True, True, True, False,
    ]  # fmt: skip
    # the record is replayed with the lost sample, beside which the others were drawn
    assert run("replay", tmp_path / "out.json") == 0


def _heeds_interrupts() -> None:
    """A shell that starts its jobs in the background has them ignore SIGINT, and so would their
    children.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupt_leaves_nothing_behind(tmp_path: Path, prior: str) -> None:
    photo(tmp_path / "in.png", size=(64, 64))
    words = [
        "restore",
        "in.png",
        "-o",
        "out.png",
        "--task",
        "sr4",
        "--prior",
        prior,
        "--steps",
        "1000",
        "--samples",
        "4",
    ]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "hrdis", *words],
        cwd=tmp_path,
        env=env,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heeds_interrupts,
    )
    assert process.stderr is not None
    assert "network calls" in process.stderr.readline()  # it has begun
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "interrupted" in said and "Traceback" not in said
    assert [p.name for p in tmp_path.iterdir()] == ["in.png"]


# ---- the other commands
# ----------------------------------------------------------------------------


def test_degrade_then_restore(tmp_path: Path, prior: str) -> None:
    good, damaged = photo(tmp_path / "good.png", size=(64, 48)), tmp_path / "bad.png"
    assert run("degrade", good, "--task", "inpaint-scratches", "-o", damaged) == 0
    mask = tmp_path / "bad-mask.png"
    assert 0.1 < (np.asarray(Image.open(mask)) > 127).mean() < 0.25
    out = tmp_path / "out.png"
    assert (
        run(
            "restore",
            damaged,
            "--task",
            "inpaint",
            "--mask",
            mask,
            "-o",
            out,
            "--prior",
            prior,
            *FAST,
        )
        == 0
    )
    lost = np.asarray(Image.open(mask)) > 127
    assert np.array_equal(np.asarray(Image.open(out))[~lost], np.asarray(Image.open(good))[~lost])


@pytest.mark.parametrize("name", ["bad.png", "bad-mask.png", "bad.json"])
def test_degrade_replaces_no_file_of_a_stranger(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--task", "inpaint-scratches", "-o", tmp_path / "bad.png"]
    (tmp_path / name).write_bytes(b"a stranger's")
    assert run("degrade", photo(tmp_path / "good.png"), *words) == 2
    assert f"{name} exists" in capsys.readouterr().err
    assert (tmp_path / name).read_bytes() == b"a stranger's"
    assert run("degrade", tmp_path / "good.png", *words, "--overwrite") == 0
    assert run("degrade", tmp_path / "good.png", *words) == 0  # its own are replaced unasked


def test_degrade_never_writes_over_its_mask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, mask = photo(tmp_path / "in.png"), hole(tmp_path / "holes.png")
    before = mask.read_bytes()
    words = ["degrade", given, "--task", "inpaint", "--mask", mask, "-o", mask, "--overwrite"]
    assert run(*words) == 2
    assert "is an input and would be written over" in capsys.readouterr().err
    assert mask.read_bytes() == before


def test_file_of_several_pictures_is_named_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is read to be checked, and again to be looked at."""
    first = Image.open(photo(tmp_path / "in.png"))
    first.save(tmp_path / "two.gif", save_all=True, append_images=[first.transpose(0)])
    assert run("fix", tmp_path / "two.gif", "--dry-run") == 0
    assert capsys.readouterr().err.count("holds several pictures") == 1


def test_degrade_that_is_killed_leaves_no_record_of_another_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["degrade", photo(tmp_path / "good.png"), "-o", tmp_path / "bad.png", "--task"]
    assert run(*words, "inpaint-scratches") == 0

    def ended(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(images, "save", ended)  # of the mask, after the picture
    assert run(*words, "inpaint-random", "--seed", "4") == 130
    record = json.loads((tmp_path / "bad.json").read_text())
    assert record["seed"] == 4 and record["unfinished"]


def test_degrade_crops_to_the_scale_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(
            "degrade",
            photo(tmp_path / "in.png", size=(26, 21)),
            "--task",
            "sr4",
            "-o",
            tmp_path / "out.png",
        )
        == 0
    )
    assert "cropped to 24 x 20" in capsys.readouterr().err
    assert Image.open(tmp_path / "out.png").size == (6, 5)


def test_degrade_adds_the_noise_it_was_told(tmp_path: Path) -> None:
    Image.new("RGB", (100, 100), (128, 128, 128)).save(tmp_path / "in.png")
    run(
        "degrade",
        tmp_path / "in.png",
        "--task",
        "denoise",
        "--noise",
        "0.1",
        "-o",
        tmp_path / "out.png",
    )
    noise = images.to_unit(images.load(tmp_path / "out.png")) - 128 / 255
    assert float(noise.std()) == pytest.approx(
        0.1, rel=0.03
    )  # 30 000 draws: 0.4 % standard error, plus clipping


@pytest.mark.parametrize(
    ("kind", "level", "deviation"),
    [("poisson", 1.0, (0.5 / 255) ** 0.5), ("speckle", 0.1, 0.05), ("gaussian", 0.1, 0.1)],
)
def test_degrade_adds_noise_of_a_kind(
    tmp_path: Path, kind: str, level: float, deviation: float, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (100, 100), (128, 128, 128)).save(tmp_path / "in.png")
    words = [
        "--task",
        "denoise",
        "--noise-kind",
        kind,
        "--noise",
        level,
        "-o",
        tmp_path / "out.png",
    ]
    assert run("degrade", tmp_path / "in.png", *words) == 0
    noise = images.to_unit(images.load(tmp_path / "out.png")) - 128 / 255
    assert float(noise.std()) == pytest.approx(deviation, rel=0.03)  # as above
    record = json.loads((tmp_path / "out.json").read_text())["noise"]
    assert (record["kind"], record["level"]) == (kind, level)
    assert record["[-1,1]"] == 2 * record["[0,1]"] == pytest.approx(2 * deviation)
    assert f"{kind} noise" in capsys.readouterr().err.lower()


@pytest.mark.parametrize(
    ("task", "size"),
    [("jpeg10", (32, 16)), ("hdr", (37, 21)), ("quantize", (37, 21)), ("lowlight", (37, 21))],
)
def test_degrade_then_restore_without_a_mask(
    tmp_path: Path, prior: str, task: str, size: tuple[int, int]
) -> None:
    good, bad, out = (
        photo(tmp_path / "good.png", size=(37, 21)),
        tmp_path / "bad.png",
        tmp_path / "out.png",
    )
    assert run("degrade", good, "--task", task, "-o", bad) == 0
    assert Image.open(bad).size == size
    assert not np.array_equal(
        np.asarray(Image.open(bad)), np.asarray(Image.open(good).crop((0, 0, *size)))
    )
    assert run("restore", bad, "--task", task, "-o", out, "--prior", prior, *FAST) == 0
    assert Image.open(out).size == size


def test_dark_picture_is_brightened_by_a_blind_solver_that_records_how_dark_it_was(
    tmp_path: Path, prior: str
) -> None:
    good, dark, out = photo(tmp_path / "good.png"), tmp_path / "dark.png", tmp_path / "out.png"
    assert run("degrade", good, "--task", "lowlight", "-o", dark) == 0
    assert (
        run(
            "restore",
            dark,
            "--task",
            "lowlight",
            "-o",
            out,
            "--prior",
            prior,
            *FAST,
            "--samples",
            "2",
        )
        == 0
    )
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["solver"] == "blindhrdis"
    assert len(record["estimated"]["f"]) == 2
    assert all(
        f == pytest.approx(0.25, rel=0.3) for f in record["estimated"]["f"]
    )  # mid-grey on average


def test_solver_that_estimates_nothing_is_told_how_dark_a_picture_is(
    tmp_path: Path, prior: str
) -> None:
    dark, out = photo(tmp_path / "dark.png"), tmp_path / "out.png"
    words = ["--task", "lowlight", "--solver", "hrdis", "--prior", prior, *FAST]
    assert run("restore", dark, "-o", out, *words) == 0
    record = json.loads((tmp_path / "out.json").read_text())
    assert (record["solver"], record["estimated"]) == ("hrdis", {})


@pytest.mark.parametrize("command", ["degrade", "restore"])
def test_measurement_that_is_no_picture_is_refused(
    tmp_path: Path, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(
            command,
            photo(tmp_path / "in.png", size=(16, 16)),
            "--task",
            "phase",
            "-o",
            tmp_path / "out.png",
        )
        == 2
    )
    assert "The task 'phase' does not measure a picture" in capfd.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["in.png"]


@pytest.mark.parametrize(
    "words",
    [
        "degrade in.png --task denoise --noise-kind poisson -o out.png",
        "degrade in.png --task denoise --noise-kind speckle --noise -1 -o out.png",
        "degrade missing.png --task sr4 -o out.png",
        "degrade in.png --task sr5 -o out.png",
        "degrade in.png --task sr16 -o out.png",
        "degrade in.png --task sr4 --noise -1 -o out.png",
        "degrade in.png --task sr4 -o in.png",
        "degrade in.png --task cs10 -o out.png",
        "degrade in.png --task deblur-gauss -o out.png",
        "degrade in.png --task deblur-nonlinear -o out.png",
        "degrade in.png --task sr4 --weights in.png -o out.png",
        "demo -o in.png/x",
        "model show nowhere",
        "list solvers nowhere",
        "train nowhere -o out",
    ],
)
def test_other_commands_refuse_bad_input(
    tmp_path: Path, words: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "in.png", size=(12, 12))
    assert run(*words.split()) == 2
    said = capfd.readouterr().err
    assert said.startswith(f"hrdis {words.split()[0]}: ") and said.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["in.png"]


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(command, "--help")
    assert end.value.code == 0
    assert f"\n  hrdis {command}" in capsys.readouterr().out


def test_help_of_restore_lists_the_settings_of_the_chosen_solver(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        run("restore", "--solver", "ddnm", "--help")
    said = capsys.readouterr().out
    assert "--eta" in said and "--beta" not in said


def test_overview_imports_no_torch() -> None:
    code = (
        "import sys; from hrdis.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode
        == 0
    )


def test_lists_name_everything(capsys: pytest.CaptureFixture[str]) -> None:
    import hrdis

    run("list", "solvers")
    run("list", "tasks")
    said = capsys.readouterr().out
    assert all(name in said for name in [*hrdis.SOLVERS, *NAMES])


@pytest.mark.parametrize("width", [80, 120])
def test_solvers_fit_the_terminal_and_every_word_is_explained(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import hrdis

    monkeypatch.setenv("COLUMNS", str(width))
    assert run("list", "solvers") == 0
    table, legend = capsys.readouterr().out.split("\n\n", 1)
    rows = {line.split()[0]: line for line in table.splitlines() if line[0] != " "}
    assert max(map(len, f"{table}\n{legend}".splitlines())) <= width
    for name, (cls, _) in hrdis.SOLVERS.items():
        assert cls.reference.split(" (")[0] in rows[name]
        assert rows[name].split()[2] == cls.noise
        assert f"{rows[name].split()[1]}: " in legend.replace("\n       ", " ")
        assert f"{cls.noise}: " in legend.replace("\n       ", " ")
        assert cls.noiseless == (cls.noise == "noiseless")


@pytest.mark.parametrize("name", ["hrdis", "cmhrdis", "daps"])
def test_one_solver_is_shown_with_its_settings_and_presets(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import hrdis

    assert run("list", "solvers", name) == 0
    said, (cls, presets) = capsys.readouterr().out, hrdis.SOLVERS[name]
    assert all(f"--{f.name.replace('_', '-')} " in said for f in fields(cls))  # type: ignore[arg-type]
    assert all(f"  {key} " in said for key in presets)


def test_help_shows_the_settings_of_one_solver_only(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("restore", "--solver", "ddrm", "--help")
    said = capsys.readouterr().out
    assert "--eta-b" in said and "--beta" not in said and "--particles" not in said


@pytest.mark.parametrize("solver", hrdis.SOLVERS)
def test_settings_of_no_solver_are_called_as_an_option_of_the_command(
    solver: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options and settings are written alike, so that the command could not be read at all."""
    words = ["restore", "missing.png", "--task", "upscale", "--solver", solver, "-o", "x.png"]
    assert cli.main(words) == 2
    assert "missing.png does not exist" in capsys.readouterr().err


def test_settings_of_another_solver_are_taken(tmp_path: Path, prior: str) -> None:
    words = ("--task", "sr4", "--prior", prior, "--solver", "ddrm", "--eta", "0.5", "--steps", "3")
    assert run("restore", photo(tmp_path / "in.png"), "-o", tmp_path / "out.png", *words) == 0
    assert json.loads((tmp_path / "out.json").read_text())["settings"]["eta"] == 0.5


def test_setting_of_another_solver_is_refused_with_a_suggestion(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert (
        run(
            "restore",
            "in.png",
            "-o",
            "out.png",
            "--task",
            "sr4",
            "--solver",
            "ddrm",
            "--etta",
            "0.5",
        )
        == 2
    )
    said = capsys.readouterr().err
    assert "--etta" in said and "Did you mean --eta?" in said


def test_prior_show_prints_the_card(prior: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("model", "show", prior) == 0
    assert "A network of noise." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "gpu",
            "--device gpu cannot be used. auto, cpu, cuda, cuda:1 or mps is expected: --device cpu",
        ),
        (
            "meta",
            "--device meta cannot be used. auto, cpu, cuda, cuda:1 or mps is expected: "
            "--device cpu",
        ),
        ("xpu", "--device xpu cannot be used ("),
    ],
)
def test_device_that_cannot_be_used_is_refused_in_one_short_line(name: str, said: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(said)) as caught:
        pick_device(name)
    assert len(str(caught.value)) < 200


def test_file_that_reads_as_an_option_is_told_how_to_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    photo(Path("-dash.png"))
    for words in (["-dash.png", "-o", "a.png"], ["./-dash.png", "-o", "-new.png"]):
        assert cli.main(["restore", *words, "--task", "sr2"]) == 2
        name = "-dash.png" if words[0] == "-dash.png" else "-new.png"
        said = f"{name} is a file, but reads as an option. Its name with a folder is expected: "
        assert f"{said}./{name}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "in.png --mask most.png",
            "The holes cover 95% of the picture. If it is the other way round: --mask-marks black",
        ),
        (
            "in.png --mask few.png --mask-marks black",
            "The holes cover 95% of the picture. If it is the other way round: --mask-marks w",
        ),
        (
            "clear.png --mask few.png",
            "clear.png is transparent in the holes and stays so. To make them opaque: --mask-m",
        ),
        ("in.png --mask few.png", ""),
        ("clear.png --mask-marks transparent", ""),
    ],
)
def test_mask_that_is_likely_meant_otherwise_is_doubted(
    tmp_path: Path,
    prior: str,
    words: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    few = Image.new("L", (20, 20))
    few.paste(255, (4, 4, 9, 8))
    few.save("few.png")
    Image.eval(few, lambda v: 255 - v).save("most.png")
    photo(Path("in.png"), size=(20, 20))
    clear = Image.open("in.png").convert("RGBA")
    clear.putalpha(Image.open("most.png"))
    clear.save("clear.png")
    assert (
        run(
            "restore", *words.split(), "--task", "inpaint", "--prior", prior, "-o", "out.png", *FAST
        )
        == 0
    )
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 4 + bool(said)  # with what, why, and the files


def test_noise_of_no_strength_is_refused_by_degrade(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run("degrade", photo(tmp_path / "in.png"), "--task", "denoise", "-o", tmp_path / "out.png")
        == 2
    )
    assert (
        "--task denoise adds noise and nothing else. Its strength is expected: --noise 0.1"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "out.png").exists()


def test_terminal_shows_what_is_done_and_which_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(force_terminal=True, file=file, width=100))
    with progress.waiting("looking") as tell:
        tell("removing noise, tile 3 of 96")
    with progress.bar(20) as shown:
        shown.tiles(4, 96)
    assert "removing noise, tile 3 of 96" in file.getvalue()
    assert "tile 4 of 96" in file.getvalue()


def test_bar_tells_the_time_left_where_a_step_takes_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(
        progress, "console", Console(force_terminal=True, file=io.StringIO(), width=100)
    )
    made: list[Progress] = []
    kind = progress.Signs

    def timed(*columns: ProgressColumn, **options: float) -> Progress:
        made.append(kind(*columns, **options))  # type: ignore[arg-type]
        made[0].get_time = lambda: now
        return made[0]

    monkeypatch.setattr(progress, "Signs", timed)
    with progress.bar(10) as shown:
        for _ in range(3):
            now += 60.0
            shown.advance()
        assert made[0].tasks[0].time_remaining == 7 * 60


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "restore in.png --task sr2",
            "-o OUT is missing: hrdis restore PICTURE -o OUT.",
        ),
        (
            "restore in.png --task sr2 -o a.png --stps 3",
            "There is no option '--stps 3'. Did you mean --steps?",
        ),
        (
            "restore in.png --task sr2 -o a.png --steps 0",
            "steps is 0, but input should be greater than or equal to 1.",
        ),
        (
            "demo here",
            "There is no place for 'here'. A name with spaces needs quotes around it. `hrdis demo "
            "--help` shows all options.",
        ),
        (
            "model tell",
            "ACTION is 'tell'. One of list, show, add, download, check is expected.",
        ),
    ],
)
def test_option_that_is_none_is_one_line_and_status_2(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words.split()) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.err.startswith(f"hrdis {words.split()[0]}: ")
    assert told.err.count("\n") == 1
    assert not told.out
