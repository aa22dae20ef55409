"""The run folder: nothing half written counts, nothing whole is lost, and one folder belongs to one
plan.
"""

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from PIL import Image

from hrdis.bench.records import comparable
from hrdis.bench.run import Store, merge, result_file
from tests.common.bench_toys import PLAN, finish, image, row

pytestmark = pytest.mark.timeout(60)


def keys(store: Store) -> list[str]:
    return [r["key"] for r in store.rows()]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "run", PLAN)


def results(store: Store) -> Path:
    (path,) = (store.folder / "results").glob("*.jsonl")
    return path


# ---- rows ---------------------------------------------------------------------------------------


def test_store_gives_back_what_was_appended_sorted_by_key(store):
    for key in ("b", "a", "c"):
        finish(store, key)
    assert store.rows() == [row(k, picture=f"images/{k}.png") for k in "abc"]


def test_store_reads_a_last_line_cut_anywhere_as_no_row(store):
    finish(store, "a")
    whole = results(store).read_bytes()
    finish(store, "ü")
    both = results(store).read_bytes()
    for end in range(len(whole), len(both)):
        results(store).write_bytes(both[:end])
        assert keys(store) == ["a"]
    results(store).write_bytes(both)
    assert keys(store) == ["a", "ü"]


@settings(max_examples=60, deadline=None)
@given(
    tail=st.binary(max_size=60)
    | st.sampled_from([b"\0" * 40, b"[" * 5000, b"{}", b'{"key": 3}', b'{"key": "x"}'])
)
def test_store_reads_past_any_garbage(tmp_path_factory, tail):
    store = Store.create(tmp_path_factory.mktemp("run"), PLAN)
    finish(store, "a")
    with results(store).open("ab") as file:
        file.write(tail + b"\n" + json.dumps(row("b")).encode() + b"\n")
    assert keys(store) == ["a", "b"]


@settings(max_examples=50, deadline=None)
@given(
    lines=st.lists(
        st.tuples(
            st.sampled_from("abc"), st.sampled_from(["ok", "failed", "timeout"]), st.integers(0, 2)
        )
    ),
    order=st.permutations(["1", "2", "3"]),
)
def test_store_keeps_the_best_row_per_key_whatever_file_it_is_in(tmp_path_factory, lines, order):
    store = Store.create(tmp_path_factory.mktemp("run"), PLAN)
    (store.folder / "results").mkdir()
    for key, status, file in lines:
        with (store.folder / "results" / f"{order[file]}.jsonl").open("a") as f:
            f.write(json.dumps(row(key, status)) + "\n")
    best = ["ok", "failed", "timeout"]
    expected = {k: min((best.index(s) for key, s, _ in lines if key == k)) for k, _, _ in lines}
    assert {r["key"]: best.index(r["status"]) for r in store.rows()} == expected


def test_store_writes_no_number_that_json_lacks(store):
    store.append(row("a", "failed", psnr=float("nan"), residual=[float("inf"), 1.0]))
    assert store.rows()[0]["psnr"] is None
    assert store.rows()[0]["residual"] == [None, 1.0]


@pytest.mark.parametrize(
    "bad", [{"status": "ok"}, {"key": "a", "status": "fine"}, {"key": 3, "status": "ok"}]
)
def test_store_refuses_a_row_without_key_or_status(store, bad):
    with pytest.raises(ValueError, match="A row needs a key and a status"):
        store.append(bad)


def test_store_refuses_a_row_before_its_picture(store):
    with pytest.raises(ValueError, match=r"names images/a\.png, which is not there"):
        store.append(row("a", picture="images/a.png"))


def test_store_takes_back_a_line_that_did_not_fit_on_the_disk(store, monkeypatch):
    finish(store, "a")
    before = results(store).read_bytes()
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > 10:
            return write(descriptor, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(result_file.os, "write", lambda d, data: full(d, data[:15]))
    with pytest.raises(OSError, match="No space"):
        store.append(row("b"))
    monkeypatch.undo()
    assert results(store).read_bytes() == before
    finish(store, "c")
    assert keys(store) == ["a", "c"]


def test_comparable_drops_what_two_equal_runs_differ_in():
    kept = comparable(row("a", peak_memory=3, network_seconds=2.0))
    assert kept == {"key": "a", "cell": {"seed": 0}, "status": "ok", "psnr": 20.0}


# ---- pictures -----------------------------------------------------------------------------------


def test_picture_is_rounded_to_eight_bits(store):
    store.write_picture("images/a.png", image())
    pixels = np.asarray(Image.open(store.path("images/a.png"))).astype(np.float64)
    assert np.abs(pixels / 127.5 - 1 - image().permute(1, 2, 0).numpy()).max() <= 1 / 255 + 1e-6


def test_picture_written_again_is_left_as_it_is(store):
    store.write_picture("images/a.png", image())
    before = store.path("images/a.png").stat().st_ino
    store.write_picture("images/a.png", image())
    assert store.path("images/a.png").stat().st_ino == before
    store.write_picture("images/a.png", image(1))
    assert store.path("images/a.png").stat().st_ino != before


@pytest.mark.parametrize(
    "path", ["../a.png", "images/../../a.png", "/etc/a.png", "a.png", "locks/a.png"]
)
def test_picture_outside_the_folder_is_refused(store, path):
    with pytest.raises(ValueError, match="is not a picture of a run"):
        store.write_picture(path, image())


def test_cell_whose_picture_vanished_is_not_finished(store):
    finish(store, "a")
    assert store.finished() == {"a"}
    store.path("images/a.png").unlink()
    assert store.finished() == set()


def test_failed_cells_are_finished_unless_they_are_to_be_retried(store):
    finish(store, "a")
    store.append(row("b", "failed"))
    store.append(row("c", "timeout"))
    assert store.finished() == {"a", "b", "c"}
    assert store.finished(retry_failed=True) == {"a"}


# ---- one plan per folder ------------------------------------------------------------------------


def test_store_continues_the_same_plan(store):
    finish(store, "a")
    again = Store.create(store.folder, PLAN | {"provenance": {"command": "other"}, "seeds": (0, 1)})
    assert keys(again) == ["a"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": ["sr2"]}, r'tasks is \["sr4"\] there and \["sr2"\] here'),
        ({"solver": {"name": "hrdis", "steps": 4}}, r"solver\.steps is 3 there and 4 here"),
        ({"limit": 1}, "limit is absent there and 1 here"),
    ],
)
def test_store_refuses_another_plan_and_names_what_differs(store, change, message):
    with pytest.raises(ValueError, match=message):
        Store.create(store.folder, PLAN | change)


def test_store_refuses_a_folder_with_other_things(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(ValueError, match=r"holds 'holiday\.jpg' and no config\.json"):
        Store.create(tmp_path, PLAN)
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize("content", [None, "", "[]", "{"])
def test_store_open_refuses_what_is_no_run(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"has no config\.json|changed by hand"):
        Store.open(tmp_path)


def test_store_refuses_a_file_as_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"is a file\. A folder for the run is expected"):
        Store.create(tmp_path / "file", PLAN)


def test_store_continues_a_plan_whose_notes_another_version_words_otherwise(tmp_path):
    """The reasons why methods are left out come from all over the library."""

    def plan(reason: str, variant: str = "v") -> dict[str, object]:
        entries = [{"row": "A", "missing": reason}, {"row": "B", "variant": variant}]
        table = {"name": "plan", "caption": reason, "note": reason, "entries": entries}
        return {"tables": [table], "missing": [{"row": "A", "reason": reason}]}

    Store.create(tmp_path, plan("is none"))
    Store.create(tmp_path, plan("is not one"))
    with pytest.raises(ValueError, match="holds another plan: tables is"):
        Store.create(tmp_path, plan("is none", variant="w"))


# ---- several processes --------------------------------------------------------------------------

WRITE = """
import sys
import time
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.common.bench_toys import PLAN, finish
from hrdis.bench.run import Store
store = Store.create(sys.argv[1], PLAN)
print("ready", flush=True)
for i in range(int(sys.argv[3])):
    finish(store, sys.argv[2] + format(i, "05d"), seed=i)
"""


def start(folder: Path, prefix: str, count: int) -> subprocess.Popen[str]:
    code = WRITE.format(tests=str(Path(__file__).parents[2]))
    command = [sys.executable, "-c", code, str(folder), prefix, str(count)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
def test_store_takes_writers_at_once(tmp_path):
    writers = [start(tmp_path, prefix, 40) for prefix in "ab"]
    assert [w.wait() for w in writers] == [0, 0]
    assert keys(Store.open(tmp_path)) == [f"{p}{i:05d}" for p in "ab" for i in range(40)]


@pytest.mark.slow
def test_store_after_a_kill_holds_whole_rows_with_whole_pictures(tmp_path):
    for prefix in "abc":
        writer = start(tmp_path, prefix, 100_000)
        while len(keys(Store.open(tmp_path))) < 10 * (ord(prefix) - 96):
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        store = Store.open(tmp_path)
        for r in store.rows():
            i = int(r["key"][1:])
            with Image.open(store.path(r["picture"])) as picture:
                picture.load()
            store.write_picture("images/again.png", image(i))
            assert (
                store.path("images/again.png").read_bytes() == store.path(r["picture"]).read_bytes()
            )


def test_second_run_in_a_folder_is_refused_while_the_first_lives(store):
    with store.at_work():
        with (
            pytest.raises(ValueError, match=f"worked on by process {os.getpid()} on"),
            store.at_work(),
        ):
            pass
        with (
            pytest.raises(ValueError, match="One run at a time is expected"),
            store.at_work((0, 2)),
        ):
            pass
    with store.at_work():
        pass


def test_shards_work_beside_each_other_and_not_twice(store):
    with store.at_work((0, 2)), store.at_work((1, 2)):
        with (
            pytest.raises(ValueError, match=r"Shard 1/2 of .* is being worked on"),
            store.at_work((1, 2)),
        ):
            pass
        with pytest.raises(ValueError, match="One run at a time is expected"), store.at_work():
            pass


def test_run_removes_pictures_that_a_dead_one_left_and_spares_those_of_a_living_one(store):
    finish(store, "a")
    (living,) = (p.stem for p in (store.folder / "results").iterdir())
    dead = subprocess.run(
        [
            sys.executable,
            "-c",
            WRITE.format(tests=str(Path(__file__).parents[2])),
            str(store.folder),
            "b",
            "1",
        ],
        check=True,
    )
    assert dead.returncode == 0
    (gone,) = (p.stem for p in (store.folder / "results").iterdir() if p.stem != living)
    torn = [
        store.folder / "images" / f".x.png.abc.{owner}"
        for owner in (living, gone, f"{result_file.host_name()}-1-0123abcd")
    ]
    for path in torn:
        path.write_bytes(b"\x89PNG")
    with store.at_work():
        assert [p.exists() for p in torn] == [True, False, False]


def test_run_spares_pictures_of_another_machine(store, monkeypatch):
    """Where locks are local to a machine, all of another's seem free."""
    (store.folder / "images").mkdir()
    (store.folder / "results").mkdir()
    (store.folder / "results" / "node-2-71-0123abcd.jsonl").touch()
    torn = store.folder / "images" / ".x.png.abc.node-2-71-0123abcd"
    torn.write_bytes(b"\x89PNG")
    monkeypatch.setattr("socket.gethostname", lambda: "node-1")
    with store.at_work():
        assert torn.exists()
    monkeypatch.setattr("socket.gethostname", lambda: "node-2")
    with store.at_work():
        assert not torn.exists()


def test_run_starts_beside_hidden_files_that_are_not_its_own(store, monkeypatch):
    """A server of NFS keeps `.nfs...` for files that are open, and refuses to remove them."""
    images, owner = store.folder / "images", f"{result_file.host_name()}-1-0123abcd"
    (images / ".cache").mkdir(parents=True)
    (images / f".folder.png.abc.{owner}").mkdir()
    others = [images / name for name in (".nfs0042", ".DS_Store", ".x.png.tmp")]
    busy = images / f".busy.png.abc.{owner}"
    for path in (*others, busy):
        path.touch()
    unlink = Path.unlink

    def refusing(path: Path, missing_ok: bool = False) -> None:
        if path == busy:
            raise OSError(errno.EBUSY, "Device or resource busy")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refusing)
    with store.at_work():
        assert all(path.exists() for path in (*others, busy))


def test_replace_that_works_and_reports_a_missing_file_is_believed(store, monkeypatch):
    """A server of NFS that repeats a rename does so: the first worked, the second finds nothing."""
    replace = os.replace

    def repeated(source: object, target: object) -> None:
        replace(source, target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", repeated)
    finish(store, "a")
    assert store.finished() == {"a"}


def test_replace_that_does_not_work_is_an_error(store, monkeypatch):
    def gone(source: object, target: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(os, "replace", gone)
    with pytest.raises(FileNotFoundError):
        finish(store, "a")
    assert keys(store) == []


def _without_locks(patch: pytest.MonkeyPatch) -> None:
    import fcntl

    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    patch.setattr(fcntl, "flock", unsupported)


def _windows(patch: pytest.MonkeyPatch) -> None:
    """No fcntl, no pread and pwrite, no folder that can be opened."""
    patch.setitem(sys.modules, "fcntl", None)
    for name in ("pread", "pwrite"):
        patch.delattr(os, name, raising=False)
    opened = os.open

    def open_file(path: object, *args: object, **options: object) -> int:
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *args, **options)

    patch.setattr(os, "open", open_file)


@pytest.mark.parametrize("system", [_without_locks, _windows])
def test_runs_work_where_nothing_can_be_locked_and_say_so(tmp_path, monkeypatch, system):
    system(monkeypatch)
    store = Store.create(tmp_path / "run", PLAN)
    with (
        pytest.warns(RuntimeWarning, match="a second run in it would not be refused"),
        store.at_work(),
    ):
        finish(store, "a")
    with pytest.warns(RuntimeWarning, match="cannot be locked"), store.at_work((0, 2)):
        finish(store, "b")
    with pytest.warns(RuntimeWarning):
        assert keys(merge([tmp_path / "run"], tmp_path / "all")) == ["a", "b"]


def test_store_travels_to_a_worker_by_its_path(store):
    finish(store, "a")
    other = pickle.loads(pickle.dumps(store))
    finish(other, "b")
    assert keys(store) == ["a", "b"]
    assert len(list((store.folder / "results").iterdir())) == 2


# ---- merging ------------------------------------------------------------------------------------


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    for name, owned in (("one", "ab"), ("two", "bc")):
        store = Store.create(tmp_path / name, PLAN)
        for key in owned:
            finish(store, key, seed=ord(key), seconds=float(len(name)))
    return [tmp_path / "one", tmp_path / "two"]


def test_merge_brings_rows_and_pictures_together(shards, tmp_path):
    merged = merge(shards, tmp_path / "all")
    assert keys(merged) == ["a", "b", "c"]
    assert merged.finished() == {"a", "b", "c"}
    for key, source in zip("abc", (*shards, shards[1]), strict=True):
        assert (
            merged.path(f"images/{key}.png").read_bytes()
            == (source / f"images/{key}.png").read_bytes()
        )


def test_merge_again_changes_nothing(shards, tmp_path):
    merged = merge(shards, tmp_path / "all")
    before = {
        p: p.read_bytes()
        for p in merged.folder.rglob("*")
        if p.is_file() and "locks" not in p.parts
    }
    merge(shards, tmp_path / "all")
    merge([*shards, tmp_path / "all"], tmp_path / "all")
    assert {
        p: p.read_bytes()
        for p in merged.folder.rglob("*")
        if p.is_file() and "locks" not in p.parts
    } == before


def test_merge_refuses_two_pictures_of_one_cell_and_copies_nothing(shards, tmp_path):
    Store.open(shards[1]).write_picture("images/b.png", image(7))
    with pytest.raises(
        ValueError,
        match=r"The restoration b has two pictures: .*two/images/b\.png and .*one/images/b\.png",
    ):
        merge(shards, tmp_path / "all")
    assert keys(Store.open(tmp_path / "all")) == []


def test_merge_compares_pixels_not_bytes(shards, tmp_path):
    path = shards[1] / "images/b.png"
    before = path.read_bytes()
    Image.open(path).save(path, format="PNG", compress_level=0)
    assert path.read_bytes() != before
    assert keys(merge(shards, tmp_path / "all")) == ["a", "b", "c"]


def test_merge_prefers_a_result_to_a_failure(shards, tmp_path):
    failed = Store.create(tmp_path / "three", PLAN)
    failed.append(row("a", "failed", error="ValueError: x"))
    failed.append(row("d", "failed", error="ValueError: x"))
    merged = merge([failed.folder, *shards], tmp_path / "all")
    assert [r["status"] for r in merged.rows()] == ["ok", "ok", "ok", "failed"]


def test_merge_leaves_out_a_row_whose_picture_is_gone(shards, tmp_path):
    (shards[0] / "images/a.png").unlink()
    assert keys(merge(shards, tmp_path / "all")) == ["b", "c"]


def test_merge_refuses_another_plan(shards, tmp_path):
    other = Store.create(tmp_path / "other", PLAN | {"tasks": ["sr2"]})
    with pytest.raises(ValueError, match="holds another plan: tasks"):
        merge([*shards, other.folder], tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_merge_refuses_rows_that_point_outside(shards, tmp_path):
    (shards[0] / "results" / "evil.jsonl").write_text(
        json.dumps(row("e", picture="images/../../x.png")) + "\n"
    )
    with pytest.raises(ValueError, match="is not a picture of a run"):
        merge(shards, tmp_path / "all")


def test_numbers_that_are_no_colours_are_not_written(tmp_path):
    store = Store.create(tmp_path / "run", {"plan": 1})
    with pytest.raises(ValueError, match="NaN or infinite"):
        store.write_picture("images/a.png", torch.full((3, 4, 4), torch.nan))
    assert not list((tmp_path / "run").rglob("*.png"))
