"""One thread, reproducible examples: the suite gives the same verdict on every machine."""

import os
import shutil
from collections.abc import Generator

import hypothesis
import pytest
import torch

from tests.common import messages

torch.set_num_threads(1)

# Examples are derived from the test's own name, so that a failure seen once is seen again.
hypothesis.settings.register_profile(
    "suite", deadline=None, max_examples=25, derandomize=True, database=None
)
hypothesis.settings.register_profile("search", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


# ---- what people are told -----------------------------------------------------------------------

messages.collect()  # before the conftest.py of a folder imports the page


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-messages",
        action="store_true",
        help="write docs/data/messages.json, the messages that these tests provoke",
    )
    parser.addoption(
        "--screenshots",
        metavar="FOLDER",
        help="where tests/web/test_tutorial.py puts the pictures of the page",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[WRITER] = messages.Writer()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--write-messages"):
        session.config.stash[WRITER].write()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    messages.heard.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Check every message of a test that passed."""
    yield
    messages.check_rules()
    if item.config.getoption("--write-messages"):
        item.config.stash[WRITER].note(item.nodeid)
    else:
        messages.check_list(item.nodeid)


WRITER = pytest.StashKey[messages.Writer]()


@pytest.fixture(autouse=True)
def _global_state_is_left_alone():
    """No test, and so nothing the library does, may leave the switches of torch changed."""
    before = torch.is_grad_enabled(), torch.get_default_dtype(), torch.random.get_rng_state()
    yield
    after = torch.is_grad_enabled()
    torch.set_grad_enabled(before[0])  # the tests that follow are not to fail for it
    assert after == before[0]
    assert torch.get_default_dtype() == before[1]
    assert torch.equal(torch.random.get_rng_state(), before[2]), (
        "something drew from torch's global generator"
    )


@pytest.fixture(scope="session")
def deepinv():
    """The real package, where it can be imported."""
    try:
        import deepinv
    except Exception as error:  # torchvision, which it imports, fails with more than ImportError
        pytest.skip(f"deepinv cannot be imported here: {error}")
    return deepinv


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium: the one of the system, or playwright's own."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install 'hrdis[e2e]'"
    )
    with api.sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        try:
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except api.Error as error:
            pytest.skip(f"no Chromium: {str(error).splitlines()[0]}")
        yield browser
        browser.close()
