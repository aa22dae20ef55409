"""Run folders that are damaged or a stranger's: one line that names the file, or a whole report."""

import json
import shutil
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from hrdis.bench.paper import Column, Method, PaperTable
from hrdis.bench.report import report
from hrdis.bench.report.intro import totals
from hrdis.bench.report.summary import settings_table, summarize
from hrdis.bench.results import SEEDS_FILE, SETS_FILE
from hrdis.bench.run import Store, collect, merge
from hrdis.bench.score import Scoring, score, write
from hrdis.rng import stream
from tests.common.bench_rows import plan_of, write_run_with_pictures

SCORES = tuple(f"scores/{name}" for name in ("pixels.jsonl", SEEDS_FILE, SETS_FILE))
ABSENT = object()
#: What may stand in a field instead of its value.
OTHERS = ["text", [1], {"a": 1}, None, 1e300, True, ABSENT]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run of one picture, two methods and two seeds, scored."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    columns = (Column("", "sr4", "sr4", ("PSNR", "diversity")),)
    methods = (Method("A", "hrdis", {"beta": 0.1}), Method("B", "hrdis", {"beta": 0.2}))
    table = PaperTable("plan", "two", columns, methods)
    write_run_with_pictures(folder, plan_of(own=[table], images=1, seeds=2))
    score(collect([folder]), Scoring(), folder)
    return folder


@pytest.fixture
def run(whole, tmp_path) -> Path:
    return shutil.copytree(whole, tmp_path / "run")


def refusal(folder: Path, *, page: bool = True) -> str:
    """Read a folder; return the one line that refuses it, or "" for what is read."""
    try:
        found = collect([folder])
        if page:
            report(found, folder / "report.html")
    except ValueError as error:
        assert "\n" not in str(error)
        return str(error)
    return ""


def results_of(folder: Path) -> Path:
    return max((folder / "results").glob("*.jsonl"), key=lambda path: path.stat().st_size)


def changed(record: dict, name: str, value: object) -> dict:
    """Return a record in which one field is something else, or absent."""
    record = dict(record)
    record.pop(name)
    return record if value is ABSENT else record | {name: value}


def test_whole_folder_is_reported(run):
    assert refusal(run) == ""
    assert [(run / name).stat().st_size > 0 for name in SCORES] == [True] * 3


@pytest.mark.parametrize(
    "value", OTHERS, ids=["text", "list", "object", "null", "large", "true", "absent"]
)
def test_field_of_a_row_that_is_something_else_is_refused_or_does_no_harm(run, value):
    """One at a time, and all that are taken for something a report can hold together."""
    path = results_of(run)
    first, *others = path.read_text().splitlines()
    row, harmless = json.loads(first), json.loads(first)

    def with_row(row: dict) -> None:
        path.write_text("\n".join([json.dumps(row), *others]) + "\n")

    for name in row:
        if name not in ("key", "status", "cell"):  # damaged ones make the line none of a row
            with_row(changed(row, name, value))
            if refusal(run, page=False) == "":
                harmless = changed(harmless, name, value)
    for name in row["cell"]:
        with_row(row | {"cell": changed(row["cell"], name, value)})
        if refusal(run, page=False) == "":
            harmless["cell"] = changed(harmless["cell"], name, value)
    with_row(harmless)
    said = refusal(run)
    # A text may name a picture that is none, or a variant of its own.
    assert said == "" or "is not a picture of a run" in said
    with_row(changed(row, "cell", value))
    assert f"The row '{row['key']}'" in refusal(run) and "is damaged: cell" in refusal(run)
    with_row(changed(row, "cell", value) | {"key": "two\nlines"})
    assert "The row 'two\\nlines'" in refusal(run)


def test_part_of_a_config_that_is_something_else_is_refused_or_does_no_harm(run):
    """At any depth; the tables of what is taken can be made."""
    path = run / "config.json"
    whole, taken = json.loads(path.read_text()), 0
    whole["settings"] = [{"task": "sr4", "parameter": "beta", "value": 0.1}]  # as with Table 5
    todo = [((), whole)]
    while todo:
        place, value = todo.pop()
        for key in value if isinstance(value, dict) else range(len(value)):
            if isinstance(value[key], dict | list):
                todo.append(((*place, key), value[key]))
            for other in ("text", 7, None):
                damaged = json.loads(json.dumps(whole))
                inner = damaged
                for step in place:
                    inner = inner[step]
                inner[key] = other
                path.write_text(json.dumps(damaged))
                said = refusal(run, page=False)
                assert said == "" or str(path) in said
                if said == "":
                    taken += 1
                    found = collect([run])
                    summarize(found)
                    totals(found)
                    settings_table(found)
    assert taken


@pytest.mark.parametrize("name", SCORES)
def test_field_of_a_score_that_is_something_else_is_refused_or_does_no_harm(run, name):
    path = run / name
    text = path.read_text()
    lines = json.loads(text) if name.endswith(".json") else list(map(json.loads, text.splitlines()))
    taken = 0
    for value in OTHERS:
        for field in lines[0]:
            found = [changed(lines[0], field, value), *lines[1:]]
            if name.endswith(".json"):
                path.write_text(json.dumps(found))
            else:
                path.write_text("\n".join(map(json.dumps, found)))
            said = refusal(run, page=False)
            assert said == "" or path.name in said or "is damaged" in said
            taken += said == ""
            if said == "" and taken % 8 == 1:  # a page takes long
                assert refusal(run) == ""


@pytest.mark.parametrize("name", ["results", "config.json", *SCORES])
def test_bytes_that_changed_are_refused_in_one_line_or_do_no_harm(run, name):
    path = results_of(run) if name == "results" else run / name
    content, draw = path.read_bytes(), stream(0, "damaged", name)
    for number in range(60):
        damaged = bytearray(content)
        for _ in range(int(draw.integers(1, 4))):
            damaged[int(draw.integers(len(damaged)))] = int(draw.integers(256))
        if number % 4 == 0:
            damaged = damaged[: int(draw.integers(len(damaged)))]
        path.write_bytes(damaged)
        said = refusal(run, page=number % 12 == 0)
        assert said == "" or str(run) in said or "scores" in said or "row" in said, said


def test_damaged_scores_say_how_they_are_made_again(run):
    path = run / "scores" / SETS_FILE
    path.write_bytes(path.read_bytes()[:40])
    said = refusal(run)
    assert said.startswith(f"{path} is damaged (") and said.endswith(f"hrdis bench score {run}")
    path.unlink()
    assert score(collect([run]), Scoring(), run) and refusal(run) == ""


# ---- a stranger's folder ------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
@pytest.mark.parametrize("what", ["picture", "folder", "run"])
def test_links_out_of_a_run_folder_are_not_followed(run, tmp_path, what):
    """A link named like a result would put a file of this machine into the page or the copy."""
    row = Store.open(run).rows()[0]
    picture = run / row["picture"]
    private = tmp_path / "private"
    private.mkdir()
    shutil.copy(picture, private / picture.name)
    if what == "picture":
        picture.unlink()
        picture.symlink_to(private / picture.name)
    elif what == "folder":
        shutil.rmtree(run / "images")
        (run / "images").symlink_to(private)
    else:  # a run folder may be reached by a link of the user's own
        (tmp_path / "link").symlink_to(run)
        assert refusal(tmp_path / "link") == ""
        return
    assert "is a link out of the run folder" in refusal(run)
    with pytest.raises(ValueError, match="is a link out of the run folder"):
        merge([run], tmp_path / "merged")
    assert not list((tmp_path / "merged").rglob("*.png"))


# ---- two that score at once ---------------------------------------------------------------------


def test_two_that_score_at_once_wait_for_each_other(run, monkeypatch):
    """The last would write over what the first had found, were they to read before both wrote."""
    inside, most, gate = [], [], threading.Barrier(2, timeout=0.3)

    def records(*_, **__):
        inside.append(1)
        most.append(len(inside))
        with suppress(threading.BrokenBarrierError):  # nobody else may come here meanwhile
            gate.wait()
        inside.pop()
        return []

    monkeypatch.setattr(write, "set_records", records)
    found = collect([run])
    threads = [threading.Thread(target=score, args=(found, Scoring(), run)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1]
