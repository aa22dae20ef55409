"""``hrdis restore``: a picture that is already damaged."""

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from pydantic import TypeAdapter
from torch import Tensor

import hrdis
from hrdis import images, uncertainty
from hrdis.driver import check, iterate
from hrdis.operators import Identity, Inpainting, LinearOperator, Problem, SuperResolution, masks
from hrdis.priors import Prior, Tiled, load_prior
from hrdis.solvers import SOLVERS, Solver, preset
from hrdis.tasks import TASKS, Task

from .parsing import checking, choose, parse, peek
from .progress import bar, say

HELP = """\
Restore a damaged picture: fill holes, enlarge, remove noise.

Examples:
  hrdis restore small.jpg --task sr4 -o large.png
  hrdis restore torn.png --task inpaint --mask holes.png -o whole.png --samples 4
  hrdis restore noisy.png --task denoise --noise 0.1 -o clean.png --solver reddiff --steps 60

The mask is a picture of the same size: white where a hole is to be filled (see --hole). --noise is the standard
deviation of the noise for pixel values from 0 to 1 (25 of 255 is 0.1). Beside OUT a record OUT.json says what was
done; with --samples K the other samples, their mean, a map of where they differ, and a contact sheet are written too.
The last group lists the settings of the chosen solver; their defaults fit the task and the prior.
"""

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Restore:
    """Options of ``hrdis restore``."""

    image: tyro.conf.Positional[Path]
    """The damaged picture: PNG, JPEG, WebP, TIFF or BMP; any size, grey, colour or transparent."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Where the restored picture goes; the suffix chooses the format."""
    task: str
    """What is wrong with the picture; `hrdis tasks` lists the names."""
    mask: Path | None = None
    """A picture (or .npy array of 0 and 1) of the same size that shows the holes; needed for inpainting."""
    hole: Literal["white", "black", "alpha"] = "white"
    """What marks a hole in the mask; alpha means transparent, and then the picture may be its own mask."""
    noise: float = 0.0
    """Standard deviation of the noise in the picture, for pixel values from 0 to 1."""
    solver: str = "hrdis"
    """The algorithm; `hrdis solvers` lists the names."""
    prior: str = "default"
    """The diffusion model: 'default', or a folder made by `hrdis train` or diffusers."""
    samples: int = 1
    """How many restorations to draw, to see what is certain and what was invented."""
    seed: int = 0
    """Seed of the first sample; the others take the numbers after it."""
    redraw: bool = False
    """Inpainting without noise: take observed pixels from the solver too, instead of leaving them as they were."""
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:1, mps."""
    precision: Precision = "fp32"
    """Precision of the network; bf16 and fp16 are faster on some machines, and change the last digits."""
    tile: int = 512
    """Larger pictures run in tiles of this side, with --overlap between them."""
    overlap: int = 64
    """How far tiles overlap, in pixels."""


def main(argv: Sequence[str]) -> int:
    wanted = not {"-h", "--help"} & set(argv)
    solver = choose("solver", peek(argv, "--solver", "hrdis"), SOLVERS)
    task = peek(argv, "--task", "inpaint")
    task = choose("task", task, TASKS) if wanted or task in TASKS else "inpaint"
    with checking():
        noise = float(peek(argv, "--noise", "0"))
    key, settings = preset(solver, TASKS[task].presets, peek(argv, "--prior", "default"), noise)
    args: Any = parse(Restore, argv, "restore", HELP, settings=settings)
    with checking():
        job = Job.prepare(args, TASKS[args.task])
    say(f"{args.task} with {args.solver} (preset {key or 'none'}), {len(job.times) - 1} network calls a sample")
    samples, nfe, seconds = job.run()
    if not bool(torch.isfinite(samples).all()):
        say("hrdis restore: the restoration became NaN or infinite; nothing was written. The steps are too large for "
            "this picture: lower --lr, or leave the settings to their preset.")
        return 1
    files = job.write(samples)
    record = job.record(key, files, nfe, seconds)
    images.write_atomically(
        args.output.with_suffix(".json"), lambda f: f.write(json.dumps(record, indent=2).encode() + b"\n")
    )
    say(f"{seconds:.1f} s. Wrote " + ", ".join(files))
    return 0


@dataclass(frozen=True)
class Job:
    """Everything a restoration needs, checked."""

    args: Any
    picture: images.Picture
    problem: Problem
    prior: Prior
    solver: Solver
    times: list[int]

    @classmethod
    def prepare(cls, args: Any, task: Task) -> "Job":
        """Read, check and load everything; raises ValueError or TypeError before any work."""
        if args.samples < 1:
            raise ValueError(f"--samples is {args.samples}. At least 1 is expected.")
        if not 0 <= args.noise < 1:
            raise ValueError(f"--noise is {args.noise}. A standard deviation from 0 to 1 is expected: --noise 0.05")
        if args.task == "denoise" and args.noise == 0:
            raise ValueError("--task denoise needs the strength of the noise: --noise 0.1 (25 of 255).")
        picture = images.read(args.image)
        images.check_output(args.output, transparent=picture.alpha is not None and args.hole != "alpha")
        if args.image.resolve() == args.output.resolve():
            raise ValueError(f"{args.output} is the damaged picture itself. Another name is expected: -o restored.png")
        operator = _operator(args, task, picture)
        prior = load_prior(args.prior, dtype=DTYPES[args.precision], device=_device(args.device))
        if args.tile < 64:
            raise ValueError(f"--tile is {args.tile}. At least 64 pixels are expected: --tile 512")
        # Grey is restored in colour and averaged: the network knows noise that differs between channels.
        y = picture.x if prior.channels is None or picture.x.shape[1] == 3 else picture.x.expand(-1, 3, -1, -1)
        y = y.to(_device(args.device))
        y = operator(y) if isinstance(operator, Inpainting) else y.clone()
        problem = Problem(y, operator.to(y.device), 2 * args.noise)
        settings = args.settings
        tiled = Tiled(prior, args.tile, args.overlap)
        check(settings, tiled, problem)
        return cls(args, picture, problem, tiled, settings, settings.times(prior.schedule))

    def run(self) -> tuple[Tensor, int, float]:
        """Draw the samples one after the other: (k, c, h, w) on the CPU, network calls, seconds."""
        samples, nfe, started = [], 0, time.perf_counter()
        calls = len(self.times) - 1
        with bar(self.args.samples * calls) as advance:
            for k in range(self.args.samples):
                run = iterate(self.solver, self.prior, self.problem, seeds=[self.args.seed + k])
                result = None
                while result is None:
                    try:
                        next(run)
                        advance()
                    except StopIteration as end:
                        result = end.value
                samples.append(self._finish(result.x).cpu())
                nfe += result.nfe
        return torch.cat(samples), nfe, time.perf_counter() - started

    def _finish(self, x: Tensor) -> Tensor:
        A, grey = self.problem.A, self.picture.x.shape[1] == 1
        if not self.args.redraw and isinstance(A, Inpainting) and self.problem.sigma_y == 0:
            x = A.project(x, self.problem.y)
        return x.mean(1, keepdim=True) if grey else x

    def write(self, samples: Tensor) -> list[str]:
        """Write the pictures; returns their names."""
        out, named = self.args.output, {}
        picture = self.picture if self.args.hole != "alpha" else images.Picture(self.picture.x, icc=self.picture.icc)
        for k, x in enumerate(samples):
            named[out if k == 0 else _beside(out, str(k + 1))] = picture.with_image(x[None])
        if len(samples) > 1:
            summary = uncertainty.summarise(samples)
            named[_beside(out, "mean")] = picture.with_image(summary.mean)
        for path, one in named.items():
            images.write(path, one)
        if len(samples) == 1:
            return [str(path) for path in named]
        deviation = uncertainty.deviation_map(summary.deviation)
        titles = ["given", *(f"sample {k + 1}" for k in range(len(samples))), "mean"]
        shown = [self._given(), *samples.split(1), summary.mean]
        extra = {"deviation": deviation, "sheet": uncertainty.sheet(shown, titles, columns=min(len(shown), 4))}
        for name, image in extra.items():
            path = _beside(out, name).with_suffix(".png")
            images.write_atomically(path, lambda f, image=image: image.save(f, format="PNG"))
            named[path] = None
        return [str(path) for path in named]

    def _given(self) -> Tensor:
        """The damaged picture at the size of the restored one."""
        x = self.problem.A.pinv(self.problem.y).cpu()
        return x.mean(1, keepdim=True) if self.picture.x.shape[1] == 1 else x

    def record(self, key: str | None, files: list[str], nfe: int, seconds: float) -> dict[str, Any]:
        """What was done, enough to do it again."""
        args = self.args
        return {
            "hrdis": hrdis.__version__,
            "image": str(args.image),
            "image_sha256": sha256(args.image.read_bytes()).hexdigest(),
            "mask": None if args.mask is None else str(args.mask),
            "hole": args.hole,
            "task": args.task,
            "noise": {"[0,1]": args.noise, "[-1,1]": 2 * args.noise},
            "solver": args.solver,
            "preset": key,
            "settings": TypeAdapter(type(self.solver)).dump_python(self.solver, mode="json"),
            "prior": args.prior,
            "seeds": list(range(args.seed, args.seed + args.samples)),
            "times": self.times,
            "network_calls": nfe,
            "seconds": round(seconds, 2),
            "precision": args.precision,
            "device": str(self.problem.y.device),
            "tile": args.tile,
            "overlap": args.overlap,
            "redraw": args.redraw,
            "files": files,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }


def _operator(args: Any, task: Task, picture: images.Picture) -> LinearOperator:
    h, w = picture.size
    if not task.mask:
        if args.mask is not None:
            raise ValueError(f"--mask is given, but the task {args.task!r} takes none. Use --task inpaint.")
        if task.scale == 1:
            return Identity()
        kernel = "bicubic" if args.task.endswith("bicubic") else "average"
        return SuperResolution(task.scale, kernel)  # type: ignore[arg-type]
    source = args.image if args.mask is None and args.hole == "alpha" else args.mask
    if source is None:
        raise ValueError(
            f"The task {args.task!r} needs a mask: --mask holes.png (white where a hole is to be filled), "
            "or --hole alpha if the holes are transparent."
        )
    if source.suffix != ".npy":
        images.read(source)  # the same checks and messages as for the picture
    mask = masks.from_file(source, args.hole)
    if mask.shape != (h, w):
        raise ValueError(
            f"The mask {source} is {mask.shape[1]} x {mask.shape[0]}, the picture {w} x {h} (width x height). "
            "Both must agree; nothing is resized in silence."
        )
    return Inpainting(mask)


def _beside(path: Path, name: str) -> Path:
    return path.with_name(f"{path.stem}-{name}{path.suffix}")


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name} cannot be used ({str(error).splitlines()[0]}). Use --device cpu.") from None
    return device
