"""What the tests of the page share: a small picture, a painted layer, a form, a served page."""

import socket
from pathlib import Path

import pytest
import torch

import hrdis
from hrdis import images

pytest.importorskip("gradio", reason="gradio is not installed: pip install 'hrdis[web]'")

from PIL import Image, ImageDraw

from hrdis.web.app import serve
from hrdis.web.events import for_visitor
from hrdis.web.form import Form
from hrdis.web.jobs import JobRunner
from hrdis.web.outcomes import FinishedJob

QUICK = {"steps": 2}
SLOW = {"steps": 900, "start": None}  # minutes
H, W = 40, 56


@pytest.fixture(autouse=True)
def _refusals_are_put_in_the_words_of_the_page(monkeypatch):
    """What a restoration refuses is said as the page says it, and so collected and checked."""
    restore = JobRunner.restore

    def said(self, form):
        try:
            yield from restore(self, form)
        except (ValueError, TypeError, ArithmeticError) as error:
            for_visitor(error, form.picture, form.mask, form.kernel)
            raise

    monkeypatch.setattr(JobRunner, "restore", said)


@pytest.fixture
def picture(tmp_path):
    file = tmp_path / "my photo.png"
    chelsea = Path(hrdis.__file__).parent / "pictures" / "chelsea.png"
    images.save(file, images.load(chelsea)[..., :H, :W])
    return file


@pytest.fixture
def work(tmp_path):
    """The folder of a restoration."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def served():
    with serve(JobRunner("cpu"), port=free_port()) as page:
        yield page


@pytest.fixture(scope="session")
def client(served):
    from gradio_client import Client

    return Client(served.address, verbose=False)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def stroke(size=(W, H)):
    """What a brush leaves: an opaque line on nothing."""
    layer = Image.new("RGBA", size, (0, 0, 0, 0))
    end = (size[0] // 2, size[1] // 2)
    ImageDraw.Draw(layer).line((0, 0, *end), fill="#ff0066", width=size[1] // 10)
    return layer


def form(picture, task="inpaint", **other):
    painted = stroke() if task == "inpaint" else None
    given = {
        "picture": picture, "task": task, "painted": painted, "changed": QUICK, "solver": "hrdis",
    }  # fmt: skip
    return Form(**(given | other))


def outcome(asked):
    """Return the pictures of a run, its last value, and the contents of its files by name."""
    frames = []
    for seen in JobRunner("cpu").restore(asked):
        if isinstance(seen, FinishedJob):
            return frames, seen, {path.name: path.read_bytes() for path in seen.files}
        frames.append(seen)
    raise AssertionError("the run ended without a result")


def api_values(picture, **other):
    """Return the arguments of the page's endpoint for a quick restoration."""
    from gradio_client import handle_file

    mask = picture.with_name("mask.png")
    hole = torch.full((1, 1, H, W), -1.0)
    hole[..., 8:16, 8:24] = 1
    images.save(mask, hole)
    given = {
        "picture": handle_file(str(picture)),
        "task": "inpaint",
        "hole": "white",
        "painted": None,
        "mask": handle_file(str(mask)),
        "kernel": None,
        "noise": 0,
        "samples": 1,
        "seed": 0,
        "solver": "hrdis",
        "settings": QUICK,
        "prior": "default",
        "label": "",
    }
    return given | other
