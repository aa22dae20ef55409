"""``hrdis bench report`` and ``hrdis bench score``."""

import json

import pytest

from hrdis import cli
from hrdis.bench.paper import Column, Method, PaperTable
from tests.common.bench_rows import plan_of, read_page, write_run_with_pictures

TOY = "def make():\n    return lambda x, y: (x - y).abs().mean((1, 2, 3))\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished run of two pictures in a working folder, and a distance in a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.py").write_text(TOY)
    columns = (Column("", "sr4", "sr4", ("PSNR", "LPIPS")),)
    plan = plan_of(
        own=[PaperTable("plan", "two", columns, (Method("A", "hrdis"), Method("B", "reddiff")))],
        images=2,
    )
    write_run_with_pictures(tmp_path / "run", plan)
    return tmp_path / "run"


def bench(*words: str) -> int:
    return cli.main(["bench", *words])


def test_report_scores_what_was_not_scored_and_writes_page_and_tables(run, capsys):
    assert bench("report", "run") == 0
    assert "Report: run/report.html" in capsys.readouterr().err
    assert {p.name for p in (run / "tables").iterdir()} == {"plan.csv", "plan.tex"}
    assert (run / "scores" / "pixels.jsonl").is_file()
    assert "no LPIPS weights given: --lpips FILE" in read_page(run / "report.html").id("plan").text


def test_report_takes_scorers_and_another_place(run):
    assert bench("report", "run", "-o", "there/page.html", "--distance", "my.py:make") == 0
    page = read_page(run.parent / "there" / "page.html")
    assert not page.id("plan").all("", "missing")
    assert not (run / "scores").exists()


def test_score_names_what_is_missing(run, capsys):
    assert bench("score", "run", "--distance", "my.py:make") == 0
    said = capsys.readouterr().err
    assert "missing: FID: no Inception weights given" in said
    assert "LPIPS" not in said
    records = [
        json.loads(line) for line in (run / "scores" / "lpips.jsonl").read_text().splitlines()
    ]
    assert {r["net"] for r in records} == {"my.py:make"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report", "nothing"], "nothing has no config.json"),
        (["report", "run", "run2"], "2 folders, and no name for the page"),
        (["report", "run", "-o", "page.txt"], "page.txt is not the name of a page"),
        (["score", "run", "--lpips", "gone.pth"], "--lpips gone.pth does not exist"),
        (["score", "run", "--features", "gone.py:make"], "--features is 'gone.py:make'"),
        (["score", "run", "--device", "nowhere"], "--device nowhere cannot be used"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(run, capsys, words, message):
    before = sorted(p.name for p in run.parent.rglob("*"))
    assert bench(*words) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"hrdis bench: {message}")
    assert said.count("\n") == 1
    assert sorted(p.name for p in run.parent.rglob("*")) == before
