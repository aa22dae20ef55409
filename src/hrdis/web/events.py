"""The handlers of the page: each answers an event with new values for the components it names."""

import base64
import html
import io
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import torch
from gradio.exceptions import InvalidPathError

from ..images import open_image
from ..messages import for_page
from .examples import example
from .form import Form, editor_image, solvers_for
from .labels import LABELS, task_of
from .outcomes import Cancelled, FinishedJob, ProgressFrame, Waiting

if TYPE_CHECKING:
    from .jobs import JobRunner

START = "Choose a picture, say what is wrong with it, and press Restore."
LONGEST_REFUSAL = 300  # characters; gradio quotes the values that were sent
STOPPED = "Stopped. Nothing was kept."
BRUSH = "#ff0066"
EMPTY = '<p class="empty">The restored picture appears here.</p>'


# ---- the form -----------------------------------------------------------------------------------


def changed_setting(name: str, value: Any, so_far: dict[str, Any]) -> dict[str, Any]:
    """Note a setting that was changed; an empty box is None."""
    return so_far | {name: None if value == "" else value}


def brush_for(width: int, height: int) -> gr.Brush:
    """Return a brush that covers a scratch in a picture of that size: 1/24 of its shorter side."""
    radius = max(2, round(min(width, height) / 48))
    return gr.Brush(colors=[BRUSH], color_mode="fixed", default_size=radius)


def for_task(task: str, hole: str, picture: str | None) -> list[Any]:
    """Return hint, hole, brush, mask, kernel, noise and solver for a task."""
    noise = LABELS[task].noise
    names = solvers_for(task, noise)
    return [
        LABELS[task].hint,
        gr.Dropdown(visible=task_of(task).mask),
        *for_hole(task, hole, picture),
        gr.File(visible=task_of(task).kernel),
        noise,
        gr.Dropdown(names, value=names[0]),
    ]


def for_hole(task: str, hole: str, picture: str | None) -> list[Any]:
    """Return brush and mask for what marks the holes."""
    mask = task_of(task).mask
    paint = mask and hole == "painted" and picture is not None
    return [gr.ImageEditor(visible=paint), gr.File(visible=mask and hole in ("white", "black"))]


def for_picture(task: str, hole: str, picture: str | None) -> list[Any]:
    """Return the picture, a note under it, the same picture to paint on, and the status.

    A file that cannot be read is taken away, since the browser may show nothing but a broken frame
    of it. The note says what is wrong, and stays until another file comes.
    """
    no_note, no_brush = gr.HTML("", visible=False), gr.ImageEditor(None, visible=False)
    if picture is None:
        return [gr.skip(), gr.skip(), no_brush, gr.skip()]
    try:
        background = editor_image(Path(picture))
    except ValueError as error:
        note = gr.HTML(line(for_visitor(error, picture), "wrong"), visible=True)
        return [None, note, no_brush, gr.skip()]
    value: Any = {"background": background, "layers": [], "composite": None}
    paint = task_of(task).mask and hole == "painted"
    # The status may still say that there is no picture.
    editor = gr.ImageEditor(value, visible=paint, brush=brush_for(*background.size))
    return [gr.skip(), no_note, editor, line(START)]


def example_shower(folder: Path) -> Callable[[str], list[Any]]:
    """Return the handler of the example button, which fills the form."""

    def show_example(task: str) -> list[Any]:
        made = example(task, folder)
        hole = "white" if made.mask else gr.skip()
        mask, kernel = (path and str(path) for path in (made.mask, made.kernel))
        ready = line("This is an example: a photograph, damaged. Press Restore.")
        no_note = gr.HTML("", visible=False)
        return [str(made.picture), no_note, mask, kernel, made.noise, hole, ready]

    return show_example


# ---- what the form sends ------------------------------------------------------------------------


def uploaded_path(payload: Any) -> str | None:
    """Return the path of a file that was sent.

    gradio would open it with every reader Pillow has, one of which runs programs, and say in its
    own words what is wrong with it.
    """
    return None if payload is None else payload.path


def painted_layer(editor: gr.ImageEditor, payload: Any) -> dict[str, Any] | None:
    """Return what the brush left, the only part of the editor's value that is used.

    It is opened as any other picture.

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
        raise error_of(for_visitor(error, getattr(layer, "path", None))) from None


# ---- the button ---------------------------------------------------------------------------------


def restorer(runner: "JobRunner") -> Any:
    """Return the handler of the Restore button.

    The names of its arguments are those of the page's API; it yields status, picture so far,
    comparison, gallery, files, command and the two buttons.
    """

    def restore(
        picture: str | None,
        task: str,
        hole: str,
        painted: Any,
        mask: str | None,
        kernel: str | None,
        noise: float,
        samples: float,
        seed: float,
        solver: str,
        settings: dict[str, Any] | None,
        prior: str,
        label: str | None,
        effort: str = "normal",
    ) -> Iterator[list[Any]]:
        reading = line("Reading the picture and loading the model …")
        yield [reading, *_no_results(), *buttons(running=True)]
        try:
            layers = (painted or {}).get("layers") or [None]
            number = None
            if label and label.strip():
                if not label.strip().isdigit():
                    raise ValueError(
                        f"The class of the picture is {label!r}. A whole number is expected, or "
                        "nothing."
                    )
                number = int(label)
            form = Form(
                picture=_path(picture),
                task=task,
                painted=layers[0],
                mask=_path(mask),
                hole=hole,
                kernel=_path(kernel),
                noise=noise,
                samples=int(samples),
                seed=int(seed or 0),
                solver=solver,
                effort=effort,
                changed=settings or {},
                prior=prior,
                label=number,
            )
            for seen in runner.restore(form):
                if isinstance(seen, Waiting):
                    yield [line(place(seen.before)), *[gr.skip()] * 7]
                elif isinstance(seen, ProgressFrame):
                    yield [*_progress(seen), *[gr.skip()] * 6]
                else:
                    yield [line(seen.summary), *_results(seen), *buttons(running=False)]
        # Whatever happens, the page gets its button back: a visitor cannot do without it.
        except Exception as error:
            said = explain(error, picture, mask, kernel)
            yield [line(said, "wrong"), *_no_results(), *buttons(running=False)]
            # The line stands under the button; programs get the error.
            raise error_of(said, visible=False) from None

    return restore


def explain(error: Exception, *files: str | None) -> str:
    """Return one line for a visitor; log what is the fault of the page or the machine."""
    if isinstance(error, ValueError | TypeError | ArithmeticError):
        return for_visitor(error, *files)
    if isinstance(error, Cancelled | CancelledError):
        return "The page is being closed. Nothing was kept."
    first = (str(error) or type(error).__name__).splitlines()[0]
    # One line for whoever runs the page; the visitor cannot mend it.
    print(f"hrdis serve: a restoration failed: {type(error).__name__}: {first}", file=sys.stderr)
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return (
            "There is not enough memory for this. Take a smaller picture, or fewer restorations, "
            "or try again later."
        )
    if isinstance(error, FileNotFoundError):  # uploads are removed after a day
        return "A file that was sent is not there any more. Send it again."
    if isinstance(error, OSError):
        return "The page cannot keep its files: its disk may be full. Try again later."
    return "The restoration failed, and nothing was kept. The reason is in the log of the page."


def for_visitor(error: Exception | str, *files: str | None) -> str:
    """Return a message in the words of the page, without the folders that the files lie in."""
    return for_page(error, [Path(file).parent for file in files if file])


def error_of(message: str, visible: bool = True) -> gr.Error:
    """Return a message as the error that programs get, its HTML escaped."""
    # gradio renders messages as HTML, and a name of a file may be some.
    escaped = html.escape(message, quote=False)
    return gr.Error(escaped, visible=visible, print_exception=False)


# ---- what gradio refuses ------------------------------------------------------------------------


class PageBlocks(gr.Blocks):
    """Blocks of gradio that put every refusal in one line, for the visitor and for the log.

    gradio itself prints a traceback of any value that its components refuse, so that a visitor
    could fill the log.
    """

    async def process_api(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run a handler between its components, as gradio does.

        Raises:
            gr.Error: of one line, for whatever goes wrong.
        """
        try:
            return await super().process_api(*args, **kwargs)
        except gr.Error as error:
            # A list of choices that does not hold the value, a number out of a slider's bounds.
            if not error.print_exception:  # said by a handler of this page
                raise
            raise refusal(str(error.message)) from None
        except InvalidPathError:
            raise refusal(
                "A file is named that was not sent to this page. Send it first."
            ) from None
        except ValueError as error:
            lines = str(error).splitlines() or [type(error).__name__]
            # gradio's first line counts components; the one that a visitor can use comes later.
            expected = [said for said in lines if said.startswith("Expected")]
            said = (expected or lines)[0]
            raise refusal(f"What was sent does not fit its field. {said}") from None
        except Exception as error:
            raise error_of(explain(error)) from None


def refusal(said: str) -> gr.Error:
    """Return the error that a visitor gets, and write its line to the log."""
    text = " ".join(said.split())
    if len(text) > LONGEST_REFUSAL:
        text = f"{text[:LONGEST_REFUSAL]} ..."
    # What a visitor sent may hold characters that move the cursor of a terminal.
    print(f"hrdis serve: a request was refused: {text!a}", file=sys.stderr)
    return error_of(text)


def _path(file: str | None) -> Path | None:
    return None if file is None else Path(file)


def _no_results() -> list[Any]:
    return [
        gr.HTML(EMPTY, visible=True),
        gr.ImageSlider(visible=False),
        gr.Gallery(visible=False),
        gr.File(visible=False),
        gr.Textbox(visible=False),
    ]


def _results(job: FinishedJob) -> list[Any]:
    pictures = [(str(path), title) for path, title in job.gallery]
    return [
        gr.HTML("", visible=False),
        gr.ImageSlider((job.given, job.first), visible=True),
        gr.Gallery(pictures, visible=bool(pictures)),
        gr.File([str(path) for path in job.files], visible=True),
        gr.Textbox(job.command, visible=True),
    ]


def buttons(running: bool) -> list[Any]:
    """Return the Restore and the Stop button, one of which is visible."""
    return [gr.Button(visible=not running), gr.Button(visible=running)]


def stop_run() -> list[Any]:
    """Return status, picture so far and buttons after Stop; gradio closes the generator itself."""
    return [line(STOPPED), gr.HTML(EMPTY, visible=True), *buttons(running=False)]


# ---- HTML ---------------------------------------------------------------------------------------


def line(text: str, kind: str = "") -> str:
    """Return one line of the status, which screen readers say at once if it is an error."""
    role = "alert" if kind == "wrong" else "status"
    return f'<p class="{kind}" role="{role}">{html.escape(text)}</p>'


def place(before: int) -> str:
    """Return how many are before a visitor."""
    if before == 1:
        return "One restoration is before yours. Yours starts by itself."
    return f"{before} restorations are before yours. Yours starts by itself."


def _progress(frame: ProgressFrame) -> list[Any]:
    """Return the status with a bar of the steps done, and the picture so far."""
    left = f"{frame.left:.0f} s" if frame.left < 90 else f"{frame.left / 60:.0f} min"
    # No role here: a screen reader would say every step.
    bar = (
        f'<progress aria-label="steps done" value="{frame.done}" max="{frame.total}"></progress>'
        f"<p>Step {frame.done} of {frame.total}, {left} left</p>"
    )
    # The picture's bytes are in the page: a file for each would stay behind.
    buffer = io.BytesIO()
    frame.picture.convert("RGB").save(buffer, "JPEG", quality=85)
    data = base64.b64encode(buffer.getvalue()).decode()
    inline = f'<img alt="the picture so far" src="data:image/jpeg;base64,{data}">'
    return [bar, gr.HTML(inline, visible=True)]
