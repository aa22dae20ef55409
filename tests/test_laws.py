"""The laws of the house, enforced on the syntax trees: who may import whom, and what may be called
where.
"""

import ast
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

import hrdis

ROOT = Path(hrdis.__file__).parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text()
    for path in sorted(ROOT.rglob("*.py"))
}

#: The rooms from the ground up: a module imports from lower floors and from its own room.
FLOORS = {
    "messages": 0, "files": 0, "linalg": 0, "schedule": 0, "devices": 0, "ending": 0,
    "_deprecated": 0,
    "rng": 1, "metrics": 1, "images": 1,
    "noise": 2, "uncertainty": 2,
    "operators": 3,
    "problem": 4, "tasks": 4, "presets": 4, "diagnosis": 4,
    "priors": 5, "repairs": 5,
    "solvers": 6, "checkpoints": 6,
    "arguments": 7,
    "driver": 8,
    "interop": 9, "restarts": 9, "check": 9, "training": 9, "fixing": 9,
    "bench": 10, "restoration": 10,
    "cli": 11, "web": 11,
    "__main__": 12,
}  # fmt: skip

#: Upward imports inside functions, each with its reason.
LATER = {
    ("presets", "solvers"): "the rows of a file are checked against the solvers",
    ("operators", "problem"): "the old place of Problem hands it out, with a warning",
}
#: Modules that others import from inside a room, beside its __init__ and its base. What makes
#: kernels, masks and k-space samplings is public as a module; the rest are parts of one thing that
#: two rooms hold. The list may only become shorter.
INSIDE = {
    "operators.kernels", "operators.kspace", "operators.masks", "operators.deepinv",
    "operators.hints", "operators.composition", "operators.nonlinear_blur", "operators.rounding",
    "diagnosis.noise", "restoration.choosing", "fixing.many",
    "priors.denoiser", "priors.diffusers", "priors.latent", "priors.networks", "priors.small_unet",
    "priors.unet",
}  # fmt: skip

#: Random numbers and pictures come from numpy and Pillow.
NUMPY = {"rng", "operators.masks", "priors.exact"}
RANDOM = [
    "rand",
    "randn",
    "randint",
    "randperm",
    "rand_like",
    "randn_like",
    "randint_like",
    "normal",
    "bernoulli",
    "multinomial",
    "poisson",
    "manual_seed",
    "seed",
    "Generator",
]
DRAWN_IN_PLACE = [
    "normal_",
    "uniform_",
    "bernoulli_",
    "exponential_",
    "log_normal_",
    "cauchy_",
    "geometric_",
    "random_",
]


@cache
def parsed(source: str) -> ast.Module:
    """Return the tree of a source; a dozen laws look at each."""
    return ast.parse(source)


@pytest.fixture(scope="module", autouse=True)
def _trees_are_forgotten_at_the_end():
    """They are 60 MB."""
    yield
    parsed.cache_clear()


def floor(module: str) -> int:
    return FLOORS[module.split(".")[0]]


def package(module: str) -> str:
    """Return the room of a module: "" for ``schedule``, "priors" for ``priors.unet`` and
    ``priors.__init__``, "bench" for ``bench.plan.expand``.
    """
    return module.partition(".")[0] if "." in module else ""


def imports(module: str, tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Every imported module, absolute, and whether it is imported when this module is (not inside a
    function).
    """
    inside = {
        id(n)
        for f in ast.walk(tree)
        if isinstance(f, ast.FunctionDef | ast.Lambda)
        or (isinstance(f, ast.If) and dotted(f.test) == "TYPE_CHECKING")
        for n in ast.walk(f)
    }
    here = ["hrdis", *module.split(".")]
    for node in ast.walk(tree):
        at_once = id(node) not in inside
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            names = [f"{source}.{alias.name}" for alias in node.names]
            modules = [
                name
                for name in names
                if name.removeprefix("hrdis.") in MODULES or _is_package(name)
            ]
            yield from ((name, at_once) for name in (modules or [source]))


def _is_package(name: str) -> bool:
    return f"{name.removeprefix('hrdis.')}.__init__" in MODULES


def inner(module: str, tree: ast.AST) -> Iterator[str]:
    """The modules of this package that a module imports: "rng", "priors.base", or "" for the
    package itself.
    """
    for name, _ in imports(module, tree):
        if name == "hrdis" or name.startswith("hrdis."):
            yield name.removeprefix("hrdis").removeprefix(".")


def climbs(module: str, source: str) -> list[str]:
    """Return the imports that go up, or into a room by another way than its doors."""
    broken = []
    for target in inner(module, parsed(source)):
        own, other = module.split(".")[0], target.split(".")[0]
        if not target:  # `import hrdis`: the whole house, for what stands on its top floors
            if floor(module) < FLOORS["fixing"]:
                broken.append(f"{module} imports hrdis")
        elif own == other:
            continue
        elif floor(target) >= floor(module) and (own, other) not in LATER and own != "cli":
            broken.append(f"{module} goes up to {target}")
        elif not is_door(target) and target not in INSIDE and own != "cli":
            broken.append(f"{module} imports {target} past the doors of {other}")
    return broken


def is_door(module: str) -> bool:
    """Return True for a room itself, its base, and a package of bench."""
    return "." not in module or module.endswith(".base") or _is_package(f"hrdis.{module}")


def circles(sources: dict[str, str]) -> list[str]:
    """Return the modules of one room that import each other, directly or through others."""
    edges: dict[str, set[str]] = {}
    for module, source in sources.items():
        targets = set()
        for name, at_once in imports(module, parsed(source)):
            target = name.removeprefix("hrdis.")
            if at_once and target.split(".")[0] == module.split(".")[0] and target != module:
                targets.add(target)
        edges[module] = targets
    broken = []
    for start in edges:
        reached, waiting = set(), list(edges[start])
        while waiting:
            module = waiting.pop()
            if module not in reached:
                reached.add(module)
                waiting += edges.get(module, ())
        if start in reached:
            broken.append(start)
    return broken


def heavy(module: str, source: str) -> list[str]:
    """Packages below floor 4 that every user would pay for at import."""
    cheap = (
        set(sys.stdlib_module_names)
        | {"hrdis", "torch", "pydantic"}
        | ({"numpy"} if module in NUMPY else set())
    )
    tops = {name.split(".")[0] for name, at_once in imports(module, parsed(source)) if at_once}
    return sorted(tops - cheap)


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of an attribute chain, "?.c" where it hangs on something else."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def draws(module: str, source: str) -> list[str]:
    """Random numbers that do not come from `rng`."""
    tree, broken = parsed(source), []
    for node in ast.walk(tree):
        name = dotted(node) if isinstance(node, ast.Attribute) else ""
        head, _, last = name.rpartition(".")
        if (head == "torch" and last in RANDOM) or (head == "torch.random" and last != "fork_rng"):
            broken.append(
                name
            )  # fork_rng draws nothing: it shields the global state from a package that does
        if (
            head in ("np.random", "numpy.random") and last != "Generator"
        ):  # the type of a stream may be named
            broken.append(name)
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in DRAWN_IN_PLACE
        ):
            broken.append(dotted(node.func))
    broken += [
        name
        for name, _ in imports(module, tree)
        if name.split(".")[0] == "random" or name == "numpy.random"
    ]
    return broken


def pinned_to_cuda(source: str) -> list[str]:
    calls = [
        n
        for n in ast.walk(parsed(source))
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
    ]
    return [dotted(n.func) for n in calls if n.func.attr == "cuda"]


def yields_inside_with(source: str) -> list[int]:
    """Lines of a yield inside a with: the context would leak into the consumer's code between two
    steps.
    """
    lines = []
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.With):
            nested = {
                id(m) for f in ast.walk(node) if isinstance(f, ast.FunctionDef) for m in ast.walk(f)
            }
            found = [
                n
                for n in ast.walk(node)
                if isinstance(n, ast.Yield | ast.YieldFrom) and id(n) not in nested
            ]
            lines += [n.lineno for n in found]
    return lines


def run_lengths(source: str) -> dict[str, int]:
    """Lines of every method named run, without its signature and docstring."""
    lengths = {}
    for cls in ast.walk(parsed(source)):
        for f in getattr(cls, "body", []) if isinstance(cls, ast.ClassDef) else []:
            if isinstance(f, ast.FunctionDef) and f.name == "run":
                body = f.body[1:] if ast.get_docstring(f) else f.body
                lengths[cls.name] = body[-1].end_lineno - body[0].lineno + 1 if body else 0
    return lengths


BELOW = [m for m in MODULES if m != "__init__"]  # the root __init__ names what every floor offers


#: What computes; pictures are read and drawn by heavier packages.
LIBRARY = [m for m in BELOW if m.split(".")[0] not in ("images", "uncertainty", "diagnosis")]


def breaches(modules: Iterable[str], law: Callable[[str, str], object]) -> dict[str, object]:
    """Return what a law, given a module and its source, finds in the modules that break it."""
    found = {}
    for module in modules:
        broken = law(module, MODULES[module])
        if broken:
            found[module] = broken
    return found


def test_every_module_has_a_floor():
    assert {module.split(".")[0] for module in BELOW} <= set(FLOORS)


def test_modules_import_only_from_lower_floors():
    assert breaches(BELOW, climbs) == {}


def test_rooms_hold_no_circles():
    """A room's `__init__` gathers its modules, and so is left out."""
    assert not circles({m: source for m, source in MODULES.items() if not m.endswith("__init__")})


def test_modules_import_heavy_packages_only_inside_functions():
    assert breaches([m for m in LIBRARY if floor(m) < FLOORS["checkpoints"]], heavy) == {}


def test_modules_draw_no_random_numbers_of_their_own():
    assert breaches([m for m in MODULES if m != "rng"], draws) == {}


def test_modules_are_not_pinned_to_a_device():
    assert breaches(MODULES, lambda module, source: pinned_to_cuda(source)) == {}


def test_modules_never_yield_inside_with():
    modules = [m for m in LIBRARY if floor(m) <= FLOORS["solvers"]]
    assert breaches(modules, lambda module, source: yields_inside_with(source)) == {}


def test_pictures_are_opened_in_one_place():
    """`images.open_image` says by which readers; `uncertainty` opens a chart of its own in
    memory.
    """
    opening = {m for m, source in MODULES.items() if "Image.open(" in source}
    assert opening == {"images.opening", "uncertainty"}


# ---- what must never appear ----------------------------------------------------------------------

#: Calls that stand in no module but those named, each for a reason.
ONLY = {
    # Files become whole, on the disk and in one go, in one place.
    "os.replace": {"files"}, "os.rename": set(), "shutil.move": set(),
    # The umask belongs to all threads.
    "os.umask": set(),
    # Folders that are swept when the page ends, and when the next one starts.
    "tempfile.mkdtemp": {"web.jobs", "web.folder"},
    # Code of the user's own, where an option names its file.
    "runpy.run_path": {"bench.score.networks"},
    # Nothing is handed to a shell or to another program.
    "os.system": set(), "os.popen": set(), "os.execv": set(), "os.startfile": set(),
    # No code out of a file or an answer.
    "eval": set(), "exec": set(), "__import__": set(), "pickle.load": set(),
    "pickle.loads": set(), "pickle.Unpickler": set(), "marshal.loads": set(), "shelve.open": set(),
    "joblib.load": set(), "yaml.load": set(), "torch.hub.load": set(),
    "torch.hub.load_state_dict_from_url": set(), "torch.serialization.add_safe_globals": set(),
}  # fmt: skip
#: Modules that reach the network or start programs, and who may import them.
REACHING = {
    "subprocess": set(), "multiprocessing": {"cli.workers", "training.batches"},
    # How the C library keeps freed memory.
    "ctypes": {"bench.plan.timing", "cli.memory"},
    "dill": set(), "cloudpickle": set(),
    "requests": set(), "httpx": set(), "aiohttp": set(), "ftplib": set(), "smtplib": set(),
    "urllib.request": {"checkpoints.download"}, "http.client": {"checkpoints.download"},
    # A name for this machine, and whether a Ray cluster that was named answers.
    "socket": {"bench.plan.restore_unit", "bench.run.locks", "bench.run.ray",
               "bench.run.result_file"},
    # Models of the hub are fetched by `hrdis model download` alone; hub looks where they lie.
    "huggingface_hub": {"checkpoints.fetch", "checkpoints.hub"},
}  # fmt: skip


def called(node: ast.Call) -> str:
    """The name of what is called: "os.replace", "eval", and "?.from_pretrained" of an object."""
    return dotted(node.func)


def forbidden_calls(module: str, source: str) -> list[str]:
    """Calls of `ONLY` outside their modules, and readers told to run code."""
    broken = []
    for node in ast.walk(parsed(source)):
        if not isinstance(node, ast.Call):
            continue
        name = called(node)
        if name in ONLY and module not in ONLY[name]:
            broken.append(name)
        if name.endswith(".from_pretrained"):  # of any class: it asks the network for a name
            broken.append(name)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if given.get("shell", "False") != "False":
            broken.append(f"{name}(shell=...)")
        if name == "torch.load" and given.get("weights_only") != "True":
            broken.append("torch.load without weights_only=True")
        if name == "np.load" and given.get("allow_pickle", "False") != "False":
            broken.append("np.load(allow_pickle=...)")
        local = given.get("local_files_only") == "True"
        if name == "snapshot_download" and module != "checkpoints.fetch" and not local:
            broken.append("snapshot_download without local_files_only=True")
        if given.get("trust_remote_code", "False") != "False":
            broken.append("trust_remote_code")
    return broken


def reaches(module: str, source: str) -> list[str]:
    """Imports of `REACHING` outside their modules."""
    broken = []
    for name, _ in imports(module, parsed(source)):
        for package, allowed in REACHING.items():
            if (name == package or name.startswith(f"{package}.")) and module not in allowed:
                broken.append(name)
    return broken


def unbounded(source: str) -> list[str]:
    """Whole numbers with a smallest but no largest value: each becomes memory or time."""
    broken = []
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Subscript) and dotted(node.value) == "Annotated":
            text = ast.unparse(node)
            number = text.startswith(("Annotated[int,", "Annotated[int |"))
            if number and "Field(" in text and "le=" not in text and "lt=" not in text:
                broken.append(text)
    return broken


def narrow_decoders(source: str) -> list[int]:
    """Lines of a `json.loads` in a try that lets a nested file through as a RecursionError.

    Text that this program has just made itself is read outside of any try.
    """
    lines = []
    for node in ast.walk(parsed(source)):
        if not isinstance(node, ast.Try):
            continue
        inside = [n for statement in node.body for n in ast.walk(statement)]
        reads = [n for n in inside if isinstance(n, ast.Call) and called(n) == "json.loads"]
        caught = " ".join(ast.unparse(h.type) if h.type else "Exception" for h in node.handlers)
        wide = "RecursionError" in caught or "Exception" in caught.split()
        if reads and node.handlers and not wide:
            lines.append(node.lineno)
    return lines


@pytest.mark.parametrize(
    "law",
    [
        forbidden_calls,
        reaches,
        lambda module, source: unbounded(source),
        lambda module, source: narrow_decoders(source),
    ],
    ids=["calls", "the network", "bounds", "decoders"],
)
def test_what_must_never_appear_does_not(law):
    assert breaches(MODULES, law) == {}


def test_modules_stay_within_their_budget_of_lines():
    assert breaches(MODULES, lambda module, source: len(source.splitlines()) > 400) == {}


def test_runs_of_solvers_stay_within_their_budget_of_lines():
    modules = [m for m in BELOW if m.startswith("solvers.")]
    assert (
        breaches(modules, lambda _, source: max(run_lengths(source).values(), default=0) > 40) == {}
    )


def test_every_solver_file_has_a_run():
    """Otherwise the budget above would measure nothing."""
    counted = [cls for m in BELOW if m.startswith("solvers.") for cls in run_lengths(MODULES[m])]
    assert {cls.__name__ for cls, _ in hrdis.SOLVERS.values()} <= set(counted)


# ---- the laws catch what they are for -----------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("linalg", "from .operators.base import Operator"),
        ("rng", "from . import driver"),
        ("schedule", "from .rng import stream"),
        ("schedule", "def f():\n    from .rng import stream"),
        ("priors.exact", "from ..operators.inpaint import Inpainting"),
        ("noise", "from .priors import Gaussian"),
        ("priors.unet", "from ..checkpoints.unet import build_unet"),
        ("solvers.ddnm", "from ..operators.inpaint import Inpainting"),
        ("solvers.ddnm", "from ..priors.exact import Gaussian"),
        ("solvers.ddnm", "import hrdis"),
        ("tasks", "from .solvers import HRDIS"),
        ("driver", "from .restoration import Job"),
        ("training.loop", "from ..cli import main"),
        ("training.loop", "from ..bench.run import Store"),
        ("restoration.job", "from ..web import page"),
    ],
)
def test_law_of_floors_refuses(module, source):
    assert climbs(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("operators.inpaint", "from ..linalg import cg\nfrom .base import LinearOperator"),
        ("priors.exact", "from ..problem import Problem"),
        ("checkpoints.load", "from .diffusers import load_diffusers"),
        ("solvers.__init__", "from . import ddnm, hrdis"),
        ("tasks", "from .operators import masks"),
        ("driver", "from .solvers.base import Solver"),
        ("training.loop", "from .procedural import paint\nimport hrdis"),
        ("cli", "from .bench import plan"),
    ],
)
def test_law_of_floors_allows(module, source):
    assert not climbs(module, source)


def test_law_of_circles_refuses():
    sources = {
        "bench.a": "from .b import f", "bench.b": "from .c import f", "bench.c": "from .a import f",
        "bench.d": "from .a import f",
    }  # fmt: skip
    assert circles(sources) == ["bench.a", "bench.b", "bench.c"]
    assert not circles({"bench.a": "from .b import f", "bench.b": "def f():\n    from .a import g"})


@pytest.mark.parametrize(
    "source",
    ["import diffusers", "from PIL import Image", "import numpy as np", "import skimage.io"],
)
def test_law_of_heavy_packages_refuses(source):
    assert heavy("operators.inpaint", source)
    assert not heavy("operators.inpaint", f"def f():\n    {source}")


@pytest.mark.parametrize(
    "source",
    [
        "torch.randn(3)",
        "torch.rand(3)",
        "torch.randn_like(x)",
        "torch.manual_seed(0)",
        "draw = torch.randn",
        "np.random.default_rng(0)",
        "np.random.seed(0)",
        "import random",
        "from random import choice",
        "from numpy.random import default_rng",
        "x.normal_()",
        "torch.empty(3).uniform_()",
    ],
)
def test_law_of_randomness_refuses(source):
    assert draws("operators.inpaint", source)


def test_law_of_randomness_allows_the_type_of_a_stream():
    assert not draws("operators.masks", "def f(rng: np.random.Generator): return rng.normal(0, 1)")


def test_law_of_devices_refuses():
    assert pinned_to_cuda("x = torch.ones(3).cuda()")


def test_law_of_yields_refuses():
    assert yields_inside_with("def run():\n    with torch.no_grad():\n        yield 1") == [3]


def test_budget_of_run_counts_lines():
    long = "class A:\n    def run(self):\n        '''Doc.'''\n" + "        x = 1\n" * 41
    assert run_lengths(long) == {"A": 41}


@pytest.mark.parametrize(
    "source",
    [
        "os.replace(a, b)", "import os\nos.umask(0)", "tempfile.mkdtemp()", "eval(text)",
        "pickle.load(file)", "pickle.loads(text)", "torch.load(path)",
        "torch.load(path, weights_only=False)", "np.load(path, allow_pickle=True)",
        "run(words, shell=True)", "UNet2DModel.from_pretrained(name)", "os.system(text)",
        "snapshot_download(name)", "yaml.load(text)", "f(x, trust_remote_code=True)",
    ],
)  # fmt: skip
def test_law_of_calls_refuses(source):
    assert forbidden_calls("restoration.job", source)


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path, weights_only=True)", "np.load(path)", "net.eval()", "text.replace(a, b)",
        "re.compile(text)", "np.load(path, allow_pickle=False)",
    ],
)  # fmt: skip
def test_law_of_calls_allows(source):
    assert not forbidden_calls("restoration.job", source)


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess", "from urllib.request import urlopen", "import urllib.request",
        "def f():\n    import socket", "from huggingface_hub import snapshot_download",
        "import requests", "from http.client import HTTPConnection",
    ],
)  # fmt: skip
def test_law_of_the_network_refuses(source):
    assert reaches("restoration.job", source)


def test_law_of_bounds_refuses():
    assert unbounded("x: Annotated[int, Field(ge=1)] = 1")
    assert unbounded("x: Annotated[int | None, Field(gt=0)] = None")
    assert not unbounded("x: Annotated[int, Field(ge=1, le=9)] = 1")


def test_law_of_decoders_refuses():
    read = "try:\n    json.loads(x)\nexcept {}:\n    pass"
    assert narrow_decoders(read.format("json.JSONDecodeError")) == [1]
    assert not narrow_decoders(read.format("(ValueError, RecursionError)"))
    assert not narrow_decoders(read.format("Exception"))
