"""Operators of the user's own on the command line: my.py:make."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import hrdis
from hrdis import images
from hrdis.restoration import plugin
from tests.cli.test_cli import FAST, photo, run
from tests.cli.test_cli import prior as prior

ROOT = Path(__file__).parents[2]

MY = """\
import torch
import hrdis
from hrdis.operators import LinearFunction, SuperResolution

steps = 3

def make(h, w):
    return LinearFunction(lambda x: x[..., ::2], (3, h, w))

def pool():
    return SuperResolution(2)

def dark(h=8, w=8):
    return lambda x: 0.5 * x

def sums(h, w):
    return LinearFunction(lambda x: 3 * x.mean((2, 3)), (3, h, w))

def wrong():
    class Wrong(hrdis.operators.LinearOperator):
        def forward(self, x):
            return 2 * x
        def adjoint(self, y):
            return y
    return Wrong()

class Pooling:
    noise_model = None
    def A(self, x):
        return torch.nn.functional.avg_pool2d(x, 2)
    def A_adjoint(self, y):
        return y.repeat_interleave(2, -1).repeat_interleave(2, -2) / 4

ready = SuperResolution(2)
fixed = Pooling()

def nothing():
    return None

def three(a, b, c):
    return SuperResolution(2)

def breaks(h, w):
    return {}["missing"]

def late(h, w):
    count = []
    def A(x):
        count.append(1)
        if len(count) > 6:
            raise KeyError("worn out")
        return x * 0.5
    return A

def early():
    def A(x):
        return {}[x]
    return A

class Gamma:
    def A(self, u):
        return u.clamp(min=1e-3) ** 0.5
    def A_dagger(self, y):
        return y.clamp(0, 1) ** 2

gamma = Gamma()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.py").write_text(MY)
    (tmp_path / "text.txt").write_text("make = 1")
    (tmp_path / "syntax.py").write_text("x = 1\ndef make(:\n")
    (tmp_path / "raises.py").write_text("x = 1\nraise OSError('no camera')\n")
    (tmp_path / "exits.py").write_text("import sys\nsys.exit(3)\n")
    photo(tmp_path / "in.png")  # 24 wide, 20 high
    x = images.load("in.png")
    np.save("y.npy", x[..., ::2].numpy())
    np.save("flat.npy", np.zeros((1, 3), np.float32))
    np.save("two.npy", np.zeros((2, 3, 20, 12)))
    np.save("complex.npy", np.zeros((1, 3, 20, 12), complex))
    (tmp_path / "empty.npy").write_bytes(b"")
    save_file({"a": torch.zeros(1, 3), "b": torch.zeros(1, 3)}, "two.safetensors")
    return tmp_path


# ---- check-operator
# -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["make", "pool", "dark", "sums", "ready", "fixed"])
def test_operator_that_is_right_passes(
    here: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check", "operator", f"my.py:{name}", "--size", "12", "8") == 0
    shown = capsys.readouterr().out
    assert (
        "All checks passed." in shown
        and "12 x 8" in shown
        and "solvers that can use it: hrdis" in shown
    )


def test_operator_that_is_wrong_fails(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "operator", "my.py:wrong", "--channels", "1") == 1
    shown = capsys.readouterr().out
    assert "FAIL  adjoint" in shown and "fix: let autograd do it" in shown


BAD = {
    "my.py": "The operator is given as 'my.py'. FILE.py:NAME is expected",
    "my.py:": "FILE.py:NAME is expected",
    "missing.py:make": "missing.py does not exist",
    "text.txt:make": "text.txt is no python file",
    "my.py:mak": "my.py has no 'mak'. It defines: make, pool, dark",
    "my.py:xyzzy": "A function is expected: def xyzzy(h, w): return A",
    "my.py:steps": "is a int that takes neither (h, w) nor nothing",
    "my.py:three": "is a function that takes neither (h, w) nor nothing",
    "my.py:nothing": "my.py:nothing returned a NoneType",
    "my.py:breaks": "my.py:breaks raised KeyError (line 44): 'missing'",
    "syntax.py:make": "raised SyntaxError (line 2)",
    "raises.py:make": "raised OSError (line 2): no camera",
    "exits.py:make": "raised SystemExit (line 2)",
}


@pytest.mark.parametrize("spec", BAD)
@pytest.mark.parametrize("command", ["check operator", "degrade", "restore"])
def test_operator_that_cannot_be_loaded_is_refused(
    here: Path, prior: str, command: str, spec: str, capfd: pytest.CaptureFixture[str]
) -> None:
    words = {
        "check operator": [spec],
        "degrade": ["in.png", "--operator", spec, "-o", "out.npy"],
        "restore": ["y.npy", "--operator", spec, "-o", "out.png", "--prior", prior],
    }
    before = sorted(p.name for p in here.iterdir() if p.name != "__pycache__")
    assert run(*command.split(), *words[command]) == 2
    message = capfd.readouterr().err.strip()
    assert BAD[spec] in message and len(message.splitlines()) == 1
    assert sorted(p.name for p in here.iterdir() if p.name != "__pycache__") == before


def test_size_that_is_none_is_refused(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("check", "operator", "my.py:pool", "--size", "0", "8") == 2
    assert "Positive numbers are expected" in capfd.readouterr().err


@pytest.mark.parametrize("command", ["check operator", "restore", "degrade"])
def test_help_says_that_the_file_is_executed(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(*command.split(), "--help")
    assert "run none that you do not trust" in " ".join(
        capsys.readouterr().out.replace("│", " ").split()
    )


def test_operator_may_import_what_lies_beside_it(here: Path) -> None:
    (here / "beside_it.py").write_text("from hrdis.operators import SuperResolution as Sensor")
    (here / "imports.py").write_text("from beside_it import Sensor\ndef make(): return Sensor(2)")
    assert run("check", "operator", "imports.py:make") == 0


# ---- degrade and restore
# --------------------------------------------------------------------------


def test_degrade_keeps_what_is_no_picture_as_an_array(here: Path) -> None:
    assert run("degrade", "in.png", "--operator", "my.py:sums", "-o", "y1.npy") == 0
    np.testing.assert_allclose(
        np.load("y1.npy"), 3 * images.load("in.png").mean((2, 3)).numpy(), rtol=1e-6
    )
    record = json.loads((here / "y1.json").read_text())
    assert (
        record["operator"] == "my.py:sums"
        and record["task"] is None
        and len(record["operator_sha256"]) == 64
    )


def test_degrade_keeps_what_is_a_picture_as_one(here: Path) -> None:
    assert (
        run("degrade", "in.png", "--operator", "my.py:pool", "-o", "small.png", "--noise", "0.05")
        == 0
    )
    assert Image.open("small.png").size == (12, 10)
    assert (
        run("degrade", "in.png", "--operator", "my.py:pool", "-o", "exact.npy", "--noise", "0.05")
        == 0
    )
    exact = np.load("exact.npy").clip(-1, 1)
    assert np.abs(images.load("small.png").numpy() - exact).max() < 1 / 255


def test_degrade_keeps_measurements_of_deepinv_in_their_units(here: Path) -> None:
    assert run("degrade", "in.png", "--operator", "my.py:fixed", "-o", "y1.npy") == 0
    assert np.load("y1.npy").min() >= 0 and np.load("y1.npy").max() <= 1
    assert run("degrade", "in.png", "--operator", "my.py:fixed", "-o", "y2.png") == 0
    assert np.abs(images.load("y2.png").numpy() - (2 * np.load("y1.npy") - 1)).max() < 1.01 / 255


@pytest.mark.parametrize("suffix", [".npy", ".pt", ".safetensors"])
def test_restore_takes_arrays(here: Path, prior: str, suffix: str) -> None:
    y = torch.from_numpy(np.load("y.npy"))
    if suffix == ".pt":
        torch.save(y, "a.pt")
    elif suffix == ".safetensors":
        save_file({"y": y.contiguous()}, "a.safetensors")
    else:
        np.save("a.npy", y.numpy())
    words = [
        "--operator",
        "my.py:make",
        "--image-size",
        20,
        24,
        "-o",
        "out.png",
        "--samples",
        2,
        "--prior",
        prior,
    ]
    assert run("restore", f"a{suffix}", *words, *FAST) == 0
    assert Image.open("out.png").size == (24, 20)
    record = json.loads((here / "out.json").read_text())
    assert record["operator"] == "my.py:make" and record["task"] is None
    assert (here / "out-overview.png").exists()


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_restore_takes_pictures(here: Path, prior: str, mode: str) -> None:
    photo(here / "small.png", mode)
    assert (
        run(
            "restore",
            "small.png",
            "--operator",
            "my.py:pool",
            "-o",
            "out.png",
            "--prior",
            prior,
            *FAST,
        )
        == 0
    )
    assert Image.open("out.png").size == (48, 40) and Image.open("out.png").mode == mode


def test_restore_takes_what_degrade_wrote_for_deepinv(here: Path, prior: str) -> None:
    """A picture and an array in deepinv's units, and our own operator, give the same picture."""
    run("degrade", "in.png", "--operator", "my.py:fixed", "-o", "theirs.npy")
    run("degrade", "in.png", "--operator", "my.py:pool", "-o", "ours.npy")
    for name, operator in (("theirs", "fixed"), ("ours", "pool")):
        words = [
            "--operator",
            f"my.py:{operator}",
            "--image-size",
            20,
            24,
            "-o",
            f"{name}.png",
            "--prior",
            prior,
        ]
        assert run("restore", f"{name}.npy", *words, *FAST) == 0
    theirs, ours = (
        np.asarray(Image.open(f"{name}.png")).astype(int) for name in ("theirs", "ours")
    )
    assert np.abs(theirs - ours).max() <= 1
    run("degrade", "in.png", "--operator", "my.py:fixed", "-o", "y8.png")
    words = [
        "--operator",
        "my.py:fixed",
        "--image-size",
        20,
        24,
        "-o",
        "seen.png",
        "--prior",
        prior,
    ]
    assert (
        run("restore", "y8.png", *words, *FAST) == 0
    )  # 8 bits: not the same, but the same picture
    assert np.abs(np.asarray(Image.open("seen.png")).astype(int) - ours).mean() < 3


def test_noise_of_a_nonlinear_physics_is_that_of_pixels_from_0_to_1(here: Path, prior: str) -> None:
    """Its measurement is in units of its own: what is added, and what the solver is told."""
    words = ["--operator", "my.py:gamma", "--noise", "0.05"]
    assert run("degrade", "in.png", *words, "-o", "bent.npy") == 0
    assert run("degrade", "in.png", *words[:2], "-o", "clean.npy") == 0
    added = np.load("bent.npy") - np.load("clean.npy")
    assert added.std() == pytest.approx(0.05, rel=0.08)  # of 1440 draws, 4 deviations
    assert run("restore", "bent.npy", *words, "-o", "out.png", "--prior", prior, *FAST) == 0
    assert json.loads((here / "out.json").read_text())["noise"]["[-1,1]"] == 0.05


BAD_RESTORE = {
    "in.png": "Either --task or --operator is expected, and neither was given",
    "in.png --task sr2 --operator my.py:pool": (
        "Either --task or --operator is expected, and both were given"
    ),
    "in.png --operator my.py:pool --mask in.png": "--mask is given, but --operator takes none",
    "flat.npy --operator my.py:sums": (
        "does not tell the size of the picture. Height and width are expected: --image-size"
    ),
    "y.npy --operator my.py:make": (
        "shape (1, 3, 20, 12), but my.py:make gives (1, 3, 20, 6) for a picture of"
    ),
    "y.npy --operator my.py:make --image-size 20 20": (
        "gives (1, 3, 20, 10) for a picture of 20 x 20"
    ),
    "flat.npy --operator my.py:sums --image-size 9000 9000": "81 megapixels",
    "two.npy --operator my.py:make": (
        "(2, 3, 20, 12). One measurement with the image axis first, (1, ...), is expected"
    ),
    "complex.npy --operator my.py:make": "complex numbers. Real ones are expected",
    "empty.npy --operator my.py:make": "empty.npy cannot be read as an array",
    "two.safetensors --operator my.py:make": "one tensor is expected, found a, b",
    "missing.npy --operator my.py:make": "missing.npy does not exist",
    "in.png --operator my.py:early": "my.py:early raised KeyError (line 57)",
    "y.npy --task sr2": "y.npy is no picture",
    "in.png --operator my.py:pool --solver ddnm --noise 0.1": "without noise",
}


@pytest.mark.parametrize("words", BAD_RESTORE)
def test_bad_input_to_restore_is_refused(
    here: Path, prior: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("restore", *words.split(), "-o", "out.png", "--prior", prior) == 2
    message = capfd.readouterr().err.strip()
    assert BAD_RESTORE[words] in message and len(message.splitlines()) == 1
    assert not (here / "out.png").exists()


BAD_DEGRADE = {
    "in.png -o out.png": "Either --task or --operator is expected, and neither was given",
    "in.png --task sr2 -o out.npy": "One of .png",
    "in.png --operator my.py:sums -o out.png": (
        "which is no picture. A .npy file is expected: -o out.npy"
    ),
    "in.png --operator my.py:early -o out.npy": "my.py:early raised KeyError (line 57)",
    "in.png --operator my.py:pool -o in.png": "in.png is an input",
    "in.png --operator my.py:pool -o my.py/out.npy": "Nothing can be written",
    "in.png --operator my.py:pool -o out.npy --noise -1": "--noise is -1",
}


@pytest.mark.parametrize("words", BAD_DEGRADE)
def test_bad_input_to_degrade_is_refused(
    here: Path, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("degrade", *words.split()) == 2
    message = capfd.readouterr().err.strip()
    assert BAD_DEGRADE[words] in message and len(message.splitlines()) == 1
    assert not (here / "out.png").exists() and not (here / "out.npy").exists()


def test_operator_that_raises_while_solving_fails_with_one_message(
    here: Path, prior: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(
            "restore",
            "in.png",
            "--operator",
            "my.py:late",
            "-o",
            "out.png",
            "--prior",
            prior,
            "--steps",
            9,
        )
        == 1
    )
    assert "my.py:late raised KeyError (line 51): 'worn out'" in capfd.readouterr().err
    assert not (here / "out.png").exists()


# ---- the example
# ----------------------------------------------------------------------------------


def test_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "own_operator.py"), run_name="__main__")
    shown = capsys.readouterr().out
    assert "All checks passed." in shown and "residual 0.0" in shown


def test_example_is_an_operator_file() -> None:
    A = plugin.load(f"{ROOT / 'examples' / 'own_operator.py'}:make", (3, 8, 8))
    assert isinstance(A, hrdis.operators.LinearOperator)
