"""Examples of the page: one for each task, made once."""

import pytest

from hrdis.restoration import prepare

pytest.importorskip("gradio")
from hrdis.web.examples import example
from hrdis.web.form import Form
from hrdis.web.labels import LABELS
from hrdis.web.request import options

from .conftest import QUICK


@pytest.mark.parametrize("task", LABELS)
def test_every_task_of_the_page_has_an_example_that_runs(task, tmp_path, work):
    made = example(task, tmp_path)
    asked = Form(
        picture=made.picture,
        task=task,
        mask=made.mask,
        hole="white" if made.mask else "painted",
        kernel=made.kernel,
        noise=made.noise,
        changed=QUICK,
    )
    job = prepare(options(asked, work, "cpu", "fp32"), asked.settings)
    assert job.steps == 2


def test_a_hundred_clicks_on_the_example_make_its_files_once(tmp_path):
    first = example("inpaint", tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    for _ in range(100):
        assert example("inpaint", tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == written
    assert len(written) == 2  # the picture and its mask
