"""The choice of settings that fit, the settings between two rows, and the file of the rows."""

import csv
import math
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

import hrdis
from hrdis.presets import (
    Auto,
    Presets,
    Row,
    choose,
    choose_auto,
    embedded,
    interpolate,
    read,
    write,
)
from hrdis.solvers import SOLVERS

RECORD = Path(__file__).parent / "data" / "choices.csv"


def row(family, steps, noise=0.0, kind="gaussian", solver="hrdis"):
    return Row(solver, family, {"steps": steps}, noise, kind)


@pytest.fixture
def paper(monkeypatch):
    """Rows of a paper that say their own name by their number of steps."""
    keys = ["a", "b", "a-noise05", "a-noise10", "c-noise05", "a-noise01", "a-poisson"]
    made = {key: hrdis.HRDIS(steps=k + 1) for k, key in enumerate(keys)}
    monkeypatch.setattr(hrdis.HRDIS, "paper", made)
    return made


TUNED = Presets(
    "p",
    (
        row("a", 100),
        row("b", 200),
        row("b", 50, 0.05),
        row("b", 20, 0.1),
        row("d", 10, 0.02),
        row("e", 30),
        row("e", 70, 0.05, "poisson"),
        row("f", 90, solver="ddrm"),
    ),
)


# ---- the choice ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("families", "noise", "chosen"),
    [
        (["a", "b"], 0.0, "a"),  # the most specific family first
        (["x", "b"], 0.0, "b"),
        (["a"], 0.004, "a"),  # so little noise is no reason to doubt the measurement
        (["a"], 0.01, "a-noise01"),
        (["a"], 0.02, "a-noise01"),  # the nearest by ratio, never interpolated
        (["a"], 0.03, "a-noise05"),
        (["a"], 0.1, "a-noise10"),
        (["a"], 9.0, "a-noise10"),
        (["c"], 0.01, "c-noise05"),  # but better than none
        (["c", "b"], 0.0, "b"),
    ],
)
def test_row_of_the_paper_is_chosen_without_rows_of_the_prior(paper, families, noise, chosen):
    choice = choose(hrdis.HRDIS, families, noise)
    assert (choice.source, choice.row, choice.settings) == ("paper", chosen, paper[chosen])


def test_kind_of_the_noise_goes_before_its_level(paper):
    assert choose(hrdis.HRDIS, ["a"], 0.05, "poisson").row == "a-poisson"
    assert choose(hrdis.HRDIS, ["a"], 0.05, "speckle").row == "a-noise05"
    assert choose(hrdis.HRDIS, ["e"], 0.01, "poisson", TUNED).row == "e-poisson@p"
    assert choose(hrdis.HRDIS, ["e"], 0.01, "speckle", TUNED).row == "e@p"
    assert choose(hrdis.HRDIS, ["e"], 0.0, "poisson", TUNED).row == "e@p"


@pytest.mark.parametrize(
    ("families", "noise", "chosen", "steps"),
    [
        (["b", "a"], 0.0, "b@p", 200),  # the prior's rows before the paper's
        (["c", "a"], 0.0, "a@p", 100),  # also those of a less specific family
        (["b"], 0.004, "b@p", 200),
        (["b"], 0.05, "b-noise05@p", 50),
        (["b"], 0.1, "b-noise10@p", 20),
        (["b"], 0.3, "b-noise10@p", 20),  # outside of the levels the nearest
        (["a"], 0.1, "a@p", 100),
        (["d"], 1e-6, "d-noise02@p", 10),
    ],
)
def test_row_of_the_prior_is_chosen(paper, families, noise, chosen, steps):
    choice = choose(hrdis.HRDIS, families, noise, tuned=TUNED)
    assert (choice.source, choice.row, choice.settings.steps) == ("prior", chosen, steps)


@pytest.mark.parametrize(
    ("families", "row", "source"),
    [(["d"], "", "defaults"), (["c", "b"], "b@p", "prior"), (["f"], "", "defaults")],
)
def test_rows_for_noise_and_rows_of_other_solvers_are_left_aside(paper, families, row, source):
    choice = choose(hrdis.HRDIS, families, 0.0, tuned=TUNED)
    assert (choice.row, choice.source) == (row, source)
    assert source == "prior" or choice.settings == hrdis.HRDIS()


@pytest.mark.parametrize(
    ("families", "noise", "tuned", "why"),
    [
        (["b"], 0.05, TUNED, "Settings searched for the prior 'p', b with noise 0.05."),
        (["b"], 0.3, TUNED, "from the nearest level of noise searched, 0.1."),
        (["b"], 0.02, TUNED, "interpolated between noise 0 and 0.05."),
        (["c"], 0.05, TUNED, "settings for c-noise05: the prior 'p' has none of HRDIS for c."),
        (["a"], 0.0, None, "The paper's settings for a: the prior has no settings of its own."),
        (["x", "y"], 0.0, None, "and the paper has none for x or y."),
    ],
)
def test_choice_says_why(paper, families, noise, tuned, why):
    said = choose(hrdis.HRDIS, families, noise, tuned=tuned).why
    assert why in said
    assert said.endswith(".") and "\n" not in said


@pytest.mark.parametrize("noise", [-0.1, math.nan, math.inf])
def test_noise_that_is_no_level_is_refused(noise):
    with pytest.raises(ValueError, match=r"^noise is .*\. A standard deviation, 0 or more, is exp"):
        choose(hrdis.HRDIS, ["sr4"], noise)


def record():
    with RECORD.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("solver", sorted({line["solver"] for line in record()}))
def test_levels_that_were_searched_get_the_rows_of_hrdis_0_1(solver):
    """Recorded before rows were interpolated, for every task's families: a move of settings between
    files changes no result. Levels between two rows of the prior are interpolated now.
    """
    rows = [line for line in record() if line["solver"] == solver]
    assert len(rows) == 30  # as many as tasks have families
    for line in rows:
        for source, tuned in (("paper", None), ("default", embedded())):
            for noise in (0.0, 0.01, 0.05, 0.1):
                families = line["families"].split("/")
                found = choose(SOLVERS[solver][0], families, noise, tuned=tuned).row
                if noise == 0.01 and ".." in found:
                    found = found.split("..")[0]  # 0.1 took the nearest of the two: without noise
                assert found == line[f"{source} {noise}"], (families, source, noise)


# ---- between two levels -------------------------------------------------------------------------


def test_settings_between_two_levels_are_interpolated_on_their_logarithm():
    low = Row("hrdis", "a", {"lr": 1.0, "lambda_obs": 1.0, "steps": 100, "beta": 0.0}, 0.01)
    high = Row("hrdis", "a", {"lr": 0.25, "lambda_obs": 0.01, "steps": 25, "beta": 0.5}, 0.04)
    choice = choose(hrdis.HRDIS, ["a"], 0.02, tuned=Presets("p", (high, low)))
    assert choice.row == "a-noise01@p..a-noise04@p"
    found = choice.settings
    # halfway between 0.01 and 0.04 by ratio; 1e-12: rounding of exp and log
    assert found.lr == pytest.approx(0.5, rel=1e-12)
    assert found.lambda_obs == pytest.approx(0.1, rel=1e-12)
    assert found.steps == 50
    assert found.beta == pytest.approx(0.25, rel=1e-12)  # zero has no logarithm


def test_row_without_noise_stands_at_one_grey_value():
    rows = (row("a", 100), row("a", 400, 0.064))
    choice = choose(hrdis.HRDIS, ["a"], 0.016, tuned=Presets("p", rows))
    assert choice.settings.steps == 200  # 0.016 is halfway between 0.004 and 0.064


@pytest.mark.parametrize(("share", "side"), [(0.3, 0), (0.7, 1)])
def test_texts_switches_and_none_come_from_the_nearer_level(share, side):
    ends = (
        hrdis.HRDIS(init="pinv", first_update=True, start=None, adam_eps=None),
        hrdis.HRDIS(init="smooth", first_update=False, start=200, adam_eps=1.0),
    )
    found = interpolate(*ends, share)
    for name in ("init", "first_update", "start", "adam_eps"):
        assert getattr(found, name) == getattr(ends[side], name)


@pytest.mark.parametrize("solver", SOLVERS)
def test_interpolated_settings_lie_between_their_rows(solver):
    cls = SOLVERS[solver][0]
    for family in {entry.family for entry in embedded().rows if entry.solver == solver}:
        ends = [choose(cls, [family], level, tuned=embedded()).settings for level in (0.004, 0.05)]
        found = choose(cls, [family], 0.02, tuned=embedded()).settings
        for setting in fields(cls):
            a, b = (getattr(end, setting.name) for end in ends)
            value = getattr(found, setting.name)
            assert value in (a, b) or min(a, b) <= value <= max(a, b)


def test_solver_by_name_interpolates_and_the_result_says_so():
    prior = hrdis.priors.Gaussian(torch.zeros(3, 8, 8), 0.1)
    prior.presets = Presets("mine", (row("sr4", 2), row("sr4", 8, 0.064)))
    A = hrdis.operators.SuperResolution(scale=4)
    problem = hrdis.Problem(torch.zeros(1, 3, 2, 2), A, sigma_y=2 * 0.016)
    result = hrdis.solve("hrdis", prior, problem, seeds=[0])
    assert (result.nfe, result.choice.row) == (4, "sr4@mine..sr4-noise6.4@mine")
    assert result.choice.settings == result.solver
    assert hrdis.solve(result.solver, prior, problem, seeds=[0]).choice is None


# ---- the solver auto ----------------------------------------------------------------------------

CALLS = {"low": 5, "normal": 20}
COMPARED = Presets(
    "p",
    (Row("fire", "a", {"start": 100}, 0.05), Row("fire", "a", {"start": 400}, 0.2), row("s", 100)),
    autos=(
        Auto("a", "ddnm", CALLS, lead={"low": 1.24}),
        Auto("a", "ddrm", {"high": 100}, settings={"eta": 0.5}),
        Auto("a", "fire", CALLS, 0.05),
        Auto("a", "diffpir", CALLS, 0.2),
        Auto("m", "fire", {"normal": 1}, 0.1, {"own_noise": "noise"}, "overrelaxed"),
        Auto("q", "ddnm", CALLS),
    ),
)


@pytest.mark.parametrize(
    ("families", "noise", "effort", "solver", "steps"),
    [
        (["a"], 0.0, "low", hrdis.DDNM, 5),
        (["x", "a"], 0.0, "normal", hrdis.DDNM, 20),  # the first family that was compared
        (["a"], 0.0, "high", hrdis.DDRM, 100),
        (["a"], 0.02, "normal", hrdis.FIRE, 20),
        (["a"], 0.09, "normal", hrdis.FIRE, 20),  # nearest by ratio: 0.1 is halfway to 0.2
        (["a"], 0.11, "normal", hrdis.DiffPIR, 20),
        (["a"], 0.9, "normal", hrdis.DiffPIR, 20),
        (["m"], 0.0, "normal", hrdis.HRDIS, 100),  # compared with noise only
        (["q"], 0.1, "normal", hrdis.HRDIS, 100),  # compared without noise only
        (["x"], 0.0, "low", hrdis.HRDIS, 100),
        (["s", "a"], 0.0, "low", hrdis.HRDIS, 100),  # searched itself, but not compared
    ],
)
def test_auto_is_the_solver_of_the_row(families, noise, effort, solver, steps):
    choice = choose_auto(families, noise, effort, tuned=COMPARED)
    assert (type(choice.settings), choice.settings.steps) == (solver, steps)
    assert choice.effort == effort
    assert choice.why.endswith(".") and "\n" not in choice.why
    assert solver.name in choice.why.lower()


def test_settings_of_auto_fit_the_noise_between_rows():
    settings = choose_auto(["a"], 0.09, tuned=COMPARED).settings
    assert settings.start == 180  # its rows grow with the noise, from 100 at 0.05 to 400 at 0.2
    assert choose_auto(["a"], 0.0, "high", tuned=COMPARED).settings.eta == 0.5


def test_row_may_ask_for_the_level_of_the_noise():
    settings = choose_auto(["m"], 0.07, tuned=COMPARED).settings
    assert settings == hrdis.FIRE(steps=1, own_noise=0.07)


@pytest.mark.parametrize(
    ("noise", "solver"),
    [(0.0, hrdis.HRDIS), (0.0011, hrdis.FIRE), (0.004, hrdis.FIRE), (0.02, hrdis.DDNMPlus)],
)
def test_a_rounded_picture_has_a_row_of_its_own(noise, solver):
    rows = (Auto("b", "fire", {"normal": 10}, 0.0011), Auto("b", "ddnmplus", {"normal": 9}, 0.05))
    found = choose_auto(["b"], noise, tuned=Presets("p", (), autos=rows))
    assert type(found.settings) is solver


def test_rows_without_noise_answer_for_rounded_pictures_where_no_other_does():
    rows = (Auto("b", "cm4ir", {"normal": 10}), Auto("b", "fire", {"normal": 9}, 0.05))
    found = choose_auto(["b"], 0.0011, tuned=Presets("p", (), autos=rows))
    assert type(found.settings) is hrdis.CM4IR


def test_several_samples_come_from_the_sampler_where_the_best_is_a_mean():
    choice = choose_auto(["m"], 0.1, samples=4, tuned=COMPARED)
    assert type(choice.settings) is hrdis.OverRelaxed
    assert "overrelaxed draws the 4 samples" in choice.why
    assert type(choose_auto(["a"], samples=4, tuned=COMPARED).settings) is hrdis.DDNM


def test_auto_says_what_it_gains_over_hrdis_and_its_row():
    choice = choose_auto(["a"], effort="low", tuned=COMPARED)
    assert choice.row == "a-low@p"
    assert choice.why == (
        "DDNM with 5 network calls, the best measured for a at low effort: 1.2 dB above HRDIS with "
        "its preset."
    )


def test_auto_does_not_claim_to_have_compared_more_calls_than_it_takes():
    row = replace(COMPARED.autos[0], calls={"normal": 20, "high": 20})
    choice = choose_auto([row.family], row.noise, "high", tuned=replace(COMPARED, autos=(row,)))
    assert "more calls are not known to be better" in choice.why


@pytest.mark.parametrize("tuned", [None, TUNED])
def test_auto_is_hrdis_for_a_prior_that_nothing_was_compared_with(tuned):
    choice = choose_auto(["b"], tuned=tuned)
    plain = choose(hrdis.HRDIS, ["b"], tuned=tuned)
    assert (choice.settings, choice.row) == (plain.settings, plain.row)


def test_solvers_that_cannot_run_are_passed_over():
    found = choose_auto(["a"], tuned=COMPARED, able=lambda cls: cls is not hrdis.DDNM)
    assert type(found.settings) is hrdis.HRDIS


@pytest.mark.parametrize(
    ("effort", "noise", "message"),
    [
        ("much", 0.0, r"^effort is 'much'\. One of low, normal, high is expected"),
        ("low", -1.0, r"^noise is -1\.0\. A standard deviation"),
    ],
)
def test_auto_refuses_in_one_line(effort, noise, message):
    with pytest.raises(ValueError, match=message) as error:
        choose_auto(["a"], noise, effort, tuned=COMPARED)
    assert "\n" not in str(error.value)


def test_solve_takes_auto_and_the_result_says_so():
    prior = hrdis.priors.Gaussian(torch.zeros(3, 8, 8), 0.1)
    prior.presets = Presets("mine", (), autos=(Auto("sr4", "ddnm", {"normal": 3}),))
    problem = hrdis.Problem(torch.zeros(1, 3, 2, 2), hrdis.operators.SuperResolution(scale=4))
    result = hrdis.solve("auto", prior, problem, seeds=[0])
    assert (result.nfe, result.choice.row) == (3, "sr4-normal@mine")
    curved = hrdis.operators.Function(lambda x: x[..., ::4, ::4].tanh(), shape=(3, 8, 8))
    curved.families = ("sr4",)
    assert type(hrdis.solve("auto", prior, hrdis.Problem(problem.y, curved), seeds=[0]).solver) is (
        hrdis.HRDIS
    )


def test_rows_of_auto_of_the_embedded_prior_cover_every_effort_and_can_run():
    schedule = hrdis.load_prior("default").schedule
    for auto in embedded().autos:
        for effort in ("low", "normal", "high"):
            choice = choose_auto([auto.family], auto.noise, effort, tuned=embedded())
            assert choice.row == f"{auto.key}-{effort}@default"
            assert choice.settings.times(schedule)[-1] == -1


# ---- the file -----------------------------------------------------------------------------------


def test_file_is_read_as_it_was_written(tmp_path):
    entry = Row("hrdis", "sr4", {"lr": 5e-05, "init": "smooth", "first_update": True}, 0.05)
    other = Row("ddrm", "hdr", {"steps": 3}, 0.044281, "poisson", "first")
    search = {"name": "first", "command": 'hrdis tune "a b" -o x', "trials": 3, "hours": 0.5}
    auto = Auto("sr4", "fire", {"low": 1}, 0.1, {"own_noise": "noise"}, "ddrm", {"low": 0.5})
    presets = Presets("mine", (entry, other), (search,), (auto,))
    write(tmp_path / "presets.toml", presets)
    assert read(tmp_path / "presets.toml") == presets
    assert [path.name for path in tmp_path.iterdir()] == ["presets.toml"]


@pytest.mark.parametrize(
    "name", ["a b", "", "a.b", 'a"b', "\N{GREEK SMALL LETTER ALPHA}", "a\x7f\n"]
)
def test_names_and_texts_of_any_characters_are_written_and_read(tmp_path, name):
    presets = Presets(name or "mine", (), ({"name": "first", name: f"of {name}"},))
    write(tmp_path / "presets.toml", presets)
    assert read(tmp_path / "presets.toml") == presets


def test_settings_that_are_left_out_are_the_defaults(tmp_path):
    write(tmp_path / "presets.toml", Presets("mine", (row("sr4", 7),)))
    assert read(tmp_path / "presets.toml").of(hrdis.HRDIS) == {"sr4@mine": hrdis.HRDIS(steps=7)}


AUTO = '[[auto]]\nfamily = "sr4"\nsolver = "ddnm"\ncalls = { low = 5 }\n'
TOP = 'format = 1\nprior = "mine"\n'
ROW = '[[preset]]\nsolver = "hrdis"\nfamily = "sr4"\nsettings = { steps = 7 }\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("format = ", r"is not TOML: .*`hrdis tune`"),
        ("\udcff", r"is not TOML"),
        ("a = " + "[" * 20_000, r"is not TOML: maximum recursion depth"),
        ('prior = "mine"', r"format is None; 1 is expected"),
        ('format = 2\nprior = "mine"', r"format is 2; 1 is expected"),
        ("format = 1", r"prior is None; the name of a prior is expected"),
        (TOP + "presets = 3", r"top level: presets is unknown; one of auto, format, preset, prior"),
        (TOP + "preset = 3", r"preset is 3; a list of tables"),
        (TOP + "preset = [3]", r"row 1: 3 is not a table"),
        (TOP + "[[search]]", r"search 1 has no name"),
        (TOP + ROW + 'efort = "low"', r"row 1 \(hrdis, sr4\): efort is unknown; one of family"),
        (TOP + ROW + ROW, r"row 2 \(hrdis, sr4\): a row before it has the same solver"),
        (TOP + ROW + "noise = -0.1", r"row 1 \(hrdis, sr4\): noise is -0\.1; a level"),
        (TOP + ROW + "noise = true", r"noise is True; a level for images in \[0, 1\] is expected"),
        (TOP + ROW + 'kind = "salt"', r"kind is 'salt'; one of gaussian, poisson, speckle"),
        (TOP + ROW + 'search = "x"', r"search is 'x'; one of none is expected"),
        (TOP + ROW.replace('"hrdis"', '"a\\nb"'), r"row 1 \(a b, sr4\): no solver"),
        (TOP + ROW.replace('"hrdis"', '"hrdiss"'), r"no solver 'hrdiss'\. One of hrdis"),
        (TOP + ROW.replace('"hrdis"', "3"), r"row 1: solver is 3; the name of a solver"),
        (
            TOP + ROW.replace("steps", "stpes"),
            r"row 1 \(hrdis, sr4\): HRDIS has no setting 'stpes'",
        ),
        (TOP + ROW.replace("7", "0"), r"HRDIS: steps is 0, but input should be greater"),
        (TOP + ROW.replace("7", '"many"'), r"HRDIS: steps is 'many'"),
        (TOP + ROW.replace("{ steps = 7 }", "7"), r"settings is 7; a table is expected"),
        (TOP + "auto = [3]", r"auto 1: 3 is not a table"),
        (
            TOP + AUTO.replace("low", "least"),
            r"auto 1 \(ddnm, sr4\): calls has 'least'; one of",
        ),
        (TOP + AUTO.replace("ddnm", "ddnmm"), r"auto 1 \(ddnmm, sr4\): no solver 'ddnmm'"),
        (TOP + AUTO.replace("5", "0"), r"DDNM: steps is 0, but input should be greater"),
        (TOP + AUTO + "lead = { more = 1.0 }", r"lead has 'more'; one of low, normal, high"),
        (TOP + AUTO + AUTO, r"a row before it has the same family, noise and effort low"),
        (TOP + AUTO + "noise = -1", r"noise is -1\.0; a level for images"),
    ],
)
def test_malformed_file_is_refused_in_one_line_that_names_it(tmp_path, content, message):
    file = tmp_path / "presets.toml"
    file.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=message) as error:
        read(file)
    assert str(error.value).startswith(str(file))
    assert "\n" not in str(error.value)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be read: No such file"):
        read(tmp_path / "presets.toml")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (row("sr4", 0), r"steps is 0"),
        (Row("hrdis", "sr4", {"start": None}), r"None cannot be written to TOML"),
        (Row("hrdis", "sr4", {"lr": math.inf}), r"lr is inf"),
    ],
)
def test_what_cannot_be_read_is_not_written(tmp_path, entry, message):
    write(tmp_path / "presets.toml", Presets("mine", (row("sr4", 7),)))
    before = (tmp_path / "presets.toml").read_text()
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "presets.toml", Presets("mine", (entry,)))
    assert (tmp_path / "presets.toml").read_text() == before


# ---- the rows there are -------------------------------------------------------------------------


def test_rows_of_the_embedded_prior_belong_to_tasks():
    families = {family for task in hrdis.TASKS.values() for family in task.presets}
    assert {entry.family for entry in embedded().rows} <= families


def test_rows_of_the_embedded_prior_fit_its_schedule():
    schedule = hrdis.load_prior("default").schedule
    for cls, _ in SOLVERS.values():
        for settings in embedded().of(cls).values():
            assert settings.times(schedule)[-1] == -1


def test_rows_of_the_embedded_prior_say_which_search_found_them():
    known = {search["name"]: search for search in embedded().searches}
    entries = [*embedded().rows, *embedded().autos]
    assert {entry.search for entry in entries} == set(known)
    assert all({"command", "date", "photographs", "weights"} <= set(s) for s in known.values())


def test_a_search_of_the_embedded_prior_was_made_with_its_weights():
    weights = hrdis.priors.checkpoints.weights_sha256("default")
    assert weights in {search["weights"] for search in embedded().searches}


@pytest.mark.parametrize("solver", ["hrdis", "reddiff"])
@pytest.mark.parametrize(
    "task", ["sr4", "sr4-bicubic", "sr8", "inpaint", "inpaint-scratches", "denoise"]
)
@pytest.mark.parametrize("noise", [0.02, 0.05, 0.1])
def test_noise_makes_the_embedded_prior_doubt_the_measurement(task, solver, noise):
    families = hrdis.TASKS[task].presets
    choice = choose(SOLVERS[solver][0], families, noise, tuned=embedded())
    assert "-noise" in choice.row
    # believed ten times less than an exact one at 0.05; on the way there at 0.02
    assert choice.settings.lambda_obs < (0.2 if noise == 0.02 else 0.1)


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_knows_its_name_and_the_rows_of_its_paper(name):
    cls, paper = SOLVERS[name]
    assert (cls.name, cls.paper) == (name, paper)


def test_old_name_of_the_choice_warns_and_works():
    with pytest.warns(DeprecationWarning, match=r"hrdis\.presets\.choose"):
        found = hrdis.solvers.preset("hrdis", ["sr4"], "default", 0.05)
    assert found == ("sr4-noise05@default", embedded().of(hrdis.HRDIS)["sr4-noise05@default"])
