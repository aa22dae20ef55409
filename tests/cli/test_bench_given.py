"""``hrdis bench`` on files of the user's, masks and measurements, from the files to the rows."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrdis import cli
from hrdis.bench.run import Store

PLAN = """
tasks: [{tasks}]
solvers: [{{solver: {solver}, settings: {{steps: 2}}}}]
images: {{folder: photos}}
size: {size}
crop: 0
"""
SIDE = 32


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two photographs."""
    monkeypatch.chdir(tmp_path)
    photographs(SIDE)
    return tmp_path


def photographs(side: int) -> None:
    Path("photos").mkdir(exist_ok=True)
    x, y = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    for i in range(2):
        pixels = np.stack([x, y, (x + y + i) / 3], -1) * 200
        Image.fromarray(pixels.astype(np.uint8)).save(f"photos/{i}.png")


def bench(
    tasks: str, *words: object, solver: str = "ddrm", size: int = SIDE, out: str = "run"
) -> int:
    Path("plan.yaml").write_text(PLAN.format(tasks=tasks, solver=solver, size=size))
    return cli.main(["bench", "plan.yaml", "-o", out, *map(str, words)])


def rows(out: str = "run") -> list[dict]:
    found = Store.open(out).rows()
    assert all(row["status"] == "ok" for row in found), [row["error"] for row in found]
    return found


def degrade(task: str, suffix: str, *words: object) -> None:
    Path("given").mkdir(exist_ok=True)
    for i in range(2):
        paths = [f"photos/{i}.png", "-o", f"given/{i}{suffix}"]
        assert cli.main(["degrade", *paths, "--task", task, *map(str, words)]) == 0


def pixels(path: str | Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def palette(count: int = 5) -> np.ndarray:
    """Write a small file as Palette's: bands of masks of 256 x 256; return those of 10-20 %."""
    holes = np.zeros((count, 256, 256), np.uint8)
    for k in range(count):
        holes[k, 20 * k : 20 * k + 45] = 1  # 17.6 %, elsewhere in each
    wide = np.roll(holes, 15, 1) | holes  # 23.4 %
    np.savez("masks.npz", **{"10-20% freeform": np.packbits(holes),
        "20-30% freeform": np.packbits(wide)})  # fmt: skip
    return holes.astype(bool)


@pytest.mark.parametrize("offset", [3, 4])
def test_palette_mask_of_each_picture_is_the_hole_of_its_row(folder: Path, offset: int) -> None:
    photographs(256)
    holes = palette()
    assert bench("inpaint", "--masks", "masks.npz", "--mask-offset", offset, size=256) == 0
    for row in rows():
        hole = holes[(offset + row["cell"]["index"]) % len(holes)]
        shown = pixels(folder / "run" / row["measurement"])
        truth = pixels(folder / "run" / row["truth"])
        assert np.array_equal(shown[~hole], truth[~hole])
        assert np.isin(shown[hole], (127, 128)).all()


def test_each_band_takes_its_own_palette_masks(folder: Path) -> None:
    photographs(256)
    palette()
    words = ["--masks", "masks.npz", "--limit", 1]
    assert bench("inpaint, inpaint-20-30, inpaint-box", *words, size=256) == 0
    shares = {}
    for row in rows():
        shown = pixels(folder / "run" / row["measurement"])
        shares[row["cell"]["task"]] = float(np.isin(shown, (127, 128)).all(-1).mean())
    assert shares == {"inpaint": 45 / 256, "inpaint-20-30": 60 / 256}
    (missing,) = json.loads((folder / "run" / "config.json").read_text())["missing"]
    assert missing["reason"] == "Palette's file has no masks like those of inpaint-box"


def test_low_and_normal_light_make_a_row(folder: Path) -> None:
    """Pairs as LOL has them: the dark picture is what was given, and is not made here."""
    Path("low").mkdir()
    for i in range(2):
        dark = pixels(f"photos/{i}.png") // 5 + i
        Image.fromarray(dark.astype(np.uint8)).save(f"low/{i}.png")
    assert bench("lowlight", "--measured", "low", solver="blindhrdis") == 0
    found = rows()
    assert len(found) == 2
    for row in found:
        given = pixels(f"low/{row['cell']['image']}")
        assert np.array_equal(pixels(folder / "run" / row["measurement"]), given)
        assert row["psnr"] > 0 and row["estimated"]["f"] > 0


@pytest.mark.parametrize("task", ["cs25", "phase", "mri4"])
def test_measurement_in_an_array_makes_the_row_of_one_that_is_simulated(
    folder: Path, task: str
) -> None:
    solver = "hrdis"
    degrade(task, ".npy")
    assert bench(task, "--limit", 1, "--seeds", 1, solver=solver, out="simulated") == 0
    words = ["--measured", "given", "--limit", 1]
    assert bench(task, *words, solver=solver, out="read") == 0
    simulated, read = rows("simulated"), rows("read")
    assert [row["key"] for row in simulated] != [row["key"] for row in read]
    for one, other in zip(simulated, read, strict=True):
        assert other["psnr"] == pytest.approx(one["psnr"], abs=1e-3)  # the scans were not rounded


def test_torn_picture_with_its_mask_makes_a_row(folder: Path) -> None:
    degrade("inpaint-20-30", ".png", "--seed", 7)
    words = ["--measured", "given", "--masks", "given"]
    assert bench("inpaint-20-30", *words) == 0
    for row in rows():
        given = pixels(f"given/{row['cell']['image']}")
        assert np.array_equal(pixels(folder / "run" / row["measurement"]), given)


def test_run_on_given_files_is_continued(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    degrade("sr4", ".png")
    assert bench("sr4", "--measured", "given", "--limit", 1) == 0
    (row,) = rows()
    assert bench("sr4", "--measured", "given", "--limit", 1) == 0
    assert "1 restorations, 0 to do" in capsys.readouterr().err
    shown = pixels(folder / "run" / row["measurement"])
    assert np.array_equal(shown, pixels("given/0.png"))


def test_plan_may_name_the_files(folder: Path) -> None:
    degrade("sr4", ".png")
    text = PLAN.format(tasks="sr4", solver="ddrm", size=SIDE)
    text = text.replace("folder: photos", "folder: photos, measured: given, limit: 1")
    Path("plan.yaml").write_text(text)
    assert cli.main(["bench", "plan.yaml", "-o", "run"]) == 0
    (row,) = rows()
    assert "measured_sha256" in row["cell"]


@pytest.mark.parametrize(
    ("task", "words", "said"),
    [
        ("inpaint", "--masks nowhere", "nowhere is no folder"),
        ("inpaint", "--masks empty", "empty holds nothing for 0.png"),
        ("inpaint", "--masks masks.npz --mask-offset -1", "--mask-offset is -1"),
        ("inpaint", "--mask-offset 3", "--mask-offset is 3, without a packed file of masks"),
        ("inpaint", "--masks small", "has 8 x 8 pixels, and the picture 0.png has 32 x 32"),
        ("inpaint", "--masks masks.npz", "has 256 x 256 pixels, and the picture 0.png has 32 x 32"),
        ("inpaint", "--measured given", "are not known without their masks: --masks FOLDER"),
        ("sr2", "--measured given", "has shape (1, 3, 32, 32). What sr2 measures of 0.png"),
        ("sr4", "--measured twice", "twice holds 0.png and 0.jpg for 0.png"),
        ("deblur-motion", "--measured given", "its blur is drawn for each picture"),
        ("lowlight", "--measured photos", "what a blind solver estimates is not known"),
    ],
)
def test_files_that_do_not_fit_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], task: str, words: str, said: str
) -> None:
    palette()
    for name in ("empty", "small", "twice"):
        Path(name).mkdir()
    for i in range(2):
        mask = np.zeros((8, 8), np.uint8)
        mask[2:4] = 255
        Image.fromarray(mask).save(f"small/{i}.png")
        for suffix in ("jpg", "png"):
            Image.open(f"photos/{i}.png").resize((8, 8)).save(f"twice/{i}.{suffix}")
    degrade("sr4", ".png")
    assert bench(task, *words.split(), solver="hrdis") == 2
    text = " ".join(capsys.readouterr().err.split())
    assert said in text and "Traceback" not in text
    assert not (folder / "run").exists()


# ---- hrdis degrade --mask
# -----------------------------------------------------------------------


def test_palette_mask_is_cut_into_a_picture_and_restored(folder: Path) -> None:
    photographs(256)
    holes = palette()
    words = ["photos/0.png", "--task", "inpaint", "--mask", "masks.npz", "--mask-index", "7"]
    assert cli.main(["degrade", *words, "-o", "torn.png"]) == 0
    hole = holes[7 % len(holes)]
    assert np.array_equal(pixels("torn-mask.png")[..., 0] == 255, hole)
    assert np.array_equal(pixels("torn.png")[~hole], pixels("photos/0.png")[~hole])
    words = ["--task", "inpaint", "--mask", "torn-mask.png", "--solver", "ddnm", "--steps", "1"]
    assert cli.main(["restore", "torn.png", *words, "-o", "whole.png"]) == 0
    assert not np.array_equal(pixels("whole.png")[hole], pixels("torn.png")[hole])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--task denoise --noise 5 --mask small.png", "the task 'denoise' has no holes"),
        ("--task inpaint --mask small.png", "a mask of 8 x 8 pixels, and photos/0.png has 32 x 32"),
        ("--task inpaint-box --mask masks.npz", "has no masks like those of 'inpaint-box'"),
        ("--task inpaint --mask masks.npz --mask-index -1", "--mask-index is -1"),
        ("--operator my.py:make --mask small.png", "--mask is given, but --operator takes none"),
    ],
)
def test_mask_that_does_not_fit_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    palette()
    mask = np.zeros((8, 8), np.uint8)
    mask[2:4] = 255
    Image.fromarray(mask).save("small.png")
    Path("my.py").write_text("make = None")
    assert cli.main(["degrade", "photos/0.png", *words.split(), "-o", "torn.png"]) == 2
    text = " ".join(capsys.readouterr().err.split())
    assert said in text and "Traceback" not in text
