"""The first tab: what it says of a picture, what it mends, and what it leaves behind."""

import json
import threading
import time

import numpy as np
import pytest

pytest.importorskip("gradio")
import gradio
from PIL import Image

from hrdis import images
from hrdis.rng import stream
from hrdis.web import fixing
from hrdis.web.fixing import FIX_START, NOTHING_FOUND, FixedJob, fixer, looker, repair
from hrdis.web.jobs import JobRunner
from hrdis.web.limits import Limits
from hrdis.web.outcomes import RepairStage


@pytest.fixture(scope="module")
def runner():
    runner = JobRunner("cpu")
    yield runner
    runner.close()


@pytest.fixture
def noisy(tmp_path):
    """A smooth picture with noise of 12 grey levels."""
    smooth = np.tile(np.linspace(70, 170, 96), (96, 1))[..., None].repeat(3, 2)
    pixels = smooth + 12 * stream(0, "test page").standard_normal(smooth.shape)
    file = tmp_path / "my photo.png"
    images.write_pil(file, Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8)))
    return file


def test_a_look_names_every_kind_of_damage(runner, noisy):
    *_, (status, diagnosis) = looker(runner)(str(noisy))
    assert "Press Fix" in status
    assert "<b>Noise: yes.</b> Noise of 1" in diagnosis
    assert diagnosis.count("<li>") == 6


def test_a_look_at_nothing_starts_again(runner):
    assert [FIX_START in status for status, _ in looker(runner)(None)] == [True]


def test_what_is_smooth_is_left(runner, tmp_path):
    file = tmp_path / "even.png"
    pixels = np.tile(np.linspace(70, 170, 96), (96, 1)).round().astype(np.uint8)
    images.write_pil(file, Image.fromarray(pixels))
    *_, (status, _) = looker(runner)(str(file))
    assert NOTHING_FOUND in status


def test_the_mended_picture_and_its_record_can_be_downloaded(runner, noisy):
    for seen in repair(runner, noisy):
        if isinstance(seen, RepairStage):
            continue
        assert isinstance(seen, FixedJob)
        names = [path.name for path in seen.files]
        picture, record = images.read(seen.files[0]), json.loads(seen.files[-1].read_text())
        folder = seen.files[0].parent
        assert names == ["my photo-fixed.png", "my photo-fixed.png.json"]
        assert float(picture.x.std()) < float(images.read(noisy).x.std())
        assert record["image"] == "my photo.png" and record["changed"]
        assert str(folder) not in json.dumps(record)
        assert seen.given.size == seen.mended.size == (96, 96)
    assert not folder.exists()  # nothing of a visitor stays


def test_what_is_done_is_said_while_it_is_done(runner, noisy, monkeypatch):
    def slow(*_, on_progress, **__):
        on_progress("looking for <blur>")
        time.sleep(1.0)
        raise ValueError("enough")

    monkeypatch.setattr(fixing, "fix", slow)
    said = []
    with pytest.raises(gradio.Error):
        for value in fixer(runner)(str(noisy), False):
            said.append(value[0])
    assert "<p>Looking for &lt;blur&gt; …</p>" in said


def test_a_repair_that_nobody_watches_ends_with_its_stage(runner, noisy, monkeypatch):
    ended = threading.Event()

    def slow(*_, on_progress, **__):
        try:
            while True:
                on_progress("looking")
                time.sleep(0.01)
        finally:
            ended.set()

    monkeypatch.setattr(fixing, "fix", slow)
    watched = repair(runner, noisy)
    assert isinstance(next(watched), RepairStage)
    watched.close()
    assert ended.wait(10)


def test_the_button_comes_back_with_the_outcome(runner, noisy):
    first, *_, last = fixer(runner)(str(noisy), False)
    assert not first[4].visible and first[5].visible
    assert "removed" in last[0] and last[2].visible and last[3].visible
    assert last[4].visible and not last[5].visible


@pytest.mark.parametrize("wrong", ["none", "words", "large"])
def test_what_is_wrong_is_one_line_and_the_button_comes_back(runner, noisy, tmp_path, wrong):
    file, words = str(noisy), "too large for this page"
    if wrong == "none":
        file, words = None, "There is no picture yet"
    if wrong == "words":
        (tmp_path / "words.jpg").write_bytes(b"words")
        file, words = str(tmp_path / "words.jpg"), "words.jpg"
    small = JobRunner("cpu", limits=Limits(work=1e4)) if wrong == "large" else runner
    values = []
    with pytest.raises(gradio.Error, match=words):
        for value in fixer(small)(file, False):
            values.append(value)
    assert words in values[-1][0] and values[-1][4].visible
    assert str(tmp_path) not in values[-1][0]
