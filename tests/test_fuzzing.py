"""The study that fuzzes the readers: what is whole is read, so that its verdicts mean something."""

from pathlib import Path
from typing import Any

import pytest

from tests.common.studies import STUDIES, loaded

pytestmark = pytest.mark.skipif(not STUDIES.exists(), reason="no studies/ here: not a clone")
pytest.importorskip("gradio", reason="gradio is not installed: pip install 'hrdis[web]'")

READERS = list(loaded("fuzz").READERS) if STUDIES.exists() else []
#: What takes long: a record is replayed, and diffusers is imported.
SLOW = ("records", "weights")
CASES = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in READERS]


@pytest.mark.filterwarnings("ignore")  # of pictures that are unlikely masks
@pytest.mark.parametrize("name", CASES)
def test_whole_inputs_are_read_or_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the first input of every kind of change; most of what is whole is read."""
    monkeypatch.setenv("HRDIS_HOME", str(tmp_path))  # readers set it, and this puts it back
    study: Any = loaded("fuzz")
    reader = study.READERS[name](tmp_path)
    verdicts = []
    for seed in reader.seeds()[:4]:
        verdicts.append(reader.case(bytes([0]) + seed))
    if reader.structured:
        verdicts += [reader.case(bytes([1, number] * 20)) for number in range(2)]
    assert set(verdicts) <= {"read", "refused"} and "read" in verdicts, verdicts
