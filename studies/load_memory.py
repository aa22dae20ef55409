"""Peak memory of loading a full-size checkpoint, over the size of its file.

    python studies/load_memory.py --folder FOLDER  # a folder with 5 GB free

Writes ImageNet's 256 x 256 network (552 814 086 parameters, 2.21 GB) with random weights as .pt and
as .safetensors, loads each in a process of its own as a user would, and removes it. The peak is the
process's largest resident set, less what it held with everything imported; the network that stays
is part of it. The ratios go to docs/data/load-memory.csv and into docs/measurements/speed.md.
"""

import csv
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
import tyro
from common.pages import DOCS, rewrite, table

import hrdis
from hrdis.checkpoints import adm
from hrdis.checkpoints.unet import unfilled_network

NAME = "adm-imagenet256"


def write(file: Path) -> None:
    """A file in guided-diffusion's layout with random weights."""
    from safetensors.torch import save_file

    network = adm.NETWORKS[NAME]
    _, _, layout = unfilled_network(adm.unet_config(network), adm.module_names(network.structure))
    rng = hrdis.rng.stream(0, "load_memory")
    state = {
        key: torch.from_numpy(rng.standard_normal(shape, dtype="float32"))
        for key, shape in layout.items()
    }
    save_file(state, file) if file.suffix == ".safetensors" else torch.save(state, file)


def measure(file: Path) -> dict[str, float]:
    """Peak of one load in bytes, its seconds and the parameters."""
    torch.set_num_threads(1)
    from diffusers import UNet2DModel  # what every load imports, once

    UNet2DModel(
        block_out_channels=(32,), down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",)
    )
    with open("/proc/self/statm") as statm:
        before = int(statm.read().split()[1]) * resource.getpagesize()
    start = time.perf_counter()
    prior = hrdis.load_prior(f"{NAME}:{file}")
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    return {
        "peak": peak,
        "seconds": seconds,
        "parameters": sum(p.numel() for p in prior.parameters()),
    }


def main(folder: Path = Path("."), only: str = "") -> None:
    """Measure.

    Args:
        folder: where the files of 2.21 GB are written, one after the other.
        only: measure this file here and print it as JSON (how the script calls itself).
    """
    if only:
        print(json.dumps(measure(Path(only))))
        return
    rows = []
    for suffix in (".pt", ".safetensors"):
        file = folder / f"load_memory{suffix}"
        try:
            write(file)
            size = file.stat().st_size
            command = [sys.executable, __file__, "--only", str(file)]
            found = json.loads(
                subprocess.run(
                    command, capture_output=True, text=True, check=True
                ).stdout.splitlines()[-1]
            )
            print(
                f"{suffix}: {found['parameters']} parameters, {size / 1e9:.2f} GB; peak "
                f"{found['peak'] / size:.3f} of the file, {found['seconds']:.1f} s",
                flush=True,
            )
            rows.append([suffix, round(size / 1e9, 2), round(found["peak"] / size, 3)])
        finally:
            file.unlink(missing_ok=True)
    with (DOCS / "data" / "load-memory.csv").open("w", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows([["file", "GB", "peak"], *rows])
    lines = [[f"`{suffix}`", size, f"{peak:.3f}"] for suffix, size, peak in rows]
    text = table(["file", "GB", "peak memory while loading / size of the file"], lines)
    rewrite(DOCS / "measurements" / "speed.md", "load-memory", text)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
