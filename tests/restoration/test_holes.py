"""Small holes are restored in windows around them, and all else stays as it was measured."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import hrdis
from hrdis import cli
from hrdis.operators import Inpainting
from hrdis.restoration import Restoration
from tests.common.photographs import photograph, stored

H, W = 192, 896
QUICK: dict[str, Any] = {"solver": hrdis.DDNM(steps=2, start=100)}


@pytest.fixture(scope="module")
def prior() -> hrdis.Prior:
    return hrdis.load_prior("default")


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    return stored(photograph()).repeat(1, 1, 2, 7)[..., :H, :]


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    holes = np.zeros((H, W), bool)
    holes[10:14, 20:30] = holes[185:189, 882:892] = True
    return holes


@pytest.fixture(scope="module")
def restored(prior: hrdis.Prior, picture: torch.Tensor, mask: np.ndarray) -> Restoration:
    return hrdis.restore(picture, "inpaint", mask=mask, prior=prior, samples=2, **QUICK)


def test_small_holes_are_restored_in_windows(restored: Restoration) -> None:
    assert restored.record["windows"] == [[0, 0, 192, 192], [0, 704, 192, 192]]


def test_windows_are_what_the_solver_finds_in_them(
    restored: Restoration, prior: hrdis.Prior, picture: torch.Tensor, mask: np.ndarray
) -> None:
    holes = torch.from_numpy(mask)
    for top, left, h, w in restored.record["windows"]:
        part = np.s_[..., top : top + h, left : left + w]
        A = Inpainting((~holes[part]).float())
        problem = hrdis.Problem(A(picture[part]), A)
        for seed, sample in enumerate(restored.samples):
            alone = hrdis.solve(QUICK["solver"], prior, problem, seeds=[seed]).x
            there = holes[part].expand(3, h, w)
            # two samples at once change the last digits of the network
            assert torch.allclose(sample[part][there], alone[0][there], atol=1e-4)


def test_all_but_holes_stays_bit_for_bit(
    restored: Restoration, picture: torch.Tensor, mask: np.ndarray
) -> None:
    for sample in restored.samples:
        assert torch.equal(sample[:, ~mask], picture[0][:, ~mask])


def test_deviation_is_where_the_holes_are(restored: Restoration, mask: np.ndarray) -> None:
    assert restored.deviation is not None
    assert torch.equal(restored.deviation > 0, torch.from_numpy(mask))


def test_calls_of_all_windows_are_counted(restored: Restoration) -> None:
    assert restored.job.calls == 2 * 2  # windows, steps
    assert restored.calls == restored.job.calls * 2  # samples


def test_steps_show_the_whole_picture(
    prior: hrdis.Prior, picture: torch.Tensor, mask: np.ndarray
) -> None:
    """The page draws them, and a bar counts them."""
    seen: list[torch.Tensor] = []
    found = hrdis.restore(
        picture,
        "inpaint",
        mask=mask,
        prior=prior,
        on_step=lambda step: seen.append(step.x),
        **QUICK,
    )
    assert len(seen) == found.job.steps == 4
    first, second = (torch.from_numpy(mask).clone() for _ in range(2))
    first[:, W // 2 :] = second[:, : W // 2] = False
    assert all(x.shape == picture.shape for x in seen)
    assert bool((seen[1][..., second] == 0).all())  # not yet begun
    assert torch.equal(seen[3][..., first], found.samples[..., first])


@pytest.mark.parametrize(
    "options",
    [
        {"noise": 0.02, "solver": hrdis.HRDIS(steps=1, start=100)},
        {"redraw": True},
        {"prior": hrdis.priors.Gaussian(torch.zeros(3, H, W), 0.25)},
        {"mask": np.tile(np.arange(W) % 100 < 10, (H, 1))},
        {"task": "", "mask": None, "operator": hrdis.operators.Blur(torch.ones(3, 3) / 9)},
        {"task": "upscale", "scale": 2, "mask": None},
    ],
    ids=["noise", "all pixels anew", "another model", "large holes", "operator", "another task"],
)  # fmt: skip
def test_whole_picture_is_restored_otherwise(
    options: dict[str, Any], prior: hrdis.Prior, picture: torch.Tensor, mask: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    jobs = []
    monkeypatch.setattr("hrdis.restoration.job.Job.run", lambda job, _: jobs.append(job))
    values = {"task": "inpaint", "mask": mask, "prior": prior, **QUICK, **options}
    hrdis.restore(picture, values.pop("task"), **values)
    assert jobs[0].windows == () and len(jobs[0].pixels) == 1


# ---- the record


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, picture: torch.Tensor, mask: Any) -> Path:
    """The folder of a restoration by the command."""
    folder = tmp_path_factory.mktemp("written")
    hrdis.images.save(folder / "torn.png", picture)
    Image.fromarray(mask).save(folder / "holes.png")
    words = f"restore {folder}/torn.png --task inpaint --mask {folder}/holes.png --solver ddnm"
    assert cli.main([*words.split(), "--steps", "2", "-o", f"{folder}/whole.png"]) == 0
    return folder


def test_command_says_it(written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"restore {written}/torn.png --task inpaint --mask {written}/holes.png --solver ddnm"
    assert cli.main([*words.split(), "--steps", "1", "-o", f"{tmp_path}/a.png"]) == 0
    assert "2 windows of 43% of the picture" in capsys.readouterr().err


def test_replay_is_equal(written: Path) -> None:
    assert cli.main(["replay", f"{written}/whole.json"]) == 0


@pytest.mark.parametrize(
    ("change", "status"),
    [({"windows": [[0, 0, 64, 64]]}, 2), ({"windows": None}, 1), ("absent", 1)],
    ids=["others", "whole", "older"],
)
def test_replay_of_a_record_without_these_windows(
    written: Path, tmp_path: Path, change: Any, status: int
) -> None:
    """That of an older version restores the whole picture, which gives other pixels."""
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    record = json.loads((tmp_path / "whole.json").read_text())
    if change == "absent":
        del record["windows"]
    else:
        record |= change
    (tmp_path / "whole.json").write_text(json.dumps(record))
    assert cli.main(["replay", f"{tmp_path}/whole.json"]) == status
