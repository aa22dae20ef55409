"""``hrdis replay``, end to end: equal pixels are found equal, and whatever changed is named."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.cli.test_cli import FAST, hole, photo, prior, run  # noqa: F401

OPERATOR = """\
from pathlib import Path

import torch


def make(h, w):
    Path(__file__).with_name("executed").touch()
    return lambda x: x.clamp(-1, {level})
"""


@pytest.fixture(scope="module")
def restored_once(tmp_path_factory: pytest.TempPathFactory, prior: str) -> Path:  # noqa: F811
    """The folder of an enlarged picture, two samples."""
    folder = tmp_path_factory.mktemp("restored")
    words = ["--task", "sr2", "--prior", prior, "--samples", "2", "--seed", "3", *FAST]
    given = photo(folder / "in.png")
    assert run("restore", given, "-o", folder / "out.png", *words) == 0
    return folder


@pytest.fixture
def restored(tmp_path: Path, restored_once: Path) -> Path:
    """The record of the enlarged picture, in a copy of its folder."""
    shutil.copytree(restored_once, tmp_path, dirs_exist_ok=True)
    record = tmp_path / "out.json"
    record.write_text(record.read_text().replace(str(restored_once), str(tmp_path)))
    return record


@pytest.mark.parametrize("value", [{"a": 1}, -(10**30), "x\ny", "absent"], ids=str)
def test_field_of_a_record_that_is_something_else_is_one_line(
    restored: Path, value: object, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """All but the restoration itself, which is left out."""

    def ready(*_: object, **__: object) -> None:
        raise ValueError("ready")

    monkeypatch.setattr("hrdis.cli.replay.prepare", ready)
    record, harmless = json.loads(restored.read_text()), 0
    for name in record:
        changed = record | {name: value}
        if value == "absent":
            changed.pop(name)
        restored.write_text(json.dumps(changed))
        status = run("replay", restored)
        said = capsys.readouterr().err.splitlines()
        assert status == 2 and len(said) == 1
        harmless += said == ["hrdis replay: ready"]
    assert harmless < len(record) // 2


@pytest.mark.parametrize("value", [0, 10**9])
def test_number_of_threads_of_a_record_is_bounded(
    restored: Path, value: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record of a stranger would start as many threads as it says."""
    record = json.loads(restored.read_text()) | {"threads": value}
    restored.write_text(json.dumps(record))
    assert run("replay", restored) == 2
    assert f"threads in {restored} is {value}" in capsys.readouterr().err


def test_every_picture_of_a_restoration_is_equal(
    restored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in restored.parent.iterdir()}
    assert run("replay", restored) == 0
    said = capsys.readouterr().out.splitlines()
    names = [Path(name).name for name in json.loads(restored.read_text())["files"]]
    assert [line.rpartition("/")[2] for line in said] == [f"{name}: equal" for name in names]
    assert len(names) == 5  # two samples, mean, deviation, sheet
    assert before == {path.name: path.read_bytes() for path in restored.parent.iterdir()}


def test_map_of_calibrated_intervals_is_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its half widths follow from the choice of the solver auto, which the record holds."""
    monkeypatch.chdir(tmp_path)
    photo(Path("in.png"), size=(16, 16))
    assert run("restore", "in.png", "--task", "upscale", "--scale", "2", "--samples", "2",
               "-o", "out.png") == 0  # fmt: skip
    assert json.loads(Path("out.json").read_text())["interval"]
    assert run("replay", "out.json") == 0
    assert capsys.readouterr().out.count(": equal") == 5


@pytest.mark.parametrize(
    "words",
    [
        "--task inpaint --mask holes.png --solver ddnm",
        "--task inpaint --mask holes.png --solver reddiff --redraw",
        "--task denoise --noise 0.1",
        "--task sr2 --precision bf16 --tile 64 --overlap 16",
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16"])
def test_tasks_and_kinds_of_pictures_replay(
    words: str,
    mode: str,
    tmp_path: Path,
    prior: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    photo(Path("in.png"), mode)
    hole(Path("holes.png"))
    assert run("restore", "in.png", "-o", "out.png", "--prior", prior, *words.split(), *FAST) == 0
    assert run("replay", "out.json") == 0


def test_folder_that_was_moved_replays(restored: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for path in restored.parent.glob("*.*"):
        shutil.move(path, moved)
    assert run("replay", moved / "out.json") == 0


def test_pixel_that_changed_is_found(restored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = restored.with_suffix(".png")
    pixels = np.asarray(Image.open(out)).copy()
    pixels[3, 4, 1] ^= 1
    Image.fromarray(pixels).save(out)
    assert run("replay", restored) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("differs in 0.1% of the pixels, by at most 1 of 255")  # 1 of 1920
    assert all(line.endswith(": equal") for line in said[1:])


def test_seed_that_changed_is_found(restored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads(restored.read_text())
    record["seeds"], record["torch"] = [4, 5], "1.0"
    restored.write_text(json.dumps(record))
    assert run("replay", restored) == 1
    told = capsys.readouterr()
    assert "differs in" in told.out
    assert f"torch was 1.0, and is {torch.__version__}" in told.err  # a reason to look at first


def test_picture_that_is_gone_is_missing(
    restored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    restored.with_name("out-2.png").unlink()
    assert run("replay", restored) == 1
    assert "out-2.png: missing" in capsys.readouterr().out


def test_number_of_threads_is_that_of_the_record_and_put_back(
    restored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = json.loads(restored.read_text())
    record["threads"] = 2
    restored.write_text(json.dumps(record))
    threads, asked = torch.get_num_threads(), []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    run("replay", restored)
    assert asked == [2, threads]


def refused(record: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a refused record gets, with status 2."""
    capsys.readouterr()
    assert run("replay", record) == 2
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if line.startswith("hrdis replay: ")]
    assert len(lines) == 1
    return lines[0]


def test_other_input_is_refused(restored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo(restored.with_name("in.png"), "L")
    assert "in.png is not the image of the record" in refused(restored, capsys)


def test_input_that_is_gone_is_refused(restored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    restored.with_name("in.png").unlink()
    assert "does not exist" in refused(restored, capsys)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("prior_sha256", "0" * 64, "The SHA-256 of the model is"),
        ("times", [300, 200, -1], "The list of network times is"),
        ("settings", {"steps": 3, "gamma": 1}, "settings of the record"),
        ("solver", "hrdiss", "Did you mean 'hrdis'?"),
        ("threads", None, "threads in"),
    ],
)
def test_what_decides_the_pixels_must_be_as_it_was(
    restored: Path, capsys: pytest.CaptureFixture[str], field: str, value: object, said: str
) -> None:
    record = json.loads(restored.read_text())
    record[field] = value
    restored.write_text(json.dumps(record))
    assert said in refused(restored, capsys)


@pytest.mark.parametrize("image", [None, "gaussian:3"])
def test_record_that_names_no_file_as_its_image_is_refused(
    restored: Path, capsys: pytest.CaptureFixture[str], image: str | None
) -> None:
    """A kernel may be given in words, which have no SHA-256; an image is a file."""
    record = json.loads(restored.read_text()) | {"image": image, "image_sha256": None}
    restored.write_text(json.dumps(record))
    assert "image" in refused(restored, capsys)


def test_record_of_degrade_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--task", "denoise", "--noise", "0.1"]
    run("degrade", photo(tmp_path / "in.png"), "-o", tmp_path / "noisy.png", *words)
    assert "no record of `hrdis restore`" in refused(tmp_path / "noisy.json", capsys)


def test_record_of_pictures_that_were_not_all_written_is_refused(
    restored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads(restored.read_text())
    restored.write_text(json.dumps(record | {"unfinished": True}))
    assert "ended while its pictures were written" in refused(restored, capsys)


def test_operator_replays_and_one_that_changed_is_not_executed(
    tmp_path: Path,
    prior: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.py").write_text(OPERATOR.format(level=0.2))
    photo(Path("in.png"))
    words = ["--operator", "my.py:make", "--prior", prior, *FAST]
    assert run("restore", "in.png", "-o", "out.png", *words) == 0
    assert run("replay", "out.json") == 0
    Path("executed").unlink()
    Path("my.py").write_text(OPERATOR.format(level=0.3))
    assert "my.py is not the operator of the record" in refused(Path("out.json"), capsys)
    assert not Path("executed").exists()


def test_measurement_in_an_array_replays_at_the_size_of_the_picture(
    tmp_path: Path,
    prior: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The record holds no --image-size; it is read off the restored picture."""
    monkeypatch.chdir(tmp_path)
    Path("my.py").write_text(
        "import hrdis\n\n\ndef make(h, w):\n    return lambda x: x.flatten(1)[:, ::2]\n"
    )
    np.save("y.npy", np.linspace(-1, 1, 3 * 12 * 16 // 2, dtype=np.float32)[None])
    words = ["--operator", "my.py:make", "--image-size", "12", "16", "--prior", prior, *FAST]
    assert run("restore", "y.npy", "-o", "out.png", *words) == 0
    assert run("replay", "out.json") == 0
