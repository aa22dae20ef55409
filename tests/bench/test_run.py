"""One unit of work: what is measured, restored, scored and written."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import hrdis
from hrdis import images, metrics
from hrdis.bench.paper import FIGURES, TABLES
from hrdis.bench.plan import (
    FeasibilityCheck,
    PlanOptions,
    PriorIdentity,
    ProblemMaker,
    UnitRestorer,
    WorkerSpec,
    expand,
    find_pictures,
    model_task,
    paper_tables,
    read_sized,
    restore_unit,
)
from hrdis.bench.plan import problems as problem_room
from hrdis.bench.plan.recorder import StepRecorder
from hrdis.bench.plan.restore_unit import MOST_ALIKE, pixel_scores, round_to_8_bits
from hrdis.bench.plan.timing import PeakMemory, process_memory, time_call
from hrdis.bench.records import RunInterrupted, RunTask, Unit, comparable, settings_of
from hrdis.bench.run import Store
from hrdis.operators.nonlinear_blur import BKSE
from hrdis.presets import embedded
from hrdis.priors import Prediction, Prior

PRIOR = hrdis.priors.Gaussian(torch.zeros(3, 16, 16), 0.25)
SIZE = 16


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        x, y = np.meshgrid(np.linspace(0, 1, 20), np.linspace(0, 1, 18))
        rgb = np.stack([x, y, (x + 0.3 * i) % 1], -1)
        Image.fromarray((rgb * 255).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


def task_of(photos: Path, solver: hrdis.Solver, i: int = 0, **changes: object) -> RunTask:
    """A run task of a small picture."""
    picture = find_pictures(photos)[i]
    name = next(n for n, (cls, _) in hrdis.SOLVERS.items() if cls is type(solver))
    base = RunTask(
        image=picture.name, image_sha256=picture.sha256, index=picture.index, size=SIZE, crop=0,
        task="sr4",
        noise="none", solver=name, preset=None, settings=settings_of(solver), prior="toy",
        prior_sha256="0" * 64,
        precision="fp32", seed=0,
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def worker(photos: Path, tmp_path: Path, prior: Prior = PRIOR, **changes: object) -> UnitRestorer:
    files = {p.sha256: str(p.path) for p in find_pictures(photos)}
    work = replace(WorkerSpec("toy", "fp32", "cpu", files), **changes)  # type: ignore[arg-type]
    return UnitRestorer(work, Store.create(tmp_path / "run", {}), prior, ProblemMaker())


class Broken(Prior):
    """Fails, or gives what is no number."""

    def __init__(self, error: BaseException | None = None):
        super().__init__()
        self.schedule, self.error = PRIOR.schedule, error

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        if self.error is not None:
            raise self.error
        return Prediction(x_t * float("nan"), x_t * float("nan"))


# ---- the restoration
# ----------------------------------------------------------------------------


@pytest.mark.parametrize("noise", ["none", "gaussian0.05"])
def test_row_is_the_solver_s_own_result(photos, tmp_path, noise):
    solver, run = hrdis.HRDIS(steps=4), worker(photos, tmp_path)
    one = task_of(photos, solver, noise=noise)
    (row,) = run(Unit(tasks=(one,)))
    truth = run._load(one)
    model = None if noise == "none" else hrdis.noise.Gaussian(0.05)
    problem = hrdis.measure(
        hrdis.TASKS["sr4"].build(SIZE, SIZE, 0, 0), truth, model, seeds=[one.draw_seed("measure")]
    )
    result = hrdis.solve(solver, PRIOR, problem, seeds=[one.draw_seed()])
    written = images.load(tmp_path / "run" / row["picture"])
    assert torch.equal(
        written, images.from_unit(((result.x.clamp(-1, 1) + 1) / 2 * 255).round() / 255)
    )
    assert row["residual"] == pytest.approx(
        float((problem.A(result.x) - problem.y).square().mean().sqrt())
    )
    assert (row["status"], row["nfe"], row["finite"], row["batch"]) == ("ok", 4, True, 1)


def test_scores_are_those_of_the_files(photos, tmp_path):
    (row,) = worker(photos, tmp_path)(Unit(tasks=(task_of(photos, hrdis.HRDIS(steps=4)),)))
    x, truth = (images.load(tmp_path / "run" / row[name]) for name in ("picture", "truth"))
    assert row["psnr"] == pytest.approx(float(metrics.psnr(x, truth)), abs=1e-9)
    assert row["ssim"] == pytest.approx(float(metrics.ssim(x, truth)), abs=1e-9)


def test_what_is_scored_lies_on_the_levels_of_a_file():
    x = torch.linspace(-1.2, 1.2, 48).reshape(1, 3, 4, 4)
    found = (round_to_8_bits(x).double() + 1) / 2 * 255
    assert float((found - found.round()).abs().max()) < 1e-4
    assert (float(found.min()), float(found.max())) == (0, 255)


def test_given_picture_is_the_measurement(photos, tmp_path):
    (row,) = worker(photos, tmp_path)(Unit(tasks=(task_of(photos, hrdis.HRDIS(steps=2)),)))
    assert images.read(tmp_path / "run" / row["measurement"]).size == (4, 4)


def test_all_solvers_and_seeds_face_the_same_measurement(photos):
    truth = read_sized(find_pictures(photos)[0].path, SIZE, 0)
    posed = [
        ProblemMaker().problem_of(
            [task_of(photos, solver, task="inpaint", noise="gaussian0.05", seed=seed)], truth
        )
        for solver in (hrdis.HRDIS(), hrdis.DDRM())
        for seed in (0, 5)
    ]
    assert all(torch.equal(p.y, posed[0].y) for p in posed)


def test_seeds_give_other_samples(photos, tmp_path):
    run, one = worker(photos, tmp_path), task_of(photos, hrdis.HRDIS(steps=4))
    rows = [run(Unit(tasks=(replace(one, seed=seed),)))[0] for seed in (0, 1)]
    x, z = (images.load(tmp_path / "run" / row["picture"]) for row in rows)
    assert not torch.equal(x, z)


@pytest.mark.parametrize("task", ["sr4", "inpaint", "cs25"])
def test_batch_gives_the_rows_of_single_pictures(photos, tmp_path, task):
    side = {"cs25": 32}.get(task, SIZE)
    prior = hrdis.priors.Gaussian(torch.zeros(3, side, side), 0.25)
    solver, run = hrdis.HRDIS(steps=4), worker(photos, tmp_path, prior)
    tasks = [
        task_of(photos, solver, i, task=task, size=side, noise="gaussian0.05") for i in range(3)
    ]
    together, alone = run(Unit(tasks=tuple(tasks))), [run(Unit(tasks=(c,)))[0] for c in tasks]
    for a, b in zip(together, alone, strict=True):
        assert (a["key"], a["psnr"]) == (
            b["key"],
            pytest.approx(b["psnr"], abs=1e-3),
        )  # sums in another order
    assert len({row["psnr"] for row in together}) == 3


def test_same_unit_gives_the_same_rows(photos, tmp_path):
    unit = Unit(tasks=(task_of(photos, hrdis.DDRM(steps=4)),))
    one, two = (worker(photos, tmp_path / name)(unit) for name in "ab")
    assert [comparable(row) for row in one] == [comparable(row) for row in two]


def test_masks_go_by_the_place_of_a_picture(photos):
    truth = torch.zeros(1, 3, 64, 64)
    one = task_of(photos, hrdis.HRDIS(), task="inpaint")
    masks = [ProblemMaker().problem_of([replace(one, index=i)], truth).A.mask for i in (0, 1, 0)]
    assert torch.equal(masks[0], masks[2])
    assert not torch.equal(masks[0], masks[1])


def test_operators_without_random_parts_are_built_once(photos, monkeypatch):
    problems, truth, built = ProblemMaker(), torch.zeros(1, 3, 32, 32), []
    task = hrdis.TASKS["cs25"]
    counted = replace(task, build=lambda *at: built.append(at) or task.build(*at))
    monkeypatch.setitem(problems.tasks, "cs25", counted)
    for i in (0, 1):
        for solver in (hrdis.HRDIS(), hrdis.DDRM()):
            problems.problem_of([task_of(photos, solver, i, task="cs25", index=i)], truth)
    assert len(built) == 1


def test_memory_does_not_grow_with_the_sizes_of_the_pictures(photos, tmp_path, monkeypatch):
    """Two hundred sizes: operators and pictures are kept within bounds, the last ones."""
    monkeypatch.setattr(restore_unit, "KEPT_BYTES", 3 * 4 * 16 * 16 * 5)
    problems, run = ProblemMaker(), worker(photos, tmp_path)
    one, files = task_of(photos, hrdis.HRDIS()), run.spec.files
    monkeypatch.setattr(
        restore_unit, "read_sized", lambda path, size, crop: torch.zeros(1, 3, size, size)
    )
    for side in range(4, 204):
        problems._operator("sr4", torch.zeros(1, 3, 4 * side, 4 * side), [0])
        truth = run._load(replace(one, size=side % 16 + 1))
        assert truth.shape[-1] == side % 16 + 1
        assert len(problems._operators) <= problem_room.KEPT_OPERATORS
        kept = list(run._truth.values())
        assert len(kept) == 1 or sum(x.nbytes for x in kept) <= restore_unit.KEPT_BYTES
    assert len(files) and next(reversed(problems._operators))[1] == 4 * 203


class White(Prior):
    """N(0, 1/4) in every pixel, of any size."""

    schedule = PRIOR.schedule

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        a, b = self.schedule.signal(t), self.schedule.noise(t)
        x0_hat = x_t * a * 0.25 / (0.25 * a**2 + b**2)
        return Prediction(x0_hat, (x_t - a * x0_hat) / b)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Return the rows of every table and figure, of a few steps each, on one photograph."""
    pictures, prior, problems = find_pictures(limit=1), White(), ProblemMaker()
    network, options = (
        PriorIdentity("white", "0" * 64, embedded(), prior.schedule),
        PlanOptions(crop=32),
    )
    truth = read_sized(pictures[0].path, 256, 32)
    check = FeasibilityCheck(truth, prior, problems, model_task(options, network, pictures[0]))
    plan = expand(paper_tables(TABLES, FIGURES), pictures, options, network, check.why_not)
    store = Store.create(tmp_path_factory.mktemp("paper") / "run", plan.config)
    work = WorkerSpec("white", "fp32", "cpu", {p.sha256: str(p.path) for p in pictures})
    run = UnitRestorer(work, store, prior, problems)
    rows = []
    short = {"steps": 3, "start": None, "grid": "uniform", "end": 0}
    for one in plan.tasks:
        settings = one.settings | {
            name: value for name, value in short.items() if name in one.settings
        }
        rows += run(Unit(tasks=(replace(one, settings=settings),)))
    return rows


def test_every_cell_of_the_paper_can_be_run(paper):
    assert len(paper) > 90
    assert {row["error"] for row in paper} == {None}


def test_every_solver_of_the_paper_is_among_them(paper):
    run = {row["cell"]["solver"] for row in paper}
    assert run == {
        "ddrm", "dps", "pigdm", "ddnm", "gdp", "dds", "fps", "reddiff", "hrdis", "drddim",
        "blindhrdis",
    }  # fmt: skip


# ---- special tasks
# ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "solver", [hrdis.BlindHRDIS(), hrdis.GDP(blind=True)], ids=["blindhrdis", "gdp"]
)
def test_blind_solver_is_told_no_exposure_and_others_are(photos, solver):
    truth = torch.zeros(1, 3, SIZE, SIZE)
    blind = ProblemMaker().problem_of([task_of(photos, solver, task="lowlight")], truth)
    told = ProblemMaker().problem_of([task_of(photos, hrdis.GDP(), task="lowlight")], truth)
    assert (blind.A.f, told.A.f) == (None, 0.25)
    assert torch.equal(blind.y, told.y)


def test_blind_row_says_what_was_estimated(photos, tmp_path):
    (row,) = worker(photos, tmp_path)(
        Unit(tasks=(task_of(photos, hrdis.BlindHRDIS(steps=4), task="lowlight"),))
    )
    assert set(row["estimated"]) == {"f"}
    assert row["residual"] < 0.2  # of the estimated operator, not of one that leaves light as it is


def test_phase_retrieval_is_scored_as_found_and_aligned(photos):
    truth = read_sized(find_pictures(photos)[2].path, SIZE, 0)
    problem = ProblemMaker().problem_of([task_of(photos, hrdis.HRDIS(), task="phase")], truth)
    found = pixel_scores(round_to_8_bits(-truth.flip(-1, -2)), truth, problem)
    assert found["psnr"] < 20 < 45 < found["psnr_aligned"]
    assert found["ssim"] < 0.9 < found["ssim_aligned"]


def test_only_phase_retrieval_is_aligned(photos):
    truth = torch.zeros(1, 3, SIZE, SIZE)
    assert "psnr_aligned" not in pixel_scores(
        truth + 0.1, truth, ProblemMaker().problem_of([task_of(photos, hrdis.HRDIS())], truth)
    )


def test_pictures_too_small_for_ssim_have_none():
    x = torch.zeros(1, 3, 8, 8)
    assert pixel_scores(x + 0.1, x, hrdis.Problem(x, hrdis.operators.HDR()))["ssim"] is None


def test_nonlinear_blur_has_a_latent_for_each_place(photos):
    with torch.device("meta"):
        empty = BKSE().state_dict()
    flat = {name: torch.zeros(v.shape) for name, v in empty.items()}
    flat["recon_trunk.28.bias"] = torch.full((3,), 0.1)
    problems, truth = ProblemMaker(flat), torch.zeros(1, 3, 128, 128)
    one = task_of(photos, hrdis.HRDIS(), task="deblur-nonlinear")
    posed = [problems.problem_of([replace(one, index=i)], truth) for i in (0, 3)]
    assert [p.A.index for p in posed] == [0, 3]
    assert posed[0].A.network is posed[1].A.network  # read once
    assert float(posed[0].y.mean()) == pytest.approx(
        0.2, abs=1e-6
    )  # of these weights: x + 0.1 in [0, 1]


# ---- failures
# ----------------------------------------------------------------------------


def test_failure_is_a_row(photos, tmp_path):
    unit = Unit(tasks=tuple(task_of(photos, hrdis.HRDIS(steps=2), i) for i in (0, 1)))
    rows = worker(photos, tmp_path, Broken(RuntimeError("out of memory\nand more")))(unit)
    assert [(r["status"], r["error"], r["picture"]) for r in rows] == [
        ("failed", "RuntimeError: out of memory", None)
    ] * 2
    assert [r["key"] for r in rows] == [c.key for c in unit.tasks]


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (MemoryError("cannot allocate"), "Free memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "Free memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate"), "Free memory"),
        (RuntimeError("CUDA error: an illegal memory access\nmore"), "The GPU has to be started"),
        *(
            [(torch.AcceleratorError("CUDA error: unspecified launch failure"), "The GPU has")]
            if hasattr(torch, "AcceleratorError")
            else []
        ),
    ],
)
def test_trouble_of_the_machine_ends_the_run_and_is_no_row(photos, tmp_path, error, advice):
    unit = Unit(tasks=(task_of(photos, hrdis.HRDIS(steps=2)),))
    with pytest.raises(RunInterrupted, match=f"^hrdis on sr4, 0.png: .*{advice}"):
        worker(photos, tmp_path, Broken(error))(unit)


def test_interruption_travels_from_a_worker_to_the_run(photos, tmp_path):
    """As Ray sends it."""
    unit = Unit(tasks=(task_of(photos, hrdis.HRDIS(steps=2)),))
    with pytest.raises(RunInterrupted) as raised:
        worker(photos, tmp_path, Broken(MemoryError("cannot allocate")))(unit)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


def test_units_that_all_fail_alike_end_the_run(photos, tmp_path):
    run = worker(photos, tmp_path, Broken(RuntimeError("no kernel image")))
    unit = Unit(tasks=(task_of(photos, hrdis.HRDIS(steps=2)),))
    rows = [run(unit)[0] for _ in range(MOST_ALIKE - 1)]
    assert {row["error"] for row in rows} == {"RuntimeError: no kernel image"}
    with pytest.raises(RunInterrupted, match=r"^20 units in a row failed alike.*no kernel image"):
        run(unit)


def test_failures_with_successes_between_do_not_end_the_run(photos, tmp_path):
    run = worker(photos, tmp_path)
    good = Unit(tasks=(task_of(photos, hrdis.HRDIS(steps=2)),))
    bad = Unit(tasks=(task_of(photos, hrdis.DDRM(steps=2), task="hdr"),))
    statuses = []
    for _ in range(MOST_ALIKE):
        statuses += [row["status"] for unit in (bad, good) for row in run(unit)]
    assert statuses == ["failed", "ok"] * MOST_ALIKE


def test_picture_that_vanished_ends_the_run(photos, tmp_path):
    """Its disk may come back, and the run be continued."""
    unit = Unit(tasks=(task_of(photos, hrdis.HRDIS(steps=2)),))
    run = worker(photos, tmp_path)
    (photos / "0.png").unlink()
    with pytest.raises(RunInterrupted, match=r"0\.png cannot be read any more"):
        run(unit)


def test_picture_that_became_another_ends_the_run(photos, tmp_path):
    """A row names its picture by the hash: it would tell of pixels that were not used."""
    unit = Unit(tasks=(task_of(photos, hrdis.HRDIS(steps=2)),))
    run = worker(photos, tmp_path)
    (photos / "0.png").write_bytes((photos / "1.png").read_bytes())
    with pytest.raises(RunInterrupted, match=r"0\.png is not the file it was"):
        run(unit)


def test_restoration_that_is_no_number_is_a_failed_row(photos, tmp_path):
    (row,) = worker(photos, tmp_path, Broken())(
        Unit(tasks=(task_of(photos, hrdis.HRDIS(steps=2)),))
    )
    assert (row["status"], row["finite"], row["picture"], row["psnr"]) == (
        "failed",
        False,
        None,
        None,
    )
    assert "NaN or infinite" in row["error"]


def test_interruption_is_no_failure(photos, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        worker(photos, tmp_path, Broken(KeyboardInterrupt()))(
            Unit(tasks=(task_of(photos, hrdis.HRDIS(steps=2)),))
        )


def test_rows_can_be_stored(photos, tmp_path):
    run = worker(photos, tmp_path)
    store = Store.open(tmp_path / "run")
    good, bad = (
        task_of(photos, hrdis.HRDIS(steps=2)),
        task_of(photos, hrdis.DDRM(steps=2), task="hdr"),
    )
    for unit in (Unit(tasks=(good,)), Unit(tasks=(bad,))):
        for row in run(unit):
            store.append(row)
    assert store.finished() == {good.key, bad.key}
    assert {r["status"] for r in store.rows()} == {"ok", "failed"}


# ---- course, time, memory
# -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 8])
def test_recorder_keeps_steps_from_the_first_to_the_last(count):
    problem = hrdis.measure(hrdis.operators.SuperResolution(4), torch.zeros(1, 3, SIZE, SIZE))
    solver = hrdis.HRDIS(steps=8)
    with StepRecorder(count, solver, PRIOR) as recorder:
        hrdis.solve(solver, PRIOR, problem, seeds=[0], on_step=recorder.record)
    times = solver.times(PRIOR.schedule)[:-1]
    assert len(recorder.times) == count and recorder.times[0] == times[0]
    assert count == 1 or recorder.times[-1] == times[-1]
    assert [name for name, _ in recorder.pictures[:2]] == ["000-answer", "000-state"]


class Halves(Prior):
    """White noise as latents, whose pictures are twice as large in value."""

    schedule, latent = PRIOR.schedule, True

    def pull(self, problem: hrdis.Problem) -> hrdis.Problem:
        return hrdis.Problem(problem.y / 2, problem.A)

    def picture(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        return 2 * x

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        return PRIOR(x_t, t)


def test_recorder_shows_the_states_of_a_latent_prior_as_pictures():
    """Its steps are pictures already; the state that its network sees is a latent."""
    prior, seen = Halves(), []
    prior.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].clone()))
    problem = hrdis.measure(hrdis.operators.SuperResolution(4), torch.zeros(1, 3, SIZE, SIZE))
    solver = hrdis.HRDIS(steps=4)
    with StepRecorder(1, solver, prior) as recorder:
        hrdis.solve(solver, prior, problem, seeds=[0], on_step=recorder.record)
    assert torch.equal(dict(recorder.pictures)["000-state"], 2 * seen[0])


def test_recorder_leaves_the_prior_as_it_was():
    prior = White()
    with StepRecorder(2, hrdis.HRDIS(steps=4), prior):
        assert prior._forward_pre_hooks
    assert not prior._forward_pre_hooks


def test_frames_change_nothing_of_the_result(photos, tmp_path):
    one = task_of(photos, hrdis.HRDIS(steps=4))
    (plain,) = worker(photos, tmp_path / "a")(Unit(tasks=(one,)))
    (filmed,) = worker(photos, tmp_path / "b")(Unit(tasks=(replace(one, frames=3),)))
    assert (plain["key"], plain["psnr"], plain["frames"]) == (filmed["key"], filmed["psnr"], [])
    assert len(filmed["frames"]) == 6
    assert all((tmp_path / "b" / "run" / name).is_file() for name in filmed["frames"])


def test_last_frame_is_the_answer(photos, tmp_path):
    (row,) = worker(photos, tmp_path)(
        Unit(tasks=(task_of(photos, hrdis.HRDIS(steps=4), frames=2),))
    )
    last = next(name for name in row["frames"] if name.endswith("001-answer.png"))
    assert torch.equal(
        images.load(tmp_path / "run" / last), images.load(tmp_path / "run" / row["picture"])
    )


def test_timed_work_is_warmed_up_and_times_a_bare_call(photos, tmp_path):
    run = worker(photos, tmp_path, timed=True)
    (row,) = run(Unit(tasks=(task_of(photos, hrdis.HRDIS(steps=6)),)))
    assert row["nfe"] == 6  # the rehearsal is not counted
    assert 0 < row["call_seconds"] < row["seconds"]
    assert (
        worker(photos, tmp_path / "b")(Unit(tasks=(task_of(photos, hrdis.HRDIS(steps=6)),)))[0][
            "call_seconds"
        ]
        is None
    )


@pytest.mark.parametrize(
    "solver", [cls() for cls, _ in hrdis.SOLVERS.values()], ids=lambda s: type(s).__name__
)
def test_solvers_say_whether_they_differentiate_the_network(solver):
    """What an estimate of time goes by."""

    class Spy(Prior):
        schedule = PRIOR.schedule
        asked = False

        def forward(self, x_t: Tensor, t: int) -> Prediction:
            Spy.asked |= x_t.requires_grad
            return PRIOR(x_t, t)

    A = (
        hrdis.operators.LowLight()
        if isinstance(solver, hrdis.BlindHRDIS)
        else hrdis.operators.SuperResolution(4)
    )
    problem = hrdis.measure(A, torch.zeros(1, 3, SIZE, SIZE))
    hrdis.solve(solver, Spy(), problem, seeds=[0], times=[500, 100, -1])
    assert Spy.asked == (solver.passes() > 0)


@pytest.mark.parametrize("backward", [False, True])
def test_timed_call_goes_back_through_the_network_if_asked(backward):
    asked = []

    class Spy(Prior):
        schedule = PRIOR.schedule

        def forward(self, x_t: Tensor, t: int) -> Prediction:
            asked.append(x_t.requires_grad)
            return Prediction(2 * x_t, x_t)

    assert time_call(Spy(), torch.zeros(1, 3, SIZE, SIZE), backward=backward, repeats=3) > 0
    assert asked == [backward] * 4


@pytest.mark.skipif(
    process_memory("VmHWM") is None, reason="only Linux tells the memory of a process"
)
def test_peak_memory_is_what_was_taken_for_a_while():
    for _ in range(2):  # the second time the memory is not new to the process
        with PeakMemory(torch.device("cpu"), host=True) as peak:
            torch.ones(64, 2**20, dtype=torch.uint8)
        assert peak.allocated is None or 60 * 2**20 <= peak.allocated <= 90 * 2**20


def test_work_travels(photos):
    work = WorkerSpec("default", "bf16", "cpu", {"a": "b"})
    assert pickle.loads(pickle.dumps(work)) == work
