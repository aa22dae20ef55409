"""The network that is trained: a fully convolutional UNet that predicts v, and how it is written to disk.

v = alpha_t eps - sigma_t x0. Unlike eps, it gives back x0 without dividing by alpha_t, which is 0.006 at t = 999.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..rng import stream
from ..schedule import Schedule

WEIGHTS, CONFIG, SCHEDULER = "diffusion_pytorch_model.safetensors", "config.json", "scheduler_config.json"
EXPORT = ".export-"  # how a half-written export is named
SCHEDULER_CONFIG = {
    "_class_name": "DDPMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "prediction_type": "v_prediction",
    "clip_sample": False,
    "variance_type": "fixed_small",
}


def build(channels: tuple[int, ...], layers: int, seed: int) -> Any:
    """Return a diffusers ``UNet2DModel`` whose weights are a function of the seed; its last convolution is zero.

    Args:
        channels: per resolution, multiples of 8.
        layers: residual blocks per resolution.
        seed: of the run.
    """
    from diffusers import UNet2DModel  # 2 s to import

    with torch.random.fork_rng(devices=[]):
        net: Any = UNet2DModel(
            sample_size=64, in_channels=3, out_channels=3, block_out_channels=channels, layers_per_block=layers,
            down_block_types=("DownBlock2D",) * len(channels), up_block_types=("UpBlock2D",) * len(channels),
            add_attention=False, norm_num_groups=8, norm_eps=1e-5,
        )  # fmt: skip
    _initialise(net, seed)
    return net.to(memory_format=torch.channels_last)


@torch.no_grad()
def _initialise(net: Any, seed: int) -> None:
    """Draw weights and biases uniformly within 1/sqrt(fan in), each from a stream of its own name."""
    for name, module in net.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        bound = module.weight[0].numel() ** -0.5
        for part, parameter in module.named_parameters(recurse=False):
            rng = stream(seed, "weights", f"{name}.{part}")
            draws = rng.random(tuple(parameter.shape), dtype=np.float32)
            parameter.copy_(torch.from_numpy((2 * draws - 1) * np.float32(bound)))
    net.conv_out.weight.zero_()
    net.conv_out.bias.zero_()


def load(folder: Path, channels: tuple[int, ...], layers: int) -> dict[str, Tensor]:
    """Return the float32 weights of a prior made earlier, if it has this architecture."""
    from safetensors.torch import load_file

    config, weights = folder / CONFIG, folder / WEIGHTS
    if not (config.is_file() and weights.is_file()):
        raise ValueError(
            f"start_from = {folder} is no prior: {CONFIG} and {WEIGHTS} are expected in it. "
            "Give the output folder of an earlier training."
        )
    stored = json.loads(config.read_text(encoding="utf-8"))
    there = tuple(stored.get("block_out_channels", ())), stored.get("layers_per_block")
    if there != (channels, layers):
        raise ValueError(
            f"start_from = {folder} has channels {there[0]} and {there[1]} layers, the settings have {channels} and "
            f"{layers}. Use the same: channels={there[0]}, layers={there[1]}."
        )
    return {name: tensor.float().clone() for name, tensor in load_file(weights).items()}


def export(net: Any, folder: Path) -> None:
    """Write the weights in fp16 and both configurations, as diffusers does; each file is replaced in one go."""
    scratch = Path(tempfile.mkdtemp(prefix=EXPORT, dir=folder))
    try:
        half = {name: tensor.half().contiguous() for name, tensor in net.state_dict().items()}
        _save(net, half, scratch)
        for name in (CONFIG, SCHEDULER, WEIGHTS):
            (scratch / name).chmod(0o644)
            os.replace(scratch / name, folder / name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _save(net: Any, weights: dict[str, Tensor], folder: Path) -> None:
    from diffusers import __version__ as diffusers_version
    from safetensors.torch import save_file

    net.save_config(folder)
    config = {**SCHEDULER_CONFIG, "_diffusers_version": diffusers_version}
    (folder / SCHEDULER).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def coefficients(schedule: Schedule, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return alpha_t and sigma_t as ``(b, 1, 1, 1)`` with alpha_t^2 + sigma_t^2 = 1, in type and place of ``like``."""
    alpha_bar = schedule.alpha_bar[t.cpu()].reshape(-1, 1, 1, 1)
    return alpha_bar.sqrt().to(like), (1 - alpha_bar).sqrt().to(like)


def noised(schedule: Schedule, x0: Tensor, t: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
    """Return x_t = alpha_t x0 + sigma_t eps and the target v = alpha_t eps - sigma_t x0."""
    alpha, sigma = coefficients(schedule, t, x0)
    return alpha * x0 + sigma * eps, alpha * eps - sigma * x0


def clean(schedule: Schedule, x_t: Tensor, t: Tensor, v: Tensor) -> Tensor:
    """Return x0 = alpha_t x_t - sigma_t v."""
    alpha, sigma = coefficients(schedule, t, x_t)
    return alpha * x_t - sigma * v
