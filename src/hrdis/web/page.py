"""The page: what is asked for on the left, what comes of it on the right."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import gradio as gr

import hrdis

from ..checkpoints import all_cards
from .controls import controls
from .events import (
    buttons,
    changed_setting,
    example_files,
    for_hole,
    for_task,
    line,
    painted_layer,
    painted_on,
    restoring,
    taken_as_it_is,
)
from .form import Form, solvers_for
from .words import WORDS
from .work import Workshop

HEAD = """\
# hrdis Restore a photograph: fill scratches, enlarge, sharpen, remove noise. It stays on the
machine this page comes from."""
FOOT = f"""\
Where the samples differ, hrdis is unsure. Where they agree it can still be wrong, because all
samples come from the same model. Not for medical or forensic use. hrdis {hrdis.__version__}."""
HOLES = [
    ("what I paint", "painted"), ("white in a mask from a file", "white"),
    ("black in a mask from a file", "black"),
    ("the transparent parts of the picture", "alpha"),
]  # fmt: skip
CSS = """
.gradio-container {max-width: 1280px !important; margin: auto}
#status progress {width: 100%; height: 0.9rem}
#status .wrong {color: #dc2626}
"""
FONT = ["system-ui", "sans-serif"]
BRUSH = "#ff0066"
QUIETLY: Any = {"api_visibility": "private", "show_progress": "hidden"}
FILES_PER_DAY = (3600, 24 * 3600)  # seconds: look every hour, remove what is older than a day


def build(workshop: Workshop, priors: Sequence[str] = ()) -> gr.Blocks:
    """The page.

    Args:
        workshop: where restorations run.
        priors: names of priors to offer beside "default" and those of ``hrdis prior list`` that are
            here.
    """
    here = [card.name for card in all_cards().values() if card.here]
    offered = list(dict.fromkeys([*priors, "default", *here]))
    with gr.Blocks(title="hrdis", delete_cache=FILES_PER_DAY, analytics_enabled=False) as page:
        gr.Markdown(HEAD)
        with gr.Row():
            with gr.Column(scale=5):
                asked, go, stop = _asked(offered)
            with gr.Column(scale=6):
                status = gr.HTML(
                    line("Choose a picture, say what is wrong with it, and press Restore."),
                    elem_id="status",
                )
                live = gr.Image(
                    label="so far",
                    visible=False,
                    interactive=False,
                    format="jpeg",
                    buttons=[],
                    height=420,
                )
                both = gr.ImageSlider(
                    label="given | restored",
                    visible=False,
                    interactive=False,
                    format="png",
                    max_height=640,
                )
                gallery = gr.Gallery(
                    label="samples", visible=False, columns=3, object_fit="contain", format="png"
                )
                files = gr.File(
                    label="to take home", visible=False, interactive=False, file_count="multiple"
                )
                shell = gr.Textbox(
                    label="the same from a shell",
                    visible=False,
                    lines=2,
                    interactive=False,
                    buttons=["copy"],
                )
        gr.Markdown(FOOT)
        shown = [status, live, both, gallery, files, shell, go, stop]
        run = go.click(
            restoring(workshop), asked, shown, api_name="restore", concurrency_limit=1,
            concurrency_id="network", show_progress="hidden",
        )  # fmt: skip
        stop.click(
            lambda: [line("Stopped. Nothing was kept."), gr.Image(visible=False),
            *buttons(running=False)],
            None, [status, live, go, stop], cancels=[run], queue=False, **QUIETLY,
        )  # fmt: skip
    return page


def _asked(priors: Sequence[str]) -> tuple[list[Any], Any, Any]:
    """The left side; returns what `restore` in `events` takes, in its order, and the buttons that
    start and stop.
    """
    picture = gr.Image(
        label="1. your picture",
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard"],
        height=260,
        buttons=[],
    )
    task = gr.Dropdown(
        [(w.label, name) for name, w in WORDS.items()],
        value="inpaint",
        label="2. what is wrong with it?",
    )
    hint = gr.Markdown(WORDS["inpaint"].hint)
    try_it = gr.Button("Show me on an example", size="sm")
    hole = gr.Dropdown(HOLES, value="painted", label="3. the holes are")
    painted = gr.ImageEditor(
        label="paint over the holes", type="pil", layers=False, transforms=(), sources=(),
        buttons=[], height=420,
        visible=False,
        brush=gr.Brush(colors=[BRUSH], color_mode="fixed", default_size=16),
        eraser=gr.Eraser(default_size=24),
    )  # fmt: skip
    mask = gr.File(label="the mask", visible=False, file_types=["image", ".npy"], height=120)
    kernel = gr.File(
        label="3. the kernel of the blur", visible=False, file_types=["image", ".npy"], height=120
    )
    for sent in (picture, mask, kernel):  # whose readers and words are ours
        sent.preprocess = taken_as_it_is  # type: ignore[method-assign]
    painted.preprocess = partial(painted_layer, painted)  # type: ignore[method-assign, assignment]
    noise = gr.Slider(
        0, 0.5, value=0, step=0.005, label="noise in the picture",
        info="its standard deviation, for pixel values from 0 to 1; 0 if there is none",
    )  # fmt: skip
    samples = gr.Slider(
        1, 8, value=1, step=1, label="how many restorations",
        info=(
            "two or more come with their mean and a map of where they differ, which is where hrdis "
            "is unsure"
        ),
    )  # fmt: skip
    go, stop = (
        gr.Button("Restore", variant="primary"),
        gr.Button("Stop", variant="stop", visible=False),
    )
    with gr.Accordion("algorithm and settings", open=False):
        solver = gr.Dropdown(solvers_for("inpaint", 0), value="hrdis", label="algorithm")
        prior = gr.Dropdown(list(priors), value=priors[0], label="model", visible=len(priors) > 1)
        label = gr.Textbox(
            label="class of the picture", info="a number, for models of classes only", max_lines=1
        )
        seed = gr.Number(
            0,
            label="seed",
            info="of the first sample; the same seed gives the same picture",
            precision=0,
        )
        changed = gr.JSON({}, visible=False)
        _settings(task, solver, prior, noise, changed)

    of_task = [hint, hole, painted, mask, kernel, noise, solver]
    task.change(for_task, [task, hole, picture], of_task, **QUIETLY)
    hole.change(for_hole, [task, hole, picture], [painted, mask], **QUIETLY)
    picture.input(painted_on, [task, hole, picture], painted, **QUIETLY)
    try_it.click(example_files, task, [picture, mask, kernel, noise, hole], **QUIETLY)
    asked = [
        picture,
        task,
        hole,
        painted,
        mask,
        kernel,
        noise,
        samples,
        seed,
        solver,
        changed,
        prior,
        label,
    ]
    return asked, go, stop


def _settings(task: Any, solver: Any, prior: Any, noise: Any, changed: Any) -> None:
    """Controls for the settings of whichever solver is chosen, showing its preset."""
    where = [task, solver, prior, noise]
    for component in where:
        component.change(lambda: {}, None, changed, **QUIETLY)

    @gr.render(inputs=where)  # type: ignore[untyped-decorator]
    def _(task: str, solver: str, prior: str, noise: float) -> None:
        key, usual = Form(picture=None, task=task, solver=solver, prior=prior, noise=noise).preset
        gr.Markdown(
            f"Preset `{key}`"
            if key
            else "There is no preset for this task: these are the defaults."
        )
        made = controls(usual)
        for name, control in made.items():
            control.change(partial(changed_setting, name), [control, changed], changed, **QUIETLY)
        names = list(made)
        for pair in zip(names[::2], [*names[1::2], None], strict=False):
            with gr.Row():
                for name in filter(None, pair):
                    made[name].render()
