"""Train a prior on a folder of photographs: `train`."""

from collections.abc import Callable
from pathlib import Path
from threading import Event

import torch

from .. import presets
from . import network
from . import state as states
from .crops import Cropper
from .loop import Progress, TrainingRun
from .photographs import find_images, load
from .settings import TrainSettings, preset

__all__ = ["Progress", "train"]


def train(
    folder: str | Path,
    out: str | Path,
    settings: TrainSettings | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    stop: Event | None = None,
) -> Path:
    """Train a prior on the photographs in a folder, or go on with a training that was stopped.

    Minimises the unweighted mean squared error of v = alpha_t eps - sigma_t x0, over noise levels
    with ln(sigma_t/alpha_t) ~ Normal(-1.2, 1.5). It uses Muon and AdamW at a constant rate that
    falls linearly at the end, and keeps a moving average of the weights. Every few minutes the
    whole state is written, from which the same call goes on, also after a kill. The weights are
    equal bit for bit where the length is given in steps and the number of threads is fixed, on the
    same kind of CPU and torch. A GPU adds in another order each time.

    Before the first step the gradients of one batch are compared with those of the plain network,
    and after 50 steps every parameter must have moved.

    Args:
        folder: photographs, searched with subfolders; a few are held out to measure the prior on.
        out: receives the prior (config.json, weights, scheduler_config.json), ``MODEL_CARD.md``,
            ``settings.json``, ``log.jsonl``, ``curves.png``, ``samples/`` (held-out crops: clean,
            then noisy and denoised), ``state.safetensors`` and ``before-decay.safetensors``.
        settings: `preset` for this machine if not given.
        on_progress: called with a `Progress` now and then.
        stop: set it from elsewhere to end the run after its present step, with everything saved.

    Returns:
        the folder ``out``, which `load_prior` reads.

    Raises:
        ValueError: before any work, if folder, out and settings do not fit together.
        RuntimeError: if the loss stops being finite, or parameters do not move.
    """
    settings, folder, out = settings or preset(), Path(folder), Path(out)
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device = 'cuda', but torch sees no GPU. Use device='auto' or 'cpu'.")
    on_gpu = torch.cuda.is_available() and settings.device != "cpu"
    device = torch.device("cuda" if on_gpu else "cpu")
    find_images(folder, settings.licences)
    weights = before = None
    begun = (out / states.STATE).is_file()  # what it started from is not needed any more
    if settings.start_from is not None and not begun:
        weights = network.load(settings.start_from, settings)
    if settings.resume is not None and not begun:
        before = states.resumed(settings.resume)
    states.check_folder(folder, out)
    threads = torch.get_num_threads()
    with states.locked(out):
        states.remove_leftovers(out)
        photographs = load(
            folder,
            licences=settings.licences,
            seed=settings.seed,
            long_side=settings.long_side,
            memory=settings.memory * 1e9,
        )
        for side in settings.patches:  # refuses a patch that no photograph is as large as
            Cropper(photographs.training, side)
        states.check_settings(out, settings, states.fingerprint(photographs))
        try:
            torch.set_num_threads(settings.threads or threads)
            if not (out / presets.FILE).exists():
                # A prior of this kind does far better with the embedded one's settings than with
                # the papers', which are for large networks. `hrdis tune` searches its own.
                presets.write(out / presets.FILE, presets.embedded())
            run = TrainingRun(
                folder, photographs, out, settings, device, weights, before, on_progress, stop
            )
            run.train_to_end()
        finally:
            torch.set_num_threads(threads)
    return out
