"""``hrdis fix`` on a folder of 100 photographs of mixed kinds, killed five times at random."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from hrdis import rng
from tests.common.photographs import noisy, photograph

COUNT, BROKEN, KILLS = 100, 3, 5
KINDS = (".png", ".jpg", ".webp", ".tif", ".bmp")
NAMES = ("astronaut.jpg", "coffee.jpg", "rocket.jpg")


def album(folder: Path) -> None:
    """Write the photographs: clean, noisy or saved as a JPEG, three of them broken."""
    for k in range(COUNT):
        path = folder / f"sub{k % 3}" / f"{k:03d}{KINDS[k % len(KINDS)]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = noisy(photograph(NAMES[k % 3], side=64 + k % 7), (0.0, 8.0, 20.0)[k % 3], k)
        whole = pixels.clip(0, 255).round().astype("uint8").transpose(1, 2, 0)
        Image.fromarray(whole).save(path, **({"quality": 40} if path.suffix == ".jpg" else {}))
    broken = sorted(path for path in folder.rglob("*") if path.is_file())[7::40][:BROKEN]
    broken[0].write_bytes(b"no picture")
    broken[1].write_bytes(broken[1].read_bytes()[:100])
    broken[2].write_bytes(b"")


def start(source: Path, output: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "hrdis", "fix", str(source), "-o", str(output)]
    return subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )


def results(folder: Path) -> dict[str, str]:
    """Return a hash of every picture, and of every record but for its seconds and place."""
    found = {}
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        if path.suffix == ".json":
            record = json.loads(content)
            record.pop("seconds")
            record["files"] = [Path(name).name for name in record["files"]]
            content = json.dumps(record, sort_keys=True).encode()
        found[path.relative_to(folder).as_posix()] = hashlib.sha256(content).hexdigest()
    return found


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_folder_killed_five_times_ends_as_one_left_alone(tmp_path: Path) -> None:
    source = tmp_path / "album"
    album(source)
    alone = start(source, tmp_path / "alone")
    started = time.monotonic()
    said = alone.communicate()[1]
    whole = time.monotonic() - started
    assert alone.returncode == 1
    assert said.count("97 done, 0 finished before, 3 failed.") == 1

    draw = rng.stream(0, "kills")
    done = []
    for _ in range(KILLS):
        process = start(source, tmp_path / "killed")
        time.sleep(float(draw.uniform(0.08, 0.22)) * whole)
        process.kill()
        process.communicate()
        done.append(len(list((tmp_path / "killed").rglob("*.json"))))
    last = start(source, tmp_path / "killed")
    said = last.communicate()[1]
    assert last.returncode == 1
    lines = [line for line in said.splitlines() if "hrdis fix: " in line or "error" in line.lower()]
    assert len([line for line in lines if str(source) in line]) == BROKEN, said
    assert 0 < done[0] < COUNT - BROKEN
    assert results(tmp_path / "killed") == results(tmp_path / "alone")
    pictures = [name for name in results(tmp_path / "killed") if not name.endswith(".json")]
    assert len([name for name in pictures if ".mask" not in name]) == COUNT - BROKEN
