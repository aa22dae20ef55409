"""A diffusers `UNet2DModel` as a prior: any image size, epsilon or v prediction, its own precision."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..schedule import Schedule
from .base import Prediction, Prior

PredictionType = Literal["epsilon", "v_prediction"]


class UNetPrior(Prior):
    """A noise-predicting network behind `Prior`'s one call.

    The network sees the image padded by reflection to a multiple of what its levels halve; grey images are
    replicated to three channels and the answer is averaged back; a second half of output channels is the learned
    variance, `Prediction.v`. From the output o the two estimates are

        epsilon:  eps = o,                             x0_hat = (x_t - b o) / a
        v:        x0_hat = a x_t - b o,                eps = a o + b x_t

    with a = sqrt(alpha_bar_t), b = sqrt(1 - alpha_bar_t).

    Args:
        net: called as ``net(x, t).sample`` or ``net(x, t)``, x of shape (b, c, h, w), t of shape (b,).
        schedule: what the network was trained with.
        prediction_type: what it predicts.
        multiple: image sides are padded to a multiple of this.
        name: for records and messages.

    Cost:
        one network call, without gradient unless the caller asks for one through x_t; weights are frozen.
    """

    def __init__(
        self,
        net: nn.Module,
        schedule: Schedule | None = None,
        prediction_type: PredictionType = "epsilon",
        multiple: int = 8,
        name: str = "custom",
    ):
        super().__init__()
        if prediction_type not in ("epsilon", "v_prediction"):
            raise ValueError(f"prediction_type is {prediction_type!r}. 'epsilon' or 'v_prediction' is expected.")
        self.net = net.eval().requires_grad_(False)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.schedule = schedule or Schedule.linear()
        self.prediction_type, self.multiple, self.name = prediction_type, multiple, name
        channels = dict(getattr(net, "config", {})).get("in_channels", 3)
        self.channels = (1, 3) if channels == 3 else (channels,)

    @property
    def dtype(self) -> torch.dtype:
        """The precision the network runs in; states keep the caller's."""
        return next(self.net.parameters()).dtype

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        a, b = self.schedule.signal(t), self.schedule.noise(t)
        out, v = self._predict(x_t, t)
        if self.prediction_type == "epsilon":
            return Prediction((x_t - b * out) / a, out, v)
        return Prediction(a * x_t - b * out, a * out + b * x_t, v)

    def _predict(self, x_t: Tensor, t: int) -> tuple[Tensor, Tensor | None]:
        c, h, w = x_t.shape[1:]
        grey = c == 1 and self.channels == (1, 3)
        x = x_t.expand(-1, 3, -1, -1) if grey else x_t
        x = pad(x, -h % self.multiple, -w % self.multiple)
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        out = self.net(x, torch.full((len(x),), t, device=x.device))
        parts = getattr(out, "sample", out)[..., :h, :w].to(x_t.dtype).split(x.shape[1], dim=1)
        parts = [part.mean(1, keepdim=True) for part in parts] if grey else parts
        return parts[0], parts[1] if len(parts) > 1 else None

    # ---- files: a diffusers folder --------------------------------------------------------------

    @classmethod
    def load(cls, folder: str | Path, dtype: torch.dtype = torch.float32, name: str | None = None) -> "UNetPrior":
        """Read ``config.json``, ``diffusion_pytorch_model.safetensors`` and ``scheduler_config.json``.

        Weights are copied out of the file, so that a loaded model equals the saved one bit for bit (tensors
        mapped from a file are not aligned, and change the last bits of a convolution).

        Raises:
            ValueError: if a file is missing or unreadable, or weights and configuration disagree.
        """
        folder = Path(folder)
        config = read_json(folder / "config.json")
        scheduler = read_json(folder / "scheduler_config.json")
        net = build_unet(config)
        load_weights(net, folder / "diffusion_pytorch_model.safetensors")
        return cls(
            nn.Module.to(net, dtype),  # diffusers' own .to warns about precisions that do not concern this network
            schedule_of(scheduler, folder / "scheduler_config.json"),
            scheduler.get("prediction_type", "epsilon"),
            multiple=2 ** (len(net.config["block_out_channels"]) - 1),  # type: ignore[index]
            name=name or folder.name,
        )


def pad(x: Tensor, below: int, right: int) -> Tensor:
    """Pad at the bottom and the right by reflection, in as many turns as a small image needs."""
    while below or right:
        b, r = min(below, max(x.shape[-2] - 1, 0)), min(right, max(x.shape[-1] - 1, 0))
        if (below and not b) or (right and not r):  # a side of one pixel has nothing to reflect
            return F.pad(x, (0, right, 0, below), mode="replicate")
        x = F.pad(x, (0, r, 0, b), mode="reflect")
        below, right = below - b, right - r
    return x


def build_unet(config: dict[str, Any], kinds: Sequence[str] = ("UNet2DModel",)) -> nn.Module:
    """Make a diffusers network from its configuration (imports diffusers, seconds).

    Args:
        config: what its config.json holds; without ``_class_name``, the first of the kinds.
        kinds: classes that are expected.
    """
    import diffusers

    kind = config.get("_class_name", kinds[0])
    if kind not in kinds:
        raise ValueError(f"The folder holds a {kind}. A {' or '.join(kinds)} is expected.")
    try:
        with torch.random.fork_rng(devices=[]):  # its random weights are about to be replaced: leave no trace
            net: Any = getattr(diffusers, kind)(**{k: v for k, v in config.items() if not k.startswith("_")})
    except (TypeError, ValueError) as error:
        raise ValueError(f"The folder's config.json describes no network that diffusers can make ({error}).") from None
    return cast(nn.Module, net)


def load_weights(net: nn.Module, file: Path) -> None:
    """Copy a safetensors file into a network, every key and shape checked."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(file)
    except FileNotFoundError:
        raise ValueError(f"{file} does not exist. A folder made by `hrdis train` or diffusers holds it.") from None
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file} cannot be read ({error}). It is truncated or no safetensors file.") from None
    if hasattr(net, "_fix_state_dict_keys_on_load"):  # attention was named otherwise in diffusers' early files
        net._fix_state_dict_keys_on_load(state)  # type: ignore[operator]
    own = net.state_dict()
    missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    other = sorted(k for k in own.keys() & state.keys() if own[k].shape != state[k].shape)
    if missing or unexpected or other:
        raise ValueError(
            f"{file} does not fit its config.json: {len(missing)} keys missing {missing[:3]}, "
            f"{len(unexpected)} unexpected {unexpected[:3]}, {len(other)} of another shape {other[:3]}."
        )
    net.load_state_dict(state)


def schedule_of(config: dict[str, Any], where: object = "the scheduler") -> Schedule:
    """The `Schedule` of a diffusers scheduler configuration: linear or scaled-linear betas."""
    first, last = config.get("beta_start", 1e-4), config.get("beta_end", 0.02)
    length, kind = config.get("num_train_timesteps", 1000), config.get("beta_schedule", "linear")
    if config.get("trained_betas"):
        return Schedule((1 - torch.tensor(config["trained_betas"], dtype=torch.float64)).cumprod(0))
    if kind == "linear":
        return Schedule.linear(length, first, last)
    if kind == "scaled_linear":
        beta = torch.linspace(first**0.5, last**0.5, length, dtype=torch.float64) ** 2
        return Schedule((1 - beta).cumprod(0))
    raise ValueError(f"{where} has beta_schedule {kind!r}. 'linear' or 'scaled_linear' is expected.")


def read_json(file: Path) -> dict[str, Any]:
    """A configuration file of a prior.

    Raises:
        ValueError: if it is missing or holds no JSON object.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"{file} does not exist. A prior's folder holds config.json, scheduler_config.json and "
            "diffusion_pytorch_model.safetensors, as `hrdis train` writes them."
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{file} cannot be read ({error}). JSON is expected.") from None
    if not isinstance(values, dict):
        raise ValueError(f"{file} holds a {type(values).__name__}. A JSON object is expected.")
    return values
