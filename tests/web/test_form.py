"""The options that follow from a form, and the line for a shell that does the same."""

import shlex

import pytest
import torch

from hrdis import images
from hrdis.noise import read_level
from hrdis.solvers import SOLVERS

pytest.importorskip("gradio")
from PIL import Image

from hrdis.web.form import editor_image, solvers_for
from hrdis.web.labels import LABELS, task_of
from hrdis.web.request import command, options

from .conftest import H, W, form, stroke


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"beta": 0.5}, ["--beta", "0.5"]),
        ({"first_update": True}, ["--first-update"]),
        ({"first_update": False}, ["--no-first-update"]),
        ({"start": None}, ["--start", "None"]),
    ],
)
def test_command_says_what_was_changed(changed, line, picture, work):
    asked = form(picture, changed=changed)
    said = shlex.split(command(asked, options(asked, work, "cpu", "fp32")))
    assert said[said.index(line[0]) :][: len(line)] == line


@pytest.mark.parametrize(
    ("fields", "effort", "line"),
    [
        ({"solver": "auto"}, "normal", []),
        ({"solver": "auto"}, "low", ["--effort", "low"]),
        ({"solver": "ddrm"}, "low", ["--solver", "ddrm"]),  # its calls are a setting of its own
    ],
)
def test_command_asks_for_auto_by_silence(fields, effort, line, picture, work):
    asked = form(picture, "sr4", effort=effort, changed={}, **fields)
    said = shlex.split(command(asked, options(asked, work, "cpu", "fp32")))
    assert said[5:7] == ["--scale", "4"] and said[7:-2] == line


def test_solver_auto_is_named_in_the_options_by_what_it_is(picture, work):
    asked = form(picture, "hdr", solver="auto")
    assert options(asked, work, "cpu", "fp32").solver == "diffpir"
    assert asked.choice.effort == "normal"


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("sr2", "--task upscale --scale 2"),
        ("deblur-gauss", "--task deblur --kernel gaussian:3"),
        ("deblur-uniform", "--task deblur --kernel box:9"),
        ("jpeg10", "--task dejpeg --quality 10"),
        ("jpeg-auto", "--task dejpeg --quality 10"),  # until another is found
        ("quantize", "--task deband --bits 3"),
        ("hdr", "--task declip"),
        ("lowlight", "--task brighten"),
    ],
)
def test_command_names_the_repair(task, words, picture, work):
    asked = form(picture, task)
    said = command(asked, options(asked, work, "cpu", "fp32"))
    assert f"{words} " in said


@pytest.mark.parametrize(("noise", "word"), [(25, "25"), (0.5 / 255, str(0.5 / 255)), (10, "10")])
def test_command_says_the_noise_as_the_page_does(noise, word, picture, work):
    asked = form(picture, "sr2", noise=noise)
    given = options(asked, work, "cpu", "fp32")
    said = shlex.split(command(asked, given))
    assert said[said.index("--noise") + 1] == word and read_level(word) == given.noise


def test_command_names_options_as_they_are_called_today(picture, work):
    asked = form(picture, hole="alpha", label=3, prior="other")
    said = command(asked, options(asked, work, "cpu", "fp32"))
    for words in ("--mask-marks transparent", "--class-label 3", "--model other"):
        assert words in said


def test_holes_are_where_the_brush_was(picture, work):
    given = options(form(picture), work, "cpu", "fp32")
    holes = images.read(given.mask).x[0, 0] > 0
    alpha = bytearray(stroke().getchannel("A").tobytes())
    painted = torch.frombuffer(alpha, dtype=torch.uint8).reshape(H, W) > 0
    assert torch.equal(holes, painted)


def test_holes_painted_on_a_smaller_copy_grow_with_it(picture, work):
    given = options(form(picture, painted=stroke((W // 2, H // 2))), work, "cpu", "fp32")
    holes = images.read(given.mask)
    assert holes.size == (H, W) and holes.x.unique().tolist() == [-1, 1]


def test_a_mask_may_have_the_name_of_the_picture(picture, tmp_path, work):
    mask = tmp_path / "elsewhere" / picture.name
    images.save(mask, torch.ones(1, 1, H, W))
    given = options(form(picture, mask=mask, hole="white"), work, "cpu", "fp32")
    assert given.image.read_bytes() == picture.read_bytes()
    assert given.mask.read_bytes() == mask.read_bytes()


def test_a_name_that_looks_like_an_option_is_none_in_the_command(tmp_path, work):
    file = tmp_path / "-dash.png"
    images.save(file, torch.zeros(1, 3, H, W))
    asked = form(file)
    assert not shlex.split(command(asked, options(asked, work, "cpu", "fp32")))[2].startswith("-")


def test_large_pictures_are_painted_on_as_a_copy(tmp_path):
    file = tmp_path / "wide.png"
    Image.new("RGB", (4000, 1000)).save(file)
    assert editor_image(file).size == (1600, 400)


@pytest.mark.parametrize("task", LABELS)
def test_solvers_offered_for_a_task_can_do_it(task):
    names = solvers_for(task, LABELS[task].noise)
    known = task_of(task)
    first = known.solver if known.blind else "auto"
    assert names[0] == first and set(names) <= {*SOLVERS, "auto"}
    assert len(set(names)) == len(names)
    with_an_svd = ("inpaint", "denoise", "sr2", "sr4", "sr8", "colorize")
    assert ("ddrm" in names) == (task in with_an_svd)
