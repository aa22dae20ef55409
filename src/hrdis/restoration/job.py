"""A restoration that has been checked, and how it runs."""

import time
import warnings
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor

from .. import images
from ..arguments import check
from ..checkpoints import fastest, load_prior, weights_sha256
from ..devices import DTYPES, pick_device
from ..diagnosis import Window
from ..driver import Iteration, Result, iterate
from ..messages import level_outside
from ..noise import Gaussian
from ..operators import Inpainting, SuperResolution
from ..presets import Choice
from ..priors import Prior, Tiled, with_onnxruntime
from ..problem import Problem
from ..solvers.base import Solver, Step
from . import arrays, outputs, plugin
from . import inputs as given
from .choosing import rounding
from .ends import AT_ENDS, keep_ends
from .holes import WindowStep, problem_in, windows_of
from .inputs import Inputs
from .options import FileOptions, FoundOptions, Options, check_numbers, check_pixels
from .result import Restoration

#: Pixels of the samples that a CPU restores together. Eight of 64 x 64 take five times as long as
#: one, but four of 256 x 256 longer than one after the other, as caches hold no more.
CPU_PIXELS = 2 * 128**2


@dataclass(frozen=True)
class Job:
    """Everything a restoration needs.

    Args:
        options: what to restore and how.
        inputs: the files or objects that were given.
        picture: the damaged picture, with what its file says beside the pixels.
        problem: its measurement and operator.
        prior: the diffusion model, in tiles where the picture is large.
        solver: the algorithm with its settings.
        times: the network times it visits.
        choice: where the settings come from, if they were chosen.
        precision_reason: why the network runs as it does, if that was chosen.
        found: what options were found in the picture.
        asked: the options of a run on a folder, for the record.
        windows: the parts of the picture that are restored, each by itself, where its holes are
            small; none if all of it is.
    """

    options: Options
    inputs: Inputs
    picture: images.Picture
    problem: Problem
    prior: Tiled
    solver: Solver
    times: list[int]
    choice: Choice[Any] | None = None
    precision_reason: str = ""
    found: FoundOptions = field(default_factory=FoundOptions)
    asked: Mapping[str, Any] | None = None
    windows: tuple[Window, ...] = ()

    @property
    def calls(self) -> int:
        """Number of network calls of one sample, in all windows together."""
        return max(1, len(self.windows)) * self.solver.calls(self.times, self.prior.schedule)

    @property
    def pixels(self) -> list[int]:
        """Number of pixels of every window, else of the picture."""
        if self.windows:
            return [window.own.numel() for window in self.windows]
        return [self.problem.image_shape[-2] * self.problem.image_shape[-1]]

    @property
    def knows_pixels(self) -> bool:
        """True if the measurement has no noise and decides pixels by itself."""
        deciding = (Inpainting, SuperResolution, *AT_ENDS)
        return self.options.noise == 0 and isinstance(self.problem.A, deciding)

    def check_redraw(self) -> None:
        """Raise if known pixels are not to be kept where there are none.

        Not part of `prepare`, as records of older versions hold such options.
        """
        if self.options.redraw and not self.knows_pixels:
            raise ValueError(
                "--no-keep-known is given, but this measurement decides no pixel by itself, so "
                "that none is kept. Leave it out."
            )

    @property
    def keeps_known(self) -> bool:
        """True if pixels that a noiseless measurement decides stay as they are."""
        return not self.options.redraw and self.options.noise == 0

    @property
    def at_once(self) -> int:
        """Number of samples that are drawn together.

        They have together no more pixels than one tile, and on a CPU no more than ``CPU_PIXELS``.

        An operator of the user's own gets one image at a time, as it may know no more.
        """
        if not self.options.task:
            return 1
        most = self.options.tile**2
        if self.problem.y.device.type == "cpu":
            most = min(most, CPU_PIXELS)
        return min(self.options.samples, max(1, most // max(self.pixels)))

    @property
    def steps(self) -> int:
        """Number of steps of `iterate`: one per move down the times, for each batch of samples and
        each window.
        """
        batches = -(-self.options.samples // self.at_once)
        moves = sum(s < t for t, s in pairwise(self.times))
        return batches * len(self.pixels) * moves

    def iterate(self) -> Iteration[tuple[int, Step], Restoration]:
        """Draw the samples, as many together as `at_once` says.

        Each depends on its own seed alone, up to the rounding of networks, whose last digits differ
        with the size of a batch.

        Returns:
            an iterator over (number of the first sample of the batch, step).
        """
        return Iteration(self._iterate())

    def run(self, on_step: Callable[[Step], object] | None = None) -> Restoration:
        """Draw the samples; ``on_step`` is called with every step."""
        return self.iterate().finish(None if on_step is None else lambda item: on_step(item[1]))

    def _iterate(self) -> Generator[tuple[int, Step], None, Restoration]:
        samples, calls, started = [], 0, time.perf_counter()
        estimated: dict[str, list[float]] = {}
        first, together = 0, self.at_once
        while first < self.options.samples:
            count = min(together, self.options.samples - first)
            seeds = [self.options.seed + first + k for k in range(count)]
            problem = self.problem
            if count > 1:  # the same measurement for each sample
                y = problem.y.expand(count, *problem.y.shape[1:]).contiguous()
                problem = Problem(y, problem.A, problem.sigma_y)
            try:
                x, results = yield from self._draw(first, problem, seeds)
            except torch.OutOfMemoryError:
                if count == 1:
                    raise
                together = count // 2
                warnings.warn(
                    f"{count} samples at once take more memory than there is; going on with "
                    f"{together} at once.",
                    stacklevel=level_outside(),
                )
                continue
            samples.append(self.finish(x))
            calls += sum(result.nfe for result in results) * count
            for name, value in results[-1].theta.items():
                if value[0].numel() == 1:  # a number for the picture; maps would swell the record
                    estimated.setdefault(name, []).extend(value.flatten().tolist())
            first += count
        return Restoration(
            torch.cat(samples), calls, time.perf_counter() - started, estimated, self
        )

    def _draw(
        self, first: int, problem: Problem, seeds: list[int]
    ) -> Generator[tuple[int, Step], None, tuple[Tensor, list[Result]]]:
        """Draw samples together, in the whole picture or in one window after the other.

        Returns:
            their pictures (b, c, h, w), and the result of every run.
        """
        if not self.windows:
            run = iterate(self.solver, self.prior, problem, seeds=seeds)
            for step in run:
                yield first, step
            return run.result.x, [run.result]
        x, results = problem.y, []
        for window in self.windows:
            part = problem_in(window, problem)
            run = iterate(self.solver, self.prior, part, seeds=seeds)
            for step in run:
                yield first, WindowStep(step, window, x)
            x = x.clone()  # a step that was kept shows the picture as it was
            window.paste(run.result.x, x)
            results.append(run.result)
        return x, results

    def finish(self, x: Tensor) -> Tensor:
        """Convert a solution to the picture that is shown, (1, c, h, w) on the CPU.

        Pixels that a noiseless measurement decides are kept, and a grey picture stays grey.
        """
        A = self.problem.A
        if self.keeps_known:
            if isinstance(A, Inpainting):
                x = A.project(x, self.problem.y)
            elif isinstance(A, SuperResolution):
                x = A.keep_ends(x, self.problem.y)
            elif isinstance(A, AT_ENDS):
                x = keep_ends(x, self.problem.y, A)
        return self._as_stored(x).cpu()

    def given(self) -> Tensor:
        """Return the damaged picture at the size of the restored one."""
        y, shape = self.problem.y, self.problem.image_shape
        if not self.problem.A.picture:
            x = self.problem.A.smooth(y)
        elif y.shape[-2:] == shape[-2:]:
            x = y.expand(shape)
        else:
            x = self.problem.A.pinv(y)
        return self._as_stored(x.cpu())

    @property
    def stored(self) -> images.Picture:
        """The damaged picture as the restored one is stored, opaque where its holes were filled."""
        if self.options.hole == "alpha":
            return replace(self.picture, alpha=None)
        return self.picture

    def _as_stored(self, x: Tensor) -> Tensor:
        """Return a grey picture as grey, with as many channels as its original file has."""
        if not self._grey:
            return x
        return x.mean(1, keepdim=True).expand(-1, self.picture.x.shape[1], -1, -1).contiguous()

    @cached_property
    def _grey(self) -> bool:
        """True if the restored picture is grey.

        It is if the damaged one is and colour is not what that lost. A grey picture that is stored
        as colour has equal channels wherever it was observed.
        """
        y = self.problem.y
        if not self.problem.A.picture:
            return self.picture.x.shape[1] == 1
        if y.ndim != 4 or y.shape[1] != self.problem.image_shape[1]:
            return False
        if self.picture.x.shape[1] == 1 or not self.options.task:
            return self.picture.x.shape[1] == 1
        return bool((y == y[:, :1]).all())


def prepare(
    options: Options,
    settings: Solver,
    load: Callable[..., Prior] = load_prior,
    *,
    inputs: Inputs | None = None,
    choice: Choice[Any] | None = None,
    found: FoundOptions | None = None,
    in_windows: bool = True,
) -> Job:
    """Read, check and load everything for one restoration.

    Args:
        options: what to restore and how; where it goes too, if they are `FileOptions`.
        settings: the solver that `Options.solver` names.
        load: what loads the prior.
        inputs: objects instead of the files that the options name.
        choice: where the settings come from, for the record.
        found: what options were found in the picture. They hold its values already, but for a mask,
            which is taken from here.
        in_windows: restore windows around holes alone, where they are small.

    Raises:
        ValueError, TypeError: for whatever cannot run or be written, before any work.
    """
    if inputs is None:
        plugin.task_or_operator(options)
    check_numbers(options)
    task = options.known_task()
    inputs = given.of_files(options) if inputs is None else inputs
    found = found or FoundOptions()
    if found.mask is not None:
        inputs = replace(inputs, mask=found.mask)
    is_measurement = task is None or not task.picture
    if task is not None and not task.picture:
        arrays.check_array(options, inputs.image)
    picture, y = given.read_picture(inputs.image, is_measurement)
    if isinstance(options, FileOptions):
        transparent = picture is not None and picture.alpha is not None
        filled = options.hole == "alpha"  # nothing transparent is left
        images.check_output(options.output, transparent=transparent and not filled)
        outputs.check_files(
            options.output, options.samples, [*inputs.files, options.weights],
            overwrite=options.overwrite, mask=found.mask is not None,
        )  # fmt: skip
    if task is not None and not task.picture:
        operator, seed = arrays.operator_of_measurement(options, inputs, task, y)
        inputs = replace(inputs, operator_seed=seed)
        shape = operator.image_shape(tuple(y.shape))
        _check_size(options, shape[-2], shape[-1])
        picture = images.Picture(torch.zeros(shape))
    elif task is not None:
        assert picture is not None
        h, w = y.shape[-2] * task.scale, y.shape[-1] * task.scale
        check_pixels(options, h, w)
        _check_size(options, h, w)
        operator = given.operator_of_task(options, inputs, task, y.shape[-2], y.shape[-1])
        if isinstance(operator, Inpainting):
            given.warn_about_mask(options, picture, operator.mask[0, 0] == 0)
    device = pick_device(options.device)
    prior = inputs.prior
    if prior is None:
        # How a network runs in fp32 is decided below, when the size of the picture is known.
        dtype = DTYPES.get(options.precision, torch.float32)
        prior = load(options.prior, label=options.label, dtype=dtype, device=device)
        weights = {"prior": weights_sha256(options.prior)}
        inputs = replace(inputs, hashes=inputs.hashes | weights)
    if task is None:
        y = given.fit_channels(y, prior, picture is not None).to(device)
        problem = given.problem_of_operator(options, inputs, y, picture is not None)
        _check_size(options, *problem.image_shape[-2:])
        picture = picture or images.Picture(torch.zeros(problem.image_shape))
    else:
        assert picture is not None
        if task.picture:
            y, picture = given.measurement(picture, operator, prior)
        else:
            y = given.fit_channels(y, prior, is_picture=True)  # its channels are the picture's
        noise = Gaussian(options.noise or rounding(task, settings, y))
        problem = Problem(y.to(device), operator.float().to(device), noise.sigma_y)
        given.warn_about_colours(task, prior)
    windows = windows_of(options, problem.A, prior) if in_windows else ()
    tiled = Tiled(prior, options.tile, options.overlap, memory=options.tile_memory * 1e9 or "free")
    check(settings, tiled, problem)
    times = settings.times(prior.schedule)
    reason = ""
    if inputs.prior is None and options.precision == "onnx":
        tiled.prior = with_onnxruntime(prior)
    elif inputs.prior is None and options.precision == "auto":
        again = partial(load, options.prior, label=options.label, device=device)
        state = prior.pull(problem).image_shape if prior.latent else problem.image_shape
        h, w = max((one.own.shape for one in windows), key=prod, default=state[2:])
        shape = (state[1], tiled.layout(h)[0], tiled.layout(w)[0])
        way = fastest(prior, lambda other: again(dtype=other), shape, inputs.hashes["prior"])
        tiled.prior, reason = way.prior, way.why
        options = replace(options, precision=way.precision)
    return Job(
        options, inputs, picture, problem, tiled, settings, times, choice, reason, found,
        windows=windows,
    )  # fmt: skip


def _check_size(options: Options, h: int, w: int) -> None:
    if isinstance(options, FileOptions):
        images.check_output(options.output, size=(h, w))
