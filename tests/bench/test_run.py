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
from hrdis.bench.paper.figures import FIGURES
from hrdis.bench.paper.tables import TABLES
from hrdis.bench.plan.expand import expand, model_cell, wanted
from hrdis.bench.plan.memory import Peak, resident
from hrdis.bench.plan.methods import Feasible, Network, Options
from hrdis.bench.plan.pictures import find, prepare
from hrdis.bench.plan.problems import Poser
from hrdis.bench.plan.recorder import Film
from hrdis.bench.plan.restore_unit import Work, Worker, eight_bits, scores, time_call
from hrdis.bench.records import Cell, Unit, settings_of
from hrdis.bench.run.store import Store, comparable
from hrdis.operators.nonlinear_blur import BKSE
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


def cell(photos: Path, solver: hrdis.Solver, i: int = 0, **changes: object) -> Cell:
    """A cell of a small picture."""
    picture = find(photos)[i]
    name = next(n for n, (cls, _) in hrdis.SOLVERS.items() if cls is type(solver))
    base = Cell(
        image=picture.name, image_sha256=picture.sha256, index=picture.index, size=SIZE, crop=0,
        task="sr4",
        noise="none", solver=name, preset=None, settings=settings_of(solver), prior="toy",
        prior_sha256="0" * 64,
        precision="fp32", seed=0,
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def worker(photos: Path, tmp_path: Path, prior: Prior = PRIOR, **changes: object) -> Worker:
    files = {p.sha256: str(p.path) for p in find(photos)}
    work = replace(Work("toy", "fp32", "cpu", files), **changes)  # type: ignore[arg-type]
    return Worker(work, Store.create(tmp_path / "run", {}), prior, Poser())


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
    one = cell(photos, solver, noise=noise)
    (row,) = run(Unit(cells=(one,)))
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
    (row,) = worker(photos, tmp_path)(Unit(cells=(cell(photos, hrdis.HRDIS(steps=4)),)))
    x, truth = (images.load(tmp_path / "run" / row[name]) for name in ("picture", "truth"))
    assert row["psnr"] == pytest.approx(float(metrics.psnr(x, truth)), abs=1e-9)
    assert row["ssim"] == pytest.approx(float(metrics.ssim(x, truth)), abs=1e-9)


def test_what_is_scored_lies_on_the_levels_of_a_file():
    x = torch.linspace(-1.2, 1.2, 48).reshape(1, 3, 4, 4)
    found = (eight_bits(x).double() + 1) / 2 * 255
    assert float((found - found.round()).abs().max()) < 1e-4
    assert (float(found.min()), float(found.max())) == (0, 255)


def test_given_picture_is_the_measurement(photos, tmp_path):
    (row,) = worker(photos, tmp_path)(Unit(cells=(cell(photos, hrdis.HRDIS(steps=2)),)))
    assert images.read(tmp_path / "run" / row["measurement"]).size == (4, 4)


def test_all_solvers_and_seeds_face_the_same_measurement(photos):
    truth = hrdis.bench.plan.pictures.prepare(find(photos)[0].path, SIZE, 0)
    posed = [
        Poser().pose([cell(photos, solver, task="inpaint", noise="gaussian0.05", seed=seed)], truth)
        for solver in (hrdis.HRDIS(), hrdis.DDRM())
        for seed in (0, 5)
    ]
    assert all(torch.equal(p.y, posed[0].y) for p in posed)


def test_seeds_give_other_samples(photos, tmp_path):
    run, one = worker(photos, tmp_path), cell(photos, hrdis.HRDIS(steps=4))
    rows = [run(Unit(cells=(replace(one, seed=seed),)))[0] for seed in (0, 1)]
    x, z = (images.load(tmp_path / "run" / row["picture"]) for row in rows)
    assert not torch.equal(x, z)


@pytest.mark.parametrize("task", ["sr4", "inpaint", "cs25"])
def test_batch_gives_the_rows_of_single_pictures(photos, tmp_path, task):
    side = {"cs25": 32}.get(task, SIZE)
    prior = hrdis.priors.Gaussian(torch.zeros(3, side, side), 0.25)
    solver, run = hrdis.HRDIS(steps=4), worker(photos, tmp_path, prior)
    cells = [cell(photos, solver, i, task=task, size=side, noise="gaussian0.05") for i in range(3)]
    together, alone = run(Unit(cells=tuple(cells))), [run(Unit(cells=(c,)))[0] for c in cells]
    for a, b in zip(together, alone, strict=True):
        assert (a["key"], a["psnr"]) == (
            b["key"],
            pytest.approx(b["psnr"], abs=1e-3),
        )  # sums in another order
    assert len({row["psnr"] for row in together}) == 3


def test_same_unit_gives_the_same_rows(photos, tmp_path):
    unit = Unit(cells=(cell(photos, hrdis.DDRM(steps=4)),))
    one, two = (worker(photos, tmp_path / name)(unit) for name in "ab")
    assert [comparable(row) for row in one] == [comparable(row) for row in two]


def test_masks_go_by_the_place_of_a_picture(photos):
    truth = torch.zeros(1, 3, 64, 64)
    one = cell(photos, hrdis.HRDIS(), task="inpaint")
    masks = [Poser().pose([replace(one, index=i)], truth).A.mask for i in (0, 1, 0)]
    assert torch.equal(masks[0], masks[2])
    assert not torch.equal(masks[0], masks[1])


def test_operators_without_random_parts_are_built_once(photos, monkeypatch):
    poser, truth, built = Poser(), torch.zeros(1, 3, 32, 32), []
    task = hrdis.TASKS["cs25"]
    counted = replace(task, build=lambda *at: built.append(at) or task.build(*at))
    monkeypatch.setitem(poser.tasks, "cs25", counted)
    for i in (0, 1):
        for solver in (hrdis.HRDIS(), hrdis.DDRM()):
            poser.pose([cell(photos, solver, i, task="cs25", index=i)], truth)
    assert len(built) == 1


class White(Prior):
    """N(0, 1/4) in every pixel, of any size."""

    schedule = PRIOR.schedule

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        a, b = self.schedule.signal(t), self.schedule.noise(t)
        x0_hat = x_t * a * 0.25 / (0.25 * a**2 + b**2)
        return Prediction(x0_hat, (x_t - a * x0_hat) / b)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Every cell of every table and figure, shortened to a few steps, on one photograph of the
    package.
    """
    pictures, prior, poser = find(limit=1), White(), Poser()
    tuned, options = hrdis.presets.embedded(), Options(crop=32)
    network = Network("white", "0" * 64, tuned, prior.schedule)
    truth = prepare(pictures[0].path, 256, 32)
    feasible = Feasible(truth, prior, poser, model_cell(options, network, pictures[0]))
    plan = expand(wanted(TABLES, FIGURES), pictures, options, network, feasible)
    store = Store.create(tmp_path_factory.mktemp("paper") / "run", plan.config)
    work = Work("white", "fp32", "cpu", {p.sha256: str(p.path) for p in pictures})
    run = Worker(work, store, prior, poser)
    rows = []
    short = {"steps": 3, "start": None, "grid": "uniform", "end": 0}
    for one in plan.cells:
        settings = one.settings | {
            name: value for name, value in short.items() if name in one.settings
        }
        rows += run(Unit(cells=(replace(one, settings=settings),)))
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
    blind = Poser().pose([cell(photos, solver, task="lowlight")], truth)
    told = Poser().pose([cell(photos, hrdis.GDP(), task="lowlight")], truth)
    assert (blind.A.f, told.A.f) == (None, 0.25)
    assert torch.equal(blind.y, told.y)


def test_blind_row_says_what_was_estimated(photos, tmp_path):
    (row,) = worker(photos, tmp_path)(
        Unit(cells=(cell(photos, hrdis.BlindHRDIS(steps=4), task="lowlight"),))
    )
    assert set(row["estimated"]) == {"f"}
    assert row["residual"] < 0.2  # of the estimated operator, not of one that leaves light as it is


def test_phase_retrieval_is_scored_as_found_and_aligned(photos):
    truth = hrdis.bench.plan.pictures.prepare(find(photos)[2].path, SIZE, 0)
    problem = Poser().pose([cell(photos, hrdis.HRDIS(), task="phase")], truth)
    found = scores(eight_bits(-truth.flip(-1, -2)), truth, problem)
    assert found["psnr"] < 20 < 45 < found["psnr_aligned"]
    assert found["ssim"] < 0.9 < found["ssim_aligned"]


def test_only_phase_retrieval_is_aligned(photos):
    truth = torch.zeros(1, 3, SIZE, SIZE)
    assert "psnr_aligned" not in scores(
        truth + 0.1, truth, Poser().pose([cell(photos, hrdis.HRDIS())], truth)
    )


def test_pictures_too_small_for_ssim_have_none():
    x = torch.zeros(1, 3, 8, 8)
    assert scores(x + 0.1, x, hrdis.Problem(x, hrdis.operators.HDR()))["ssim"] is None


def test_nonlinear_blur_has_a_latent_for_each_place(photos):
    with torch.device("meta"):
        empty = BKSE().state_dict()
    flat = {name: torch.zeros(v.shape) for name, v in empty.items()}
    flat["recon_trunk.28.bias"] = torch.full((3,), 0.1)
    poser, truth = Poser(flat), torch.zeros(1, 3, 128, 128)
    one = cell(photos, hrdis.HRDIS(), task="deblur-nonlinear")
    posed = [poser.pose([replace(one, index=i)], truth) for i in (0, 3)]
    assert [p.A.index for p in posed] == [0, 3]
    assert posed[0].A.network is posed[1].A.network  # read once
    assert float(posed[0].y.mean()) == pytest.approx(
        0.2, abs=1e-6
    )  # of these weights: x + 0.1 in [0, 1]


# ---- failures
# ----------------------------------------------------------------------------


def test_failure_is_a_row(photos, tmp_path):
    unit = Unit(cells=tuple(cell(photos, hrdis.HRDIS(steps=2), i) for i in (0, 1)))
    rows = worker(photos, tmp_path, Broken(RuntimeError("out of memory\nand more")))(unit)
    assert [(r["status"], r["error"], r["picture"]) for r in rows] == [
        ("failed", "RuntimeError: out of memory", None)
    ] * 2
    assert [r["key"] for r in rows] == [c.key for c in unit.cells]


def test_picture_that_vanished_is_a_row(photos, tmp_path):
    unit, run = Unit(cells=(cell(photos, hrdis.HRDIS(steps=2)),)), worker(photos, tmp_path)
    (photos / "0.png").unlink()
    (row,) = run(unit)
    assert row["status"] == "failed"
    assert "0.png does not exist" in row["error"]


def test_restoration_that_is_no_number_is_a_failed_row(photos, tmp_path):
    (row,) = worker(photos, tmp_path, Broken())(Unit(cells=(cell(photos, hrdis.HRDIS(steps=2)),)))
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
            Unit(cells=(cell(photos, hrdis.HRDIS(steps=2)),))
        )


def test_rows_can_be_stored(photos, tmp_path):
    run = worker(photos, tmp_path)
    store = Store.open(tmp_path / "run")
    good, bad = cell(photos, hrdis.HRDIS(steps=2)), cell(photos, hrdis.DDRM(steps=2), task="hdr")
    for unit in (Unit(cells=(good,)), Unit(cells=(bad,))):
        for row in run(unit):
            store.append(row)
    assert store.finished() == {good.key, bad.key}
    assert {r["status"] for r in store.rows()} == {"ok", "failed"}


# ---- course, time, memory
# -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 8])
def test_film_keeps_frames_from_the_first_step_to_the_last(count):
    problem = hrdis.measure(hrdis.operators.SuperResolution(4), torch.zeros(1, 3, SIZE, SIZE))
    solver = hrdis.HRDIS(steps=8)
    film = Film(count, solver, PRIOR)
    hrdis.solve(solver, film.prior, problem, seeds=[0], on_step=film.watch)
    times = solver.times(PRIOR.schedule)[:-1]
    assert len(film.times) == count and film.times[0] == times[0]
    assert count == 1 or film.times[-1] == times[-1]
    assert [name for name, _ in film.shots[:2]] == ["000-answer", "000-state"]


def test_frames_change_nothing_of_the_result(photos, tmp_path):
    one = cell(photos, hrdis.HRDIS(steps=4))
    (plain,) = worker(photos, tmp_path / "a")(Unit(cells=(one,)))
    (filmed,) = worker(photos, tmp_path / "b")(Unit(cells=(replace(one, frames=3),)))
    assert (plain["key"], plain["psnr"], plain["frames"]) == (filmed["key"], filmed["psnr"], [])
    assert len(filmed["frames"]) == 6
    assert all((tmp_path / "b" / "run" / name).is_file() for name in filmed["frames"])


def test_last_frame_is_the_answer(photos, tmp_path):
    (row,) = worker(photos, tmp_path)(Unit(cells=(cell(photos, hrdis.HRDIS(steps=4), frames=2),)))
    last = next(name for name in row["frames"] if name.endswith("001-answer.png"))
    assert torch.equal(
        images.load(tmp_path / "run" / last), images.load(tmp_path / "run" / row["picture"])
    )


def test_timed_work_is_warmed_up_and_times_a_bare_call(photos, tmp_path):
    run = worker(photos, tmp_path, timed=True)
    (row,) = run(Unit(cells=(cell(photos, hrdis.HRDIS(steps=6)),)))
    assert row["nfe"] == 6  # the rehearsal is not counted
    assert 0 < row["call_seconds"] < row["seconds"]
    assert (
        worker(photos, tmp_path / "b")(Unit(cells=(cell(photos, hrdis.HRDIS(steps=6)),)))[0][
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


@pytest.mark.skipif(resident("VmHWM") is None, reason="only Linux tells the memory of a process")
def test_peak_memory_is_what_was_taken_for_a_while():
    for _ in range(2):  # the second time the memory is not new to the process
        with Peak(torch.device("cpu"), host=True) as peak:
            torch.ones(64, 2**20, dtype=torch.uint8)
        assert peak.allocated is None or 60 * 2**20 <= peak.allocated <= 90 * 2**20


def test_work_travels(photos):
    work = Work("default", "bf16", "cpu", {"a": "b"})
    assert pickle.loads(pickle.dumps(work)) == work
