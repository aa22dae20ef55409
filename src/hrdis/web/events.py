"""What happens on the page: each function answers an event with new values for the components it
names.
"""

import html
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ..images import open_image
from ..messages import for_page
from ..tasks import TASKS
from .examples import example
from .form import Form, solvers_for, to_paint_on
from .words import WORDS
from .work import Frame, Restored, Workshop


def changed_setting(name: str, value: Any, so_far: dict[str, Any]) -> dict[str, Any]:
    return so_far | {name: None if value == "" else value}


def for_task(task: str, hole: str, picture: str | None) -> list[Any]:
    known, names = TASKS[task], solvers_for(task, WORDS[task].noise)
    return [
        WORDS[task].hint, gr.Dropdown(visible=known.mask), *for_hole(task, hole, picture),
        gr.File(visible=known.kernel), WORDS[task].noise, gr.Dropdown(names, value=names[0]),
    ]  # fmt: skip


def for_hole(task: str, hole: str, picture: str | None) -> list[Any]:
    mask = TASKS[task].mask
    paint = mask and hole == "painted" and picture is not None
    return [gr.ImageEditor(visible=paint), gr.File(visible=mask and hole in ("white", "black"))]


def painted_on(task: str, hole: str, picture: str | None) -> Any:
    """The picture to paint on, with nothing painted; an error that says what is wrong with the
    file.
    """
    if picture is None:
        return gr.ImageEditor(None, visible=False)
    try:
        background = to_paint_on(Path(picture))
    except ValueError as error:
        raise gr.Error(told(error, picture), print_exception=False) from None
    value: Any = {"background": background, "layers": [], "composite": None}
    return gr.ImageEditor(value, visible=TASKS[task].mask and hole == "painted")


def example_files(task: str) -> list[Any]:
    made = example(task, Path(tempfile.mkdtemp(prefix="hrdis-example-")))
    files = [path and str(path) for path in (made.picture, made.mask, made.kernel)]
    return [*files, made.noise, "white" if made.mask else gr.skip()]


def _number(text: str | None) -> int | None:
    try:
        return int(text) if text and text.strip() else None
    except ValueError:
        raise ValueError(
            f"The class of the picture is {text!r}. A whole number is expected, or nothing."
        ) from None


def taken_as_it_is(payload: Any) -> str | None:
    """Return the path of the picture that was sent.

    gradio would open it with every reader Pillow has, one of which runs programs, and say in its
    own words what is wrong with it.
    """
    return None if payload is None else payload.path


def painted_layer(editor: gr.ImageEditor, payload: Any) -> dict[str, Any] | None:
    """Return what the brush left, the only part of the editor's value that is used, opened as any
    other picture.

    Raises:
        gr.Error: if it is no picture.
    """
    if payload is not None and payload.id is not None:  # the browser has sent it before
        payload = editor.blob_storage.pop(payload.id, None)
    layers = [layer for layer in getattr(payload, "layers", None) or [] if layer is not None]
    if not layers:
        return None
    layer = layers[0]
    try:
        with open_image(layer if isinstance(layer, bytes) else layer.path) as image:
            return {"layers": [image.convert("RGBA")]}
    except ValueError as error:
        raise gr.Error(told(error, getattr(layer, "path", None)), print_exception=False) from None


def restoring(workshop: Workshop) -> Any:
    """What the button does; the names of its arguments are those of the page's API."""

    def restore(
        picture: str | None, task: str, hole: str, painted: Any, mask: str | None,
        kernel: str | None, noise: float,
        samples: float, seed: float, solver: str, settings: dict[str, Any] | None, prior: str,
        label: str | None,
    ) -> Iterator[list[Any]]:  # fmt: skip
        yield [
            line("Reading, and loading the model …"),
            gr.Image(visible=False),
            *_hidden(),
            *buttons(running=True),
        ]
        try:
            form = Form(
                picture=_path(picture), task=task,
                painted=((painted or {}).get("layers") or [None])[0],
                mask=_path(mask), hole=hole, kernel=_path(kernel), noise=noise,
                samples=int(samples),
                seed=int(seed or 0), solver=solver, changed=settings or {}, prior=prior,
                label=_number(label),
            )  # fmt: skip
            for seen in workshop.restore(form):
                if isinstance(seen, Frame):
                    yield [_bar(seen), gr.Image(seen.picture, visible=True), *[gr.skip()] * 6]
                else:
                    yield [
                        line(seen.about),
                        gr.Image(visible=False),
                        *_results(seen),
                        *buttons(running=False),
                    ]
        except (ValueError, TypeError, ArithmeticError) as error:
            said = told(error, picture, mask, kernel)
            yield [
                line(said, "wrong"),
                gr.Image(visible=False),
                *_hidden(),
                *buttons(running=False),
            ]
            raise gr.Error(said, print_exception=False) from None

    return restore


def told(error: Exception | str, *files: str | None) -> str:
    """Return a message in the words of the page, without the folders that the files lie in."""
    return for_page(error, [Path(file).parent for file in files if file])


def _path(file: str | None) -> Path | None:
    return None if file is None else Path(file)


def _hidden() -> list[Any]:
    return [
        gr.ImageSlider(visible=False),
        gr.Gallery(visible=False),
        gr.File(visible=False),
        gr.Textbox(visible=False),
    ]


def _results(found: Restored) -> list[Any]:
    return [
        gr.ImageSlider((found.given, found.first), visible=True),
        gr.Gallery(
            [(str(path), title) for path, title in found.gallery], visible=bool(found.gallery)
        ),
        gr.File([str(path) for path in found.files], visible=True),
        gr.Textbox(found.command, visible=True),
    ]


def buttons(running: bool) -> list[Any]:
    return [gr.Button(visible=not running), gr.Button(visible=running)]


def _bar(frame: Frame) -> str:
    left = f"{frame.left:.0f} s" if frame.left < 90 else f"{frame.left / 60:.0f} min"
    return (
        f"<progress value={frame.done} max={frame.total}></progress><br>step {frame.done} of "
        f"{frame.total}, {left} left"
    )


def line(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{html.escape(text)}</p>'
