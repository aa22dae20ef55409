"""Files of a restoration: nobody else's is replaced, no work is lost at the last step, and no kill
leaves a new picture beside the record of an old one.
"""

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import hrdis
from hrdis import images
from hrdis.restoration import outputs
from tests.common.toys import normal

SIDE = 8


@pytest.fixture(scope="module")
def found():
    """Eight samples of an enlarged picture."""
    prior = hrdis.priors.Gaussian(torch.zeros(3, 2 * SIDE, 2 * SIDE), 0.25)
    picture = (normal(SIDE, SIDE, 3).clamp(-2, 2) * 60 + 127).round().numpy().astype(np.uint8)
    solver = hrdis.DDNM(steps=2)
    return hrdis.restore(picture, "sr2", solver=solver, prior=prior, samples=8, seed=5)


def with_lost(found, *lost):
    """Return the same restoration, some of whose samples are NaN."""
    samples = found.samples.clone()
    for k in lost:
        samples[k, 0, 0, 0] = torch.nan
    return replace(found, samples=samples)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---- samples that were lost ---------------------------------------------------------------------


def test_finite_samples_are_written_though_one_was_lost(tmp_path, found):
    damaged = with_lost(found, 2)
    with pytest.warns(UserWarning, match=r"The samples of seed 7 became invalid"):
        damaged.save(tmp_path / "out.png")
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["seeds"] == [5, 6, 8, 9, 10, 11, 12] and record["lost_seeds"] == [7]
    assert not (tmp_path / "out-8.png").exists()
    # the third picture is that of the fourth seed, and the mean is one of finite numbers
    expected = images.from_pil(found.images[3]).x
    assert torch.equal(images.read(tmp_path / "out-3.png").x, expected)
    kept = found.samples[[0, 1, 3, 4, 5, 6, 7]]
    assert torch.allclose(damaged.mean, kept.mean(0, keepdim=True))


def test_nothing_is_written_when_all_samples_were_lost(tmp_path, found):
    with pytest.raises(ArithmeticError, match="was not saved"):
        with_lost(found, *range(8)).save(tmp_path / "out.png")
    assert not list(tmp_path.iterdir())


def test_estimates_that_are_no_numbers_do_not_cost_the_record(tmp_path, found):
    """JSON has no NaN: the record was refused when the pictures stood there."""
    estimated = {"exposure": [float("nan"), *[0.5] * 7]}
    replace(found, estimated=estimated).save(tmp_path / "out.png")
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["estimated"]["exposure"] == [None, *[0.5] * 7]


# ---- a writer that fails at the end -------------------------------------------------------------


def failing(monkeypatch, names, error):
    """Let the writing of some names fail, as an encoder or a disk does."""
    real = images.write_atomically
    from hrdis.images import writing

    def write(path, write_to, **options):
        if names(Path(path).name):
            raise error
        real(path, write_to, **options)

    monkeypatch.setattr(writing, "write_atomically", write)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        PermissionError(errno.EACCES, "open in another program"),
        ValueError("encoder error -2 when writing image file"),
    ],
    ids=["full disk", "open elsewhere", "encoder"],
)
def test_picture_that_cannot_be_written_is_kept_beside_it(tmp_path, monkeypatch, found, error):
    failing(monkeypatch, lambda name: name == "out.png", error)
    one = replace(found, samples=found.samples[:1])
    with pytest.raises(OSError, match=r"out\.png could not be written \(.*\); it is kept as"):
        one.save(tmp_path / "out.png")
    assert list(content(tmp_path)) == ["out-rescued-1.png"]
    expected = images.from_pil(one.image).x
    assert torch.equal(images.read(tmp_path / "out-rescued-1.png").x, expected)


@pytest.mark.parametrize("room_for_the_record", [True, False])
def test_picture_of_a_full_disk_is_kept_on_another(
    tmp_path, monkeypatch, found, room_for_the_record
):
    """What holds the temporary files is often another disk; the record is written first."""
    other = tmp_path / "tmp"
    other.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(other))
    real = images.write_atomically
    from hrdis.images import writing

    def write(path, write_to, **options):
        if Path(path).parent != other:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, write_to, **options)

    for module in [writing] if room_for_the_record else [writing, images.records]:
        monkeypatch.setattr(module, "write_atomically", write)
    with pytest.raises(OSError, match="it is kept as"):
        replace(found, samples=found.samples[:1]).save(tmp_path / "out.png")
    assert list(content(other)) == ["out-rescued-1.png"]


@pytest.mark.parametrize("name", ["out-2.png", "out-mean.png", "out-uncertainty.png",
                                  "out-overview.png"])  # fmt: skip
def test_one_file_that_cannot_be_written_is_kept_and_the_others_are_there(
    tmp_path, monkeypatch, found, name
):
    failing(monkeypatch, lambda written: written == name, OSError(errno.ENOSPC, "No space left"))
    with pytest.raises(OSError, match=f"{name} could not be written .*; it is kept as"):
        found.save(tmp_path / "out.png")
    expected = {path.name for path in outputs.names(Path("out.png"), 8)} - {name}
    assert set(content(tmp_path)) == {*expected, f"{Path(name).stem}-rescued-1.png"}
    assert json.loads((tmp_path / "out.json").read_text())["unfinished"]


def test_failed_writing_leaves_the_old_picture_with_its_record(tmp_path, monkeypatch, found):
    one = replace(found, samples=found.samples[:1])
    one.save(tmp_path / "out.png")
    before = content(tmp_path)
    failing(monkeypatch, lambda name: "rescued" in name or name == "out.png", OSError("full"))
    with pytest.raises(OSError, match="and nowhere else either"):
        replace(one, samples=-one.samples).save(tmp_path / "out.png")
    assert content(tmp_path) == before


# ---- names that are taken -----------------------------------------------------------------------


@pytest.mark.parametrize("number", range(12))
def test_no_file_of_a_stranger_is_replaced(tmp_path, found, number):
    """The first sample, the seven others, mean, two charts, record: each may be in the way."""
    name = outputs.names(Path("out.png"), 8)[number].name
    (tmp_path / name).write_bytes(b"a stranger's")
    with pytest.raises(ValueError, match=f"{name} exists"):
        found.save(tmp_path / "out.png")
    assert content(tmp_path) == {name: b"a stranger's"}
    found.save(tmp_path / "out.png", overwrite=True)
    assert (tmp_path / name).read_bytes() != b"a stranger's"


def test_own_files_are_replaced_unasked(tmp_path, found):
    found.save(tmp_path / "out.png")
    replace(found, samples=-found.samples).save(tmp_path / "out.png")
    first = images.read(tmp_path / "out.png").x
    assert torch.equal(first, images.from_pil(replace(found, samples=-found.samples).image).x)


def test_input_is_never_replaced_where_names_fold_their_case(tmp_path, monkeypatch):
    """On Windows and macOS Photo.png and photo.png are one file; `resolve` keeps the case."""
    given, asked = tmp_path / "photo.png", tmp_path / "Photo.png"
    for path in (given, asked):
        path.write_bytes(b"")
    monkeypatch.setattr(
        Path, "samefile", lambda self, other: str(self).lower() == str(other).lower()
    )
    with pytest.raises(ValueError, match="is an input and would be written over"):
        images.records.check([asked, tmp_path / "Photo.json"], [given], overwrite=True)


def test_name_too_long_for_a_file_is_refused(tmp_path):
    """With the names of the other samples, which are longer than the one that was asked for."""
    longest = tmp_path / f"{'x' * 250}.png"
    images.records.check(outputs.names(longest, 1), [])
    with pytest.raises(ValueError, match=r"has 256 bytes\. At most 255 are expected"):
        images.records.check(outputs.names(longest, 2), [])


# ---- kills --------------------------------------------------------------------------------------


class Killed(BaseException):
    """The end of the process, which no handler of errors sees."""


@pytest.mark.parametrize("number", range(13))
def test_no_kill_leaves_a_picture_beside_the_record_of_another(
    tmp_path, monkeypatch, found, number
):
    """After each of its 13 writes: where pictures are new, the record is new or says unfinished."""
    found.save(tmp_path / "out.png")
    old = content(tmp_path)
    from hrdis.images import writing

    real, written = images.write_atomically, []

    def write(path, write_to, **options):
        real(path, write_to, **options)
        written.append(Path(path).name)
        if len(written) == number + 1:
            raise Killed

    monkeypatch.setattr(writing, "write_atomically", write)
    monkeypatch.setattr(images.records, "write_atomically", write)
    with pytest.raises(Killed):
        replace(found, samples=-found.samples, calls=found.calls + 1).save(tmp_path / "out.png")
    record = json.loads((tmp_path / "out.json").read_text())
    new = [name for name, data in content(tmp_path).items() if old[name] != data]
    assert new  # something was written
    assert record["network_calls"] == found.calls + 1
    assert ("unfinished" in record) == (number < 12)
