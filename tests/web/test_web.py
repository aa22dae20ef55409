"""The page restores as the command does, asks for what a task needs, and says what is missing."""
# ruff: noqa: E402 (without gradio there is no page to import)

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
import torch

import hrdis
from hrdis import images
from hrdis.restoration import prepare
from hrdis.solvers import SOLVERS
from hrdis.solvers.base import settings_schema
from tests.cli.test_cli import PYTHONIC, run

gradio = pytest.importorskip("gradio", reason="gradio is not installed: pip install 'hrdis[web]'")

from PIL import Image, ImageDraw

from hrdis.web.controls import controls
from hrdis.web.events import restoring
from hrdis.web.examples import example
from hrdis.web.form import Form, command, options, solvers_for, to_paint_on
from hrdis.web.serve import serve
from hrdis.web.words import WORDS
from hrdis.web.work import Frame, Restored, Workshop

pytestmark = pytest.mark.timeout(120)
QUICK = {"steps": 2}
H, W = 40, 56


@pytest.fixture
def picture(tmp_path):
    file = tmp_path / "my photo.png"
    images.save(
        file,
        hrdis.images.load(Path(hrdis.__file__).parent / "pictures" / "chelsea.png")[..., :H, :W],
    )
    return file


@pytest.fixture
def work(tmp_path):
    """Where a restoration keeps its files."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def served():
    page = serve(Workshop("cpu"), port=free_port())
    yield page
    page.close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def stroke(size=(W, H)):
    """What a brush leaves: an opaque line on nothing."""
    layer = Image.new("RGBA", size, (0, 0, 0, 0))
    ImageDraw.Draw(layer).line(
        (0, 0, size[0] // 2, size[1] // 2), fill="#ff0066", width=size[1] // 10
    )
    return layer


def form(picture, task="inpaint", **other):
    painted = stroke() if task == "inpaint" else None
    return Form(
        **({"picture": picture, "task": task, "painted": painted, "changed": QUICK} | other)
    )


def outcome(asked):
    """The last value of a run, its files read, and the frames before it."""
    *frames, last = [(seen, contents(seen)) for seen in Workshop("cpu").restore(asked)]
    return [frame for frame, _ in frames], *last


def contents(seen):
    return (
        {path.name: path.read_bytes() for path in seen.files} if isinstance(seen, Restored) else {}
    )


# ---- the same as the command
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["inpaint", "denoise", "sr2"])
def test_page_restores_as_its_command_does(task, picture, tmp_path, monkeypatch):
    asked = form(
        picture, task, samples=2, seed=3, noise=0.1 if task == "denoise" else 0.0, solver="ddrm"
    )
    _, seen, files = outcome(asked)
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    for name in (name for name in files if "-restored" not in name):
        Path(name).write_bytes(files[name])
    Path(picture.name).write_bytes(picture.read_bytes())
    said = shlex.split(seen.command)
    assert said[:2] == ["hrdis", "restore"]
    assert run(*said[1:]) == 0
    pictures = {name for name in files if name.endswith(".png") and "-restored" in name}
    assert pictures and all(Path(name).read_bytes() == files[name] for name in pictures)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"beta": 0.5}, ["--beta", "0.5"]),
        ({"first_update": True}, ["--first-update"]),
        ({"start": None}, ["--start", "None"]),
    ],
)
def test_command_says_what_was_changed(changed, words, picture, work):
    asked = form(picture, changed=changed)
    said = shlex.split(command(asked, options(asked, work, "cpu", "fp32")))
    assert said[said.index(words[0]) :][: len(words)] == words


def test_record_names_no_folder_of_the_server(picture):
    _, _, files = outcome(form(picture))
    record = json.loads(files["my photo-restored.json"])
    assert record["image"] == "my photo.png" and record["mask"] == "my photo-mask.png"
    assert record["files"] == ["my photo-restored.png"]


def test_page_leaves_grey_pictures_of_16_bits_as_they_were(tmp_path):
    file = tmp_path / "deep.tif"
    images.write(file, images.Picture(torch.linspace(-1, 1, H * W).reshape(1, 1, H, W), bits=16))
    _, _, files = outcome(form(file))
    (tmp_path / "out.png").write_bytes(files["deep-restored.png"])
    assert images.read(tmp_path / "out.png").bits == 16


# ---- watching
# ---------------------------------------------------------------------------------------------


def test_frames_count_up_to_the_end(picture, monkeypatch):
    monkeypatch.setattr("hrdis.web.work.EVERY", -1)
    frames, seen, _ = outcome(form(picture, samples=2, changed={"steps": 3}))
    assert [(f.done, f.total) for f in frames] == [(k, 6) for k in range(1, 7)]
    assert all(f.left >= 0 and f.picture.size == (W, H) for f in frames) and seen.first.size == (
        W,
        H,
    )


def test_closing_a_run_stops_the_network_and_removes_its_files(picture, monkeypatch):
    monkeypatch.setattr("hrdis.web.work.EVERY", -1)
    kept = []
    monkeypatch.setattr(
        "hrdis.web.work.prepare",
        lambda *given, **how: kept.append(prepare(*given, **how)) or kept[-1],
    )
    watched = Workshop("cpu").restore(form(picture, changed={"steps": 50}))
    assert isinstance(next(watched), Frame)
    calls = []
    kept[0].prior.register_forward_pre_hook(lambda *_: calls.append(1))
    watched.close()
    assert not calls and not kept[0].options.image.exists()


def test_samples_come_with_their_mean_and_a_map(picture):
    watched = Workshop("cpu").restore(form(picture, samples=2))
    titles = next(
        [title for _, title in seen.gallery] for seen in watched if isinstance(seen, Restored)
    )
    assert titles == ["sample 1", "sample 2", "mean of the samples", "where they differ"]


# ---- what is asked for
# ------------------------------------------------------------------------------------


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
        list(
            Workshop("cpu").restore(
                form(picture) if not other else Form(**(vars(form(picture)) | other))
            )
        )


def test_a_picture_that_is_none_is_refused(tmp_path):
    file = tmp_path / "text.png"
    file.write_text("no picture")
    with pytest.raises(ValueError, match=r"text\.png"):
        list(Workshop("cpu").restore(form(file)))


def test_a_restoration_that_becomes_nan_is_an_error(picture):
    asked = form(picture, changed={"steps": 5, "lr": 1e30, "lambda_obs": 1e30, "adam_eps": 0.0})
    with pytest.raises(ArithmeticError, match="step size"), pytest.warns(RuntimeWarning):
        list(Workshop("cpu").restore(asked))


def test_holes_are_where_the_brush_was(picture, work):
    given = options(form(picture), work, "cpu", "fp32")
    holes = images.read(given.mask).x[0, 0] > 0
    alpha = torch.frombuffer(
        bytearray(stroke().getchannel("A").tobytes()), dtype=torch.uint8
    ).reshape(H, W)
    assert torch.equal(holes, alpha > 0)


def test_holes_painted_on_a_smaller_copy_grow_with_it(picture, work):
    given = options(form(picture, painted=stroke((W // 2, H // 2))), work, "cpu", "fp32")
    holes = images.read(given.mask)
    assert holes.size == (H, W) and holes.x.unique().tolist() == [-1, 1]


def test_a_mask_may_have_the_name_of_the_picture(picture, tmp_path, work):
    mask = tmp_path / "elsewhere" / picture.name
    images.save(mask, torch.ones(1, 1, H, W))
    given = options(form(picture, mask=mask, hole="white"), work, "cpu", "fp32")
    assert (
        given.image.read_bytes() == picture.read_bytes()
        and given.mask.read_bytes() == mask.read_bytes()
    )


def test_a_name_that_looks_like_an_option_is_none_in_the_command(tmp_path, work):
    file = tmp_path / "-dash.png"
    images.save(file, torch.zeros(1, 3, H, W))
    asked = form(file)
    assert not shlex.split(command(asked, options(asked, work, "cpu", "fp32")))[2].startswith("-")


def test_large_pictures_are_painted_on_as_a_copy(tmp_path):
    file = tmp_path / "wide.png"
    Image.new("RGB", (4000, 1000)).save(file)
    assert to_paint_on(file).size == (1600, 400)


@pytest.mark.parametrize("task", WORDS)
def test_every_task_of_the_page_has_an_example_that_runs(task, tmp_path, work):
    made = example(task, tmp_path)
    hole = "white" if made.mask else "painted"
    asked = Form(
        picture=made.picture,
        task=task,
        mask=made.mask,
        hole=hole,
        kernel=made.kernel,
        noise=made.noise,
        changed=QUICK,
    )
    job = prepare(options(asked, work, "cpu", "fp32"), asked.settings)
    assert job.steps == 2


@pytest.mark.parametrize("task", WORDS)
def test_solvers_offered_for_a_task_can_do_it(task, tmp_path):
    noise = WORDS[task].noise
    names = solvers_for(task, noise)
    assert names[0] == hrdis.TASKS[task].solver and set(names) <= set(SOLVERS)
    assert ("ddrm" in names) == (
        task in ("inpaint", "denoise", "sr2", "sr4", "sr8", "colorize")
    )  # those with an SVD


# ---- the form
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOLVERS)
def test_every_setting_has_a_control_that_shows_it(name):
    cls, presets = SOLVERS[name]
    for settings in (cls(), *list(presets.values())[:3]):
        made = controls(settings)
        assert list(made) == list(settings_schema(cls))
        for field, control in made.items():
            value = getattr(settings, field)
            shown = (
                float(control.value)
                if isinstance(control.value, str) and isinstance(value, float)
                else control.value
            )
            assert shown == (
                "" if value is None else str(value) if isinstance(shown, str) and shown else value
            )
            assert control.info


def test_bounds_of_a_setting_reach_its_control():
    made = controls(hrdis.HRDIS())
    assert (made["beta"].minimum, made["beta"].maximum) == (0, 1) and made["steps"].minimum == 1
    assert [value for _, value in made["grid"].choices] == ["uniform", "stride"]


# ---- the page that is served
# ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(served):
    from gradio_client import Client

    return Client(served.address, verbose=False)


def asked_of(picture, **other):
    from gradio_client import handle_file

    mask = picture.with_name("mask.png")
    hole = torch.full((1, 1, H, W), -1.0)
    hole[..., 8:16, 8:24] = 1
    images.save(mask, hole)
    given = {
        "picture": handle_file(str(picture)), "task": "inpaint", "hole": "white", "painted": None,
        "mask": handle_file(str(mask)), "kernel": None, "noise": 0, "samples": 1, "seed": 0,
        "solver": "hrdis",
        "settings": QUICK, "prior": "default", "label": "",
    }  # fmt: skip
    return given | other


def test_served_page_restores(client, picture):
    found = client.predict(**asked_of(picture), api_name="/restore")
    status, files, shell = found[0], found[4], found[5]
    names = [Path(file).name for file in files["value"]]
    assert "2 network calls" in status and shell["value"].startswith(
        "hrdis restore 'my photo.png' --task inpaint"
    )
    assert names == ["mask.png", "my photo-restored.png", "my photo-restored.json"]
    restored = images.read(files["value"][1]).x
    holes = images.read(files["value"][0]).x.expand_as(restored) > 0
    assert torch.equal(restored[~holes], images.read(picture).x[~holes]) and restored.shape == (
        1,
        3,
        H,
        W,
    )


def test_served_page_hands_on_what_is_wrong(client, picture):
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError, match="no mask yet"):
        client.predict(**asked_of(picture, mask=None), api_name="/restore")


NO_PICTURES = {
    "photo.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "words.jpg": b"words",
    "drawing.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n",
    "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "empty.png": b"",
}


@pytest.mark.parametrize("place", ["picture", "mask", "kernel", "painted"])
@pytest.mark.parametrize("name", NO_PICTURES)
def test_served_page_says_in_its_own_words_what_is_no_picture(
    name, place, client, picture, tmp_path
):
    """Not in gradio's, not in Python's, and without the folders of the server."""
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    (tmp_path / name).write_bytes(NO_PICTURES[name] + bytes(100 if NO_PICTURES[name] else 0))
    sent = handle_file(str(tmp_path / name))
    painted = {"background": None, "layers": [sent], "composite": None}
    other = {
        "picture": {"picture": sent},
        "mask": {"mask": sent},
        "kernel": {"kernel": sent, "task": "deblur-motion", "mask": None},
        "painted": {"painted": painted, "hole": "painted", "mask": None},
    }[place]
    with pytest.raises(AppError) as said:
        client.predict(**(asked_of(picture) | other), api_name="/restore")
    assert re.match(rf"{name} is (no picture that can be read|empty)", str(said.value))


@pytest.mark.parametrize(
    "other",
    [
        {"mask": None},
        {"task": "deblur-motion"},
        {"task": "denoise"},
        {"hole": "alpha"},
        {"noise": -1},
    ],
)
def test_served_page_names_no_option_and_no_python(other, client, picture):
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError) as said:
        client.predict(**asked_of(picture, **other), api_name="/restore")
    assert (
        not PYTHONIC.search(str(said.value))
        and " --" not in str(said.value)
        and "/tmp" not in str(said.value)
    )


def test_page_says_what_is_odd_about_the_files(tmp_path):
    file = tmp_path / "dim.png"
    Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32)).save(file)
    *_, found = Workshop("cpu").restore(form(file, task="sr2", changed=QUICK))
    assert "dim.png holds values up to 1023" in found.about and str(tmp_path) not in found.about


def test_page_bounds_what_it_keeps(picture, monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", H * W * 4 * 2)
    with pytest.raises(
        ValueError, match=r"3 restorations of 112 x 80 pixels are .* Take fewer restorations"
    ):
        list(Workshop("cpu").restore(form(picture, task="sr2", samples=3, changed=QUICK)))


@pytest.mark.parametrize(
    "other", [{"prior": "/etc/passwd"}, {"solver": "nonsense"}, {"task": "phase"}]
)
def test_served_page_takes_only_what_it_offers(other, client, picture):
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError, match="not in the list of choices"):
        client.predict(**asked_of(picture, **other), api_name="/restore")


def test_a_job_that_is_cancelled_makes_room_for_the_next(client, picture, monkeypatch):
    job = client.submit(**asked_of(picture, settings={"steps": 900}), api_name="/restore")
    for _ in range(300):
        if len(job.outputs()) > 1:
            break
        time.sleep(0.1)
    began = time.perf_counter()
    job.cancel()
    assert "2 network calls" in client.predict(**asked_of(picture), api_name="/restore")[0]
    assert time.perf_counter() - began < 30  # 900 calls take minutes


def test_a_port_in_use_is_refused(served):
    port = int(served.address.rpartition(":")[2])
    with pytest.raises(ValueError, match=f"port {port}.*--port {port + 1}"):
        serve(Workshop("cpu"), port=port)


def test_restore_ends_with_its_buttons_as_they_were(picture):
    with pytest.raises(gradio.Error, match="no picture"):
        seen = []
        for values in restoring(Workshop("cpu"))(
            None, "inpaint", "painted", None, None, None, 0, 1, 0, "hrdis", None, "default", None
        ):
            seen.append(values)
    assert "no picture" in seen[-1][0] and seen[-1][-2].visible and not seen[-1][-1].visible


# ---- the command
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "70000"], "--port is 70000"),
        (["--queue", "0"], "--queue is 0"),
        (["--prior", "nowhere"], "There is no prior 'nowhere'"),
        (["--device", "cuda:99"], "--device cuda:99 cannot be used"),
    ],
)
def test_serve_refuses_bad_options(words, message, capsys):
    assert run("serve", *words) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_serve_says_where_it_is_and_ends_with_an_interrupt():
    port = free_port()
    words = [sys.executable, "-m", "hrdis", "serve", "--port", str(port)]
    process = subprocess.Popen(
        words, stderr=subprocess.PIPE, text=True, preexec_fn=default_interrupt
    )
    assert process.stderr.readline() == f"The page is at http://127.0.0.1:{port}. Ctrl-C ends it.\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


def default_interrupt():
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell may have told its jobs to ignore it


def test_serve_without_gradio_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert run("serve") == 2 and "pip install 'hrdis[web]'" in capsys.readouterr().err


# ---- in a browser
# -----------------------------------------------------------------------------------------


@pytest.fixture
def page(browser, served):
    """The page, in an empty profile; everything it asks for and complains about is noted."""
    context = browser.new_context(viewport={"width": 1280, "height": 1200})
    page = context.new_page()
    page.hosts, page.errors = set(), []
    page.on("request", lambda request: page.hosts.add(urlparse(request.url).netloc))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(served.address)
    page.get_by_role("button", name="Restore", exact=True).wait_for()
    yield page
    context.close()


def set_steps(page, steps):
    page.get_by_text("algorithm and settings").click()
    box = page.get_by_label("steps", exact=True)
    box.fill(str(steps))
    box.press("Tab")
    page.wait_for_timeout(500)


@pytest.mark.e2e
def test_painting_over_a_hole_fills_it(page, picture, served):
    page.locator("input[type=file]").first.set_input_files(picture)
    canvas = page.locator("canvas").first
    canvas.wait_for()
    page.wait_for_timeout(1500)  # until the picture is on the canvas
    set_steps(page, 2)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 20, y)
    page.mouse.down()
    page.mouse.move(x + 20, y + 10, steps=8)
    page.mouse.up()
    page.wait_for_timeout(500)
    page.get_by_role("button", name="Restore", exact=True).click()
    page.get_by_text("2 network calls in").wait_for(timeout=60_000)
    with page.expect_download() as download:  # the mask, the first of the files
        page.locator("a[download]").first.click()
    holes = images.read(download.value.path())
    assert holes.size == (H, W) and 0 < float((holes.x > 0).float().mean()) < 0.5
    assert not page.errors and page.hosts <= {urlparse(served.address).netloc, ""}


@pytest.mark.e2e
def test_example_and_stop(page):
    page.get_by_role("button", name="Show me on an example").click()
    page.get_by_text("example-inpaint-mask").wait_for()
    page.get_by_role("button", name="Restore", exact=True).click()
    page.locator("#status progress").wait_for(timeout=60_000)
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("Stopped. Nothing was kept.").wait_for()
    page.get_by_role("button", name="Restore", exact=True).wait_for()
    assert not page.errors
