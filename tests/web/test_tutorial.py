"""The tutorial *Repair a photograph in the browser*, step by step, in a browser.

    pytest tests/web/test_tutorial.py --screenshots docs/pictures/tutorial

writes the pictures of the page anew. Without the option they go to an empty folder.
"""

import io
import re
from pathlib import Path
from urllib.parse import urlparse

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat

import hrdis
from hrdis.web.page import build

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "examples" / "tutorials" / "browser.py"
#: The names of the steps, each of a picture: 1-open.jpg and so on.
STEPS = ("1-open", "2-photograph", "3-paint", "4-restoring", "5-result")
LEFT, TOP, SIDE = 60, 60, 128
#: The scratch, from one end to the other, as shares of the picture.
SCRATCH = ((0.12, 0.30), (0.45, 0.42), (0.88, 0.36))


def scratched(folder: Path) -> Path:
    """Write a photograph with a white scratch of 3 pixels."""
    with Image.open(Path(hrdis.__file__).parent / "pictures" / "chelsea.png") as file:
        photo = file.convert("RGB").crop((LEFT, TOP, LEFT + SIDE, TOP + SIDE))
    line = [(x * SIDE, y * SIDE) for x, y in SCRATCH]
    ImageDraw.Draw(photo).line(line, fill="white", width=3)
    path = folder / "photograph.png"
    photo.save(path)
    return path


def words(component: object) -> set[str]:
    """The words by which a person knows a part of the page."""
    said = [getattr(component, "label", None), getattr(component, "value", None)]
    said += [choice[0] for choice in getattr(component, "choices", None) or ()]
    return {word for word in said if isinstance(word, str)}


@pytest.mark.skipif(not TUTORIAL.exists(), reason="no examples/ here: not a clone")
def test_tutorial_calls_the_parts_of_the_page_by_their_names():
    """What stands between single stars in the steps is written on the page."""
    page = build(["default"], lambda layout: None)
    shown = set()
    for component in page.blocks.values():
        shown |= words(component)
    steps = TUTORIAL.read_text(encoding="utf-8").replace("\n# ", " ").partition("**1.")[2]
    named = set(re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", steps.partition("**What to")[0]))
    assert len(named) > 5
    assert {name for name in named if not any(name in text for text in shown)} == set()


@pytest.mark.skipif(not TUTORIAL.exists(), reason="no examples/ here: not a clone")
def test_tutorial_shows_a_picture_for_each_step():
    text = TUTORIAL.read_text(encoding="utf-8")
    assert re.findall(r"\(\.\./pictures/tutorial/([\w-]+)\.jpg\)", text) == list(STEPS)


@pytest.mark.e2e
@pytest.mark.timeout(1500)
def test_steps_of_the_tutorial_repair_a_photograph(browser, served, tmp_path, pytestconfig):
    folder = Path(pytestconfig.getoption("screenshots") or tmp_path / "shots")
    folder.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    page = context.new_page()
    page.set_default_timeout(120_000)  # WebGL in software, on a busy machine
    errors, hosts = [], set()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: hosts.add(urlparse(request.url).netloc))

    def shot(step, height=900):
        page.wait_for_timeout(500)  # until nothing moves
        shown = {"x": 0, "y": 0, "width": 1100, "height": height}
        page.screenshot(
            path=folder / f"{step}.jpg", quality=80, type="jpeg", full_page=True, clip=shown
        )

    page.goto(served.address)
    page.get_by_role("button", name="Fix", exact=True).wait_for()
    shot("1-open", 760)

    page.get_by_role("tab", name="Restore", exact=True).click()
    page.get_by_role("button", name="Restore", exact=True).wait_for()
    given = scratched(tmp_path)
    page.locator("#restore-tab input[type=file]").first.set_input_files(given)
    canvas = page.locator("canvas").first
    canvas.wait_for()
    for _ in range(60):  # until the picture is on the canvas
        page.wait_for_timeout(500)
        with Image.open(io.BytesIO(canvas.screenshot())) as seen:
            if ImageStat.Stat(seen.convert("L")).stddev[0] > 20:
                break
    page.evaluate("window.scrollTo(0, 0)")
    shot("2-photograph")

    canvas.evaluate("canvas => canvas.scrollIntoView({block: 'center'})")
    box = canvas.bounding_box()
    # the picture stands in the middle of the canvas; the toolbar says how large, in per cent
    zoom = page.locator("#restore-tab").get_by_text(re.compile(r"^\s*\d+%\s*$")).first
    scale = float(zoom.inner_text().strip().removesuffix("%")) / 100
    left = box["x"] + (box["width"] - scale * SIDE) / 2
    top = box["y"] + (box["height"] - scale * SIDE) / 2
    for number, (x, y) in enumerate(SCRATCH):
        page.mouse.move(left + x * scale * SIDE, top + y * scale * SIDE, steps=6)
        if number == 0:
            page.mouse.down()
    page.mouse.up()
    shot("3-paint", 1420)

    samples = page.get_by_label("number input for How many restorations")
    samples.fill("3")
    samples.press("Tab")
    page.get_by_role("button", name="Restore", exact=True).click()
    page.locator("#so-far img").wait_for(timeout=120_000)
    page.evaluate("window.scrollTo(0, 0)")
    shot("4-restoring", 1560)

    page.get_by_text("network calls in").wait_for(timeout=400_000)
    page.locator("#downloads a[download]").first.wait_for()
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_timeout(1500)  # until the pictures of the gallery are there
    shot("5-result", 1750)
    with page.expect_download() as download:
        page.locator("#downloads a[download]").first.click()
    with Image.open(download.value.path()) as whole, Image.open(given) as torn:
        changed = ImageChops.difference(whole.convert("RGB"), torn).getbbox()
    context.close()
    # the scratch is gone, and the top and the lower half are as they were
    assert changed and changed[1] > 0.1 * SIDE and changed[3] < 0.6 * SIDE
    shots = [folder.joinpath(f"{step}.jpg").read_bytes() for step in STEPS]
    assert len(set(shots)) == len(STEPS)
    assert not errors and hosts <= {urlparse(served.address).netloc, ""}
