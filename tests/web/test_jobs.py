"""Restorations of the page: as the command's, watched, cancelled, one at a time."""

import json
import shlex
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from hrdis import images
from hrdis.checkpoints import load_prior
from hrdis.restoration import prepare
from tests.cli.test_cli import run

pytest.importorskip("gradio")
from PIL import Image

from hrdis.web.events import for_visitor
from hrdis.web.examples import example
from hrdis.web.form import Form
from hrdis.web.jobs import JobRunner
from hrdis.web.outcomes import Cancelled, FinishedJob, ProgressFrame, Waiting

from .conftest import QUICK, SLOW, H, W, form, outcome

pytestmark = pytest.mark.timeout(120)


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


# ---- the same as the command --------------------------------------------------------------------


@pytest.mark.parametrize("task", ["inpaint", "denoise", "sr2"])
def test_page_restores_as_its_command_does(task, picture, tmp_path, monkeypatch):
    noise = 0.1 if task == "denoise" else 0.0
    asked = form(picture, task, samples=2, seed=3, noise=noise, solver="ddrm")
    _, seen, files = outcome(asked)
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    for name, content in files.items():
        if "-restored" not in name:
            Path(name).write_bytes(content)
    Path(picture.name).write_bytes(picture.read_bytes())
    said = shlex.split(seen.command)
    assert said[:2] == ["hrdis", "restore"]
    assert run(*said[1:]) == 0
    pictures = {name for name in files if name.endswith(".png") and "-restored" in name}
    assert pictures and all(Path(name).read_bytes() == files[name] for name in pictures)


@pytest.mark.parametrize(
    ("task", "word", "said"),
    [
        ("deblur-auto", "--kernel gaussian:", "The kernel of the blur is gaussian:"),
        ("jpeg-auto", "--quality 10 ", "The quality is 10. Saved as a JPEG"),
    ],
)
def test_page_finds_an_option_in_its_example(task, word, said, tmp_path):
    made = example(task, tmp_path)
    _, seen, files = outcome(Form(picture=made.picture, task=task, solver="hrdis", changed=QUICK))
    assert word in seen.command
    assert said in seen.summary
    assert json.loads(files[f"example-{task}-restored.json"])["found"]


def test_page_says_what_it_saw_where_it_finds_nothing(picture):
    with pytest.raises(ValueError) as raised:
        outcome(form(picture, "jpeg-auto", changed={}))
    said = for_visitor(raised.value, str(picture))
    assert said == (
        "my photo.png: The picture is too small to show JPEG's blocks. "
        "The picture is left as it is."
    )


def test_record_names_no_folder_of_the_server(picture):
    _, _, files = outcome(form(picture))
    record = json.loads(files["my photo-restored.json"])
    assert record["image"] == "my photo.png" and record["mask"] == "my photo-mask.png"
    assert record["files"] == ["my photo-restored.png"]


@pytest.mark.parametrize("channels", [1, 3])
def test_page_leaves_pictures_of_16_bits_as_they_were(tmp_path, channels):
    file = tmp_path / "deep.tif"
    x = torch.linspace(-1, 1, channels * H * W).reshape(1, channels, H, W)
    images.write(file, images.Picture(x, bits=16))
    _, _, files = outcome(form(file))
    (tmp_path / "out.png").write_bytes(files["deep-restored.png"])
    assert images.read(tmp_path / "out.png").bits == 16


def test_samples_come_with_their_mean_and_a_map(picture):
    _, seen, _ = outcome(form(picture, samples=2))
    titles = [title for _, title in seen.gallery]
    assert titles == ["sample 1", "sample 2", "mean of the samples", "where they differ"]


def test_page_says_what_is_odd_about_the_files(tmp_path):
    file = tmp_path / "dim.png"
    Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32)).save(file)
    _, seen, _ = outcome(form(file, task="sr2"))
    assert "dim.png holds values up to 1023" in seen.summary
    assert str(tmp_path) not in seen.summary


def test_weights_that_were_replaced_are_loaded_again(picture, tmp_path, monkeypatch):
    """The record names the hash of the weights on disk: it has to be of those that were used."""
    from safetensors.torch import load_file, save_file

    from hrdis.checkpoints import embedded_folder

    folder = tmp_path / "mine"
    folder.mkdir()
    for file in embedded_folder().iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    runner = JobRunner("cpu")
    asked = form(picture, "sr2", prior=str(folder))
    before = [seen for seen in runner.restore(asked)][-1].first
    weights = folder / "diffusion_pytorch_model.safetensors"
    changed = {name: 0.9 * tensor for name, tensor in load_file(weights).items()}
    save_file(changed, weights, metadata={"format": "pt"})
    after = [seen for seen in runner.restore(asked)][-1].first
    assert before.tobytes() != after.tobytes()


# ---- watching -----------------------------------------------------------------------------------


def test_frames_count_up(picture, monkeypatch):
    monkeypatch.setattr("hrdis.web.jobs.EVERY", -1)
    frames, seen, _ = outcome(form(picture, samples=2, changed={"steps": 20}))
    done = [frame.done for frame in frames]
    assert done and done == sorted(set(done)) and done[-1] <= 20  # both samples at once
    assert all(frame.total == 20 and frame.left >= 0 for frame in frames)
    assert all(frame.picture.size == (W, H) for frame in frames) and seen.first.size == (W, H)


def test_closing_a_run_stops_the_network_and_removes_its_files(picture, monkeypatch):
    monkeypatch.setattr("hrdis.web.jobs.EVERY", -1)
    jobs = []

    def noted(*given, **how):
        jobs.append(prepare(*given, **how))
        return jobs[-1]

    monkeypatch.setattr("hrdis.web.jobs.prepare", noted)
    runner = JobRunner("cpu")
    watched = runner.restore(form(picture, changed=SLOW))
    assert isinstance(next(watched), ProgressFrame)
    watched.close()
    wait_for(lambda: not jobs[0].options.image.exists())
    calls = []
    jobs[0].prior.register_forward_pre_hook(lambda *_: calls.append(1))
    time.sleep(0.3)  # a call of the network on this picture takes some milliseconds
    assert not calls and not runner._line


def test_stopping_five_times_never_runs_two_steps_at_once(picture, monkeypatch):
    """gradio gives a place back as soon as it is cancelled, in the middle of a step."""
    inside, most, calls = 0, 0, 0
    guard = threading.Lock()

    def slow(name, **how):
        prior = load_prior(name, **how)
        forward = prior.forward

        def counted(x_t, t):
            nonlocal inside, most, calls
            with guard:
                inside, calls = inside + 1, calls + 1
                most = max(most, inside)
            time.sleep(0.2)
            found = forward(x_t, t)
            with guard:
                inside -= 1
            return found

        prior.forward = counted
        return prior

    monkeypatch.setattr("hrdis.web.jobs.load_prior", slow)
    runner = JobRunner("cpu")
    for _ in range(5):
        watched = runner.restore(form(picture, changed=SLOW))
        started = threading.Thread(target=lambda watched=watched: next(watched, None))
        before = calls
        started.start()
        wait_for(lambda before=before: calls > before)
        started.join()
        watched.close()
    *_, last = runner.restore(form(picture))
    assert isinstance(last, FinishedJob) and most == 1


def test_stop_does_not_wait_for_the_tiles_of_a_step(tmp_path):
    """One step on a large picture is hundreds of network calls."""
    file = tmp_path / "large.png"
    images.save(file, torch.zeros(1, 3, 1024, 1024))
    runner, calls = JobRunner("cpu"), []

    def cancel(*_):
        calls.append(1)
        runner._running.cancelled.set()

    prior = runner.load("default", label=None, dtype=torch.float32, device=torch.device("cpu"))
    prior.register_forward_pre_hook(cancel)
    with pytest.raises(Cancelled):
        list(runner.restore(form(file, "denoise", noise=0.1, changed=QUICK)))
    assert len(calls) == 1  # of 9 tiles a step


def test_runs_wait_in_their_order_and_are_told_their_place(picture):
    runner = JobRunner("cpu")
    first = runner.restore(form(picture, changed=SLOW))
    next(first)
    second = runner.restore(form(picture))
    assert next(second) == Waiting(1)
    third = runner.restore(form(picture))
    assert next(third) == Waiting(2)
    first.close()
    assert isinstance([*second][-1], FinishedJob) and isinstance([*third][-1], FinishedJob)


def test_a_full_queue_is_refused_in_one_line(picture):
    runner = JobRunner("cpu", queue=1)
    running, waiting = (runner.restore(form(picture, changed=SLOW)) for _ in range(2))
    next(running), next(waiting)
    with pytest.raises(ValueError, match=r"The page is busy: 1 .* Try again") as error:
        next(runner.restore(form(picture)))
    assert "\n" not in str(error.value)
    waiting.close()
    third = runner.restore(form(picture))
    assert next(third) == Waiting(1)  # there is room again
    third.close(), running.close()


def test_a_run_that_nobody_watches_any_more_does_not_block_the_next(picture):
    """A client may ask and never read: its generator is neither resumed nor closed."""
    runner = JobRunner("cpu")
    abandoned = runner.restore(form(picture, changed={"steps": 30}))
    next(abandoned)
    *_, last = runner.restore(form(picture))
    assert isinstance(last, FinishedJob)
    abandoned.close()


def test_files_of_runs_are_gone_when_they_end(picture, tmp_path):
    runner = JobRunner("cpu")
    runner.folder = tmp_path / "jobs"
    runner.folder.mkdir()
    for _ in range(5):
        *_, seen = runner.restore(form(picture))
        assert seen.files
    assert not list(runner.folder.iterdir())


# ---- what is asked for --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"picture": None}, "no picture yet"),
        ({"painted": None}, "Nothing is painted"),
        ({"painted": Image.new("RGBA", (W, H), (0, 0, 0, 0))}, "Nothing is painted"),
        ({"hole": "white"}, "no mask yet"),
        ({"hole": "alpha"}, "no transparency"),
        ({"task": "deblur-motion"}, "needs the kernel"),
        ({"task": "denoise"}, "needs the strength"),
        ({"changed": {"beta": 2}}, "beta is 2"),
        ({"changed": {"betta": 0.2}}, "betta"),
        ({"task": "sr2", "solver": "ddnm", "noise": 0.1}, "noiseless"),
    ],
)
def test_page_says_what_is_missing_before_any_work(other, message, picture, monkeypatch):
    monkeypatch.setattr("hrdis.restoration.job.iterate", lambda *a, **k: pytest.fail("it ran"))
    with pytest.raises((ValueError, TypeError), match=message):
        list(JobRunner("cpu").restore(Form(**(vars(form(picture)) | other))))


def test_a_file_that_is_no_picture_is_refused(tmp_path):
    file = tmp_path / "text.png"
    file.write_text("no picture")
    with pytest.raises(ValueError, match=r"text\.png"):
        list(JobRunner("cpu").restore(form(file)))


def test_a_restoration_that_becomes_nan_is_an_error(picture):
    asked = form(picture, changed={"steps": 5, "lr": 1e30, "lambda_obs": 1e30, "adam_eps": 0.0})
    with pytest.raises(ArithmeticError, match="step size"), pytest.warns(RuntimeWarning):
        list(JobRunner("cpu").restore(asked))


def test_page_bounds_what_it_keeps(picture, monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", H * W * 4 * 2)
    asked = form(picture, task="sr2", samples=3, changed=QUICK)
    with pytest.raises(
        ValueError, match=r"3 restorations of 112 x 80 pixels are .* Take fewer restorations"
    ):
        list(JobRunner("cpu").restore(asked))
