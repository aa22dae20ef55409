"""The network that is trained, how it starts, and how it is written to disk. It predicts v.

v = alpha_t eps - sigma_t x0. Unlike eps, it gives back x0 without dividing by alpha_t, which is
0.006 at t = 999.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoints import load_prior
from ..files import write_atomically, write_text
from ..priors import SmallUNet, UNetPrior
from ..rng import stream
from ..schedule import Schedule
from .settings import TrainSettings

WEIGHTS = "diffusion_pytorch_model.safetensors"
CONFIG, SCHEDULER = "config.json", "scheduler_config.json"
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


def build(settings: TrainSettings) -> Any:
    """Return the network of the settings, whose weights are a function of their seed.

    Weights and biases are uniform within 1/sqrt(fan in). The last convolution and what the time
    does to the features start at zero. The second convolution of a block starts at 0.3 of its draw.
    So the network starts near the identity.

    Args:
        settings: of the run.
    """
    # torch draws weights that are replaced below: its global stream stays as it was.
    with torch.random.fork_rng(devices=[]):
        if settings.network == "small":
            net: Any = SmallUNet(settings.channels, settings.blocks, settings.middle)
        else:
            from diffusers import UNet2DModel  # 2 s to import

            count = len(settings.channels)
            net = UNet2DModel(
                sample_size=64, in_channels=3, out_channels=3, block_out_channels=settings.channels,
                layers_per_block=settings.blocks, down_block_types=("DownBlock2D",) * count,
                up_block_types=("UpBlock2D",) * count, add_attention=False, norm_num_groups=8,
                norm_eps=1e-5,
            )  # fmt: skip
    _initialise(net, settings.seed)
    return net


@torch.no_grad()
def _initialise(net: nn.Module, seed: int) -> None:
    """Draw weights and biases uniformly within 1/sqrt(fan in), each from a stream of its own name;
    see `build`.
    """
    for name, module in net.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        bound = module.weight[0].numel() ** -0.5
        for part, parameter in module.named_parameters(recurse=False):
            rng = stream(seed, "weights", f"{name}.{part}")
            draws = rng.random(tuple(parameter.shape), dtype=np.float32)
            parameter.copy_(torch.from_numpy((2 * draws - 1) * np.float32(bound)))
        # A network that starts near the identity takes larger steps without diverging.
        if name == "conv_out" or name.endswith(".modulation"):
            module.weight.zero_()
            assert module.bias is not None
            module.bias.zero_()
        if name.endswith(".conv2") and isinstance(net, SmallUNet):
            module.weight.mul_(0.3)


def predict(net: Any, x_t: Tensor, t: Tensor) -> Tensor:
    """Return the network's output for x_t at times t (b,)."""
    out = net(x_t, t)
    found: Tensor = getattr(out, "sample", out)  # diffusers' networks return a record
    return found


def load(name: str | Path, settings: TrainSettings) -> dict[str, Tensor]:
    """Return the float32 weights of a prior, if it has the network of the settings.

    Args:
        name: as for `load_prior`.
        settings: of the run that starts from them.

    Raises:
        ValueError: if there is none, or one of another shape or parameterisation.
    """
    try:
        prior = load_prior(name)
    except ValueError as error:
        raise ValueError(
            f"start_from = {name} is no prior to start from. {error} The output folder of an "
            "earlier training is expected, or 'default'."
        ) from error
    if not isinstance(prior, UNetPrior) or prior.prediction_type != "v_prediction":
        raise ValueError(
            f"start_from = {name} does not predict v, as the networks of this trainer do. A prior "
            "of `hrdis train` is expected, or 'default'."
        )
    asked: dict[str, Any] = {
        "network": settings.network,
        "channels": list(settings.channels),
        "blocks": settings.blocks,
    }
    if settings.network == "small":
        asked["middle"] = settings.middle
    config: Any = prior.net.config
    if isinstance(prior.net, SmallUNet):
        there: dict[str, Any] = {"network": "small"}
        for part in ("channels", "blocks", "middle"):
            there[part] = config[part]
    else:
        there = {
            "network": "unet2d",
            "channels": list(config["block_out_channels"]),
            "blocks": config["layers_per_block"],
        }
    if there != asked:
        names = ", ".join(f"{key}={value!r}" for key, value in there.items())
        raise ValueError(
            f"start_from = {name} holds another network than the settings: {there}, not {asked}. "
            f"Use the same: {names}."
        )
    weights = {}
    for key, tensor in prior.net.state_dict().items():
        weights[key] = tensor.float().clone()
    return weights


def export(net: Any, folder: Path) -> None:
    """Write the weights in fp16, the network's configuration and the schedule's; each file is
    replaced in one go.

    Raises:
        OSError: if the disk is full.
    """
    config = net.config if isinstance(net, SmallUNet) else json.loads(net.to_json_string())
    weights = weights_file(net)
    write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")
    write_text(folder / SCHEDULER, json.dumps(SCHEDULER_CONFIG, indent=2) + "\n")
    write_atomically(folder / WEIGHTS, lambda file: file.write(weights))


def weights_file(net: nn.Module) -> bytes:
    """Return the weights in fp16 as the bytes of a safetensors file."""
    from safetensors.torch import save

    half = {}
    for name, tensor in net.state_dict().items():
        half[name] = tensor.detach().cpu().half().contiguous()
    return save(half, metadata={"format": "pt"})


def coefficients(schedule: Schedule, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return alpha_t and sigma_t as ``(b, 1, 1, 1)`` with alpha_t^2 + sigma_t^2 = 1, in type and
    place of ``like``.
    """
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
