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
{begin}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    before = faults()
    blocks = [np.ones(2**17) for _ in range(32)]  # 1 MB each, as activations are
    del blocks
print(faults() - before)
"""


BEGINNINGS = {
    "a command": "from hrdis.cli.memory import keep_freed_memory; assert keep_freed_memory()",
    "a worker of a command": "from hrdis.cli.workers import _begin; _begin(1)",
}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
@pytest.mark.parametrize("begin", BEGINNINGS.values(), ids=BEGINNINGS)
def test_memory_freed_once_is_not_fetched_again(begin):
    environment = {k: v for k, v in os.environ.items() if k not in memory.VARIABLES}
    found = subprocess.run(
        [sys.executable, "-c", COUNT.format(begin=begin)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    faults = found.stdout.split()[-1]
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
