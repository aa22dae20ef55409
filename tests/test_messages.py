"""Messages for people who write no Python: the rules that every test's messages are held to."""

import pytest

from hrdis.cli.parsing import in_words
from hrdis.messages import bilingual, for_command, for_page, reason
from tests.common.messages import Said, breaches, is_there, listed, shape, shown

BROKEN = {
    "a call": "sigma is -1. A number >= 0 is expected: Gaussian(0.05).",
    "an argument": "Holes are marked otherwise: hole='alpha'.",
    "a name with underscores": "The noise is known, but sigma_y is 0.2.",
    "module.name": "The picture is no torch.float32.",
    "a word of Python": "The record holds None where a number is expected.",
    "a class": "A LinearOperator is expected.",
    "an exception": "The model failed: MemoryError.",
    "classes to choose from": "Solvers that can use it: HRDIS, DDRM.",
    "the word prior, which is a model": "There is no prior of that name.",
    "a path that nobody typed": "/tmp/hrdis-job-1/in.png cannot be read.",
}


@pytest.mark.parametrize(("rule", "message"), BROKEN.items(), ids=BROKEN)
def test_rule_finds_what_breaks_it(rule: str, message: str) -> None:
    found = breaches(Said("restore", 2, f"hrdis restore: {message}"))
    assert [line for line in found if line.startswith(f"{rule}: ")]


KEPT = [
    "There is no model 'no_such_model'. 'default' or a folder is expected: --model default",
    "my_photo.png holds no picture. PNG, JPEG, WebP, TIFF or BMP is expected.",
    "The solver ddnm is for pictures without noise. Solvers that can be used: hrdis, ddrm.",
    "HRDIS, the solver of the paper, gains 0.3 dB on inpainting.",
    "Ask at github.com/owner/name, or see https://example.org/a_b.html.",
    "/photos/holiday/torn.png does not exist. A picture file (PNG, JPEG) is expected.",
]


@pytest.mark.parametrize("message", KEPT)
def test_plain_message_breaks_no_rule(message: str) -> None:
    said = Said("restore", 2, message, ("restore", "/photos/holiday/torn.png"), ("/photos",))
    assert not breaches(said)


def test_python_of_ones_own_may_be_shown() -> None:
    message = "my.py:make raised KeyError (line 3): 'size'. Try it alone: hrdis check operator"
    assert not breaches(Said("restore", 2, message, ("restore", "--operator", "my.py:make")))


def test_page_shows_neither_options_nor_paths() -> None:
    found = breaches(Said("page", None, "Use --mask-marks white for /tmp/hrdis-1/in.png."))
    assert len(found) == 2


# ---- one error, in several words ----------------------------------------------------------------


def test_bilingual_message_is_python_until_it_is_put_in_other_words() -> None:
    error = TypeError(bilingual("PiGDM needs an SVDOperator.", "The solver pigdm needs an SVD."))
    assert str(error) == "PiGDM needs an SVDOperator."
    assert for_command(error) == "The solver pigdm needs an SVD."
    assert for_page(error) == "The algorithm pigdm needs an SVD."


def test_error_of_the_system_is_a_sentence_without_its_number() -> None:
    error = FileNotFoundError(2, "No such file or directory", "in.png")
    assert for_command(error) == reason(error) == "in.png: No such file or directory"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "there is not enough memory"),
        (RuntimeError("first\nsecond"), "first"),
        (RuntimeError(), "no reason was given"),
    ],
)
def test_reason_is_one_line_and_never_a_class(error: Exception, said: str) -> None:
    assert reason(error) == said


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("There is no prior 'prior'.", "There is no model 'prior'."),
        ("Priors are expected. The prior's folder.", "Models are expected. The model's folder."),
        ("my/prior/x.pt is damaged.", "my/prior/x.pt is damaged."),
    ],
)
def test_prior_is_a_model_but_in_names(message: str, said: str) -> None:
    assert for_command(message) == said


@pytest.mark.parametrize(
    ("tyro", "said"),
    [
        (
            "invalid choice 'red' for argument '--marks'. Expected one of ('white', 'black').",
            "--marks is 'red'. One of white, black is expected.",
        ),
        (
            "Error parsing settings: HRDIS: lambda_obs is -1.0, but input should be above 0. The "
            "default is HRDIS(lambda_obs=1.0).",
            "--lambda-obs is -1.0, but input should be above 0.",
        ),
        (
            "Error parsing --steps: invalid literal for int() with base 10: 'many'. Argument "
            "helptext: --steps INT Network calls. (default: 100)",
            "--steps is 'many'. A whole number is expected.",
        ),
        (
            "Error parsing --lr: could not convert string to float: 'fast'. Argument helptext: "
            "--lr FLOAT Step.",
            "--lr is 'fast'. A number is expected.",
        ),
        (
            "Error parsing --scale: no type matching {None}|INT could be instantiated from ['x']. "
            "Got errors: - <class 'NoneType'>: ['x'] does not match choices ('None',) - <class "
            "'int'>: invalid literal for int() with base 10: 'x'. Argument helptext: --scale "
            "{None}|INT How much larger. (default: None)",
            "--scale is 'x'. A whole number is expected.",
        ),
        (
            "Unrecognized options: --stps, 3. Perhaps you meant: --steps INT Network calls.",
            "There is no option '--stps 3'. Did you mean --steps?",
        ),
        (
            "Unrecognized options: here.",
            "There is no place for 'here'. A name with spaces needs quotes around it.",
        ),
        (
            "Missing value for argument '-o/--output'. Expected 1 values.",
            "--output has no value behind it.",
        ),
    ],
)
def test_parser_speaks_no_python(tyro: str, said: str) -> None:
    assert in_words(tyro) == said


# ---- the list -----------------------------------------------------------------------------------


def test_shape_leaves_out_what_differs_between_runs() -> None:
    one = "a.png has 24 x 20 pixels, 'x' is 0.25, hash " + "0a" * 20
    other = "a.png has 7 x 1500 pixels, 'y' is 1e-05, hash " + "1b" * 20
    assert shape(one) == shape(other) != shape(one + " more")


def test_folders_of_a_test_are_not_listed() -> None:
    said = Said("fix", 2, "hrdis fix: /tmp/pytest-of-me/pytest-3/test_x0/in.png is damaged.")
    assert shown(said) == "in.png is damaged."


@pytest.mark.skipif(not listed(), reason="no docs/ here: not a clone of the repository")
def test_every_listed_message_has_its_test() -> None:
    """The test itself checks that it provokes the message."""
    assert not [entry["test"] for entry in listed() if not is_there(entry["test"])]
