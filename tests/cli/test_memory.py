"""A command's process keeps what it frees, and a caller's process is left alone."""

import os
import platform
import subprocess
import sys

import pytest

from hrdis.cli import memory

COUNT = """
import resource
import numpy as np
from hrdis.cli.memory import keep_freed_memory
print(keep_freed_memory())
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    before = faults()
    blocks = [np.ones(2**17) for _ in range(32)]  # 1 MB each, as activations are
    del blocks
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_memory_freed_once_is_not_fetched_again():
    environment = {k: v for k, v in os.environ.items() if k not in memory.VARIABLES}
    found = subprocess.run(
        [sys.executable, "-c", COUNT], env=environment, capture_output=True, text=True, check=True
    )
    said, faults = found.stdout.split()
    assert said == "True"
    assert int(faults) < 100  # of the second round; 8192 where it is fetched again


@pytest.mark.parametrize("name", memory.VARIABLES)
def test_choice_of_the_environment_is_kept(name, monkeypatch):
    monkeypatch.setenv(name, "1")
    assert not memory.keep_freed_memory()


@pytest.mark.parametrize("error", [OSError, AttributeError, TypeError])
def test_other_systems_are_left_as_they_are(error, monkeypatch):
    def missing(name):
        raise error

    monkeypatch.setattr(memory.ctypes, "CDLL", missing)
    assert not memory.keep_freed_memory()
