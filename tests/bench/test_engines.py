"""The engines: the same rows and pixels whoever works, whoever dies, and however often."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from hrdis.bench.records import comparable
from hrdis.bench.run import Engine, RunSummary, Store, execute, gpu_share, read_shard
from hrdis.bench.run import ray as ray_engine
from hrdis.bench.run.engine import PendingUnit
from hrdis.bench.run.shards import is_in_shard
from hrdis.cli import main
from tests.common.bench_toys import PLAN, ToyUnit, Work, row, units

pytestmark = pytest.mark.timeout(240)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "run", PLAN)


def work(
    store: Store,
    count: int = 6,
    *,
    batch: int = 1,
    engine: Engine | None = None,
    **accidents: object,
) -> RunSummary:
    retry = bool(accidents.pop("retry_failed", False))
    done = Work(str(store.folder), **accidents)  # type: ignore[arg-type]
    return execute(units(count, batch), store, done, engine, retry_failed=retry)


def outcome(folder: Path) -> tuple[list[object], dict[str, bytes]]:
    """What must be equal: rows without times, and all pictures."""
    pictures = {p.name: p.read_bytes() for p in sorted((folder / "images").iterdir())}
    return [comparable(r) for r in Store.open(folder).rows()], pictures


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[object], dict[str, bytes]]:
    store = Store.create(tmp_path_factory.mktemp("undisturbed"), PLAN)
    work(store)
    return outcome(store.folder)


# ---- in this process ----------------------------------------------------------------------------


def test_local_engine_does_every_cell_once(store, undisturbed):
    assert work(store).statuses == {"ok": 6}
    assert len(undisturbed[0]) == 6
    assert outcome(store.folder) == undisturbed
    again = work(store)
    assert (again.tasks, again.skipped, again.statuses) == (6, 6, {})


def test_local_engine_goes_on_after_an_exception_of_the_work(store, undisturbed):
    with pytest.raises(OSError, match="No space left"):
        work(store, crash=(3,))
    assert [r["key"] for r in store.rows()] == ["cell000", "cell001", "cell002"]
    assert work(store).skipped == 3
    assert outcome(store.folder) == undisturbed


def test_unit_is_done_again_as_a_whole_but_only_missing_rows_are_written(store, undisturbed):
    store.append(row("cell001", "failed", error="earlier"))
    summary = work(store, batch=3)
    assert (summary.skipped, summary.statuses) == (1, {"ok": 5})
    assert [r.get("error") for r in store.rows()] == [None, "earlier", None, None, None, None]


def test_failed_cells_are_rows_and_are_retried_on_demand(store, undisturbed):
    assert work(store, fail=(2, 4)).statuses == {"ok": 4, "failed": 2}
    assert work(store).statuses == {}
    assert work(store, retry_failed=True).statuses == {"ok": 2}
    assert outcome(store.folder) == undisturbed


def test_threads_are_pinned_for_the_work_and_given_back(store):
    before = torch.get_num_threads()
    work(store, engine=Engine(threads=before + 1))
    assert {r["threads"] for r in store.rows()} == {before + 1}
    assert torch.get_num_threads() == before


def test_progress_counts_cells_done_before(store):
    work(store, 2)
    told: list[tuple[int, int]] = []
    execute(
        units(4), store, Work(str(store.folder)), progress=lambda done, of: told.append((done, of))
    )
    assert told == [(2, 4), (3, 4), (4, 4)]


def test_work_that_forgets_a_row_is_a_bug(store):
    with pytest.raises(AssertionError, match=r"no row for \['cell000'\]"):
        execute(units(1), store, lambda: lambda unit: [])


# ---- parts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "environment", "shard"),
    [
        (None, {}, None),
        ("0/1", {}, None),
        ("2/3", {}, (2, 3)),
        (None, {"RANK": "1", "WORLD_SIZE": "4"}, (1, 4)),
        ("0/2", {"RANK": "1", "WORLD_SIZE": "4"}, (0, 2)),
        (None, {"RANK": "0", "WORLD_SIZE": "1"}, None),
    ],
)
def test_shard_is_read(text, environment, shard):
    assert read_shard(text, environment) == shard


@pytest.mark.parametrize("text", ["3/3", "1", "a/2", "-1/2", "1/0", "/", "1/2/3", "1.5/2"])
def test_shard_is_refused(text):
    with pytest.raises(ValueError, match=re.escape(f"--shard is {text!r}. Parts count from 0")):
        read_shard(text, {})


def test_shards_are_disjoint_complete_even_and_independent_of_the_order():
    many = units(1000)
    parts = [{u.key for u in many if is_in_shard(u, (i, 4))} for i in range(4)]
    assert sum(len(p) for p in parts) == len(set.union(*parts)) == 1000
    assert all(
        abs(len(p) - 250) < 5 * (250 * 0.75) ** 0.5 for p in parts
    )  # five standard deviations
    assert [
        {u.key for u in reversed(many[:100]) if is_in_shard(u, (i, 4))} <= parts[i]
        for i in range(4)
    ] == [True] * 4


def test_shards_together_are_the_whole(store, undisturbed):
    sizes = [work(store, engine=Engine(shard=f"{i}/3")).tasks for i in range(3)]
    assert sum(sizes) == 6
    assert outcome(store.folder) == undisturbed


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "kind"),
    [
        (Engine(), "local"),
        (Engine(engine="local"), "local"),
        (Engine(workers=2), "ray"),
        (Engine(timeout=3), "ray"),
        (Engine(address="auto"), "ray"),
        (Engine(engine="ray"), "ray"),
    ],
)
def test_engine_is_chosen_by_what_is_asked(engine, kind):
    assert engine.resolved() == kind


@pytest.mark.parametrize("asked", [{"workers": 2}, {"timeout": 1.0}, {"address": "auto"}])
def test_local_engine_refuses_what_it_cannot_do(store, asked):
    with pytest.raises(ValueError, match=f"takes no --{next(iter(asked))}"):
        work(store, engine=Engine(engine="local", **asked))


@pytest.mark.parametrize(
    "bad", [{"workers": 0}, {"timeout": 0}, {"retries": -1}, {"threads": 0}, {"engine": "dask"}]
)
def test_engine_refuses_settings_out_of_bounds(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Engine(**bad)


def test_engine_without_ray_says_how_to_get_it(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match="Ray is not installed"):
        work(store, engine=Engine(workers=2))


@pytest.mark.parametrize(
    ("gpus", "workers", "share"),
    [
        (0, 3, 0),
        (1, 1, 1),
        (1, 3, 1 / 3),
        (2, 1, 1),
        (2, 2, 1),
        (2, 3, 1 / 2),
        (4, 8, 1 / 2),
        (4, 5, 1 / 2),
        (8, 4, 1),
    ],
)
def test_workers_share_gpus_so_that_all_find_a_place(gpus, workers, share):
    ray = SimpleNamespace(cluster_resources=lambda: {"GPU": float(gpus)})
    assert gpu_share(ray, workers) == share
    assert gpus == 0 or gpus * int(1 / share) >= workers  # each GPU takes whole workers


# ---- kills of processes -------------------------------------------------------------------------

RUN = """
import sys
sys.path.insert(0, {tests!r})
from tests.common.bench_toys import PLAN, Work, units
from hrdis.bench.run import Engine, Store, execute
if __name__ == "__main__":
    folder, count = sys.argv[1], int(sys.argv[2])
    work, engine = eval(sys.argv[3]), eval(sys.argv[4])
    store = Store.create(folder, PLAN)
    try:
        print(execute(units(count), store, Work(folder, **work), Engine(**engine)))
    except ValueError as error:
        sys.exit(str(error))
"""


def start(
    folder: Path, count: int, work: dict[str, object], **engine: object
) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-c",
        RUN.format(tests=str(ROOT)),
        str(folder),
        str(count),
        repr(work),
        repr(engine),
    ]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )


def environment() -> dict[str, str]:
    """In which Ray's workers find the toys."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}


def wait_for_rows(folder: Path, count: int, process: "subprocess.Popen[str]") -> None:
    while process.poll() is None:
        with suppress(ValueError):
            if len(Store.open(folder).rows()) >= count:
                return
        time.sleep(0.005)
    raise AssertionError(f"ended before row {count}: {process.communicate()}")


@pytest.mark.parametrize(
    "shards",
    [
        pytest.param([{}], id="whole", marks=pytest.mark.slow),
        pytest.param([{"shard": "0/2"}, {"shard": "1/2"}], id="shards"),
    ],
)
def test_run_killed_at_random_moments_ends_like_an_undisturbed_one(tmp_path, shards):
    """Four kills each; studies/kills.py does hundreds."""
    count, moments = 40, random.Random(0)
    reference = Store.create(tmp_path / "reference", PLAN)
    work(reference, count)
    folder = tmp_path / "killed"
    for kill in range(4 // len(shards)):
        running = [start(folder, count, {"seconds": 0.01}, **s) for s in shards]
        wait_for_rows(folder, 7 * (kill + 1), running[0])
        time.sleep(moments.uniform(0, 0.05))
        for process in running:
            process.kill()
            process.communicate()
    for s in shards:
        work(Store.open(folder), count, engine=Engine(**s))
    assert outcome(folder) == outcome(reference.folder)
    assert not list(folder.rglob("images/.*"))


def test_second_run_is_refused_while_the_first_goes_on_unharmed(tmp_path):
    first = start(tmp_path / "run", 1000, {"seconds": 0.1})
    wait_for_rows(tmp_path / "run", 1, first)
    second = start(tmp_path / "run", 1000, {})
    out, refusal = second.communicate()
    assert (second.returncode, out) == (1, "")
    assert f"is being worked on by process {first.pid} on" in refusal
    first.kill()
    first.communicate()
    assert work(Store.open(tmp_path / "run"), 20).skipped >= 1


# ---- Ray ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ray() -> Iterator[object]:
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
        with ray_engine.cluster(Engine(workers=3)) as ray:
            yield ray


@pytest.mark.slow
def test_two_ray_workers_give_the_same_rows_and_pixels_as_one_process(ray, store, undisturbed):
    summary = work(store, engine=Engine(workers=2))
    assert (summary.statuses, summary.replaced) == ({"ok": 6}, 0)
    assert outcome(store.folder) == undisturbed
    assert os.getpid() not in {r["worker"] for r in store.rows()}


@pytest.mark.slow
def test_ray_worker_that_dies_or_hangs_is_replaced_and_its_unit_done_again(ray, store, undisturbed):
    summary = work(store, engine=Engine(workers=2, timeout=4), die=(1,), hang=(2,))
    # A machine that is busy may lose more workers to so short a limit.
    assert summary.statuses == {"ok": 6} and summary.replaced >= 2
    assert outcome(store.folder) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("accident", "error", "message"),
    [
        ({"crash": (3,)}, OSError, "No space left"),
        ({"open_fails": True}, ValueError, r"No weights at nowhere\.pt"),
    ],
)
def test_ray_run_ends_with_the_exception_of_the_work(
    ray, store, undisturbed, accident, error, message
):
    with pytest.raises(error, match=message):
        work(store, engine=Engine(engine="ray"), **accident)
    assert work(store).skipped == (3 if "crash" in accident else 0)
    assert outcome(store.folder) == undisturbed


@pytest.mark.slow
def test_ray_unit_that_always_fails_its_worker_becomes_a_row(ray, store):
    engine = Engine(workers=2, timeout=4, retries=1)
    summary = work(store, 4, engine=engine, once=False, die=(1,), hang=(2,))
    assert (summary.statuses, summary.replaced) == ({"ok": 2, "failed": 1, "timeout": 1}, 4)
    assert [r["status"] for r in store.rows()] == ["ok", "failed", "timeout", "ok"]


@pytest.mark.slow
def test_ray_run_ends_if_workers_keep_dying_while_they_open(ray, store):
    with pytest.raises(RuntimeError, match="2 workers died while they loaded the prior"):
        execute(
            units(1),
            store,
            lambda: os.kill(os.getpid(), signal.SIGKILL),
            Engine(engine="ray", retries=0),
        )


def crew(store: Store, told: list[str], **engine: object) -> ray_engine.RayWorkers:
    """One without a cluster, to lose units with."""
    blank = lambda cell: {"key": cell.key, "cell": cell.record()}  # noqa: E731
    opens = Work(str(store.folder))
    return ray_engine.RayWorkers(
        store, opens, Engine(**engine), told.extend, blank, retry_failed=False, gpu=True
    )


def test_lost_unit_is_tried_again_as_often_as_asked_and_then_becomes_a_row(store):
    told: list[str] = []
    job, lost = (
        PendingUnit(units(2, 2)[0], frozenset({"cell000", "cell001"})),
        crew(store, told, retries=2),
    )
    for _ in range(2):
        lost._put_back(job, "timeout", "no answer within 1 s")
        assert lost._queue.pop() is job
        assert (told, store.rows()) == ([], [])
    lost._put_back(job, "timeout", "no answer within 2 s")
    assert not lost._queue
    assert told == ["timeout", "timeout"]
    assert [(r["key"], r["status"], r["error"]) for r in store.rows()] == [
        (key, "timeout", "3 workers lost, the last: no answer within 2 s")
        for key in ("cell000", "cell001")
    ]


def test_unit_whose_worker_died_after_writing_is_not_done_again(store):
    told: list[str] = []
    job, lost = PendingUnit(units(2, 2)[0], frozenset({"cell000", "cell001"})), crew(store, told)
    store.append(row("cell001"))
    lost._put_back(job, "failed", "died")
    assert (lost._queue.pop().missing, told) == ({"cell000"}, ["ok"])
    store.append(row("cell000", "failed"))
    lost._put_back(job, "failed", "died")
    assert (list(lost._queue), told) == ([], ["ok", "failed"])


def descendants(process: int) -> dict[int, str]:
    """The processes below one, with what they call themselves."""
    parents, names = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(entry.name)] = int(
                (entry / "stat").read_text().rpartition(")")[2].split()[1]
            )
            names[int(entry.name)] = (entry / "cmdline").read_text()
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {p: names[p] for p in found - {process}}


def alive(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.slow
@pytest.mark.parametrize(
    "where", ["on a cluster of its own", pytest.param("on a running one", marks=pytest.mark.slow)]
)
def test_ray_workers_end_after_the_death_of_their_driver_and_nothing_is_lost(ray, tmp_path, where):
    own = where == "on a cluster of its own"
    address = {} if own else {"address": ray.get_runtime_context().gcs_address}
    folder, reference = tmp_path / "run", Store.create(tmp_path / "reference", PLAN)
    driver = start(folder, 60, {"seconds": 0.3}, workers=2, **address)
    wait_for_rows(folder, 3, driver)
    cluster = descendants(driver.pid)
    workers = {r["worker"] for r in Store.open(folder).rows()}
    workers |= {p for p, name in cluster.items() if name.startswith("ray::Worker")}
    assert workers <= set(cluster) or not own
    try:
        driver.kill()
        driver.wait()
        end = time.monotonic() + 30
        while any(map(alive, workers)) and time.monotonic() < end:
            time.sleep(0.05)
        assert not [p for p in workers if alive(p)]
    finally:
        for process in filter(alive, cluster):  # Ray's own agents take a minute to notice
            os.kill(process, signal.SIGKILL)
    written = len(Store.open(folder).rows())
    assert written < 60
    assert work(Store.open(folder), 60).skipped == written
    work(reference, 60)
    assert outcome(folder) == outcome(reference.folder)


def test_ray_cluster_that_does_not_answer_is_named(tmp_path):
    process = start(tmp_path, 1, {}, address="127.0.0.1:1")
    assert "No Ray cluster answers at --address 127.0.0.1:1" in process.communicate()[1]
    assert process.returncode == 1


def test_unit_of_the_toys_is_named_by_its_cells():
    assert [u.key for u in units(3, 2)] == ["cell000-cell001", "cell002"]
    assert isinstance(units(1)[0], ToyUnit)


@pytest.mark.parametrize(("failures", "calls"), [(0, 1), (2, 3), (3, 3)])
def test_ray_that_does_not_start_is_tried_again_and_then_named(failures, calls):
    tried: list[object] = []

    def init(**options: object) -> None:
        tried.append(options)
        if len(tried) <= failures:
            raise Exception("The current node timed out during startup.")

    expected = (
        pytest.raises(RuntimeError, match="Ray did not start in 3 tries")
        if failures == 3
        else nullcontext()
    )
    with expected:
        ray_engine._start(SimpleNamespace(init=init, shutdown=lambda: None))
    assert len(tried) == calls


FAKE_RAY = """
import os

AT_IMPORT = dict(os.environ)
is_initialized = lambda: False
init = shutdown = lambda **_: None
"""


@pytest.mark.parametrize("address", [None, "auto"])
@pytest.mark.parametrize("asked", [None, "disabled"])
def test_cluster_of_ones_own_asks_for_a_token_that_is_in_no_file(
    tmp_path, monkeypatch, address, asked
):
    """Else it would run code for every user of the machine. What the user asks for stays."""
    (tmp_path / "ray.py").write_text(FAKE_RAY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    if asked:
        monkeypatch.setenv("RAY_AUTH_MODE", asked)
    with ray_engine.cluster(Engine(workers=2, address=address)) as started:
        seen = started.AT_IMPORT
    monkeypatch.delitem(sys.modules, "ray")
    if address is None and asked is None:
        assert seen["RAY_AUTH_MODE"] == "token" and len(seen["RAY_AUTH_TOKEN"]) == 64
    else:
        assert seen.get("RAY_AUTH_MODE") == asked and "RAY_AUTH_TOKEN" not in seen


@pytest.mark.slow
def test_connection_without_the_token_is_refused(tmp_path):
    """In processes of their own, since Ray reads its environment once."""
    serve = (
        "from hrdis.bench.run.engine import Engine\n"
        "from hrdis.bench.run.ray import cluster\n"
        "with cluster(Engine(workers=1)) as ray:\n"
        "    print(ray.get_runtime_context().gcs_address, flush=True)\n"
        "    input()\n"
    )
    clean = {name: value for name, value in os.environ.items() if "RAY_AUTH" not in name}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    own = subprocess.Popen([sys.executable, "-c", serve], env=clean, **pipes)
    try:
        address = own.stdout.readline().strip()
        stranger = f"import ray; ray.init(address={address!r})"
        for environment in (clean, clean | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64}):
            refused = subprocess.run(
                [sys.executable, "-c", stranger], env=environment, capture_output=True, timeout=120
            )
            assert refused.returncode != 0
    finally:
        own.communicate("\n", timeout=120)


def test_worker_that_never_opens_ends_the_run(store, monkeypatch):
    """A disk that is not there any more holds up the loading of the prior for ever."""
    clock, killed = [1000.0], []
    monkeypatch.setattr(ray_engine.time, "monotonic", lambda: clock[0])
    lost = crew(store, [], timeout=5, workers=2, retries=1)
    waited: list[float] = []

    def wait(calls, num_returns, timeout):
        """Nothing answers; the clock goes on to the first deadline."""
        waited.append(timeout)
        clock[0] += timeout + 1
        return [], calls

    remote = SimpleNamespace(remote=lambda *_: object())
    actor = SimpleNamespace(remote=lambda: SimpleNamespace(open=remote))
    options = SimpleNamespace(options=lambda **_: actor)
    fake = SimpleNamespace(
        remote=lambda _: options, wait=wait, kill=killed.append, cluster_resources=dict
    )
    monkeypatch.setattr(ray_engine, "cluster", lambda engine: nullcontext(fake))
    with pytest.raises(RuntimeError, match=r"while they loaded .*no answer within 600 s"):
        lost.work_off([PendingUnit(unit, frozenset()) for unit in units(4)])
    assert waited == [600, 600]  # loading may take longer than a unit
    assert len(killed) == 4


# ---- the command --------------------------------------------------------------------------------

TINY = """
tasks: [sr4]
solvers: [{solver: hrdis, settings: {steps: 2}}, {solver: ddnm, settings: {steps: 2}}]
images: {limit: 2}
crop: 32
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "plan.yaml").write_text(TINY)
    return tmp_path / "plan.yaml"


@pytest.mark.slow
def test_command_gives_the_same_rows_and_pixels_with_ray_and_in_parts(ray, plan, tmp_path):
    runs = {
        "whole": [[]],
        "ray": [["--workers", "2"]],
        "parts": [["--shard", "0/2"], ["--shard", "1/2"]],
    }
    for name, commands in runs.items():
        for words in commands:
            assert main(["bench", str(plan), "-o", str(tmp_path / name), *words]) == 0
    assert len(outcome(tmp_path / "whole")[0]) == 4
    assert outcome(tmp_path / "ray") == outcome(tmp_path / "whole") == outcome(tmp_path / "parts")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--engine", "local", "--workers", "2"],
            "--engine local works in this process and takes no --workers",
        ),
        (["--shard", "2/2"], "--shard is '2/2'. Parts count from 0"),
        (["--threads", "2"], "holds another plan: threads is 1 there and 2 here"),
        ([], "is being worked on by process"),
    ],
)
def test_command_refuses_with_one_message_and_status_2(plan, tmp_path, capsys, words, message):
    run = tmp_path / "run"
    assert main(["bench", str(plan), "-o", str(run), "--limit", "1"]) == 0
    capsys.readouterr()
    with Store.open(run).at_work() if not words else nullcontext():
        assert main(["bench", str(plan), "-o", str(run), "--limit", "1", *words]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
