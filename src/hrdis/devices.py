"""Devices and precisions of a network, by the names that the commands use."""

from typing import Literal

import torch

#: "onnx" is fp32 in onnxruntime, "auto" the fastest on this machine of those that agree with fp32.
Precision = Literal["fp32", "bf16", "fp16", "onnx", "auto"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str) -> torch.device:
    """Return the device of that name, after a try; "auto" is a GPU if there is one.

    Raises:
        ValueError: if there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.split(":")[0] not in ("cpu", "cuda", "mps", "xpu"):
        raise ValueError(
            f"--device {name} cannot be used. auto, cpu, cuda, cuda:1 or mps is expected: --device "
            "cpu"
        )
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = str(error).split("\n")[0].split(". ")[0]  # torch goes on for a page
        raise ValueError(f"--device {name} cannot be used ({why}). Use --device cpu.") from None
    return device
