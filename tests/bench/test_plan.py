"""Tables and figures as data, cells and their names, and plans of one's own."""

import pickle
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

import pytest
import torch

import hrdis
from hrdis.bench.paper import FIGURES, TABLES, Column, Method, PaperTable
from hrdis.bench.plan import (
    DataPicture,
    FeasibilityCheck,
    Plan,
    PlanFile,
    PlanOptions,
    PriorIdentity,
    ProblemMaker,
    expand,
    model_task,
    paper_tables,
    read_plan,
    select_columns,
)
from hrdis.bench.plan.methods import choose_settings, preset_for, table_5
from hrdis.bench.plan.noises import parse_noise
from hrdis.bench.records import ADDED, FIELDS, LABELS, RunTask, settings_of, variant_of
from hrdis.presets import embedded

PRIOR = hrdis.priors.Gaussian(torch.zeros(3, 32, 32), 0.25)
IDENTITY = PriorIdentity("toy", "0" * 64, None, PRIOR.schedule)
PROBLEMS = ProblemMaker()
PICTURES = [DataPicture(f"{i}.png", Path(f"/nowhere/{i}.png"), f"{i:064}", i) for i in range(3)]


def plan(
    asked: list[PaperTable],
    options: PlanOptions | None = None,
    network: PriorIdentity = IDENTITY,
    pictures: list[DataPicture] = PICTURES,
) -> Plan:
    options = options or PlanOptions()
    model = model_task(options, network, pictures[0])
    check = FeasibilityCheck(torch.zeros(1, 3, 32, 32), PRIOR, PROBLEMS, model)
    return expand([(table, "") for table in asked], pictures, options, network, check.why_not)


def table(columns: list[Column], *methods: Method, **changes: object) -> PaperTable:
    return PaperTable("mine", "", tuple(columns), methods, **changes)  # type: ignore[arg-type]


def column(task: str, noise: str = "none", **changes: int) -> Column:
    return Column("", task, task, ("PSNR",), noise, **changes)


RUN_TASK = RunTask(
    image="a.png", image_sha256="1" * 64, index=0, size=256, crop=64, task="sr4", noise="none",
    solver="hrdis",
    preset="sr4", settings={"steps": 3}, prior="default", prior_sha256="2" * 64, precision="fp32",
    seed=0,
    group="HRDIS",
)  # fmt: skip
OTHER = {
    "image": "b.png", "image_sha256": "3" * 64, "index": 1, "size": 128, "crop": 0, "task": "sr2",
    "noise": "gaussian0.05", "solver": "reddiff", "preset": None, "settings": {"steps": 4},
    "prior": "/mine",
    "prior_sha256": "4" * 64, "precision": "bf16", "seed": 1, "operator_sha256": "5" * 64,
    "group": "RED-diff",
    "frames": 8, "mask_sha256": "6" * 64, "mask_number": 2, "measured_sha256": "7" * 64,
}  # fmt: skip


# ---- cells
# ----------------------------------------------------------------------------


def test_every_field_of_a_cell_is_tried_below():
    assert set(OTHER) == set(FIELDS)


@pytest.mark.parametrize("name", [n for n in OTHER if n not in LABELS])
def test_key_tells_what_the_result_depends_on(name):
    assert replace(RUN_TASK, **{name: OTHER[name]}).key != RUN_TASK.key


@pytest.mark.parametrize("name", LABELS)
def test_key_does_not_tell_labels(name):
    assert replace(RUN_TASK, **{name: OTHER[name]}).key == RUN_TASK.key


def test_key_does_not_depend_on_the_order_of_settings():
    ways = {"steps": 3, "beta": 0.2}, {"beta": 0.2, "steps": 3}
    assert len({replace(RUN_TASK, settings=s).key for s in ways}) == 1


def test_key_stays_what_it_is():
    """Folders of earlier versions are continued only if it does."""
    assert RUN_TASK.key == "2416d24c4b6cb33f"


def test_variant_is_the_method_on_the_task():
    same = replace(RUN_TASK, image="b.png", image_sha256="3" * 64, index=7, seed=9)
    assert same.variant == RUN_TASK.variant == variant_of(RUN_TASK.record())
    assert replace(RUN_TASK, task="sr2").variant != RUN_TASK.variant


@pytest.mark.parametrize("name", ADDED)
def test_variant_on_given_files_is_another_whichever_file_it_is(name):
    """Pictures of a run have files of their own; a run on drawn masks is another method."""
    given = replace(RUN_TASK, **{name: OTHER[name]})
    other = replace(RUN_TASK, **{name: 5 if name == "mask_number" else "8" * 64})
    assert given.variant == other.variant != RUN_TASK.variant


def test_measurement_depends_on_the_picture_alone():
    seeds = {
        replace(RUN_TASK, **{n: OTHER[n]}).draw_seed("measure")
        for n in OTHER
        if n != "image_sha256"
    }
    assert seeds == {RUN_TASK.draw_seed("measure")}
    assert replace(RUN_TASK, image_sha256="3" * 64).draw_seed("measure") not in seeds


def test_solver_draws_anew_for_every_picture_and_seed():
    seeds = [
        c.draw_seed()
        for c in (RUN_TASK, replace(RUN_TASK, seed=1), replace(RUN_TASK, image_sha256="3" * 64))
    ]
    assert len({*seeds, RUN_TASK.draw_seed("measure")}) == 4


def test_cell_gives_its_solver_back():
    solver = hrdis.HRDIS(steps=7, beta=0.5, init="smooth")
    assert replace(RUN_TASK, settings=settings_of(solver)).method() == solver


def test_units_travel():
    (unit, *_) = plan([table([column("sr4")], Method("HRDIS", "hrdis"))]).units
    assert pickle.loads(pickle.dumps(unit)) == unit
    assert pickle.loads(pickle.dumps(unit)).key == unit.key


# ---- the paper's tables
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "printed"),
    [
        (1, 108),
        (2, 54),
        (3, 36),
        (4, 18),
        (6, 40),
        (7, 12),
        (8, 24),
        (9, 64),
        (10, 48),
        (11, 18),
        (12, 9),
    ],
)
def test_table_has_as_many_numbers_as_the_paper_prints(number, printed):
    t = TABLES[number]
    assert sum(len(c.metrics) for c in t.columns) * len(t.methods) == printed


def test_table_5_is_what_the_paper_prints():
    paper = {
        "inpaint": (150, 1, 0.25, 0.1), "sr": (100, 1, 0.2, 0.5), "cs": (300, 1, 0.2, 0.5),
        "phase_retrieval": (500, 0.5, 0.25, 0.7), "hdr": (100, 1, 0.25, 0.1),
        "nonlinear_deblur": (100, 0.02, 0.25, 0.1),
    }  # fmt: skip
    names = ("N", "lambda1", "lambda2", "learning_rate")
    found = {(r["task"], r["parameter"]): r["value"] for r in table_5()}
    assert found == {
        (task, n): v for task, values in paper.items() for n, v in zip(names, values, strict=True)
    }


@pytest.mark.parametrize("one", [*TABLES.values(), *FIGURES.values()], ids=lambda t: t.name)
def test_every_method_of_a_table_has_settings_for_every_column(one):
    for c in one.columns:
        for m in one.methods:
            choose_settings(c, m, PlanOptions(), IDENTITY)


@pytest.mark.parametrize(("first", "second"), [(1, 9), (2, 10), (4, 11)])
def test_tables_of_the_same_runs_share_cells(first, second):
    alone = plan([TABLES[first]])
    assert {c.key for c in plan([TABLES[first], TABLES[second]]).tasks} == {
        c.key for c in alone.tasks
    }
    assert {c.key for c in plan([TABLES[second]]).tasks} <= {c.key for c in alone.tasks}


def test_denoising_regularization_is_red_diff():
    found = plan([TABLES[1], TABLES[8]])
    by_row = {
        (t["name"], e["row"], e["column"]): e.get("variant")
        for t in found.config["tables"]
        for e in t["entries"]
    }
    assert by_row["table 8", "DR", "sr_x4"] == by_row["table 1", "RED-diff", "sr_x4"]


def test_every_entry_of_a_table_is_a_variant_of_its_cells_or_says_why_not():
    found = plan(list(TABLES.values()))
    variants = {c.variant for c in found.tasks}
    entries = [e for t in found.config["tables"] for e in t["entries"]]
    assert {e["variant"] for e in entries if "variant" in e} == variants
    assert all(e.get("missing") or e["variant"] in variants for e in entries)


def test_phase_retrieval_runs_four_seeds_and_the_rest_one():
    found = plan([TABLES[4]])
    count = {task: {c.seed for c in found.tasks if c.task == task} for task in ("phase", "hdr")}
    assert count == {"phase": {0, 1, 2, 3}, "hdr": {0}}


def test_an_entry_says_how_many_seeds_are_its_own():
    """A cell that Figure 5 runs three times counts once in Table 1."""
    found = plan([TABLES[1], FIGURES[5]])
    entries = {
        (t["name"], e["row"], e["column"]): e for t in found.config["tables"] for e in t["entries"]
    }
    where = "HRDIS", "inpaint_freeform_20-30"
    assert entries["table 1", *where]["variant"] == entries["figure 5", *where]["variant"]
    assert [entries[t, *where]["seeds"] for t in ("table 1", "figure 5")] == [1, 3]


def test_figure_9_varies_beta_as_the_paper():
    found = plan([FIGURES[9]])
    assert {c.settings["beta"] for c in found.tasks} == {0, 0.1, 0.2, 0.5, 1}


@pytest.mark.parametrize("epsilon", [0.001, 0.005, 0.007, 0.01, 0.02, 0.05, 0.1])
@pytest.mark.parametrize("tuned", [None, embedded()], ids=["paper", "default"])
def test_figure_21_sets_the_distance_of_times(epsilon, tuned):
    (method,) = (m for m in FIGURES[21].methods if m.settings["epsilon"] == epsilon)
    _, solver = choose_settings(
        FIGURES[21].columns[0], method, PlanOptions(), replace(IDENTITY, presets=tuned)
    )
    times = solver.times(PRIOR.schedule)[:-1]
    distance = (times[0] - times[-1]) / (len(times) - 1) / len(PRIOR.schedule)
    assert distance == pytest.approx(epsilon, rel=0.05)  # times are whole numbers


def test_figure_17_keeps_frames_and_shares_its_cells():
    found = plan([TABLES[1], FIGURES[17]])
    frames = {c.frames for c in found.tasks if c.solver in ("hrdis", "dds") and c.task == "sr4"}
    assert frames == {8}
    assert {c.key for c in found.tasks} == {c.key for c in plan([TABLES[1]]).tasks}


def test_table_3_is_timed_and_takes_no_batches():
    assert plan([TABLES[3]]).config["timed"]
    with pytest.raises(
        ValueError,
        match=r"Table 3 times one picture at a time, but the batch is 2\. Use --batch 1\.",
    ):
        plan([TABLES[3]], PlanOptions(batch=2))


def test_columns_of_other_data_sets_are_left_out():
    kept = select_columns(TABLES[6], (), (), "ffhq")
    assert {c.dataset for c in kept.columns} == {"FFHQ-256-1k"}
    assert len(kept.columns) == 2


def test_tasks_and_solvers_are_chosen_by_either_name():
    kept = select_columns(TABLES[1], ("sr_x4", "cs25"), ("hrdis", "RED-diff"), "")
    assert [c.task for c in kept.columns] == ["sr4", "cs25"]
    assert [m.label for m in kept.methods] == ["RED-diff", "HRDIS"]


def test_numbers_give_tables_with_what_the_paper_leaves_open():
    assert [t.name for t, _ in paper_tables([6], [5])] == ["table 6", "figure 5"]
    assert all("not stated" in note for _, note in paper_tables([6], [5]))


# ---- presets, noise ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("presets", "tuned", "key"),
    [
        ("auto", embedded(), "sr4@default"),
        ("auto", None, "sr4"),
        ("paper", embedded(), "sr4"),
        ("paper", None, "sr4"),
        ("default", None, "sr4@default"),
    ],
)
def test_presets_are_those_asked_for(presets, tuned, key):
    options, network = PlanOptions(presets=presets), replace(IDENTITY, presets=tuned)
    found, solver = choose_settings(column("sr4"), Method("HRDIS", "hrdis"), options, network)
    assert found == key
    assert solver == (hrdis.HRDIS.paper | embedded().of(hrdis.HRDIS))[key]


def test_method_takes_a_row_of_the_embedded_prior_by_its_name():
    method = Method("HRDIS", "hrdis", {}, "sr4-noise05@default")
    key, solver = choose_settings(column("sr4"), method, PlanOptions(), IDENTITY)
    assert key == "sr4-noise05@default"
    assert solver == embedded().of(hrdis.HRDIS)[key]


def test_settings_of_a_method_replace_those_of_the_preset():
    key, solver = choose_settings(
        column("sr4"), Method("", "hrdis", {"beta": 0.5}), PlanOptions(), IDENTITY
    )
    assert (key, solver) == ("sr4", replace(hrdis.SOLVERS["hrdis"][1]["sr4"], beta=0.5))


@pytest.mark.parametrize(
    ("noise", "sigma_y", "key"),
    [
        ("none", None, "inpaint"),
        ("gaussian0.05", 0.1, "inpaint-noise05"),
        ("gaussian0.1", 0.2, "inpaint-noise10"),
        ("poisson1.0", hrdis.noise.Poisson(1.0).sigma_y, "inpaint-poisson"),
        ("speckle0.1", 0.1, "inpaint-speckle"),
    ],
)
def test_noise_by_name(noise, sigma_y, key):
    model = parse_noise(noise)
    assert (None if model is None else model.sigma_y) == sigma_y
    assert preset_for("hrdis", "inpaint", noise, None)[0] == key


@pytest.mark.parametrize("name", ["gauss0.1", "gaussian", "0.05", "gaussian-1", "poisson0", ""])
def test_noise_is_refused(name):
    with pytest.raises(ValueError, match="expected"):
        parse_noise(name)


# ---- what cannot be run
# ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "noise", "solver", "reason"),
    [
        (
            "deblur-nonlinear",
            "none",
            "hrdis",
            "no weights of the nonlinear blur were given: --bkse",
        ),
        ("hdr", "none", "ddrm", "DDRM needs an SVDOperator"),
        ("sr4", "gaussian0.05", "ddnm", "DDNM is for noiseless measurements"),
        ("cs25", "poisson1.0", "hrdis", "CompressedSensing measures no picture"),
    ],
)
def test_what_cannot_be_run_is_left_out_with_its_reason(task, noise, solver, reason):
    found = plan([table([column(task, noise), column("sr2")], Method("row", solver))])
    (missing,) = found.config["missing"]
    assert missing["reason"].startswith(reason)
    assert (missing["table"], missing["row"], missing["column"]) == ("mine", "row", task)
    assert {c.task for c in found.tasks} == ({"sr2"})


def test_picture_of_a_side_that_does_not_divide_is_left_out():
    options, method = PlanOptions(), Method("", "hrdis")
    check = FeasibilityCheck(
        torch.zeros(1, 3, 30, 30), PRIOR, PROBLEMS, model_task(options, IDENTITY, PICTURES[0])
    )
    assert "multiple" in check.why_not(
        column("sr4"), method, hrdis.HRDIS()
    ) or "divi" in check.why_not(column("sr4"), method, hrdis.HRDIS())


# ---- units
# ----------------------------------------------------------------------------


def test_units_hold_pictures_of_one_method_and_every_cell_once():
    found = plan(
        [table([column("sr4"), column("sr2")], Method("a", "hrdis"))], PlanOptions(batch=2, seeds=2)
    )
    assert [len(u.tasks) for u in found.units] == [2, 2, 2, 2, 1, 1, 1, 1]
    assert all(len({(c.variant, c.seed) for c in u.tasks}) == 1 for u in found.units)
    assert len({c.key for c in found.tasks}) == len(found.tasks) == found.config["cells"] == 12


def test_motion_blurs_differ_and_are_not_batched():
    found = plan([table([column("deblur-motion")], Method("a", "hrdis"))], PlanOptions(batch=3))
    assert [len(u.tasks) for u in found.units] == [1, 1, 1]


def test_plan_is_a_function_of_what_was_asked():
    asked = [TABLES[1], FIGURES[9]]
    assert plan(asked).units == plan(asked).units
    assert plan(asked).config == plan(asked).config
    assert plan(asked).config != plan(asked, PlanOptions(presets="default")).config


# ---- a plan file
# ----------------------------------------------------------------------------


def read(tmp_path: Path, text: str) -> PlanFile:
    (tmp_path / "plan.yaml").write_text(dedent(text))
    return read_plan(tmp_path / "plan.yaml")


def test_plan_file_is_a_grid(tmp_path):
    said = read(
        tmp_path,
        """
        tasks: [sr4, hdr]
        noise: [none, gaussian0.05]
        solvers:
          - ddrm
          - {solver: hrdis, label: HRDIS, settings: {steps: 5, beta: [0, 0.2], lr: [0.1, 0.5]}}
        images: {folder: photos, limit: 3}
        seeds: 2
        """,
    )
    assert [(c.task, c.noise) for c in said.table.columns] == [
        ("sr4", "none"), ("sr4", "gaussian0.05"), ("hdr", "none"), ("hdr", "gaussian0.05"),
    ]  # fmt: skip
    assert [m.label for m in said.table.methods] == [
        "ddrm",
        *(f"HRDIS beta={b} lr={r}" for b in ("0", "0.2") for r in ("0.1", "0.5")),
    ]
    assert said.table.methods[2].settings == {"steps": 5, "beta": 0, "lr": 0.5}
    assert (said.folder, said.limit, said.options) == (tmp_path / "photos", 3, {"seeds": 2})


def test_plan_file_may_name_a_preset(tmp_path):
    said = read(tmp_path, "tasks: [hdr]\nsolvers: [{solver: hrdis, preset: sr4}]")
    key, solver = choose_settings(
        said.table.columns[0], said.table.methods[0], PlanOptions(), IDENTITY
    )
    assert (key, solver) == ("sr4", hrdis.SOLVERS["hrdis"][1]["sr4"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks: [sr4\n", r"is not YAML"),
        ("- sr4\n", r"holds no keys and values, which are expected"),
        ("tasks: [sr4]\n", r"has no solvers\."),
        ("solvers: [hrdis]\n", r"has no tasks\."),
        (
            "tasks: [sr4]\nsolvers: [hrdis]\nnosie: [none]\n",
            r"unknown key 'nosie'.*Did you mean 'noise'\?",
        ),
        ("tasks: [sr44]\nsolvers: [hrdis]\n", r"Unknown task 'sr44'.*Did you mean 'sr4'\?"),
        ("tasks: [sr4]\nsolvers: [hrdiss]\n", r"Unknown solver 'hrdiss'.*Did you mean 'hrdis'\?"),
        (
            "tasks: [sr4]\nsolvers: [{solver: hrdis, settings: {betta: 1}}]\n",
            r"unknown key 'betta'.*'beta'",
        ),
        (
            "tasks: [sr4]\nsolvers: [{solver: hrdis, setings: {}}]\n",
            r"unknown key 'setings'.*'settings'",
        ),
        (
            "tasks: [sr4]\nsolvers: [{solver: hrdis, settings: 3}]\n",
            r"settings of hrdis holds no keys and values",
        ),
        ("tasks: [sr4]\nsolvers: [hrdis, hrdis]\n", r"Two methods of .* are called 'hrdis'"),
        ("tasks: [sr4]\nsolvers: [hrdis]\nnoise: loud\n", r"Unknown noise 'loud'"),
        ("tasks: [sr4]\nsolvers: [hrdis]\nnoise: 3\n", r"Unknown noise '3'"),
        (
            "tasks: [sr4]\nsolvers: [hrdis]\ncrop: foo\n",
            r"^In .*plan.yaml: crop is 'foo', but input should be",
        ),
        ("tasks: [sr4]\nsolvers: [hrdis]\nseeds: 0\n", r"seeds is 0"),
        ("tasks: [sr4]\nsolvers: [hrdis]\npresets: papers\n", r"presets is 'papers'"),
        ("tasks: [sr4]\nsolvers: [hrdis]\nimages: {limit: many}\n", r"limit in .* is 'many'"),
        ("tasks: [sr4]\nsolvers: [hrdis]\nimages: {path: x}\n", r"unknown key 'path'"),
        ("tasks: [sr4]\nsolvers: [hrdis]\nmetrics: [PNSR]\n", r"Unknown metric 'PNSR'.*'PSNR'"),
    ],
)
def test_plan_file_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": 2}, r"beta is 2"),
        ({"epsilon": 0}, r"epsilon is 0"),
        ({"nothing": 1}, r"no setting 'nothing'"),
    ],
)
def test_settings_out_of_bounds_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        choose_settings(column("sr4"), Method("", "hrdis", settings), PlanOptions(), IDENTITY)


def test_preset_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"hrdis has no preset 'sr5'"):
        choose_settings(column("sr4"), Method("", "hrdis", {}, "sr5"), PlanOptions(), IDENTITY)


LAUGHS = "a: &a [1, 2]\n" + "".join(
    f"{to}: &{to} [*{of}, *{of}]\n" for of, to in pairwise("abcdefghijklmnopqrstuvwxyz")
)
BOMBS = {
    "deep": ("[" * 30_000, "is not YAML"),
    "deep blocks": ("- " * 30_000, "is not YAML"),
    "aliases of aliases": (f"{LAUGHS}tasks: *z\n", "is not YAML"),
    "merged aliases": (LAUGHS.replace("[", "{<<: [").replace("]", "]}"), "is not YAML"),
    "long": ("#" * 2_000_000, "has 2000000 bytes"),
    "many": (
        "a: &a [" + "1," * 9_000 + "1]\ntasks: [" + "*a," * 9 + "1]",
        "holds more than 50000 values",
    ),
    "grid": (
        "tasks: [sr4]\nsolvers: [{solver: hrdis, settings: {"
        + ", ".join(
            f"{name}: [{', '.join('1' * 99)}]" for name in ("steps", "beta", "lr", "lr_decay")
        )
        + "}}]",
        "no setting|In settings|are a grid of",
    ),
    "columns": (
        f"tasks: [{', '.join(['sr4'] * 200)}]\nnoise: [{', '.join(['none'] * 200)}]\n"
        "solvers: [ddrm]",
        "has 200 tasks and 200 noise levels",
    ),
    "entries": (
        f"tasks: [{', '.join(['sr4'] * 99)}]\nsolvers: [{{solver: ddrm, settings: "
        f"{{eta: [{', '.join(str(i / 400) for i in range(400))}]}}}}]",
        "has 400 methods and 99 pairs of a task and a noise level",
    ),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", BOMBS)
def test_small_file_that_stands_for_much_is_refused_at_once(tmp_path, name):
    text, message = BOMBS[name]
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


@pytest.mark.timeout(20)
def test_more_restorations_than_anybody_waits_for_are_refused_at_once():
    """They were listed one by one before a word was said, 240 000 in 13 s."""
    asked = table(
        [column("sr4"), column("sr2")],
        *(Method(f"{i}", "ddrm", {"steps": i + 1}) for i in range(7)),
    )
    with pytest.raises(ValueError, match=r"are 420000 restorations\. At most 400000 are expected"):
        plan([asked], PlanOptions(seeds=10_000))


def test_aliases_within_reason_are_taken(tmp_path):
    said = read(tmp_path, "tasks: &t [sr4, sr2]\nsolvers: [ddrm]\nnoise: [none]\n")
    again = read(tmp_path, "solvers: [ddrm]\nnoise: [none]\ntasks: [&a sr4, sr2]\ntitle: *a\n")
    assert said.table.columns == again.table.columns


def test_example_is_a_plan():
    said = read_plan(Path(__file__).parents[2] / "examples" / "plan.yaml")
    assert len(said.table.methods) == 4
