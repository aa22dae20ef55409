"""A run without a network: cells, rows and pictures that cost nothing, for the tests of `hrdis.bench`."""

import torch

import hrdis
from hrdis.bench.store import Store

PLAN = {"tasks": ["sr4"], "solver": {"name": "hrdis", "steps": 3}, "seeds": [0, 1]}


def image(seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(hrdis.rng.stream(seed, "toy").random((3, 8, 8), dtype="float32")) * 2 - 1


def row(key: str, status: str = "ok", **more: object) -> dict[str, object]:
    return {"key": key, "cell": {"seed": 0}, "status": status, "psnr": 20.0, "seconds": 1.0, "worker": "w", **more}


def finish(store: Store, key: str, seed: int = 0, **more: object) -> None:
    """What a worker does for one cell."""
    store.append(row(key, picture=store.write_picture(f"images/{key}.png", image(seed)), **more))
