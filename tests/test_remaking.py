"""`make figures`: what is stale, and its remaking after a kill or beside a failed study."""

import csv
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from tests.common.studies import STUDIES, loaded

pytestmark = pytest.mark.skipif(not STUDIES.exists(), reason="no studies/ here: not a clone")

NEW, OLD = "new", "old"  # weights

#: A study of the made-up table: it notes that it ran, and puts its table into the list.
PROGRAM = """
import csv, sys
from pathlib import Path
name, weights = sys.argv[1:3]
with Path("ran").open("a") as ran:
    ran.write(f"{name}\\n")
if Path(f"break-{name}").exists():
    sys.exit(f"{name} is broken")
if Path(f"wait-{name}").exists():
    import time
    time.sleep(60)
rows = [row for row in csv.reader(Path("measured.csv").open()) if row[1] != name]
with Path("measured.csv").open("w", newline="") as file:
    csv.writer(file).writerows([*rows, ["p", name, "2026-01-01", "none", weights]])
"""


@pytest.fixture(scope="module")
def figures() -> Any:
    return loaded("figures")


def study(name: str, more: str = "") -> str:
    command = f"python program.py {name} {NEW}"
    return textwrap.dedent(f"""
        [[study]]
        name = "{name}"
        question = "What of {name}?"
        command = "{command}"
        page = "p"
        tables = ["p/{name}"]
        needs = ["weights"]
        {more}
    """)


def files_of(figures: Any, folder: Path, table: str, models: dict[str, str]) -> Any:
    """Write a table of studies, and a list that says with which weights each was made."""
    (folder / "studies.toml").write_text(table)
    (folder / "program.py").write_text(PROGRAM)
    with (folder / "measured.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["page", "table", "date", "commit", "model"])
        out.writerows(["p", name, "2026-01-01", "none", model] for name, model in models.items())
    return figures.Files(
        folder, folder / "studies.toml", folder / "measured.csv", folder / "studies.csv",
        folder / "runs",
    )  # fmt: skip


def ran(folder: Path) -> list[str]:
    """Return the studies that were started, in order, and forget them."""
    path = folder / "ran"
    found = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return found


def stale_names(figures: Any, files: Any, **more: Any) -> list[str]:
    return [s.study.name for s in figures.stale(files, NEW, **more)]


# ---- what is stale -------------------------------------------------------------------------------


def test_study_is_stale_if_made_with_other_weights_or_never(figures: Any, tmp_path: Path) -> None:
    table = study("a") + study("b") + study("c") + study("d")
    models = {"a": OLD, "b": NEW, "d": "none"}
    files = files_of(figures, tmp_path, table, models)
    found = {s.study.name: s.why for s in figures.stale(files, NEW)}
    assert found == {"a": "made with the weights old", "c": "never made: p/c"}


def test_study_that_does_not_need_the_weights_is_not_stale(figures: Any, tmp_path: Path) -> None:
    table = study("a").replace('needs = ["weights"]', "needs = []")
    assert not stale_names(figures, files_of(figures, tmp_path, table, {"a": OLD}))


def test_study_without_tables_is_stale_until_it_ended_here(figures: Any, tmp_path: Path) -> None:
    table = study("a").replace('tables = ["p/a"]', "")
    files = files_of(figures, tmp_path, table, {})
    assert stale_names(figures, files) == ["a"]
    head = "study,date,commit,model,minutes\n"
    files.made.write_text(f"{head}a,2026-01-01,none,{NEW},3.5\n")
    assert stale_names(figures, files) == []
    files.made.write_text(f"{head}a,2026-01-01,none,{OLD},3.5\n")
    (found,) = figures.stale(files, NEW)
    assert (found.why, found.minutes) == ("made with the weights old", 3.5)


def test_study_that_keeps_lines_is_as_old_as_the_oldest(figures: Any, tmp_path: Path) -> None:
    table = study("a").replace('tables = ["p/a"]', 'lines = "a.csv"')
    files = files_of(figures, tmp_path, table, {})
    (tmp_path / "a.csv").write_text(f"model,gain\n{OLD},1\n{NEW},2\n")
    assert stale_names(figures, files) == ["a"]
    (tmp_path / "a.csv").write_text(f"model,gain\n{NEW},2\n")
    assert stale_names(figures, files) == []


def test_other_solvers_since_make_stale_only_if_asked(figures: Any, tmp_path: Path) -> None:
    table = study("a").replace('needs = ["weights"]', 'needs = ["weights", "solvers"]')
    files = files_of(figures, tmp_path, table, {})
    solver = tmp_path / figures.PATHS["solvers"] / "one.py"
    solver.parent.mkdir(parents=True)
    solver.write_text("1")

    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", *who, *words], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q")
    git("add", str(solver))
    git("commit", "-q", "-m", "a")
    with files.measured.open("a") as file:
        file.write(f"p,a,2026-01-01,{git('rev-parse', '--short', 'HEAD')} and changes,{NEW}\n")
    assert not stale_names(figures, files, with_changed=True)
    solver.write_text("2")
    assert not stale_names(figures, files)
    assert stale_names(figures, files, with_changed=True) == ["a"]
    assert "other solvers since" in figures.listing(files, [], choices=False)


def test_studies_come_after_those_that_they_read(figures: Any, tmp_path: Path) -> None:
    table = study("a", 'after = ["c"]') + study("b") + study("c", 'after = ["b"]')
    assert stale_names(figures, files_of(figures, tmp_path, table, {})) == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (study("a", 'after = ["b"]') + study("b", 'after = ["a"]'), "a waits for b waits for a"),
        (study("a", 'after = ["b"]'), "a comes after 'b', which is no study"),
        (study("a") + study("a"), "has 'a' twice"),
        (study("a", "minuts = 3"), "minuts"),
        (study("a").replace('"weights"', '"weather"'), "a needs weather"),
    ],
)
def test_faulty_table_is_refused(
    figures: Any, tmp_path: Path, table: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = files_of(figures, tmp_path, table, {})
    assert figures.main(figures.Options(list=True), files) == 2
    assert message in capsys.readouterr().err


def test_unknown_name_is_refused(figures: Any, tmp_path: Path) -> None:
    files = files_of(figures, tmp_path, study("a"), {})
    with pytest.raises(ValueError, match="--only b is no study"):
        figures.stale(files, NEW, only=("b",))


def test_total_counts_minutes_and_says_what_it_does_not_know(figures: Any, tmp_path: Path) -> None:
    table = study("a", "minutes = 50") + study("b", "minutes = 40") + study("c")
    files = files_of(figures, tmp_path, table, {})
    said = figures.listing(files, figures.stale(files, NEW), choices=False)
    total = "3 stale studies to run: 1 h 30 min, and 1 whose minutes nobody wrote down."
    assert said.splitlines()[-1] == total


# ---- making it anew ------------------------------------------------------------------------------


def remake(figures: Any, files: Any, **folders: Path | None) -> Any:
    return figures.remake(files, figures.stale(files, NEW), NEW, folders)


def test_failed_study_stops_only_those_that_read_it(figures: Any, tmp_path: Path) -> None:
    table = study("a") + study("b", 'after = ["a"]') + study("c")
    files = files_of(figures, tmp_path, table, {})
    (tmp_path / "break-a").touch()
    assert remake(figures, files) == ["a", "b"]
    assert ran(tmp_path) == ["a", "c"]
    assert stale_names(figures, files) == ["a", "b"]
    (tmp_path / "break-a").unlink()
    assert remake(figures, files) == []
    assert ran(tmp_path) == ["a", "b"]


def test_failed_study_is_the_status_and_its_last_line_is_said(
    figures: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(figures, "now", lambda: {"date": "", "commit": "", "model": NEW})
    files = files_of(figures, tmp_path, study("a"), {})
    (tmp_path / "break-a").touch()
    assert figures.main(figures.Options(), files) == 1
    said = capsys.readouterr()
    assert "a: failed with status 1 (a is broken)" in said.out
    assert said.err == "Not made: a. The same line goes on with them.\n"
    (tmp_path / "break-a").unlink()
    assert figures.main(figures.Options(), files) == 0


def test_study_that_leaves_a_table_as_it_was_has_failed(figures: Any, tmp_path: Path) -> None:
    table = study("a").replace(f"program.py a {NEW}", f"program.py a {OLD}")
    files = files_of(figures, tmp_path, table, {"a": OLD})
    assert remake(figures, files) == ["a"]


def test_lines_of_other_weights_are_put_aside_once(figures: Any, tmp_path: Path) -> None:
    files = files_of(figures, tmp_path, study("a", 'anew = ["a.csv"]'), {"a": OLD})
    (tmp_path / "a.csv").write_text("old lines")
    (tmp_path / "break-a").touch()
    remake(figures, files)
    assert not (tmp_path / "a.csv").exists()
    assert [p.read_text() for p in files.runs.glob("aside/*/a.csv")] == ["old lines"]
    (tmp_path / "a.csv").write_text("new lines")
    remake(figures, files)  # it goes on: these lines are of the new weights
    assert (tmp_path / "a.csv").read_text() == "new lines"


def test_killed_run_goes_on_with_the_study_that_it_had_begun(figures: Any, tmp_path: Path) -> None:
    table = study("a") + study("b", 'anew = ["b.csv"]') + study("c")
    files = files_of(figures, tmp_path, table, {"a": OLD, "b": OLD, "c": OLD})
    (tmp_path / "wait-b").touch()
    script = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(STUDIES.parent)!r})
        from tests.common.studies import loaded
        figures, folder = loaded("figures"), Path({str(tmp_path)!r})
        files = figures.Files(folder, *(folder / name for name in (
            "studies.toml", "measured.csv", "studies.csv", "runs")))
        figures.remake(files, figures.stale(files, {NEW!r}), {NEW!r}, {{}})
    """)
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    deadline = time.monotonic() + 60
    while "b" not in ((tmp_path / "ran").read_text() if (tmp_path / "ran").exists() else ""):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    # the study itself outlived the runner, and holds the lock until it ends
    with pytest.raises(ValueError, match="a study that was started here is still running"):
        remake(figures, files)
    os.killpg(process.pid, signal.SIGKILL)
    (tmp_path / "wait-b").unlink()
    (tmp_path / "b.csv").write_text("lines made before the kill")
    assert ran(tmp_path) == ["a", "b"]
    found = figures.stale(files, NEW)
    assert [(s.study.name, s.why) for s in found] == [
        ("b", "begun, and not ended well"), ("c", "made with the weights old"),
    ]  # fmt: skip
    while figures_locked(files):
        time.sleep(0.05)  # the kernel lets go of the lock when the killed process is gone
    assert remake(figures, files) == []
    assert ran(tmp_path) == ["b", "c"]
    assert (tmp_path / "b.csv").exists()
    assert json.loads(files.begun.read_text()) == {}
    assert stale_names(figures, files) == []


def figures_locked(files: Any) -> bool:
    """Return True while some process holds the lock."""
    import fcntl

    with (files.runs / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_missing_folder_is_said_before_anything_runs(figures: Any, tmp_path: Path) -> None:
    table = study("a") + study("b").replace(f"b {NEW}", f"b {NEW} TRAIN")
    files = files_of(figures, tmp_path, table, {})
    with pytest.raises(ValueError, match=r"wants photographs, and --train \(TRAIN=\) is not given"):
        remake(figures, files, TRAIN=None)
    assert ran(tmp_path) == []


@pytest.mark.parametrize(
    ("more", "choices", "run"),
    [('by_hand = "no"', True, []), ("choice = true", False, []), ("choice = true", True, ["a"])],
)
def test_choices_run_if_asked_and_what_is_by_hand_never(
    figures: Any, tmp_path: Path, more: str, choices: bool, run: list[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(figures, "now", lambda: {"date": "", "commit": "", "model": NEW})
    files = files_of(figures, tmp_path, study("a", more), {})
    assert figures.main(figures.Options(choices=choices), files) == 0
    assert ran(tmp_path) == run


# ---- the table of the repository -----------------------------------------------------------------


def test_table_of_the_readme_is_that_of_the_studies(figures: Any) -> None:
    text = (STUDIES / "README.md").read_text(encoding="utf-8")
    said = text.split("<!-- table -->")[1].split("<!-- /table -->")[0].strip()
    written = figures.readme(figures.as_written(figures.FILES.table))
    assert said == written, "python studies/figures.py --readme"


def test_every_study_is_in_the_table(figures: Any) -> None:
    named = " ".join(c for s in figures.studies(figures.FILES.table) for c in s.commands)
    named += " studies/figures.py studies/speed_gate.py"  # itself, and that of `make speed`
    missing = [p.name for p in STUDIES.glob("*.py") if f"studies/{p.name}" not in named]
    assert not missing


@pytest.mark.parametrize("name", [p.stem for p in sorted(STUDIES.glob("*.py"))])
def test_every_study_can_be_started(name: str) -> None:
    """Its imports are there; deepinv, azula and cosmic-ray, which three want, may not be."""
    if name in ("peers", "speed_peers", "mutations"):
        pytest.skip("needs packages that are installed by hand")
    loaded(name)


def test_every_measured_table_belongs_to_one_study(figures: Any) -> None:
    owners: dict[str, list[str]] = {}
    for s in figures.studies(figures.FILES.table):
        for name in s.tables:
            owners.setdefault(name, []).append(s.name)
    assert not {name: found for name, found in owners.items() if len(found) > 1}
    made = {f"{r['page']}/{r['table']}" for r in figures.read_csv(figures.FILES.measured)}
    assert not made - set(owners), "studies/studies.toml names the tables of each study"
