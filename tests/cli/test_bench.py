"""``hrdis bench`` end to end, on tiny pictures."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hrdis
from hrdis import cli
from hrdis.bench.plan import RunRequest, UnitRestorer, restore_unit
from hrdis.bench.plan.pictures import find_pictures
from hrdis.bench.records import Unit, comparable
from hrdis.bench.run import Store

WHOLE = UnitRestorer.__call__

PLAN = """
tasks: [sr4, inpaint]
solvers:
  - {solver: ddrm, label: DDRM, settings: {steps: 2}}
  - {solver: hrdis, label: HRDIS, settings: {steps: 3, beta: [0, 0.2]}}
images: {folder: photos}
size: 16
crop: 0
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a plan and two pictures."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for i in range(2):
        x, y = np.meshgrid(np.linspace(0, 1, 20), np.linspace(0, 1, 20))
        Image.fromarray((np.stack([x, y, (x + i / 2) % 1], -1) * 255).astype(np.uint8)).save(
            f"photos/{i}.png"
        )
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path


def bench(*words: str) -> int:
    return cli.main(["bench", *words])


def rows(run: Path) -> list[dict]:
    return [comparable(row) for row in Store.open(run).rows()]


def pixels(run: Path) -> dict[str, bytes]:
    return {str(p.relative_to(run)): p.read_bytes() for p in run.rglob("*.png")}


def test_plan_is_run(folder, capsys):
    assert bench("plan.yaml", "-o", "run") == 0
    found = Store.open(folder / "run").rows()
    assert [r["status"] for r in found] == ["ok"] * 12  # 2 tasks x 3 methods x 2 pictures
    assert {r["cell"]["group"] for r in found} == {"DDRM", "HRDIS beta=0", "HRDIS beta=0.2"}
    assert all(
        (folder / "run" / r[name]).is_file()
        for r in found
        for name in ("picture", "truth", "measurement")
    )
    assert "12 restorations, 12 to do" in capsys.readouterr().err


def test_config_says_everything(folder):
    bench("plan.yaml", "-o", "run", "--seeds", "2")
    config = json.loads((folder / "run" / "config.json").read_text())
    assert config["provenance"]["command"] == "hrdis bench plan.yaml -o run --seeds 2"
    assert config["shipped"] == {"data": False, "prior": True}
    assert [i["name"] for i in config["images"]] == ["0.png", "1.png"]
    assert config["prior"]["sha256"] == hrdis.checkpoints.weights_sha256("default")
    assert config["options"]["size"] == 16
    variants = {row["variant"] for row in Store.open(folder / "run").rows()}
    assert {e["variant"] for e in config["tables"][0]["entries"]} == variants
    assert config["cells"] == 24


def test_what_is_finished_is_not_done_again(folder, capsys):
    bench("plan.yaml", "-o", "run")
    before, files = rows(folder / "run"), list((folder / "run" / "results").iterdir())
    assert bench("plan.yaml", "-o", "run") == 0
    assert "12 restorations, 0 to do" in capsys.readouterr().err
    assert rows(folder / "run") == before
    assert list((folder / "run" / "results").iterdir()) == files


def test_lost_row_is_done_again_bit_for_bit(folder):
    bench("plan.yaml", "-o", "run", "--batch", "2")
    before, seen = rows(folder / "run"), pixels(folder / "run")
    (results,) = (folder / "run" / "results").iterdir()
    lines = results.read_bytes().splitlines(keepends=True)
    lost = json.loads(lines[-1])
    results.write_bytes(b"".join(lines[:-1]))
    (folder / "run" / lost["picture"]).unlink()
    assert bench("plan.yaml", "-o", "run", "--batch", "2") == 0
    assert rows(folder / "run") == before
    assert pixels(folder / "run") == seen


def test_command_line_goes_before_the_plan(folder):
    bench(
        "plan.yaml",
        "-o",
        "run",
        "--limit",
        "1",
        "--tasks",
        "sr4",
        "--solvers",
        "DDRM",
        "--size",
        "20",
    )
    (row,) = Store.open(folder / "run").rows()
    assert (row["cell"]["size"], row["cell"]["task"], row["cell"]["solver"]) == (20, "sr4", "ddrm")


def test_table_is_run_on_the_photographs_of_the_package(folder, capsys):
    words = (
        "--table",
        "8",
        "--limit",
        "1",
        "--crop",
        "16",
        "--tasks",
        "sr4",
        "--solvers",
        "DR+DDIM",
    )
    assert bench(*words, "-o", "run") == 0
    (row,) = Store.open(folder / "run").rows()
    assert (row["cell"]["image"], row["cell"]["crop"], row["cell"]["preset"]) == (
        "chelsea.png",
        16,
        "sr4@default",
    )
    assert json.loads((folder / "run" / "config.json").read_text())["shipped"] == {
        "data": True,
        "prior": True,
    }


def test_cells_without_what_they_need_are_left_out_with_the_reason(folder, capsys):
    assert (
        bench("--table", "8", "--limit", "1", "--crop", "16", "--solvers", "DR+DDIM", "-o", "run")
        == 0
    )
    assert (
        "left out: nonlinear deblur, DR+DDIM: no weights of the nonlinear blur"
        in capsys.readouterr().err
    )
    (missing,) = json.loads((folder / "run" / "config.json").read_text())["missing"]
    assert (missing["table"], missing["column"]) == ("table 8", "nonlinear_deblur")


def test_dry_run_says_what_it_would_cost_and_writes_nothing(folder, capsys):
    assert bench("plan.yaml", "--dry-run", "-o", "run") == 0
    said = capsys.readouterr().out
    assert "12 restorations, 32 network calls" in said  # (2 + 3 + 3) steps x 2 tasks x 2 pictures
    assert "HRDIS beta=0.2" in said
    assert not (folder / "run").exists()


def test_dry_run_cuts_no_cell(folder, capsys, monkeypatch):
    """The names of interpolated settings are long, and cut the time of each row to nothing."""
    monkeypatch.setenv("COLUMNS", "40")
    assert bench("--table", "7", "--limit", "1", "--dry-run") == 0
    assert "…" not in capsys.readouterr().out


def test_dry_run_on_a_folder_says_what_is_in_it_already(folder, capsys):
    bench("plan.yaml", "-o", "run", "--tasks", "sr4")
    files = sorted((folder / "run").rglob("*"))
    assert bench("plan.yaml", "-o", "run", "--tasks", "sr4", "--dry-run") == 0
    said = capsys.readouterr().err
    assert "6 of these restorations are in run already, and are not done again." in said
    assert sorted((folder / "run").rglob("*")) == files


@pytest.mark.parametrize(("word", "tables"), [("1..3", 3), ("9", 1), ("2-4", 3), ("9..12", 4)])
def test_tables_are_named_by_number_and_range(folder, word, tables, monkeypatch):
    asked = []

    def prepare(request: RunRequest, _: object) -> None:
        asked.extend(request.tables)
        raise ValueError("enough")

    monkeypatch.setattr("hrdis.cli.bench.prepare", prepare)
    assert bench("--table", word, "--dry-run") == 2
    assert len(asked) == tables


def test_settings_of_the_paper_need_no_cells(folder):
    assert bench("--table", "5", "-o", "run") == 0
    assert len(json.loads((folder / "run" / "config.json").read_text())["settings"]) == 24


def _a_file(folder: Path) -> None:
    (folder / "file").write_text("in the way")


def _other_plan(folder: Path) -> None:
    bench("plan.yaml", "-o", "other", "--limit", "1", "--tasks", "sr4", "--solvers", "DDRM")


def _torn(folder: Path) -> None:
    whole = (folder / "photos" / "1.png").read_bytes()
    (folder / "photos" / "2.png").write_bytes(whole[: len(whole) // 2])


def _strangers(folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.txt").write_text("precious")


@pytest.mark.parametrize(
    ("words", "prepare", "message"),
    [
        ("--table 13 -o run", None, "unknown table '13'. Valid names: 1, 2"),
        ("--table two -o run", None, "unknown table 'two'"),
        ("--figure 6 -o run", None, "unknown figure '6'. Valid names: 5, 9, 17, 21"),
        ("-o run", None, "Nothing was asked for."),
        ("--table 9", None, "No folder for the run was given."),
        ("absent.yaml -o run", None, "absent.yaml cannot be read"),
        ("file -o run", _a_file, "file holds no keys and values, which are expected"),
        (
            "plan.yaml -o run --data absent",
            None,
            "absent does not exist. A folder of pictures is expected",
        ),
        ("plan.yaml -o run", _torn, "2.png cannot be decoded"),
        ("plan.yaml -o run --limit 0", None, "The limit is 0."),
        ("plan.yaml -o run --tasks sr5", None, "unknown task 'sr5'"),
        ("plan.yaml -o run --solvers hrdiss", None, "unknown solver 'hrdiss'"),
        ("plan.yaml -o run --tasks hdr", None, "Nothing can be run: no task and solver are left."),
        (
            "plan.yaml -o run --size 15 --tasks sr4",
            None,
            "Nothing can be run: The image is 15 x 15",
        ),
        ("plan.yaml -o run --size -1", None, "size is -1"),
        ("plan.yaml -o run --crop 17", None, "less than the crop of 17"),
        ("plan.yaml -o run --prior absent", None, "There is no model 'absent'."),
        ("--table 8 --limit 1 -o run --bkse absent.pth", None, "There is no file absent.pth."),
        ("plan.yaml -o run --device cuda:99", None, "--device cuda:99 cannot be used"),
        ("--table 3 --batch 2 -o run", None, "Table 3 times one picture at a time"),
        ("plan.yaml -o file", _a_file, "file is a file."),
        ("plan.yaml -o file/run", _a_file, "file/run"),
        ("plan.yaml -o other", _other_plan, "other holds another plan"),
        ("plan.yaml -o mine", _strangers, "mine holds 'thesis.txt'"),
    ],
)
def test_bad_input_is_one_message_and_status_2(folder, capsys, words, prepare, message):
    if prepare is not None:
        prepare(folder)
    capsys.readouterr()
    assert bench(*words.split()) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith("hrdis bench: ")
    assert message in said[0]
    assert not (folder / "run").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_may_not_be_written_is_refused(folder, capsys):
    (folder / "locked").mkdir(mode=0o500)
    assert bench("plan.yaml", "-o", "locked/run") == 2
    assert "Nothing can be written to" in capsys.readouterr().err


def test_interrupted_run_is_continued_to_the_same_end(folder, capsys, monkeypatch):
    done = []

    def interrupted(worker: UnitRestorer, unit: Unit) -> list:
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(unit)
        return WHOLE(worker, unit)

    with monkeypatch.context() as patched:
        patched.setattr(UnitRestorer, "__call__", interrupted)
        assert bench("plan.yaml", "-o", "run") == 130
    assert "interrupted; nothing was left half written" in capsys.readouterr().err
    assert len(Store.open(folder / "run").rows()) == 5
    assert bench("plan.yaml", "-o", "run") == bench("plan.yaml", "-o", "undisturbed") == 0
    assert rows(folder / "run") == rows(folder / "undisturbed")
    assert pixels(folder / "run") == pixels(folder / "undisturbed")


def test_failed_restorations_are_counted_and_done_again_if_asked(folder, capsys, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("hrdis.bench.plan.restore_unit.solve", lambda *_, **__: 1 / 0)
        assert bench("plan.yaml", "-o", "run") == 1
    assert "12 of them failed" in capsys.readouterr().err
    assert {r["error"] for r in Store.open(folder / "run").rows()} == {
        "ZeroDivisionError: division by zero"
    }
    assert bench("plan.yaml", "-o", "run") == 1  # nothing is whole by being asked twice
    assert "0 to do" in capsys.readouterr().err
    assert bench("plan.yaml", "-o", "run", "--retry-failed") == 0
    assert {r["status"] for r in Store.open(folder / "run").rows()} == {"ok"}


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("cannot allocate"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("CUDA error: unspecified launch failure"),
    ],
)
def test_crashed_gpu_fails_no_restoration_and_the_run_is_continued(
    folder, capsys, monkeypatch, error
):
    """After the third unit every call of the solver raises, as after a sticky CUDA error."""
    solve, calls = restore_unit.solve, []

    def crashing(*args: object, **options: object) -> object:
        calls.append(args)
        if len(calls) > 3:
            raise error
        return solve(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(restore_unit, "solve", crashing)
        assert bench("plan.yaml", "-o", "run") == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert str(error) in said and said.endswith("The same command continues the run.")
    assert [r["status"] for r in Store.open(folder / "run").rows()] == ["ok"] * 3
    assert bench("plan.yaml", "-o", "run") == bench("plan.yaml", "-o", "undisturbed") == 0
    assert rows(folder / "run") == rows(folder / "undisturbed")


def test_help_shows_working_examples(capsys):
    with pytest.raises(SystemExit) as end:
        bench("--help")
    assert end.value.code == 0
    assert "hrdis bench --table 9 --limit 1" in capsys.readouterr().out


def test_part_of_a_plan_that_a_launcher_asked_for_is_called_one(folder, capsys, monkeypatch):
    """RANK and WORLD_SIZE may be left from something else: "Done" alone would hide it."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert bench("plan.yaml", "-o", "run", "--solvers", "hrdis", "--tasks", "sr4") == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "part 1/3 of the plan by RANK and WORLD_SIZE of the environment, " in told
    assert "Done: part 1/3 of the plan" in told
    monkeypatch.setenv("RANK", "3")
    assert bench("plan.yaml", "-o", "other") == 2
    assert "RANK/WORLD_SIZE of the environment is '3/3'" in capsys.readouterr().err


# ---- names that are no text ---------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are text")
def test_picture_whose_name_is_no_text_goes_from_data_to_report(folder):
    name = os.fsdecode(b"caf\xe9.png")  # Latin-1
    os.rename("photos/0.png", f"photos/{name}")
    assert bench("plan.yaml", "-o", "run", "--solvers", "ddrm", "--tasks", "sr4") == 0
    assert bench("report", "run") == 0
    assert "caf\\udce9.png" in (folder / "run" / "report.html").read_text(encoding="utf-8")


def test_names_of_the_two_forms_of_unicode_keep_their_order(tmp_path):
    """A composed letter and its parts are two names on Linux, and sorted by their code points."""
    for name in ("e\u0301.png", "\u00e9.png", "f.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    found = [picture.name for picture in find_pictures(tmp_path)]
    assert found == ["e\u0301.png", "f.png", "\u00e9.png"]
