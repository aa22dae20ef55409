"""Which figures of the documentation are stale? Make them anew, one study after the other.

    make figures PHOTOS=FOLDER TRAIN=FOLDER     # remake what is stale; goes on after a kill
    python studies/figures.py --list            # only tell what is stale, why, and the hours
    python studies/figures.py --only effort explain --photos FOLDER --train FOLDER
    python studies/figures.py --readme          # write the table of studies/README.md

The studies stand in studies/studies.toml. A study is stale if one of its tables was never made, or
depends on the weights and was made with others than the embedded ones (docs/data/measured.csv; for
a study without tables of its own docs/data/studies.csv, which has a row of every study that ended
here). It is stale, too, if it was begun here and did not end well.

That presets or solvers are others than at a study's commit is told, and makes it stale with
--changed only: most changes of a solver's file change no figure.
"""

import csv
import fcntl
import json
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tyro
from common.pages import ROOT, rewrite
from common.stamps import now

#: What a study may depend on besides the weights, as paths whose history git knows.
PATHS = {"presets": "src/hrdis/weights/default/presets.toml", "solvers": "src/hrdis/solvers"}
NEEDS = ("weights", *PATHS)
COLUMNS = ("study", "date", "commit", "model", "minutes")


@dataclass(frozen=True)
class Study:
    """One row of studies.toml, whose head says what the fields mean."""

    name: str
    question: str
    command: str
    page: str
    minutes: float | None = None
    run: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    anew: tuple[str, ...] = ()
    lines: str = ""
    by_hand: str = ""
    choice: bool = False

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands that make all of it."""
        return self.run or (self.command,)


@dataclass(frozen=True)
class Files:
    """Where everything is; another place in the tests."""

    root: Path = ROOT
    table: Path = ROOT / "studies" / "studies.toml"
    measured: Path = ROOT / "docs" / "data" / "measured.csv"
    made: Path = ROOT / "docs" / "data" / "studies.csv"
    runs: Path = ROOT / "runs" / "figures"

    @property
    def begun(self) -> Path:
        """Studies that were begun and have not ended well: the model of each, in JSON."""
        return self.runs / "begun.json"


FILES = Files()


@dataclass
class Stale:
    """A study to make anew: why, and whether it goes on where it was killed."""

    study: Study
    why: str
    goes_on: bool
    minutes: float | None


@dataclass
class Known:
    """What is on record about the studies."""

    tables: dict[str, dict[str, str]]  #: PAGE/TABLE: its row of measured.csv
    ended: dict[str, dict[str, str]]  #: study: its row of studies.csv
    lines: dict[str, dict[str, dict[str, str]]]  #: study: a line of its own file for each model
    begun: dict[str, str] = field(default_factory=dict)  #: study: the model it was begun with

    @classmethod
    def read(cls, files: Files, every: Iterable[Study]) -> "Known":
        """Read what there is; all but the list of tables may be absent."""
        tables = {f"{row['page']}/{row['table']}": row for row in read_csv(files.measured)}
        ended = {row["study"]: row for row in read_csv(files.made)} if files.made.exists() else {}
        begun = json.loads(files.begun.read_text()) if files.begun.exists() else {}
        lines = {}
        for study in every:
            if study.lines and (files.root / study.lines).exists():
                of_study = read_csv(files.root / study.lines)
                lines[study.name] = {row["model"]: row for row in of_study}
        return cls(tables, ended, lines, begun)

    def rows_of(self, study: Study) -> dict[str, dict[str, str]]:
        """Return what says when a study was made: by table, or its own row."""
        if study.tables:
            return {name: self.tables[name] for name in study.tables if name in self.tables}
        if study.lines:
            return self.lines.get(study.name, {})
        return {study.name: self.ended[study.name]} if study.name in self.ended else {}


def read_csv(file: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with file.open(newline="", encoding="utf-8") as opened:
        return [*csv.DictReader(opened)]


# ---- the table -----------------------------------------------------------------------------------


def studies(file: Path) -> list[Study]:
    """Read the table, every study after those whose results it reads.

    Raises:
        ValueError: for a field that no study has, a name that occurs twice or nowhere, and studies
            that wait for each other.
    """
    found: dict[str, Study] = {}
    for row in tomllib.loads(file.read_text(encoding="utf-8")).get("study", []):
        try:
            study = Study(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()})
        except TypeError as error:
            raise ValueError(f"{file}: {row.get('name', row)}: {error}.") from None
        if study.name in found:
            raise ValueError(f"{file} has {study.name!r} twice. Give each study a name of its own.")
        if unknown := set(study.needs) - set(NEEDS):
            raise ValueError(
                f"{file}: {study.name} needs {', '.join(sorted(unknown))}. Of {', '.join(NEEDS)} "
                "some are expected."
            )
        found[study.name] = study
    return ordered(found, file)


def ordered(found: dict[str, Study], file: Path) -> list[Study]:
    """Return the studies in the order of the table, but each after those that it waits for."""
    done: dict[str, Study] = {}

    def place(name: str, waiting: tuple[str, ...]) -> None:
        if name in waiting:
            raise ValueError(f"{file}: {' waits for '.join((*waiting, name))}. Break the circle.")
        if name not in found:
            raise ValueError(f"{file}: {waiting[-1]} comes after {name!r}, which is no study.")
        if name not in done:
            for other in found[name].after:
                place(other, (*waiting, name))
            done[name] = found[name]

    for name in found:
        place(name, ())
    return list(done.values())


def readme(rows: Iterable[Study]) -> str:
    """Return the table of studies/README.md."""
    lines = []
    for s in rows:
        minutes = "-" if s.minutes is None else f"{s.minutes:g}"
        lines.append(f"| {s.question} | `{s.command}` | {minutes} | {s.page} |")
    head = ["| question | command | minutes | page |", "| --- | --- | ---: | --- |"]
    return "\n".join([*head, *lines])


def as_written(file: Path) -> list[Study]:
    """Return the studies in the order of the table."""
    by_name = {study.name: study for study in studies(file)}
    rows = tomllib.loads(file.read_text(encoding="utf-8"))["study"]
    return [by_name[row["name"]] for row in rows]


# ---- what is stale -------------------------------------------------------------------------------


def reason(study: Study, known: Known, weights: str) -> str:
    """Return why a study is stale; empty if it is not."""
    if study.name in known.begun:
        return "begun, and not ended well"
    rows = known.rows_of(study)
    missing = [name for name in study.tables if name not in rows]
    if missing:
        return f"never made: {', '.join(missing)}"
    if not rows:
        return "never made"
    if "weights" in study.needs:
        others = sorted({row["model"] for row in rows.values()} - {weights, "none"})
        if others:
            return f"made with the weights {', '.join(others)}"
    return ""


def changed(study: Study, known: Known, root: Path) -> list[str]:
    """Return what the study depends on and is another than at its commit, as far as git knows."""
    found = []
    rows = known.rows_of(study).values()
    commits = {row["commit"].partition(" ")[0] for row in rows if "commit" in row}
    for need in study.needs:
        for commit in commits if need in PATHS else ():
            command = ["git", "diff", "--quiet", commit, "--", PATHS[need]]
            # 0: the same, 1: another, 128: this repository has no such commit
            if subprocess.run(command, cwd=root, capture_output=True, check=False).returncode == 1:
                found.append(need)
                break
    return found


def stale(
    files: Files, weights: str, only: Sequence[str] = (), with_changed: bool = False
) -> list[Stale]:
    """Return what has to be made anew, in order; all of ``only``, whether stale or not.

    Raises:
        ValueError: for a name that is no study.
    """
    every = studies(files.table)
    known = Known.read(files, every)
    if unknown := set(only) - {study.name for study in every}:
        names = ", ".join(study.name for study in every)
        raise ValueError(
            f"--only {' '.join(sorted(unknown))} is no study. Names are expected of: {names}."
        )
    found = []
    for study in every:
        if study.name in only:
            why = reason(study, known, weights) or "asked for"
        elif only:
            continue
        else:
            why = reason(study, known, weights)
            if not why and with_changed and (others := changed(study, known, files.root)):
                why = f"other {' and '.join(others)} since"
        printed_only = not study.tables and not study.needs
        if not why or (printed_only and study.name not in only):
            continue
        goes_on = known.begun.get(study.name) == weights
        minutes = known.ended.get(study.name, {}).get("minutes")
        found.append(Stale(study, why, goes_on, float(minutes) if minutes else study.minutes))
    return found


def duration(found: Sequence[Stale]) -> str:
    """Return the sum of the minutes in words: "1 h 20 min, and 2 whose minutes nobody knows"."""
    minutes = round(sum(s.minutes for s in found if s.minutes is not None))
    unknown = sum(s.minutes is None for s in found)
    said = f"{minutes // 60} h {minutes % 60} min"
    return said if not unknown else f"{said}, and {unknown} whose minutes nobody wrote down"


def listing(files: Files, found: Sequence[Stale], choices: bool, notes: bool = True) -> str:
    """Return what is stale as text, the totals last; with notes, also what else has changed."""
    mine = [s for s in found if runs(s.study, choices)]
    lines = []
    for title, group in (
        ("stale", mine),
        ("stale, and not run here", [s for s in found if s not in mine]),
    ):
        for s in group:
            minutes = "-" if s.minutes is None else f"{s.minutes:g}"
            by_hand = "" if group is mine else s.study.by_hand or "it chooses settings: --choices"
            lines.append([title, s.study.name, minutes, s.why, by_hand])
    names, every = {s.study.name for s in found}, studies(files.table)
    known = Known.read(files, every)
    for study in every if notes else ():
        others = changed(study, known, files.root) if study.name not in names else []
        if others:
            lines.append(["as it was", study.name, "", f"other {' and '.join(others)} since", ""])
    widths = [max((len(line[k]) for line in lines), default=0) for k in range(4)]
    texts = []
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        texts.append("  ".join([*cells, line[4]]).rstrip())
    total = f"{len(mine)} stale studies to run: {duration(mine)}." if mine else "Nothing to run."
    return "\n".join([*texts, total])


def runs(study: Study, choices: bool) -> bool:
    """Return True for a study that is run here."""
    return not study.by_hand and (choices or not study.choice)


# ---- making it anew ------------------------------------------------------------------------------


def remake(
    files: Files, found: Sequence[Stale], weights: str, folders: dict[str, Path | None]
) -> list[str]:
    """Run the studies one after the other; return the names of those that did not end well.

    A study that fails keeps back those that read its results, and no others.

    Raises:
        ValueError: before anything is run, if a folder of photographs is needed and not given, or
            if a study that was started here is still running.
    """
    commands = {s.study.name: [words(c, folders) for c in s.study.commands] for s in found}
    files.runs.mkdir(parents=True, exist_ok=True)
    with (files.runs / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{files.runs / 'lock'} is held: a study that was started here is still running. "
                "Wait for its end, or end it."
            ) from None
        return in_turn(files, found, weights, commands, lock.fileno())


def in_turn(
    files: Files,
    found: Sequence[Stale],
    weights: str,
    commands: dict[str, list[list[str]]],
    lock: int,
) -> list[str]:
    """Run the studies, and return those that did not end well."""
    failed: list[str] = []
    for k, s in enumerate(found):
        name = s.study.name
        waits = [other for other in s.study.after if other in failed]
        if waits:
            print(f"{name}: not run, since it reads what {', '.join(waits)} makes", flush=True)
            failed.append(name)
            continue
        print(f"{name}: {s.why}; {k + 1} of {len(found)}", flush=True)
        if not s.goes_on:
            put_aside(files, s.study)
        mark(files, name, weights)
        began = time.monotonic()
        fault = run(files, name, commands[name], s.goes_on, lock)
        fault = fault or not_made(files, s.study, weights)
        minutes = (time.monotonic() - began) / 60
        if fault:
            failed.append(name)
            print(f"{name}: {fault}", flush=True)
            continue
        record(files, name, minutes, whole=not s.goes_on)
        mark(files, name, None)
        print(f"{name}: done in {minutes:.1f} minutes", flush=True)
    return failed


def words(command: str, folders: dict[str, Path | None]) -> list[str]:
    """Return a command as a list, with this Python and the folders that stand for their names."""
    found = []
    for word in shlex.split(command):
        if word in folders:
            folder = folders[word]
            if folder is None:
                option = {"FOLDER": "--photos (PHOTOS=)", "TRAIN": "--train (TRAIN=)"}[word]
                raise ValueError(
                    f"{command!r} wants photographs, and {option} is not given. A folder is "
                    "expected: make figures PHOTOS=FOLDER TRAIN=FOLDER."
                )
            word = str(folder.resolve())
        found.append(word)
    module = {"python": [], "pytest": ["-m", "pytest"], "hrdis": ["-m", "hrdis"]}
    return [sys.executable, *module[found[0]], *found[1:]] if found[0] in module else found


def put_aside(files: Files, study: Study) -> None:
    """Move files whose lines would not be made again out of the way."""
    for name in study.anew:
        path = files.root / name
        if path.exists():
            target = files.runs / "aside" / time.strftime("%Y%m%d-%H%M%S") / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)
            print(f"{study.name}: {name} is put aside, in {target.parent}", flush=True)


def mark(files: Files, name: str, weights: str | None) -> None:
    """Note that a study is begun with these weights, or (None) that it has ended well."""
    begun = json.loads(files.begun.read_text()) if files.begun.exists() else {}
    begun.pop(name, None)
    if weights is not None:
        begun[name] = weights
    part = files.begun.with_suffix(".part")
    part.write_text(json.dumps(begun, indent=1))
    part.replace(files.begun)


def run(files: Files, name: str, commands: Sequence[Sequence[str]], go_on: bool, lock: int) -> str:
    """Run a study's commands, its output in a file; return what went wrong, empty if nothing.

    The study holds the lock, too: where only this process was killed, it runs on to its end.
    """
    log = files.runs / f"{name}.log"
    with log.open("a" if go_on else "w", encoding="utf-8") as out:
        for command in commands:
            out.write(f"$ {shlex.join(command)}\n")
            out.flush()
            try:
                done = subprocess.run(
                    command, cwd=files.root, stdout=out, stderr=subprocess.STDOUT, check=False,
                    pass_fds=(lock,),
                )  # fmt: skip
            except OSError as error:
                return f"failed: {error}"
            if done.returncode:
                last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1]
                return f"failed with status {done.returncode} ({last.strip()}); see {log}"
    return ""


def not_made(files: Files, study: Study, weights: str) -> str:
    """Return which tables are still not of these weights after a study; empty if none."""
    if not study.tables and not study.lines:
        return ""
    known = Known.read(files, [study])
    known.begun.pop(study.name, None)
    left = reason(study, known, weights)
    return f"ended, but its tables are as before: {left}" if left else ""


def record(files: Files, name: str, minutes: float, whole: bool) -> None:
    """Put a row into docs/data/studies.csv; what went on after a kill keeps the minutes before."""
    rows = {row["study"]: row for row in read_csv(files.made)} if files.made.exists() else {}
    facts = now()
    before = rows.get(name, {}).get("minutes", "")
    rows[name] = {
        "study": name, "date": facts["date"], "commit": facts["commit"], "model": facts["model"],
        "minutes": f"{minutes:.1f}" if whole else before,
    }  # fmt: skip
    part = files.made.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[key] for key in sorted(rows))
    part.replace(files.made)


@dataclass(frozen=True)
class Options:
    """What to make anew."""

    photos: Path | None = None
    """Photographs that the model was never trained on: FOLDER in the table."""
    train: Path | None = None
    """Photographs that it was trained on: TRAIN in the table."""
    list: bool = False
    """Only tell what is stale."""
    only: tuple[str, ...] = ()
    """These studies, whether stale or not."""
    changed: bool = False
    """Also what was made with other presets or another state of the solvers."""
    choices: bool = False
    """Also the studies that choose settings; they run first, and change results."""
    readme: bool = False
    """Write the table of studies/README.md, and nothing else."""


def main(options: Options, files: Files = FILES) -> int:
    """Tell, or make anew; the status is 1 if a study did not end well, 2 if asked wrong."""
    if options.readme:
        rewrite(files.root / "studies" / "README.md", "table", readme(as_written(files.table)))
        return 0
    weights = now()["model"]
    try:
        found = stale(files, weights, options.only, options.changed)
        print(listing(files, found, options.choices, notes=not options.only), flush=True)
        if options.list:
            return 0
        chosen = [s for s in found if runs(s.study, options.choices)]
        failed = remake(files, chosen, weights, {"FOLDER": options.photos, "TRAIN": options.train})
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if failed:
        print(f"Not made: {', '.join(failed)}. The same line goes on with them.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
