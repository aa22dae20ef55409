"""The first tab of the page: find what is wrong with a photograph, and mend it."""

import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from .. import images
from ..fixing import KINDS, Diagnosis, fix, many
from .events import error_of, explain, line, place
from .labels import FIX_START
from .outcomes import RepairStage, Waiting

if TYPE_CHECKING:
    from PIL import Image

    from .jobs import JobRunner

CALLS = 32  # of the network at most: 20 for a blur, the rest for noise, JPEG and the estimators
NOTHING_FOUND = "Nothing is beyond doubt wrong with it; Fix would leave it as it is."
NAMES = {
    "noise": "Noise", "jpeg": "JPEG artefacts", "enlarged": "Enlargement", "blur": "Blur",
    "scratches": "Specks and scratches", "stamp": "Date stamp",
}  # fmt: skip
ANSWERS = {"yes": "yes", "no": "no", "unsure": "not sure"}


@dataclass(frozen=True)
class FixedJob:
    """The outcome of a look or a repair, whose files exist until the next value is asked for.

    Args:
        diagnosis: what was found.
        steps: what was done, a sentence each; none after a look.
        given, mended: the pictures to compare; None after a look.
        files: the picture, the mask of specks or of a date if there is one, and the record.
    """

    diagnosis: Diagnosis
    steps: tuple[str, ...] = ()
    given: "Image.Image | None" = None
    mended: "Image.Image | None" = None
    files: tuple[Path, ...] = ()


def repair(
    runner: "JobRunner", picture: Path | None, fill: bool = False, look: bool = False
) -> Iterator[Waiting | RepairStage | FixedJob]:
    """Look at a picture, or mend it, when its turn comes; closing the iterator cancels it.

    Args:
        runner: of the page.
        picture: the file.
        fill: whether specks, scratches and a printed date are filled, too.
        look: whether to find only.

    Raises:
        ValueError, TypeError: for what is no picture, or is too large for the page.
    """
    if picture is None:
        raise ValueError("There is no picture yet. Drop one into the first box.")

    # It gets a copy in a folder of its own, and runs in the worker's thread.
    def compute(copy: Path, tell: Callable[[str], None]) -> FixedJob:
        prior = runner.load("default")
        given = images.read(copy)
        runner.limits.check_picture(*given.size, CALLS)
        errand = many.errands([copy], None)[0]
        many.check_picture(errand, given)
        only = KINDS if fill else ()
        fixed = fix(copy, only=only, dry_run=look, prior=prior, on_progress=tell)
        if look:
            return FixedJob(fixed.diagnosis)
        files = []
        for name in fixed.save(errand.output, copy):
            files.append(Path(name))
        # The handlers stand below the runner, which is there when they are called.
        from .jobs import leave_out, thumbnail

        leave_out(copy.parent, files[-1])
        return FixedJob(
            fixed.diagnosis, fixed.steps, thumbnail(given), thumbnail(fixed.picture), tuple(files)
        )

    yield from runner.run(compute, picture)


# ---- handlers -----------------------------------------------------------------------------------


def looker(runner: "JobRunner") -> Any:
    """Return the handler of a new picture: it yields the status and the diagnosis."""

    def look(picture: str | None) -> Iterator[list[Any]]:
        if picture is None:
            yield [line(FIX_START), ""]
            return
        yield [line("Looking at the picture …"), ""]
        try:
            for seen in repair(runner, Path(picture), look=True):
                if isinstance(seen, Waiting):
                    yield [line(place(seen.before)), ""]
                elif isinstance(seen, RepairStage):
                    yield [stage(seen.what), gr.skip()]
                else:
                    faults = [finding.found for finding in seen.diagnosis.findings().values()]
                    ready = "Press Fix to mend what is beyond doubt."
                    said = ready if "yes" in faults else NOTHING_FOUND
                    yield [line(said), findings(seen.diagnosis)]
        except Exception as error:
            yield [line(explain(error, picture), "wrong"), ""]

    return look


def fixer(runner: "JobRunner") -> Any:
    """Return the handler of the Fix button.

    It yields status, diagnosis, comparison, files and the two buttons.
    """

    def repaired(picture: str | None, fill: bool) -> Iterator[list[Any]]:
        none = [gr.ImageSlider(visible=False), gr.File(visible=False)]
        yield [line("Looking at the picture …"), gr.skip(), *none, *fix_buttons(running=True)]
        try:
            for seen in repair(runner, None if picture is None else Path(picture), fill):
                if isinstance(seen, Waiting):
                    yield [line(place(seen.before)), *[gr.skip()] * 5]
                    continue
                if isinstance(seen, RepairStage):
                    yield [stage(seen.what), *[gr.skip()] * 5]
                    continue
                results = [
                    gr.ImageSlider((seen.given, seen.mended), visible=True),
                    gr.File([str(path) for path in seen.files], visible=True),
                ]
                told = line(" ".join(seen.steps))
                yield [told, findings(seen.diagnosis), *results, *fix_buttons(running=False)]
        # Whatever happens, the page gets its button back.
        except Exception as error:
            said = explain(error, picture)
            yield [line(said, "wrong"), gr.skip(), *none, *fix_buttons(running=False)]
            raise error_of(said, visible=False) from None

    return repaired


def stage(what: str) -> str:
    """Return what is being done as a line of the status; no screen reader says every tile."""
    return f"<p>{html.escape(what[:1].upper() + what[1:])} …</p>"


def fix_buttons(running: bool) -> list[Any]:
    """Return the Fix and the Stop button, one of which is visible."""
    return [gr.Button(visible=not running), gr.Button(visible=running)]


def stop_fix() -> list[Any]:
    """Return status and buttons after Stop; gradio closes the generator itself."""
    return [line("Stopped. Nothing was kept."), *fix_buttons(running=False)]


def findings(diagnosis: Diagnosis) -> str:
    """Return the answers as a list in HTML, a line for each kind of damage."""
    lines = []
    for name, finding in diagnosis.findings().items():
        answer = f"<b>{NAMES[name]}: {ANSWERS[finding.found]}.</b>"
        lines.append(f"<li>{answer} {html.escape(finding.why)}</li>")
    return f"<ul>{''.join(lines)}</ul>"
