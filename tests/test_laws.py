"""The laws of the house, enforced on the syntax trees: who may import whom, and what may be called
where.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hrdis

ROOT = Path(hrdis.__file__).parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text()
    for path in sorted(ROOT.rglob("*.py"))
}

FLOORS = {
    "schedule": 0, "rng": 0, "linalg": 0, "files": 0, "wording": 0,
    "operators": 1, "noise": 1, "priors": 1,
    "solvers": 2, "tasks": 2,
    "arguments": 3, "driver": 3, "simulate": 3,
    "images": 4, "metrics": 4, "uncertainty": 4, "interop": 4, "check": 4,
    "restarts": 4, "fetch": 4, "devices": 4, "diagnosis": 4,
    "training": 5, "bench": 5, "restoration": 5, "fixing": 5,
    "cli": 6, "web": 6,
    "__main__": 7,
}  # fmt: skip

#: Files of one floor that may be imported by a neighbour: `load_prior` gives a name to what the
#: file of the network reads, a sheet of samples is a picture, whose ranges `images` alone knows,
#: what acts on rows and columns apart is one kind of operator, whatever takes a kernel checks it
#: alike, the fill of holes is linear algebra, and what the driver refuses is a file of messages.
#: Other people's models are networks and denoisers behind one bridge; networks under other names
#: are read by one reader into one class, and a latent one has its decoder composed with the
#: measurement. Files of pictures are opened by the one reader, masks and kernels too, though the
#: others on their floors know no [0, 1] and no 0..255; its own files are notes, opening, reading
#: and writing. Live networks are taken out of their wrappers, and asked what they want, by one
#: file; what makes complex numbers real is tried before a message names it. A problem takes
#: deepinv's operators for ours. The best of runs is chosen by a metric, and a prior is tried by
#: one. The page is opened by a command.
NEIGHBOURS = {
    ("priors.checkpoints", "priors.pipelines"),
    ("priors.checkpoints", "priors.hub"),
    ("priors.checkpoints", "priors.cards"),
    ("priors.unet", "priors.weights"),
    ("priors.unet", "priors.wrappers"),
    ("priors.pipelines", "priors.wrappers"),
    ("priors.denoiser", "priors.wrappers"),
    ("priors.azula", "priors.wrappers"),
    ("priors.adopt", "priors.wrappers"),
    ("priors.latent", "priors.wrappers"),
    ("priors.latent_files", "priors.wrappers"),
    ("priors.latent_files", "priors.pipelines"),
    ("priors.latent_files", "priors.weights"),
    ("priors.checkpoints", "priors.unet"),
    ("priors.checkpoints", "priors.weights"),
    ("priors.hub", "priors.cards"),
    ("operators.base", "operators.real"),
    ("operators.problem", "operators.real"),
    ("priors.pipelines", "priors.denoiser"),
    ("priors.pipelines", "priors.hub"),
    ("priors.pipelines", "priors.unet"),
    ("priors.pipelines", "priors.small_unet"),
    ("priors.azula", "priors.denoiser"),
    ("priors.adopt", "priors.azula"),
    ("priors.adopt", "priors.pipelines"),
    ("priors.checkpoints", "priors.latent_files"),
    ("priors.latent", "priors.unet"),
    ("priors.latent", "operators.composition"),
    ("priors.latent_files", "priors.latent"),
    ("priors.latent_files", "priors.unet"),
    ("priors.checkpoints", "priors.adm"),
    ("priors.checkpoints", "priors.ddpm_original"),
    ("priors.adm", "priors.adm_presets"),
    ("priors.adm", "priors.adm_shapes"),
    ("priors.adm_shapes", "priors.adm_presets"),
    ("priors.adm_shapes", "priors.weights"),
    ("priors.adm", "priors.conversion"),
    ("priors.adm", "priors.denoiser"),
    ("priors.adm", "priors.unet"),
    ("priors.adm", "priors.weights"),
    ("priors.ddpm_original", "priors.conversion"),
    ("priors.ddpm_original", "priors.unet"),
    ("priors.ddpm_original", "priors.weights"),
    ("priors.conversion", "priors.unet"),
    ("priors.conversion", "priors.weights"),
    ("driver", "arguments"),
    ("simulate", "arguments"),
    ("uncertainty", "images"),
    ("images.opening", "images.notes"),
    ("images.reading", "images.notes"),
    ("images.reading", "images.opening"),
    ("images.writing", "images.notes"),
    ("operators.mask_files", "images"),
    ("operators.kernels", "images"),
    ("diagnosis.base", "images"),
    ("diagnosis.noise", "diagnosis.spectrum"),
    ("restarts", "metrics"),
    ("check.prior", "metrics"),
    ("check.prior", "check.learned"),
    ("operators.masks", "operators.mask_files"),
    ("operators.superres", "operators.separable"),
    ("operators.problem", "operators.adopt"),
    ("operators.problem", "operators.deepinv"),
    ("operators.adopt", "operators.deepinv"),
    ("operators.blur_separable", "operators.separable"),
    ("operators.blur_separable", "operators.kernels"),
    ("operators.blur", "operators.kernels"),
    ("operators.inpaint", "operators.biharmonic"),
    ("cli.serve", "web.serve"),
    ("cli.serve", "web.work"),
    ("solvers.reddiff", "solvers.hrdis"),
    ("solvers.cr", "solvers.hrdis"),
    ("solvers.drddim", "solvers.hrdis"),
    ("solvers.cmhrdis", "solvers.hrdis"),
    ("solvers.blindhrdis", "solvers.hrdis"),
}
#: What a solver may know of operators and priors, and they of each other.
INTERFACES = {"operators.base", "operators.problem", "priors.base"}
#: Random numbers and pictures come from numpy and Pillow.
NUMPY = {"rng", "operators.masks", "operators.mask_files", "priors.exact"}
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


def floor(module: str) -> int:
    return FLOORS[module.split(".")[0]]


def package(module: str) -> str:
    """The folder a module lies in: "" for ``schedule``, "priors" for ``priors.unet`` and
    ``priors.__init__``.
    """
    return module.rpartition(".")[0]


def imports(module: str, tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Every imported module, absolute, and whether it is imported when this module is (not inside a
    function).
    """
    inside = {
        id(n)
        for f in ast.walk(tree)
        if isinstance(f, ast.FunctionDef | ast.Lambda)
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
    """Imports that break the order of the floors."""
    broken = []
    for target in inner(module, ast.parse(source)):
        if not target:  # `import hrdis`: the whole house, for the applications on its top floors
            allowed = floor(module) >= 5
        elif floor(target) < floor(module):
            solver = module.startswith("solvers") and target.split(".")[0] in (
                "operators",
                "priors",
            )
            allowed = target in INTERFACES if solver else True
        elif package(module) and target.split(".")[0] == package(module):
            # Inside one folder: only its base.py. The folder's __init__ gathers its files, and an
            # application (floors 5 and 6) is one program in several files.
            gathers = module.endswith("__init__") or floor(module) >= 5
            allowed = gathers or target.endswith(".base")
        else:
            allowed = floor(target) == floor(module) and target in INTERFACES
        if not allowed and (module, target) not in NEIGHBOURS:
            broken.append(f"{module} imports {target}")
    return broken


def heavy(module: str, source: str) -> list[str]:
    """Packages below floor 4 that every user would pay for at import."""
    cheap = (
        set(sys.stdlib_module_names)
        | {"hrdis", "torch", "pydantic"}
        | ({"numpy"} if module in NUMPY else set())
    )
    tops = {name.split(".")[0] for name, at_once in imports(module, ast.parse(source)) if at_once}
    return sorted(tops - cheap)


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of an attribute chain, "?.c" where it hangs on something else."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def draws(module: str, source: str) -> list[str]:
    """Random numbers that do not come from `rng`."""
    tree, broken = ast.parse(source), []
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
        for n in ast.walk(ast.parse(source))
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
    ]
    return [dotted(n.func) for n in calls if n.func.attr == "cuda"]


def yields_inside_with(source: str) -> list[int]:
    """Lines of a yield inside a with: the context would leak into the consumer's code between two
    steps.
    """
    lines = []
    for node in ast.walk(ast.parse(source)):
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
    for cls in ast.walk(ast.parse(source)):
        for f in getattr(cls, "body", []) if isinstance(cls, ast.ClassDef) else []:
            if isinstance(f, ast.FunctionDef) and f.name == "run":
                body = f.body[1:] if ast.get_docstring(f) else f.body
                lengths[cls.name] = body[-1].end_lineno - body[0].lineno + 1 if body else 0
    return lengths


BELOW = [m for m in MODULES if m != "__init__"]  # the root __init__ names what every floor offers


@pytest.mark.parametrize("module", BELOW)
def test_module_has_a_floor(module):
    assert module.split(".")[0] in FLOORS


@pytest.mark.parametrize("module", BELOW)
def test_module_imports_only_from_lower_floors(module):
    assert not climbs(module, MODULES[module])


@pytest.mark.parametrize("module", [m for m in BELOW if floor(m) < 4])
def test_module_imports_heavy_packages_only_inside_functions(module):
    assert not heavy(module, MODULES[module])


@pytest.mark.parametrize("module", [m for m in MODULES if m != "rng"])
def test_module_draws_no_random_number_of_its_own(module):
    assert not draws(module, MODULES[module])


@pytest.mark.parametrize("module", MODULES)
def test_module_is_not_pinned_to_a_device(module):
    assert not pinned_to_cuda(MODULES[module])


@pytest.mark.parametrize("module", [m for m in BELOW if floor(m) < 4])
def test_module_never_yields_inside_with(module):
    assert not yields_inside_with(MODULES[module])


@pytest.mark.parametrize(
    "module", [name for name in MODULES if name not in ("images.opening", "uncertainty")]
)
def test_pictures_are_opened_in_one_place(module):
    """`images.open_image` says by which readers; `uncertainty` opens a chart of its own in
    memory.
    """
    assert "Image.open(" not in MODULES[module]


@pytest.mark.parametrize("module", MODULES)
def test_module_stays_within_its_budget_of_lines(module):
    assert len(MODULES[module].splitlines()) <= 400


@pytest.mark.parametrize("module", [m for m in BELOW if m.startswith("solvers.")])
def test_run_of_a_solver_stays_within_its_budget_of_lines(module):
    assert all(lines <= 40 for lines in run_lengths(MODULES[module]).values())


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
        ("operators.inpaint", "from .superres import SuperResolution"),
        ("operators.inpaint", "from . import masks"),
        ("priors.exact", "from ..operators.inpaint import Inpainting"),
        ("noise", "from .priors import Gaussian"),
        ("solvers.ddnm", "from ..operators import Inpainting"),
        ("solvers.ddnm", "from ..operators.masks import freeform"),
        ("solvers.ddnm", "from ..priors.exact import Gaussian"),
        ("solvers.ddnm", "from .hrdis import HRDIS"),
        ("solvers.ddnm", "import hrdis"),
        ("tasks", "from .solvers import HRDIS"),
        ("driver", "from . import images"),
        ("metrics", "from . import images"),
        ("training.loop", "from ..cli import main"),
        ("training.loop", "from ..bench.store import append"),
    ],
)
def test_law_of_floors_refuses(module, source):
    assert climbs(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("operators.inpaint", "from ..linalg import cg\nfrom .base import LinearOperator"),
        ("priors.exact", "from ..operators.problem import Problem"),
        ("priors.checkpoints", "from .pipelines import load_diffusers"),
        ("solvers.__init__", "from . import ddnm, hrdis"),
        ("tasks", "from .operators import masks"),
        ("driver", "from .solvers.base import Solver"),
        ("training.loop", "from .procedural import paint\nimport hrdis"),
        ("cli", "from .bench import plan"),
    ],
)
def test_law_of_floors_allows(module, source):
    assert not climbs(module, source)


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
