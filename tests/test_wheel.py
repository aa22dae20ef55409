"""The package as a user gets it: the wheel in an environment of its own, and the source archive in
an empty folder. Nothing but the tool that builds is downloaded.

The lines of README and the tutorials run in another environment too, one that pip filled:

    python -m venv FOLDER && FOLDER/bin/pip install 'dist/hrdis-VERSION-py3-none-any.whl[all]'
    HRDIS_TEST_ENVIRONMENT=FOLDER pytest -m slow tests/test_wheel.py
"""

import os
import re
import shlex
import socket
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import urllib.request
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image, ImageDraw

import hrdis
from hrdis import rng

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
pytest.importorskip("build", reason="build is not installed: pip install 'hrdis[dev]'")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

#: What the lines of README print. Numbers may differ by 2 %, as processors differ in the last
#: digits; seconds may differ at will.
PRINTED = {
    "hrdis fix old.jpg -o better.png": """\
noise: yes. Noise of 24.0 grey levels (20.8 to 27.5).
jpeg: no. The file is a JPEG of quality 100, which loses little.
enlarged: no. No trace of an enlargement.
blur: unsure. Noise of 24.0 levels hides the width of the edges.
scratches: no. No specks or scratches stand out.
stamp: no. No date is printed into a corner.
Noise of 24.0 levels removed. The result, damaged again, differs from your \
picture by 22.7 levels.
The same: hrdis fix old.jpg --only noise --noise 23.97 -o OUT.png
Wrote better.png, better.png.json
""",
    "hrdis restore small.jpg --task upscale --scale 4 -o large.png": """\
upscale with cm4ir (settings sr4-normal@default), 20 network calls a sample
CM4IR with 20 network calls, the best measured for sr4 at normal effort.
2.8 s. Wrote large.png
""",
    "hrdis restore torn.png --task inpaint --mask holes.png -o whole.png --samples 4": """\
inpaint with overrelaxed (settings inpaint@default), 50 network calls a sample
overrelaxed draws the 4 samples, as the best measured for inpaint at normal effort, CM4IR, has \
only one answer.
90% of the colour values of pieces of 48 photographs that the model was trained on lay within the \
half width that the map shows.
2.5 s. Wrote whole.png, whole-2.png, whole-3.png, whole-4.png, whole-mean.png, \
whole-uncertainty.png, whole-overview.png
""",
    "hrdis restore grainy.png --task denoise --noise 25 -o clean.png": """\
denoise with fire (settings denoise-noise05-normal@default), 1 network call a sample
FIRE with 1 network call, the best measured for denoise-noise05 at normal effort.
0.1 s. Wrote clean.png
""",
    "hrdis restore shaken.png --task deblur --kernel kernel.png -o sharp.png": """\
deblur with fire (settings deblur-noise0.11-normal@default), 10 network calls a sample
FIRE with 10 network calls, the best measured for deblur-noise0.11 at normal effort. As no noise \
is given, the picture counts as rounded to whole grey levels.
2.1 s. Wrote sharp.png
""",
}


def text_of(command: list[str], folder: Path, env: dict[str, str] | None = None) -> str:
    """Return what the command prints; its exit status has to be 0."""
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def outside() -> dict[str, str]:
    """The environment without this process's PYTHONPATH, and without a network for hrdis."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return kept | {"HRDIS_OFFLINE": "1", "COLUMNS": "200", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the source archive, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    text_of([sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)], folder)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def source(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, unpacked into an empty folder."""
    (archive,) = dist.glob("*.tar.gz")
    folder = tmp_path_factory.mktemp("source")
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    (found,) = folder.iterdir()
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment that holds the wheel, and all that is installed
    here besides: a path in a .pth file is no place where editable installs are looked up.
    """
    if given := os.environ.get("HRDIS_TEST_ENVIRONMENT"):
        return Path(given).resolve() / "bin"
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "-q", "--python", str(python)]
    text_of([*pip, "install", "--no-deps", "--no-index", str(wheel)], folder, outside())
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = text_of([str(python), "-c", "import hrdis; print(hrdis.__file__)"], folder, outside())
    assert Path(where.strip()).is_relative_to(site)
    return folder / "bin"


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as files:
        (name,) = [name for name in files.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(files.read(name).decode())


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with the pictures that README's lines name, small where a network sees them."""
    with Image.open(Path(hrdis.__file__).parent / "pictures" / "coffee.jpg") as file:
        photo = file.convert("RGB")
    noise = 25 * rng.stream(0, "readme").standard_normal((256, 256, 3))
    noisy = Image.fromarray((np.asarray(photo) + noise).clip(0, 255).round().astype("uint8"))
    noisy.save(tmp_path / "old.jpg", quality=100, subsampling=0)
    noisy.crop((80, 80, 144, 144)).save(tmp_path / "grainy.png")
    part = photo.crop((80, 80, 144, 144))
    for name in ("photo.png", "torn.png", "shaken.png"):
        part.save(tmp_path / name)
    part.resize((32, 32), Image.Resampling.BOX).save(tmp_path / "small.jpg", quality=95)
    holes = Image.new("L", part.size, 0)
    ImageDraw.Draw(holes).rectangle((20, 20, 40, 23), fill=255)
    holes.save(tmp_path / "holes.png")
    kernel = np.zeros((5, 5), np.uint8)
    kernel[2] = 50
    Image.fromarray(kernel).save(tmp_path / "kernel.png")
    return tmp_path


def blocks(language: str) -> list[str]:
    """The blocks of code of README in one language."""
    text = README.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """The console lines of README, without comments and with single spaces."""
    lines = "".join(blocks("console")).splitlines()
    return [shlex.join(shlex.split(line.removeprefix("$ "), comments=True)) for line in lines]


NUMBER = r"-?\d+(?:\.\d+)?"


def same(printed: str, expected: str) -> bool:
    """Return True if texts are equal but for 2 % of each number, and for seconds."""
    seconds = rf"{NUMBER}(?= s\b)"
    printed, expected = re.sub(seconds, "T", printed), re.sub(seconds, "T", expected)
    if re.sub(NUMBER, "0", printed).split() != re.sub(NUMBER, "0", expected).split():
        return False
    pairs = zip(re.findall(NUMBER, printed), re.findall(NUMBER, expected), strict=True)
    return all(abs(float(a) - float(b)) <= max(0.02 * abs(float(b)), 0.11) for a, b in pairs)


# ---- the archives


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        names = set(files.namelist())
    folder = ROOT / "src"
    sources = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    sources = {name for name in sources if "__pycache__" not in name}
    assert {name for name in names if ".dist-info/" not in name} == sources
    assert "hrdis/py.typed" in names and "hrdis/weights/default/presets.toml" in names


def test_metadata_says_version_licences_and_extras(metadata: Message) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata["Version"] == project["version"]
    assert metadata["License-Expression"] == project["license"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra")) == set(project["optional-dependencies"])


def test_pinned_versions_are_those_that_the_wheel_takes(metadata: Message) -> None:
    """`pip install -c constraints.txt` would find no solution otherwise."""
    pins: dict[str, list[str]] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"([\w.-]+)==([\w.+]+)", line):
            pins.setdefault(canonicalize_name(found[1]), []).append(found[2])
    for text in metadata.get_all("Requires-Dist"):
        needed = Requirement(text)
        pinned = pins[canonicalize_name(needed.name)]
        assert all(needed.specifier.contains(version) for version in pinned), text


def test_extra_all_holds_every_extra_that_a_user_may_want(metadata: Message) -> None:
    names: dict[str, set[str]] = {}
    for needed in map(Requirement, metadata.get_all("Requires-Dist")):
        for extra in metadata.get_all("Provides-Extra"):
            if needed.marker and needed.marker.evaluate({"extra": extra}):
                names.setdefault(extra, set()).add(needed.name)
    for extra in ("distributed", "fast", "metrics", "perceptual", "web"):
        assert names[extra] and names[extra] <= names["all"]


#: Tests that read files beside the package: pages, pictures, data, examples.
#: What the archive left out would fail here, or be skipped as "not a clone".
READERS = (
    "test_docs", "test_examples", "test_figures", "test_language", "test_messages", "test_package",
    "test_questions", "test_reference", "test_schedule", "test_tutorials",
)  # fmt: skip


def test_source_archive_passes_its_own_tests(source: Path) -> None:
    env = outside() | {"PYTHONPATH": str(source / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    pytest_ = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-rs"]
    where = "import hrdis; print(hrdis.__file__)"
    found = text_of([sys.executable, "-c", where], source, env)
    assert Path(found.strip()).is_relative_to(source)
    out = text_of([*pytest_, *(f"tests/{name}.py" for name in READERS)], source, env)
    assert int(re.findall(r"(\d+) passed", out)[-1]) > 700 and "failed" not in out
    assert "not a clone" not in out, out[-2000:]


def test_every_test_of_the_source_archive_is_collected(source: Path) -> None:
    """No file of tests needs a file that was left out when it is imported."""
    env = outside() | {"PYTHONPATH": str(source / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    options = ["-p", "no:cacheprovider", "-p", "no:xdist", "--collect-only", "-q", "tests"]
    out = text_of([sys.executable, "-m", "pytest", *options], source, env)
    assert " error" not in out.splitlines()[-1]


# ---- the lines of README


def test_users_lines_pass_the_strict_type_checker(installed: Path, tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed: pip install 'hrdis[dev]'")
    (tmp_path / "mypy.ini").write_text("[mypy]\n")
    example = ROOT / "examples" / "typed_use.py"
    options = ["--strict", "--config-file", "mypy.ini", "--follow-imports", "silent"]
    options += ["--python-executable", str(installed / "python")]
    command = [sys.executable, "-m", "mypy", *options, str(example)]
    assert "Success" in text_of(command, tmp_path, outside())
    wrong = tmp_path / "wrong.py"  # types are seen at all
    wrong.write_text("import hrdis\n\nhrdis.load_prior(3)\n")
    done = subprocess.run([*command[:-1], str(wrong)], cwd=tmp_path, env=outside())
    assert done.returncode == 1


def test_every_block_of_readme_is_tried_here() -> None:
    """A new block is a new test."""
    assert set(re.findall(r"^```(\w+)", README.read_text(encoding="utf-8"), re.MULTILINE)) == {
        "console",
        "python",
    }
    assert len(blocks("python")) == 1
    environment = {
        "python3 -m venv .venv",
        "source .venv/bin/activate",
        "pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu",
        "pip install -c constraints.txt '.[web]'",
    }
    assert set(commands()) == {*PRINTED, *environment, "hrdis demo", "hrdis serve"}


@pytest.mark.parametrize("line", PRINTED)
def test_command_of_readme_prints_what_it_did(line: str, installed: Path, desk: Path) -> None:
    program, *words = shlex.split(line)
    printed = text_of([str(installed / program), *words], desk, outside())
    assert same(printed, PRINTED[line]), printed
    with Image.open(desk / words[words.index("-o") + 1]) as made:
        assert np.asarray(made).std() > 10  # a picture, not a flat colour


def test_python_of_readme_prints_what_it_did(installed: Path, desk: Path) -> None:
    (code,) = blocks("python")
    printed = text_of([str(installed / "python"), "-c", code], desk, outside())
    expected = """\
Settings searched for the prior 'default', sr4 with noise 0.05.
tensor([22.2463], dtype=torch.float64)
"""
    assert same(printed, expected), printed
    with Image.open(desk / "large.png") as large:
        assert large.size == (128, 128)


def test_demo_prints_what_it_did(installed: Path, tmp_path: Path) -> None:
    """README and `make demo` run this command."""
    assert "$(BIN)/hrdis demo -o runs/demo" in (ROOT / "Makefile").read_text(encoding="utf-8")
    printed = text_of([str(installed / "hrdis"), "demo", "-o", "demo"], tmp_path, outside())
    measured = sorted(float(found) for found in re.findall(r"(\d+\.\d+) dB", printed))
    # noise, x4 and scratches: given or classical, then restored
    assert np.allclose(measured, [20.98, 24.52, 25.27, 30.13, 33.34, 33.98], atol=0.06), printed


#: The scripts of the tutorials, by the name that their program knows them by.
TUTORIALS = sorted(path.stem for path in (ROOT / "examples" / "tutorials").glob("*.py"))


@pytest.mark.parametrize("name", TUTORIALS)
def test_tutorial_prints_what_it_says(name: str, installed: Path, tmp_path: Path) -> None:
    """With the wheel, where tests/test_tutorials.py runs the sources."""
    program = ROOT / "docs" / "_site" / "tutorials.py"
    environment = outside() | {"COLUMNS": "100"}
    text_of([str(installed / "python"), str(program), "--check", name], tmp_path, environment)


def test_page_opens(installed: Path, tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'hrdis[web]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [str(installed / "hrdis"), "serve", "--port", str(port)]
    with subprocess.Popen(
        command, cwd=tmp_path, env=outside(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as page:
        try:
            said = ""
            while address not in said:
                line = page.stdout.readline().decode()
                assert line, f"the page ended: {said}"
                said += line
            with urllib.request.urlopen(address, timeout=60) as answer:
                assert answer.status == 200 and b"hrdis" in answer.read()
        finally:
            page.terminate()
