"""The names of commands, options, tasks and files, and the older ones that keep working."""

import json
from pathlib import Path

import pytest

from hrdis import cli
from hrdis.cli.parsing import parse
from hrdis.cli.renamed import OPTIONS, command_today, options_today
from hrdis.cli.restore import Restore, changed_settings
from hrdis.presets import embedded
from hrdis.repairs import REPAIRS
from hrdis.restoration import FileOptions
from hrdis.restoration.options import read_memory
from hrdis.solvers import SOLVERS, find
from tests.cli.test_cli import FAST, hole, photo, prior, run  # noqa: F401

OLD_COMMANDS = {
    "check-operator my.py:make": "check operator my.py:make",
    "tasks": "list tasks",
    "solvers ddrm": "list solvers ddrm",
    "prior": "model",
    "prior list": "list models",
    "prior get ffhq256": "model download ffhq256",
    "prior show default": "model show default",
    "prior check default --size 32": "model check default --size 32",
}


@pytest.mark.parametrize("old", OLD_COMMANDS)
def test_old_command_names_the_new_one_in_one_line(old, capsys):
    assert command_today(old.split()) == OLD_COMMANDS[old].split()
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "is now `hrdis " in said.err and not said.out


@pytest.mark.parametrize("today", ["list tasks", "model list", "fix a.png", "restore tasks"])
def test_command_of_today_is_left_alone(today, capsys):
    assert command_today(today.split()) == today.split()
    assert not capsys.readouterr().err


OLD_OPTIONS = {
    "demo --out x": "demo --output x",
    "restore --hole alpha": "restore --mask-marks transparent",
    "restore --hole=alpha": "restore --mask-marks=transparent",
    "restore --hole black": "restore --mask-marks black",
    "restore --redraw a.png": "restore --no-keep-known a.png",
    "restore --label 3": "restore --class-label 3",
    "restore --tile_memory=4": "restore --max-memory=4",
    "restore --size 3 4": "restore --image-size 3 4",
    "model --label 3": "model --class-label 3",
}


@pytest.mark.parametrize("old", OLD_OPTIONS)
def test_old_option_names_the_new_one_in_one_line(old, capsys):
    command, *words = old.split()
    new = OLD_OPTIONS[old].split()
    assert options_today(command, words) == new[1:]
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and new[1].split("=")[0] in said


def test_value_that_is_like_an_old_one_is_left_alone():
    words = ["--hole", "white", "alpha", "--solver", "hrdis"]
    assert options_today("restore", words) == ["--mask-marks", *words[1:]]


@pytest.mark.parametrize("command", ["restore", "fix", "serve"])
def test_prior_stays_for_model_without_a_word(command, capsys):
    assert options_today(command, ["--prior", "x"]) == ["--model", "x"]
    assert not capsys.readouterr().err


def test_every_new_option_of_restore_exists(capsys):
    with pytest.raises(SystemExit):
        run("restore", "--help")
    shown = capsys.readouterr().out
    for renamed in OPTIONS["restore"].values():
        assert f"{renamed.new} " in shown
    for old in OPTIONS["restore"]:
        assert f"{old} " not in shown


def test_overview_shows_first_what_people_do_first():
    shown = cli.overview()
    places = [shown.index(f"\n  {name} ") for name in ("fix", "restore", "serve", "demo")]
    assert places == sorted(places)
    assert all(shown.index(f"\n  {name} ") >= places[0] for name in cli.COMMANDS)


def test_tasks_list_the_repairs_first_with_their_options(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "160")
    assert run("list", "tasks") == 0
    said = capsys.readouterr().out
    repairs, settings = said.split("Benchmark settings")
    for name, repair in REPAIRS.items():
        assert f"\n{name} " in repairs and repair.summary in repairs and repair.options in repairs
    assert "\nsr16 " in settings and "\nsr16 " not in repairs


def test_reconstructions_are_marked_in_the_list(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert run("list", "solvers") == 0
    table = capsys.readouterr().out.split("\n\n")[0]
    marked = {line.split()[0] for line in table.splitlines() if line.rstrip().endswith("*")}
    assert marked == {"drddim", "cmhrdis", "blindhrdis"}


NOISE = {"0.1": 0.1, "25/255": 25 / 255, "25": 25 / 255, "1": 1 / 255, "0": 0.0}


@pytest.mark.parametrize("text", NOISE)
def test_noise_is_a_fraction_or_grey_levels(text):
    words = ["a.png", "-o", "b.png", "--noise", text]
    assert parse(FileOptions, words, "restore", "").noise == NOISE[text]


@pytest.mark.parametrize(
    ("text", "gigabytes"), [("4GB", 4), ("500MB", 0.5), ("4", 4), ("1.5gb", 1.5), ("0", 0)]
)
def test_memory_is_an_amount(text, gigabytes):
    assert read_memory(text) == pytest.approx(gigabytes, rel=1e-12)


@pytest.mark.parametrize("text", ["4TB", "lots", "-1GB", "inf", "GB", ""])
def test_memory_that_is_no_amount_is_refused(text):
    with pytest.raises(ValueError, match="4GB"):
        read_memory(text)


WRONG = {
    "--task upscale --scale 3": "--scale is 3",
    "--task upscale --scale x": "--scale",
    "--task sr4 --scale 2": "Use --task upscale",
    "--operator my.py:make --scale 2": "--scale is given, but --operator takes none",
    "--task dejpeg --quality 0": "--quality is 0",
    "--task deblur --kernel box:4": "--kernel is 'box:4'",
    "--task deblur": "--kernel gaussian:3",
    "--task deband --bits 9": "--bits is 9",
    "--task denoise --noise 25/0": "--noise is '25/0'",
    "--task denoise --noise 300": "--noise is 1.17",
    "--task upscale --max-memory lots": "--max-memory",
    "--task inpaint --mask-marks red": "--mask-marks",
    "--task upscale --solver red-dif": "Did you mean 'reddiff'?",
}


@pytest.mark.parametrize("words", WRONG)
def test_bad_values_are_one_line_and_status_2(words, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "in.png", size=(32, 32))
    assert run("restore", "in.png", *words.split(), "-o", "out.png") == 2
    said = capfd.readouterr().err
    assert WRONG[words] in said and said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]


def record(path: Path) -> dict:
    return json.loads(path.with_suffix(".json").read_text())


@pytest.mark.parametrize(
    ("repair", "benchmark"),
    [
        ("upscale --scale 2", "sr2"),
        ("deblur --kernel gaussian:1 --noise 5", "deblur --kernel gaussian:1 --noise 5/255"),
        ("deband", "quantize"),
        ("declip", "hdr"),
        ("brighten", "lowlight"),
    ],
)
def test_repair_and_benchmark_setting_give_the_same_pixels(
    repair, benchmark, prior, tmp_path  # noqa: F811
):  # fmt: skip
    photo(tmp_path / "in.png", size=(16, 16))
    made = []
    for k, words in enumerate((repair, benchmark)):
        out = tmp_path / f"{k}.png"
        flags = ["--task", *words.split(), "--model", prior, *FAST]
        assert run("restore", tmp_path / "in.png", *flags, "-o", out) == 0
        made.append(out.read_bytes())
    assert made[0] == made[1]


@pytest.mark.parametrize(
    "words", ["upscale --scale 2", "deblur --kernel motion:3:30 --noise 25/255", "deband --bits 2"]
)
def test_replay_knows_the_options_of_a_repair(words, prior, tmp_path):  # noqa: F811
    photo(tmp_path / "in.png", size=(16, 16))
    flags = ["--task", *words.split(), "--model", prior, *FAST, "-o", tmp_path / "out.png"]
    assert run("restore", tmp_path / "in.png", *flags) == 0
    found = record(tmp_path / "out.png")
    assert found["task"] == words.split()[0]
    if "--noise" in words:
        assert found["noise"]["[0,1]"] == 25 / 255 and found["kernel"] == "motion:3:30"
    assert run("replay", tmp_path / "out.json") == 0


def test_replay_reads_records_with_the_older_names_of_files(prior, tmp_path):  # noqa: F811
    photo(tmp_path / "in.png", size=(16, 16))
    flags = ["--task", "sr2", "--samples", "2", "--model", prior, *FAST]
    assert run("restore", tmp_path / "in.png", *flags, "-o", tmp_path / "out.png") == 0
    older = record(tmp_path / "out.png")
    for new, old in (("uncertainty", "deviation"), ("overview", "sheet")):
        (tmp_path / f"out-{new}.png").rename(tmp_path / f"out-{old}.png")
        older["files"] = [name.replace(f"-{new}", f"-{old}") for name in older["files"]]
    for name in ("scale", "quality", "bits"):
        del older[name]
    (tmp_path / "out.json").write_text(json.dumps(older))
    assert run("replay", tmp_path / "out.json") == 0


def test_old_options_do_what_the_new_ones_do(prior, tmp_path):  # noqa: F811
    photo(tmp_path / "in.png")
    hole(tmp_path / "m.png")
    made = []
    for words in (
        "--mask-marks white --no-keep-known --max-memory 4GB --model",
        "--hole white --redraw --tile-memory 4 --prior",
    ):
        out = tmp_path / f"{len(made)}.png"
        flags = ["--task", "inpaint", "--mask", tmp_path / "m.png", *words.split(), prior]
        assert run("restore", tmp_path / "in.png", *flags, *FAST, "-o", out) == 0
        made.append(record(out) | {"files": None, "seconds": None})
        made[-1]["pixels"] = out.read_bytes()
    assert made[0] == made[1] and made[0]["redraw"] and made[0]["tile_memory"] == 4


def test_degrade_takes_the_names_that_restore_takes(tmp_path):
    photo(tmp_path / "in.png", size=(16, 16))
    for words, field, value in (
        ("upscale --scale 2", "scale", 2),
        ("deblur --kernel box:3", "kernel", "box:3"),
        ("deband --bits 2", "bits", 2),
        ("dejpeg --quality 30", "quality", 30),
    ):
        out = tmp_path / "bad.png"
        assert run("degrade", tmp_path / "in.png", "--task", *words.split(), "-o", out) == 0
        assert record(out)[field] == value


SPELLINGS = {
    "red-diff": "reddiff", "RED-diff": "reddiff", "ddnm+": "ddnmplus", "DDNM+": "ddnmplus",
    "hrdis-blind": "blindhrdis", "HRDIS": "hrdis", "CM-HRDIS": "cmhrdis", "FPS-SMC": "fps",
    "DiffPIR": "diffpir", "PiGDM": "pigdm", "\u03a0GDM": "pigdm", "ddnm_plus": "ddnmplus",
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_solver_answers_to_the_spelling_of_papers(spelling):
    assert find(spelling) == SPELLINGS[spelling]


@pytest.mark.parametrize("name", SOLVERS)
def test_solver_answers_to_its_key_and_its_class(name):
    assert find(name) == find(SOLVERS[name][0].__name__) == name


@pytest.mark.parametrize("name", ["DDNM+", "HRDIS-Blind", "red-diff"])
def test_cite_takes_the_spelling_of_papers(name, capsys):
    assert run("cite", "--solver", name) == 0
    assert "@inproceedings" in capsys.readouterr().out


@pytest.mark.parametrize("name", SOLVERS)
def test_presets_are_listed_as_options_that_restore_reads(name, capsys):
    """What `hrdis list solvers NAME` shows can be copied behind `hrdis restore`."""
    cls, paper = SOLVERS[name]
    for preset in (paper | embedded().of(cls)).values():
        words = changed_settings(cls(), preset).split()
        read = parse(
            Restore, ["a.png", "-o", "b.png", *words], "restore", "", settings=cls()
        ).settings
        assert read == preset
    assert cli.main(["list", "solvers", name]) == 0
    shown = capsys.readouterr().out
    assert "lambda_" not in shown and "None" not in shown and "=" not in shown
