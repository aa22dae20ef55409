"""The layout of the page: the form on the left, the outcome on the right; below each other on a
phone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

import hrdis

from ..presets import EFFORTS
from .events import EMPTY, START, PageBlocks, brush_for, line, painted_layer, uploaded_path
from .form import solvers_for
from .labels import FIX_START, LABELS
from .limits import SAMPLES

HEAD = """\
# Repair a photograph

Your picture stays on the machine that serves this page."""
FIX = """\
Drop a photograph and read what is wrong with it. *Fix* mends noise, JPEG artefacts and blur where
they are beyond doubt, and leaves the rest as it is."""
RESTORE = """\
Say yourself what is to be done: fill scratches, enlarge, sharpen, remove noise."""
FOOT = f"""\
Where the samples differ, hrdis is unsure. Where they agree it can still be wrong, because all
samples come from the same model. Not for medical or forensic use. hrdis {hrdis.__version__}."""
HOLES = [
    ("the areas I paint", "painted"),
    ("white in a mask from a file", "white"),
    ("black in a mask from a file", "black"),
    ("the transparent parts of the picture", "alpha"),
]
CSS = """
.gradio-container {max-width: 1280px !important; margin: auto}
#status p, #fix-status p, #note p {margin: 0; overflow-wrap: anywhere}
.wrong {color: #b91c1c; font-weight: 600}
.dark .wrong {color: #fca5a5}
#status progress {width: 100%; height: 0.9rem; appearance: none; border: 0;
  background: var(--border-color-primary); border-radius: var(--radius-sm)}
#status progress::-webkit-progress-bar {background: transparent}
#status progress::-webkit-progress-value {background: var(--color-accent);
  border-radius: var(--radius-sm)}
#status progress::-moz-progress-bar {background: var(--color-accent)}
#so-far img {width: 100%; max-height: 640px; object-fit: contain; display: block}
#so-far .empty {padding: 6rem 1rem; text-align: center; color: var(--body-text-color-subdued);
  border: 1px dashed var(--border-color-primary); border-radius: var(--radius-lg); margin: 0}
#downloads button[aria-label^="Remove"],
#fix-downloads button[aria-label^="Remove"] {display: none}
@media (min-width: 768px) {#outcome {position: sticky; top: 1rem; align-self: flex-start}}
@media (max-width: 767px) {#so-far .empty {padding: 2rem 1rem}}
"""
# The colours of gradio's theme, but for those that are too pale to be read: grey help texts and
# white letters on orange have less than the contrast of 4.5 that WCAG 2.2 asks for.
THEME = gr.themes.Default(
    font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(
    body_text_color_subdued="*neutral_500",
    color_accent="*primary_700",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_800",
)


@dataclass(frozen=True)
class FixLayout:
    """The components of the first tab."""

    picture: Any
    fill: Any
    fix: Any
    stop: Any
    status: Any
    diagnosis: Any
    comparison: Any
    files: Any


@dataclass(frozen=True)
class Layout:
    """The page and its components.

    Args:
        page: the whole page.
        fixing: the first tab; all others belong to the second.
        asked: what the Restore button sends, in the order of the handler's arguments.
        shown: what the handler answers with, in the order of its values.
        advanced: the folded part, where the settings of the algorithm are added.
        changed: settings that were changed, by name.
    """

    page: gr.Blocks
    fixing: FixLayout
    picture: Any
    note: Any
    task: Any
    hint: Any
    try_example: Any
    hole: Any
    painted: Any
    mask: Any
    kernel: Any
    noise: Any
    samples: Any
    restore: Any
    stop: Any
    advanced: Any
    solver: Any
    effort: Any
    prior: Any
    label: Any
    seed: Any
    changed: Any
    status: Any
    so_far: Any
    comparison: Any
    gallery: Any
    files: Any
    command: Any

    @property
    def asked(self) -> list[Any]:
        return [
            self.picture, self.task, self.hole, self.painted, self.mask, self.kernel, self.noise,
            self.samples, self.seed, self.solver, self.changed, self.prior, self.label,
            self.effort,
        ]  # fmt: skip

    @property
    def shown(self) -> list[Any]:
        return [
            self.status, self.so_far, self.comparison, self.gallery, self.files, self.command,
            self.restore, self.stop,
        ]  # fmt: skip


def build(priors: Sequence[str], wire: Callable[[Layout], None]) -> gr.Blocks:
    """Return the page.

    Args:
        priors: names of the priors to choose from; the first is chosen.
        wire: connects the components with their handlers.
    """
    with PageBlocks(title="hrdis: repair a photograph", analytics_enabled=False) as page:
        gr.Markdown(HEAD)
        with gr.Tab("Fix a photograph", elem_id="fix-tab"):
            fixing = _fixing()
        with gr.Tab("Restore", elem_id="restore-tab"):
            gr.Markdown(RESTORE)
            with gr.Row():
                with gr.Column(scale=5):
                    form = _form(priors)
                with gr.Column(scale=6, elem_id="outcome"):
                    outcome = _outcome()
        gr.Markdown(FOOT)
        layout = Layout(page=page, fixing=fixing, **form, **outcome)
        for sent in (fixing.picture, layout.picture, layout.mask, layout.kernel):
            sent.preprocess = uploaded_path
        layout.painted.preprocess = partial(painted_layer, layout.painted)
        wire(layout)
    return page


def _fixing() -> FixLayout:
    gr.Markdown(FIX)
    with gr.Row():
        with gr.Column(scale=5):
            picture = gr.Image(
                label="Your photograph",
                type="filepath",
                image_mode=None,
                sources=["upload", "clipboard"],
                placeholder="Drop a photograph here\n- or -\nclick to choose one",
                height=260,
                buttons=[],
            )
            fill = gr.Checkbox(label="Fill specks, scratches and a printed date, too")
            fix = gr.Button("Fix", variant="primary", size="lg", elem_id="fix")
            stop = gr.Button("Stop", variant="stop", size="lg", elem_id="stop-fix", visible=False)
            status = gr.HTML(line(FIX_START), elem_id="fix-status")
        with gr.Column(scale=6):
            diagnosis = gr.HTML("", elem_id="diagnosis")
            comparison = gr.ImageSlider(
                label="Before | after",
                visible=False,
                interactive=False,
                format="png",
                max_height=640,
            )
            files = gr.File(
                label="Download",
                visible=False,
                interactive=False,
                file_count="multiple",
                elem_id="fix-downloads",
            )
    return FixLayout(picture, fill, fix, stop, status, diagnosis, comparison, files)


def _form(priors: Sequence[str]) -> dict[str, Any]:
    picture = gr.Image(
        label="1. Your picture",
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard"],
        placeholder="Drop a picture here\n- or -\nclick to choose one",
        height=260,
        buttons=[],
    )
    note = gr.HTML(visible=False, elem_id="note")
    try_example = gr.Button("Try an example", size="sm")
    task = gr.Dropdown(
        [(label.title, name) for name, label in LABELS.items()],
        value="inpaint",
        label="2. What is wrong with it?",
    )
    hint = gr.Markdown(LABELS["inpaint"].hint)
    hole = gr.Dropdown(HOLES, value="painted", label="3. The holes are")
    painted = gr.ImageEditor(
        label="Paint over the damage",
        type="pil",
        layers=False,
        transforms=(),
        sources=(),
        buttons=[],
        height=420,
        visible=False,
        brush=brush_for(256, 256),
        eraser=gr.Eraser(default_size=24),
    )
    file: Any = {"visible": False, "file_types": ["image", ".npy"], "height": 120}
    mask = gr.File(label="The mask", **file)
    kernel = gr.File(label="3. The kernel of the blur", **file)
    noise = gr.Slider(
        0,
        127,
        value=0,
        step=1,
        label="Noise strength",
        info="0 none, 10 slight grain, 25 strong grain (standard deviation in grey levels of 255)",
    )
    samples = gr.Slider(
        1,
        SAMPLES,
        value=1,
        step=1,
        label="How many restorations",
        info="two or more come with their mean and a map of where they differ",
    )
    restore = gr.Button("Restore", variant="primary", size="lg", elem_id="restore")
    stop = gr.Button("Stop", variant="stop", size="lg", elem_id="stop", visible=False)
    # Under the button that was pressed, where the eye is: the outcome may be out of sight.
    status = gr.HTML(line(START), elem_id="status")
    with gr.Accordion("Algorithm and settings", open=False) as advanced:
        effort = gr.Radio(
            list(EFFORTS),
            value="normal",
            label="Effort",
            info="of the algorithm auto, which is the one measured to be the best",
        )
        solver = gr.Dropdown(solvers_for("inpaint", 0), value="auto", label="Algorithm")
        prior = gr.Dropdown(list(priors), value=priors[0], label="Model", visible=len(priors) > 1)
        label = gr.Textbox(
            label="Class of the picture",
            info="a number, for models of classes only",
            max_lines=1,
            visible=list(priors) != ["default"],
        )
        seed = gr.Number(
            0,
            label="Seed",
            info="of the first restoration; the same seed gives the same picture",
            precision=0,
        )
        changed = gr.JSON({}, visible=False)
    return {
        "picture": picture,
        "note": note,
        "task": task,
        "hint": hint,
        "try_example": try_example,
        "hole": hole,
        "painted": painted,
        "mask": mask,
        "kernel": kernel,
        "noise": noise,
        "samples": samples,
        "restore": restore,
        "stop": stop,
        "status": status,
        "advanced": advanced,
        "solver": solver,
        "effort": effort,
        "prior": prior,
        "label": label,
        "seed": seed,
        "changed": changed,
    }


def _outcome() -> dict[str, Any]:
    return {
        "so_far": gr.HTML(EMPTY, elem_id="so-far"),
        "comparison": gr.ImageSlider(
            label="Before | after",
            visible=False,
            interactive=False,
            format="png",
            max_height=640,
        ),
        "gallery": gr.Gallery(
            label="Restorations", visible=False, columns=3, object_fit="contain", format="png"
        ),
        "files": gr.File(
            label="Download",
            visible=False,
            interactive=False,
            file_count="multiple",
            elem_id="downloads",
        ),
        "command": gr.Textbox(
            label="Command that does the same",
            visible=False,
            lines=2,
            interactive=False,
            buttons=["copy"],
        ),
    }
