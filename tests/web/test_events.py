"""The handlers of the page: whatever happens, one clear line and the button back."""

import html

import pytest
import torch

pytest.importorskip("gradio")
import gradio

from hrdis.web.events import EMPTY, explain, for_picture, line, restorer, stop_run
from hrdis.web.jobs import JobRunner
from hrdis.web.outcomes import ProgressFrame, Waiting

from .conftest import SLOW, form

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


def pressed(runner, picture=None, **other):
    """Press the button; return all values, and the error at the end."""
    given = {
        "picture": None if picture is None else str(picture),
        "task": "sr2",
        "hole": "white",
        "painted": None,
        "mask": None,
        "kernel": None,
        "noise": 0,
        "samples": 1,
        "seed": 0,
        "solver": "hrdis",
        "settings": {"steps": 2},
        "prior": "default",
        "label": "",
    }
    values = []
    try:
        for value in restorer(runner)(**(given | other)):
            values.append(value)
    except gradio.Error as error:
        return values, error.message
    return values, None


class Failing:
    """A runner whose restoration fails, at once or in the middle."""

    def __init__(self, error, after=()):
        self.error, self.after = error, after

    def restore(self, form):
        yield from self.after
        raise self.error


ERRORS = {
    "no picture": ValueError("There is no picture yet."),
    "wrong type": TypeError("The solver takes no noise."),
    "not finite": ArithmeticError("The restoration became NaN or infinite."),
    "gpu memory": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
    "memory": MemoryError(),
    "disk": OSError(28, "No space left on device", "/srv/secret/place.png"),
    "attribute": AttributeError("'NpzFile' object has no attribute 'ndim'"),
    "runtime": RuntimeError("CUDA error: an illegal memory access\nat /srv/secret/code.cu"),
    "key": KeyError("betas"),
}


@pytest.mark.parametrize("middle", [False, True], ids=["at once", "in the middle"])
@pytest.mark.parametrize("name", ERRORS)
def test_any_error_is_one_line_and_gives_the_button_back(name, middle, capsys):
    from PIL import Image

    frame = ProgressFrame(1, 2, 3.0, Image.new("RGB", (4, 4)))
    runner = Failing(ERRORS[name], [Waiting(2), frame] if middle else [])
    values, error = pressed(runner)
    status, so_far, *_, restore, stop = values[-1]
    assert restore.visible and not stop.visible
    assert 'class="wrong" role="alert"' in status and status.count("<p") == 1
    assert html.unescape(error) in html.unescape(status) and "\n" not in error
    assert "/srv" not in status and "Error" not in status and "object has no" not in status
    assert so_far.value == EMPTY  # no picture of the run that failed


def test_file_that_was_removed_is_no_full_disk(picture):
    """Uploads are removed after a day, and a page may stand open for longer."""
    _, error = pressed(JobRunner("cpu"), picture.with_name("removed.png"))
    assert error == "A file that was sent is not there any more. Send it again."


@pytest.mark.parametrize("name", ERRORS)
def test_the_log_has_one_line_for_what_is_no_fault_of_the_visitor(name, capsys):
    explain(ERRORS[name])
    log = capsys.readouterr().err
    of_visitor = isinstance(ERRORS[name], ValueError | TypeError | ArithmeticError)
    assert log.count("\n") == (0 if of_visitor else 1)
    assert of_visitor or type(ERRORS[name]).__name__ in log


def test_a_full_queue_is_one_line_in_the_words_of_the_page(picture):
    runner = JobRunner("cpu", queue=1)
    others = [runner.restore(form(picture, changed=SLOW)) for _ in range(2)]
    for other in others:
        next(other)
    values, error = pressed(runner, picture)
    assert error.startswith("The page is busy: 1 ") and error.endswith("Try again in some minutes.")
    assert values[-1][-2].visible
    for other in others:
        other.close()


def test_a_waiting_visitor_is_told_the_place_in_the_queue():
    values, _ = pressed(Failing(ValueError("x"), [Waiting(3), Waiting(1)]))
    assert "3 restorations are before yours" in values[1][0]
    assert "One restoration is before yours" in values[2][0]


def test_a_heic_picture_is_one_line_when_it_is_dropped_and_when_it_is_sent(tmp_path):
    file = tmp_path / "photo.heic"
    file.write_bytes(HEIC)
    picture, note, painted, _ = for_picture("inpaint", "painted", str(file))
    assert picture is None and not painted.visible  # no broken frame stays on the page
    _, error = pressed(JobRunner("cpu"), file)
    assert error in html.unescape(note.value) and "HEIC" in error and "PNG or a JPEG" in error
    assert note.visible and str(tmp_path) not in note.value and "\n" not in error


def test_the_note_goes_when_a_picture_comes(picture):
    _, note, painted, status = for_picture("inpaint", "painted", str(picture))
    assert not note.visible and painted.visible
    assert 'class="wrong"' not in status  # as after "There is no picture yet"


def test_a_message_shows_a_name_that_is_html_as_text(tmp_path):
    file = tmp_path / "<img src=x onerror=alert(1)>.png"
    file.write_bytes(b"no picture")
    values, error = pressed(JobRunner("cpu"), file)
    assert "<img" not in error and "<img" not in values[-1][0]
    assert "&lt;img src=x" in error


def test_pictures_of_a_run_are_no_files(picture, monkeypatch, tmp_path):
    monkeypatch.setattr("hrdis.web.jobs.EVERY", -1)
    values, error = pressed(JobRunner("cpu"), picture, settings={"steps": 30})
    pictures = [value[1].value for value in values if "<progress" in str(value[0])]
    assert error is None and pictures
    assert all(p.startswith('<img alt="the picture so far" src="data:image/') for p in pictures)


def test_stop_gives_the_button_back():
    status, so_far, restore, stop = stop_run()
    assert "Stopped" in status and restore.visible and not stop.visible and so_far.value == EMPTY


def test_errors_are_said_at_once_by_screen_readers_and_the_rest_politely():
    assert 'role="alert"' in line("x", "wrong") and 'role="status"' in line("x")
