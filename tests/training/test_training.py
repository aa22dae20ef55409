"""Training as a whole: resumption bit for bit, what is written, what is refused before any work."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import load_file

from hrdis.checkpoints import load_prior
from hrdis.rng import stream
from hrdis.schedule import Schedule
from hrdis.training import loop, photographs
from hrdis.training import state as states
from hrdis.training.model_card import CARD
from hrdis.training.network import WEIGHTS, clean, noised
from hrdis.training.settings import CPU, GPU, TrainSettings
from hrdis.training.train import train

TINY = TrainSettings(
    steps=20, pixels=1024, patches=(16, 32), channels=(8, 16), blocks=1, middle=1,
    procedural_pool=6,
    procedural=0.5, warmup=4, log_every=5, device="cpu", seed=3, threads=1,
)  # fmt: skip


def picture(i, height=40, width=48):
    """A small picture with structure, not noise alone."""
    rng = stream(0, "test picture", i)
    coarse = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i in range(5):
        Image.fromarray(picture(i)).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def finished(photos, tmp_path_factory):
    """A run of 20 steps that nothing interrupted."""
    return train(photos, tmp_path_factory.mktemp("run") / "out", TINY)


@pytest.fixture(autouse=True)
def _curves_are_not_drawn(photos, finished):
    """Matplotlib would take more time than the training; the run of `finished` has its curves."""
    undrawn = SimpleNamespace(**vars(loop.evaluate))
    undrawn.save_curves = lambda path, log: path.write_bytes(b"")
    with pytest.MonkeyPatch.context() as patch:  # a test may undo what it patched itself
        patch.setattr(loop, "evaluate", undrawn)
        yield


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def stop_at(step):
    """A report that kills the run once this step is reached."""

    def report(progress):
        if progress.step >= step and progress.psnr is None:
            raise Killed

    return report


def tensors(out):
    return load_file(out / states.STATE)


def assert_same_state(out, expected):
    ours, theirs = tensors(out), tensors(expected)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_ten_and_ten_steps_equal_twenty_bit_for_bit(photos, finished, tmp_path, monkeypatch):
    monkeypatch.setattr(loop.time, "monotonic", iter(range(0, 10_000, 6)).__next__)
    stopped = []
    train(photos, tmp_path / "out", replace(TINY, max_minutes=1.0), stopped.append)
    assert 5 <= stopped[-1].step < 20
    monkeypatch.undo()
    train(photos, tmp_path / "out", TINY)
    assert_same_state(tmp_path / "out", finished)


def test_killed_between_checkpoints_goes_on_bit_for_bit(photos, finished, tmp_path):
    often = replace(TINY, checkpoint_minutes=1e-9)
    with pytest.raises(Killed):
        train(photos, tmp_path / "out", replace(often, log_every=7), stop_at(7))
    assert states.read(tmp_path / "out").step == 6
    train(photos, tmp_path / "out", TINY)
    assert_same_state(tmp_path / "out", finished)


def test_killed_while_writing_the_state_keeps_the_one_before(
    photos, finished, tmp_path, monkeypatch
):
    def dies(path, write_to, **options):
        path.with_name(".state.safetensors.tmp").write_bytes(b"half a file")
        raise Killed

    out = tmp_path / "out"
    with pytest.raises(Killed):
        train(photos, out, replace(TINY, checkpoint_minutes=1e-9, log_every=1), stop_at(12))
    before = (out / states.STATE).read_bytes()
    monkeypatch.setattr(states, "write_atomically", dies)
    with pytest.raises(Killed):
        train(photos, out, replace(TINY, checkpoint_minutes=1e-9))
    assert (out / states.STATE).read_bytes() == before
    monkeypatch.undo()
    train(photos, out, TINY)
    assert_same_state(out, finished)


def test_killed_before_any_file_of_the_last_checkpoint_ends_with_the_same_files(
    photos, finished, tmp_path, monkeypatch
):
    often = replace(TINY, checkpoint_minutes=1e-9, log_every=1)
    begun = tmp_path / "begun"
    with pytest.raises(Killed):
        train(photos, begun, often, stop_at(20))  # in the log of the last step: its state is not
    assert states.read(begun).step == 19
    real, killed = os.replace, []

    def dies_at(name):
        def replace_or_die(temporary, path):
            if Path(path).name == name and states.read(out).step == (19 + (name != states.STATE)):
                killed.append(name)
                raise Killed
            real(temporary, path)

        return replace_or_die

    names = [states.STATE, "config.json", WEIGHTS, "00000020.png", CARD]
    for name in names:
        out = shutil.copytree(begun, tmp_path / name)
        monkeypatch.setattr(os, "replace", dies_at(name))
        with pytest.raises(Killed):
            train(photos, out, often)
        monkeypatch.setattr(os, "replace", real)
        train(photos, out, often)
        assert_same_state(out, finished)
        assert (out / WEIGHTS).read_bytes() == (finished / WEIGHTS).read_bytes()
        assert "20 steps" in (out / CARD).read_text()
        assert (out / "samples" / "00000020.png").is_file()
    assert killed == names


SCRIPT = """
import sys
from pathlib import Path
from hrdis.training.settings import TrainSettings
from hrdis.training.train import train
photos, out, record = sys.argv[1:]
settings = TrainSettings(**__import__("json").loads(record))
train(photos, out, settings, lambda p: print(p.step, flush=True))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_real_kills_at_any_moment_lose_nothing(photos, tmp_path):
    settings = replace(TINY, steps=100)
    expected = train(photos, tmp_path / "expected", settings)
    often = replace(settings, checkpoint_minutes=1e-9, log_every=1)
    arguments = [
        sys.executable,
        "-c",
        SCRIPT,
        photos,
        tmp_path / "out",
        json.dumps(often.as_record()),
    ]
    delays, kills, last = stream(0, "kills"), 0, 0
    for _ in range(8):
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        first = process.stdout.readline()  # the network is built and a step was done
        if not first:
            break
        assert int(first) in (last, last + 1) or kills == 0
        time.sleep(float(delays.uniform(0, 1.5)))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        last = states.read(tmp_path / "out").step
        assert len(load_file(tmp_path / "out" / WEIGHTS)) > 0
    assert kills >= 3
    train(photos, tmp_path / "out", settings)
    assert_same_state(tmp_path / "out", expected)
    assert {path.name for path in (tmp_path / "out").glob(".*")} == {".lock"}


def test_worker_processes_change_no_bit(photos, finished, tmp_path):
    train(photos, tmp_path / "out", replace(TINY, workers=1))
    assert_same_state(tmp_path / "out", finished)
    assert not (tmp_path / "out" / ".cache").exists()


def test_prior_is_the_average_in_half_precision(finished):
    state, net = tensors(finished), load_prior(finished).net
    assert type(net).__name__ == "SmallUNet"
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, state[f"ema.{name}"].half().float()), name
    assert all(tensor.dtype == torch.float16 for tensor in load_file(finished / WEIGHTS).values())


def test_network_of_diffusers_is_written_as_diffusers_reads_it(photos, tmp_path):
    from diffusers import DDPMScheduler, UNet2DModel

    out = train(photos, tmp_path / "out", replace(TINY, network="unet2d", steps=2))
    net, state = UNet2DModel.from_pretrained(out, low_cpu_mem_usage=False), tensors(out)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor.half(), state[f"ema.{name}"].half()), name
    scheduler = DDPMScheduler.from_pretrained(out)
    assert scheduler.config.prediction_type == "v_prediction" and not scheduler.config.clip_sample
    assert torch.allclose(scheduler.alphas_cumprod.double(), Schedule.linear().alpha_bar, rtol=1e-4)


def test_average_differs_from_the_weights_and_both_have_moved(finished):
    state = tensors(finished)
    assert not torch.equal(state["net.conv_in.weight"], state["ema.conv_in.weight"])
    assert state["ema.conv_out.weight"].abs().max() > 0  # zero at first


def test_files_are_readable_by_others_and_nothing_temporary_is_left(finished):
    assert (finished / WEIGHTS).stat().st_mode & 0o777 == 0o644
    names = {path.name for path in finished.iterdir()} - {".lock"}
    assert names == {
        "config.json", "scheduler_config.json", WEIGHTS, "settings.json", "log.jsonl",
        "curves.png", "samples",
        "state.safetensors", "before-decay.safetensors", "MODEL_CARD.md", "presets.toml",
    }  # fmt: skip
    assert Image.open(finished / "samples" / "00000020.png").size[0] > 0


def test_log_has_one_line_per_interval_and_a_measurement(finished):
    lines = [json.loads(line) for line in (finished / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [5, 10, 15, 20]
    assert [line["pixels"] for line in lines if "loss" in line] == [
        5 * 1024,
        10 * 1024,
        15 * 1024,
        20 * 1024,
    ]
    assert lines[-1]["psnr"].keys() == {"10", "25", "50"}


def test_finished_run_is_left_as_it_is(photos, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.glob("*.safetensors")}
    log = (finished / "log.jsonl").read_text()
    train(photos, finished, TINY)
    assert {path: path.stat().st_mtime_ns for path in finished.glob("*.safetensors")} == before
    assert (finished / "log.jsonl").read_text() == log


def test_run_without_decay_goes_on_in_the_same_folder_when_it_is_made_longer(photos, tmp_path):
    out, reports = tmp_path / "out", []
    train(photos, out, replace(TINY, steps=5, decay=0))
    train(photos, out, replace(TINY, steps=10), reports.append)
    assert [r.step for r in reports if r.psnr is None] == [10]


def test_resumed_run_begins_before_the_decay_of_the_other_and_leaves_it_alone(
    photos, finished, tmp_path
):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    reports = []
    train(
        photos, tmp_path / "out", replace(TINY, resume=finished, decay=1, steps=5), reports.append
    )
    assert states.read(finished, states.BEFORE_DECAY).step == 11  # 55 % of 20 steps
    assert reports[-1].step == 16
    assert states.read(tmp_path / "out").updates == 16  # the optimiser goes on
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert lines[0]["pixels"] == 16 * 1024
    assert {
        path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()
    } == before


def test_hours_end_a_run_and_its_decay_by_the_clock(photos, tmp_path, monkeypatch):
    settings = replace(TINY, steps=None, hours=0.1, log_every=1, checkpoint_minutes=100)
    monkeypatch.setattr(loop.time, "monotonic", iter(range(0, 100_000, 9)).__next__)
    reports = []
    train(photos, tmp_path / "out", settings, reports.append)
    rates = [r.lr for r in reports if r.psnr is None]
    assert reports[-1].share == 1 and rates[-1] == 0
    falling = [r.lr for r in reports if r.psnr is None and r.share > 0.6]
    assert falling == sorted(falling, reverse=True) and len(falling) > 4


def test_rates_warm_up_settle_stay_and_fall_to_zero(photos, tmp_path, monkeypatch):
    rates = []
    monkeypatch.setattr(
        loop.MuonAdamW, "step", lambda self, lr, adam_lr: rates.append((lr, adam_lr))
    )
    monkeypatch.setattr(loop.guards.Movement, "check", lambda self, net, step: None)
    train(
        photos,
        tmp_path / "out",
        replace(TINY, steps=40, settle=10, decay=0.5, lr=0.01, lr_first=0.04),
    )
    muon, adam = zip(*rates, strict=True)
    assert adam[:4] == pytest.approx([0.00025, 0.0005, 0.00075, 0.001])
    assert muon[3] == pytest.approx(0.01 * 4**0.7)
    assert set(np.round(muon[10:20], 12)) == {0.01}
    assert muon[30] == pytest.approx(0.005) and muon[39] == pytest.approx(0.01 / 20)


def test_start_from_takes_weights_and_average_of_the_prior(photos, finished, tmp_path):
    settings = replace(TINY, start_from=finished, steps=2, decay=1, seed=4)
    reports = []
    train(photos, tmp_path / "out", settings, reports.append)
    assert reports[-1].step == 2
    ours, theirs = tensors(tmp_path / "out"), tensors(finished)
    # two steps of warm-up, averaged slowly: the average is nearly the prior it came from
    torch.testing.assert_close(
        ours["ema.conv_in.weight"], theirs["ema.conv_in.weight"], rtol=2e-3, atol=2e-4
    )


def test_caller_who_switched_gradients_off_can_train(photos, finished, tmp_path):
    with torch.no_grad():
        train(photos, tmp_path / "out", TINY)
    assert_same_state(tmp_path / "out", finished)


def test_loss_that_is_not_finite_stops_the_run_and_keeps_the_state(
    photos, finished, tmp_path, monkeypatch
):
    nan = float("nan")
    monkeypatch.setattr(
        loop.TrainingRun,
        "prepare",
        lambda self: setattr(self, "forward", lambda x, t: self.net(x, t) * nan),
    )
    with pytest.raises(RuntimeError, match="The loss became nan at step 5"):
        train(photos, tmp_path / "out", TINY)
    assert not (tmp_path / "out" / states.STATE).exists()


@pytest.mark.parametrize("harm", ["weights cut", "weights removed", "older card"])
def test_finished_run_whose_weights_or_card_are_not_whole_is_mended(
    photos, finished, tmp_path, harm
):
    out = shutil.copytree(finished, tmp_path / "out")
    if harm == "weights cut":
        (out / WEIGHTS).write_bytes(b"")
    elif harm == "weights removed":
        (out / WEIGHTS).unlink()
    else:
        (out / CARD).write_text("the card of an earlier checkpoint")
    train(photos, out, TINY)
    assert (out / WEIGHTS).read_bytes() == (finished / WEIGHTS).read_bytes()
    assert sha256((out / WEIGHTS).read_bytes()).hexdigest() in (out / CARD).read_text()


def test_numbers_that_are_not_finite_are_never_saved(photos, tmp_path, monkeypatch):
    """A finite loss with infinite gradients poisons the weights: the checkpoint before stays as it
    was.
    """

    def poisoned(self, lr, adam_lr):
        self.updates += 1
        if self.updates > 9:
            self.others["conv_out.bias"].data.fill_(float("inf"))

    out, often = tmp_path / "out", replace(TINY, checkpoint_minutes=1e-9, log_every=100)
    monkeypatch.setattr(loop.MuonAdamW, "step", poisoned)
    with pytest.raises(
        RuntimeError, match=r"^At step 10 \d tensors .* not finite .*conv_out\.bias"
    ):
        train(photos, out, often)
    assert states.read(out).step == 9


def test_damaged_numbers_are_not_trained_on(photos, tmp_path):
    out = train(photos, tmp_path / "out", replace(TINY, steps=2))
    content = bytearray((out / states.STATE).read_bytes())
    content[-5] ^= 64
    (out / states.STATE).write_bytes(bytes(content))
    with pytest.raises(
        ValueError, match=r"state\.safetensors is damaged: its numbers are not those"
    ):
        train(photos, out, replace(TINY, steps=2))


@pytest.mark.parametrize("name", [".lock", ".settings.json.x1.tmp", ".probe"])
def test_what_a_first_start_leaves_when_it_is_killed_is_no_hindrance(photos, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).touch()
    train(photos, tmp_path / "out", replace(TINY, steps=1))


@pytest.mark.parametrize("source", ["start_from", "resume"])
def test_run_goes_on_without_the_folder_it_started_from(photos, finished, tmp_path, source):
    first = shutil.copytree(finished, tmp_path / "first")
    settings = replace(TINY, **{source: first}, steps=4, max_minutes=1e-9)
    train(photos, tmp_path / "out", settings)
    shutil.rmtree(first)
    train(photos, tmp_path / "out", replace(settings, max_minutes=None))
    stored = states.read(tmp_path / "out")
    assert stored.step - stored.first == 4


def test_full_disk_is_an_error_of_the_system_that_leaves_the_state_before(
    photos, tmp_path, monkeypatch
):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    out = train(photos, tmp_path / "out", replace(TINY, steps=2, decay=0))
    before = (out / states.STATE).read_bytes()
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        train(photos, out, replace(TINY, steps=4, decay=0))
    assert (out / states.STATE).read_bytes() == before
    assert not list(out.glob(".*.tmp"))


def test_photographs_too_small_to_measure_on_are_no_error(photos, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "photos")
    loaded = photographs.load(folder, seed=TINY.seed)
    Image.fromarray(picture(9, 2, 60)).save(loaded.held_out_files[0])
    out = train(folder, tmp_path / "out", replace(TINY, steps=2))
    assert "psnr" not in (out / "log.jsonl").read_text() and (out / CARD).is_file()


def test_stop_ends_the_run_after_its_step_with_everything_saved(photos, finished, tmp_path):
    stop = Event()
    train(photos, tmp_path / "out", replace(TINY, log_every=7), lambda p: stop.set(), stop)
    assert states.read(tmp_path / "out").step == 7
    train(photos, tmp_path / "out", TINY)
    assert_same_state(tmp_path / "out", finished)


# ---- refused before any work --------------------------------------------------------------------


def test_other_settings_are_refused_by_name(photos, finished):
    with pytest.raises(
        ValueError, match=r"holds a run with other settings: lr was 0\.006, now 0\.001; pixels was"
    ):
        train(photos, finished, replace(TINY, pixels=2048, lr=1e-3))


def test_another_length_is_refused_once_the_rate_has_begun_to_fall(photos, finished):
    with pytest.raises(
        ValueError, match=r"steps was 20, now 90.*to train longer, use a new folder and resume="
    ):
        train(photos, finished, replace(TINY, steps=90))


def test_run_of_an_earlier_version_is_refused(photos, tmp_path):
    record = {"settings": {"images": 80, "batch": 4}, "photographs": ""}
    (tmp_path / "settings.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"holds a run of an earlier version"):
        train(photos, tmp_path, TINY)


def test_resume_from_a_folder_without_a_state_is_refused(photos, tmp_path):
    with pytest.raises(
        ValueError, match=r"^resume = .* holds no state\.safetensors\. .*start_from="
    ):
        train(photos, tmp_path / "out", replace(TINY, resume=tmp_path))


def test_resume_from_another_network_is_refused(photos, finished, tmp_path):
    with pytest.raises(
        ValueError, match=r"^The state is one of another network than the settings': "
    ):
        train(photos, tmp_path / "out", replace(TINY, resume=finished, channels=(8, 24)))


def test_other_photographs_are_refused(photos, finished, tmp_path):
    for i in range(2):
        Image.fromarray(picture(10 + i)).save(tmp_path / f"{i}.png")
    with pytest.raises(ValueError, match="the photographs are not the same"):
        train(tmp_path, finished, TINY)


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="There is no folder"):
        train(tmp_path / "nowhere", tmp_path / "out", TINY)


def test_folder_with_other_files_is_refused(photos, tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match="not a run of this trainer"):
        train(photos, tmp_path, TINY)


def test_file_as_output_is_refused(photos, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(ValueError, match="is a file"):
        train(photos, tmp_path / "out", TINY)


def test_output_that_cannot_be_made_is_refused(photos, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot be written"):
        train(photos, tmp_path / "file" / "out", TINY)


def test_output_inside_the_photographs_is_refused(photos):
    with pytest.raises(ValueError, match="lies inside the photographs"):
        train(photos, photos / "out", TINY)
    assert not (photos / "out").exists()


def test_folder_in_use_by_another_process_is_refused(photos, tmp_path):
    with states.locked(tmp_path), pytest.raises(ValueError, match="Another process is training"):
        train(photos, tmp_path, TINY)


def test_patch_larger_than_every_photograph_is_refused(photos, tmp_path):
    with pytest.raises(ValueError, match="No photograph is as large as a patch of 64 x 64"):
        train(photos, tmp_path / "out", replace(TINY, patches=(16, 64)))


def test_start_from_another_architecture_is_refused(photos, finished, tmp_path):
    with pytest.raises(
        ValueError,
        match=re.escape("Use the same: network='small', channels=[8, 16], blocks=1, middle=1."),
    ):
        train(photos, tmp_path / "out", replace(TINY, channels=(8, 8), start_from=finished))


def test_start_from_a_folder_without_weights_is_refused(photos, tmp_path):
    with pytest.raises(ValueError, match="is no prior"):
        train(photos, tmp_path / "out", replace(TINY, start_from=tmp_path))


DEFAULT = replace(TINY, channels=(64, 96), blocks=2, middle=8, steps=1, procedural_pool=2)


def test_start_from_takes_a_name_that_load_prior_knows(photos, tmp_path):
    """The embedded prior is the one people have."""
    out = train(photos, tmp_path / "out", replace(DEFAULT, start_from=Path("default"), decay=0))
    embedded = load_prior("default").net.state_dict()
    # one step of warm-up, averaged slowly: the average is nearly the prior it came from
    name = "conv_in.weight"
    torch.testing.assert_close(tensors(out)[f"ema.{name}"], embedded[name], rtol=2e-3, atol=2e-4)


def test_start_from_a_name_nobody_knows_is_refused(photos, tmp_path):
    with pytest.raises(ValueError, match=r"start_from = nowhere is no prior .* or 'default'"):
        train(photos, tmp_path / "out", replace(TINY, start_from=Path("nowhere")))


def test_start_from_a_prior_that_predicts_something_else_is_refused(photos, finished, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(finished, other)
    scheduler = other / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text().replace("v_prediction", "epsilon"))
    with pytest.raises(ValueError, match="does not predict v"):
        train(photos, tmp_path / "out", replace(TINY, start_from=other))


@pytest.mark.parametrize("content", ["", "{}", '{"settings": 3}', "[1]"])
def test_settings_that_cannot_be_read_are_refused_with_what_to_do(
    photos, finished, tmp_path, content
):
    """A power cut may have left them empty."""
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (out / "settings.json").write_text(content)
    with pytest.raises(ValueError, match=r"settings\.json cannot be read .* Delete it to go on"):
        train(photos, out, TINY)


@pytest.mark.skipif(os.name != "posix", reason="needs flock")
def test_file_system_without_locks_is_no_hindrance(photos, tmp_path, monkeypatch):
    import fcntl

    def unsupported(*_):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.warns(UserWarning, match="file system without locks"):
        train(photos, tmp_path / "out", replace(TINY, steps=1, warmup=0))


def test_damaged_state_is_refused_with_what_to_do(photos, tmp_path):
    train(photos, tmp_path / "out", replace(TINY, steps=1))
    (tmp_path / "out" / states.STATE).write_bytes(b"damaged")
    with pytest.raises(ValueError, match="cannot be read as the state of a run"):
        train(photos, tmp_path / "out", replace(TINY, steps=1))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused(photos, tmp_path):
    with pytest.raises(ValueError, match="torch sees no GPU"):
        train(photos, tmp_path / "out", replace(TINY, device="cuda"))


# ---- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"hours": 0},
        {"steps": 0},
        {"lr": 0.0},
        {"lr": 1.0},
        {"decay": 1.5},
        {"ema_decay": 1.0},
        {"blocks": 0},
        {"precision": "fp16"},
        {"device": "tpu"},
        {"max_minutes": 0.0},
        {"channels": (32,)},
        {"procedural": -0.1},
        {"images": 5},
        {"channels": (8, 12)},
        {"patches": (18,)},
        {"patches": ()},
        {"pixels": 3},
        {"network": "vit"},
        {"resume": "a", "start_from": "b"},
    ],
)
def test_settings_out_of_bounds_are_refused(wrong):
    with pytest.raises(ValidationError):
        TrainSettings(**wrong)


@pytest.mark.parametrize("settings", [CPU, GPU, TINY])
def test_every_stage_has_at_least_the_pixels_of_a_step_and_less_than_a_patch_more(settings):
    stages = [settings.stage(i / 100) for i in range(101)]
    assert [patch for patch, _ in stages] == sorted(patch for patch, _ in stages)
    assert {patch for patch, _ in stages} == set(settings.patches)
    assert all(
        settings.pixels <= patch**2 * count < settings.pixels + patch**2 for patch, count in stages
    )


def test_settings_survive_json():
    record = json.loads(json.dumps(GPU.as_record()))
    assert TrainSettings(**record) == GPU


# ---- the target ---------------------------------------------------------------------------------


def test_v_gives_back_the_clean_image_and_the_noise():
    schedule, rng = Schedule.linear(), stream(0, "v")
    t = torch.tensor([0, 20, 300, 999])
    x0, eps = (torch.from_numpy(rng.standard_normal((4, 3, 4, 4))) for _ in range(2))
    x_t, v = noised(schedule, x0, t, eps)
    alpha, sigma = (
        f.reshape(-1, 1, 1, 1)
        for f in (schedule.alpha_bar[t].sqrt(), (1 - schedule.alpha_bar[t]).sqrt())
    )
    torch.testing.assert_close(x_t, alpha * x0 + sigma * eps)
    torch.testing.assert_close(clean(schedule, x_t, t, v), x0)
    torch.testing.assert_close(alpha * v + sigma * x_t, eps)


@pytest.mark.parametrize("name", ["sheet", "curves"])
def test_kill_while_a_picture_is_drawn_leaves_the_one_before(tmp_path, monkeypatch, name):
    from hrdis.training import evaluate

    path = tmp_path / f"{name}.png"
    path.write_bytes(b"the one before")

    def killed(self, file, *_, **__):
        file.write(b"half")
        raise Killed

    monkeypatch.setattr(Image.Image, "save", killed)
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", killed)
    with pytest.raises(Killed):
        if name == "sheet":
            crop = np.zeros((4, 4, 3), np.uint8)
            evaluate.save_sheet(path, [crop], [[np.zeros((4, 4, 3), np.float32)]])
        else:
            evaluate.save_curves(path, [])
    assert path.read_bytes() == b"the one before" and len(list(tmp_path.iterdir())) == 1


def test_damaged_states_are_refused_in_one_line_or_are_equal(tmp_path):
    tensors = {"net.a": torch.arange(12.0), "ema.a": torch.ones(3, 4)}
    whole = states.State(step=7, first=0, pixels=100, seconds=1.5, updates=7, tensors=tensors)
    states.write(tmp_path, whole)
    path = tmp_path / states.STATE
    content, draw = path.read_bytes(), stream(0, "damaged state")
    for number in range(1000):
        damaged = bytearray(content)
        for _ in range(int(draw.integers(1, 4))):
            damaged[int(draw.integers(len(damaged)))] = int(draw.integers(256))
        if number % 5 == 0:
            damaged = damaged[: int(draw.integers(len(damaged)))]
        path.write_bytes(damaged)
        try:
            found = states.read(tmp_path)
        except ValueError as error:
            assert "\n" not in str(error) and str(path) in str(error)
            continue
        assert found is not None and replace(found, tensors={}) == replace(whole, tensors={})
        assert found.tensors.keys() == tensors.keys()
        assert all(torch.equal(found.tensors[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("end", [b"\xff\xfe", b"[1]", b"{}", b"[" * 10**5, b'{"step": "7"}'])
def test_log_is_read_up_to_what_a_power_cut_left_in_it(tmp_path, end):
    (tmp_path / states.LOG).write_bytes(b'{"step": 1}\n{"step": 2}\n' + end + b'\n{"step": 3}\n')
    assert states.read_log(tmp_path) == [{"step": 1}, {"step": 2}]
