"""The page that is served: its endpoint, its queue, its command, and a browser before it."""

import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlparse

import httpx
import pytest
import torch

from hrdis import images
from tests.cli.test_cli import PYTHONIC, run

pytest.importorskip("gradio")
import gradio as gr
from gradio_client import handle_file
from gradio_client.exceptions import AppError

from hrdis.cli.serve import handled
from hrdis.web.app import SESSIONS, serve
from hrdis.web.jobs import JobRunner

from .conftest import SLOW, H, W, api_values, free_port

pytestmark = pytest.mark.timeout(120)


def test_served_page_restores(client, picture):
    found = client.predict(**api_values(picture), api_name="/restore")
    status, files, shell = found[0], found[4], found[5]
    names = [Path(file).name for file in files["value"]]
    assert "2 network calls" in status and shell["value"].startswith(
        "hrdis restore 'my photo.png' --task inpaint"
    )
    assert names == ["my photo-restored.png", "my photo-restored.json", "mask.png"]
    restored = images.read(files["value"][0]).x
    holes = images.read(files["value"][2]).x.expand_as(restored) > 0
    assert torch.equal(restored[~holes], images.read(picture).x[~holes]) and restored.shape == (
        1,
        3,
        H,
        W,
    )


def test_served_page_hands_on_what_is_wrong(client, picture):
    with pytest.raises(AppError, match="no mask yet"):
        client.predict(**api_values(picture, mask=None), api_name="/restore")


def test_what_is_kept_of_visitors_is_bounded(served, client, picture):
    """Of more visitors than are kept, the first is served again, and nothing was in its state."""
    kept = served.page.state_holder
    for number in range(SESSIONS + 9):
        kept[f"visitor {number}"]
    assert len(kept.session_data) <= SESSIONS + 1 and "visitor 0" not in kept
    assert not any(isinstance(block, gr.State) for block in served.page.blocks.values())
    assert "2 network calls" in client.predict(**api_values(picture), api_name="/restore")[0]


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
        client.predict(**(api_values(picture) | other), api_name="/restore")
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
    with pytest.raises(AppError) as said:
        client.predict(**api_values(picture, **other), api_name="/restore")
    assert (
        not PYTHONIC.search(str(said.value))
        and " --" not in str(said.value)
        and "/tmp" not in str(said.value)
    )


@pytest.mark.parametrize(
    "other", [{"prior": "/etc/passwd"}, {"solver": "nonsense"}, {"task": "phase"}]
)
def test_served_page_takes_only_what_it_offers(other, client, picture):
    with pytest.raises(AppError, match="not in the list of choices"):
        client.predict(**api_values(picture, **other), api_name="/restore")


def running(client, picture):
    """Submit a long restoration; return its job once it is computing."""
    job = client.submit(**api_values(picture, settings=SLOW), api_name="/restore")
    end = time.monotonic() + 60
    while not any("<progress" in str(out[0]) for out in job.outputs()):
        assert time.monotonic() < end and not job.done(), job.outputs()
        time.sleep(0.1)
    return job


def test_a_job_that_is_cancelled_makes_room_for_the_next(client, picture):
    job = running(client, picture)
    began = time.perf_counter()
    job.cancel()
    assert "2 network calls" in client.predict(**api_values(picture), api_name="/restore")[0]
    assert time.perf_counter() - began < 30  # 900 calls take minutes


def test_the_form_answers_while_restorations_wait(client, served, picture):
    """Otherwise nobody could choose a task while the queue is full."""
    jobs = [running(client, picture)]
    for _ in range(3):
        jobs.append(client.submit(**api_values(picture, settings=SLOW), api_name="/restore"))
    time.sleep(1)
    config = served.page.config
    (of_task,) = [d["id"] for d in config["dependencies"] if d["api_name"].startswith("for_task")]
    queued = {d["api_name"] for d in config["dependencies"] if d["queue"]}
    assert queued == {"restore", "look", "fix"}  # what computes; the form itself does not
    began = time.perf_counter()
    values = {"data": ["sr2", "painted", None], "fn_index": of_task, "session_hash": "other"}
    found = httpx.post(f"{served.address}/gradio_api/run/predict", json=values, timeout=30)
    assert found.status_code == 200 and "small, sharp picture" in found.json()["data"][0]
    assert time.perf_counter() - began < 20
    for job in jobs:
        with suppress(httpx.ReadTimeout):  # the client waits five seconds for an answer
            job.cancel()


def test_a_port_in_use_is_refused(served):
    port = int(served.address.rpartition(":")[2])
    with pytest.raises(ValueError, match=f"port {port}.*--port {port + 1}"):
        serve(JobRunner("cpu"), port=port)
    assert served.folder.path.is_dir()  # the page that is served keeps its files


# ---- the command --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "70000"], "--port is 70000"),
        (["--queue", "0"], "--queue is 0"),
        (["--prior", "nowhere"], "There is no model 'nowhere'"),
        (["--device", "cuda:99"], "--device cuda:99 cannot be used"),
    ],
)
def test_serve_refuses_bad_options(words, message, capsys):
    assert run("serve", *words) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


@pytest.mark.timeout(300)  # a process that imports torch and gradio, on a busy machine
def test_serve_says_where_it_is_and_ends_with_an_interrupt():
    port = free_port()
    words = [sys.executable, "-m", "hrdis", "serve", "--port", str(port)]
    process = subprocess.Popen(
        words, stderr=subprocess.PIPE, text=True, preexec_fn=default_interrupt
    )
    said = process.stderr.readline()
    assert said == f"The page is at http://127.0.0.1:{port}. Ctrl-C ends it.\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    process.stderr.close()


def default_interrupt():
    """A shell may have told its jobs to ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_end_the_page_and_are_as_before_afterwards(name):
    number = getattr(signal, name)
    before, received = signal.getsignal(number), []
    with handled(lambda number, _: received.append(number)):
        signal.raise_signal(number)
    assert received == [number] and signal.getsignal(number) is before


def test_serve_without_gradio_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert run("serve") == 2 and "pip install 'hrdis[web]'" in capsys.readouterr().err


# ---- in a browser -------------------------------------------------------------------------------


@pytest.fixture
def page(browser, served):
    """The page, in an empty profile; everything it asks for and complains about is noted."""
    context = browser.new_context(viewport={"width": 1280, "height": 1200})
    page = context.new_page()
    page.hosts, page.errors = set(), []
    page.on("request", lambda request: page.hosts.add(urlparse(request.url).netloc))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(served.address)
    page.get_by_role("tab", name="Restore", exact=True).click()
    page.get_by_role("button", name="Restore", exact=True).wait_for()
    yield page
    context.close()


def set_steps(page, steps):
    page.get_by_text("Algorithm and settings").click()
    box = page.get_by_label("steps", exact=True)
    box.fill(str(steps))
    box.press("Tab")
    page.wait_for_timeout(500)


@pytest.mark.e2e
def test_painting_over_a_hole_fills_it(page, picture, served):
    page.locator("#restore-tab input[type=file]").first.set_input_files(picture)
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
    with page.expect_download() as download:  # the mask, the last of the files
        page.locator("#downloads a[download]").last.click()
    holes = images.read(download.value.path())
    assert holes.size == (H, W) and 0 < float((holes.x > 0).float().mean()) < 0.5
    assert not page.errors and page.hosts <= {urlparse(served.address).netloc, ""}


@pytest.mark.e2e
def test_example_and_stop(page):
    page.get_by_role("button", name="Try an example").click()
    page.get_by_text("example-inpaint-mask").wait_for()
    page.get_by_role("button", name="Restore", exact=True).click()
    page.locator("#status progress").wait_for(timeout=60_000)
    page.locator("#so-far img").wait_for()
    page.wait_for_function("document.activeElement.id === 'stop'")  # the keyboard can go on
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("Stopped. Nothing was kept.").wait_for()
    page.get_by_role("button", name="Restore", exact=True).wait_for()
    page.get_by_text("The restored picture appears here.").wait_for()
    assert not page.errors


@pytest.mark.e2e
def test_an_error_stands_under_the_button_and_gives_it_back(page):
    page.get_by_role("button", name="Restore", exact=True).click()
    page.get_by_role("alert").get_by_text("There is no picture yet.").wait_for()
    page.get_by_role("button", name="Restore", exact=True).wait_for()
    assert not page.errors


@pytest.mark.e2e
def test_a_file_that_is_no_picture_is_taken_away_with_one_line(page, tmp_path):
    file = tmp_path / "photo.heic"
    file.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    page.locator("#restore-tab input[type=file]").first.set_input_files(file)
    page.locator("#note").get_by_text("it is a HEIC picture").wait_for()
    page.get_by_text("Drop a picture here").wait_for()  # the first box is empty again
    assert not page.errors


@pytest.mark.e2e
def test_everything_on_the_page_has_a_name_and_fits_a_phone(browser, served):
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(served.address)
    page.get_by_role("tab", name="Restore", exact=True).click()
    page.get_by_role("button", name="Restore", exact=True).wait_for()
    page.get_by_text("Algorithm and settings").click()
    page.get_by_label("steps", exact=True).wait_for()
    nameless = page.evaluate(NAMELESS)
    width = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert not nameless and width <= 390


#: Controls that are shown without a name a screen reader could say.
NAMELESS = """() => [...document.querySelectorAll('input, textarea, select, button')]
  .filter(e => e.offsetParent !== null && e.type !== 'file')
  .filter(e => !(e.innerText || e.ariaLabel || e.title || e.labels?.length
                 || e.getAttribute('aria-labelledby') || e.closest('label')))
  .map(e => e.outerHTML.slice(0, 200))"""
