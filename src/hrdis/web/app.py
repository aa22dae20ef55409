"""The page with its handlers, and its server."""

import threading
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from ..checkpoints import all_cards
from ..messages import for_page
from .controls import controls
from .events import (
    changed_setting,
    example_shower,
    for_hole,
    for_picture,
    for_task,
    restorer,
    stop_run,
)
from .fixing import fixer, looker, stop_fix
from .folder import VisitorFolder
from .form import Form
from .guard import LOOPBACK, Guard
from .jobs import JobRunner
from .page import CSS, THEME, FixLayout, Layout, build

LARGEST = "256mb"  # of a file sent to the page
#: Events of the form never wait behind a restoration, are not part of the API, and show no spinner.
QUIETLY: Any = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
# One button takes the place of the other: the keyboard's focus has to go with it.
FOCUS_STOP = """(...values) => {
  const looking = setInterval(() => {
    const stop = document.querySelector("#stop"), focused = document.activeElement;
    if (!stop?.offsetParent) return;
    if (focused === document.body || focused.id === "restore") stop.focus();
    clearInterval(looking);
  }, 100);
  setTimeout(() => clearInterval(looking), 10000);
  return values;
}"""
FOCUS_RESTORE = """() => {
  if (document.activeElement === document.body) document.querySelector("#restore")?.focus();
}"""
#: Visitors of whom gradio keeps its copy of the page, 0.15 MB each. Nothing is lost with a copy, as
#: the page has no `gr.State`. gradio's own 10000 would let memory grow with every restoration.
SESSIONS = 64
SPARE_THREADS = 32  # for the events of the form, beside one thread for each watched restoration


class PageServer:
    """A page that is being served; end it with `close`, or use it in a ``with`` statement."""

    def __init__(self, page: gr.Blocks, address: str, runner: JobRunner, folder: VisitorFolder):
        self.page, self.address, self.runner, self.folder = page, address, runner, folder
        self._ended = threading.Event()

    def wait(self) -> None:
        """Wait until `end` is called, from a signal's handler or another thread."""
        # In pieces, because on Windows nothing interrupts a wait without a limit.
        while not self._ended.wait(1):
            pass

    def end(self) -> None:
        """Let `wait` return."""
        self._ended.set()

    def close(self) -> None:
        """End the page and what runs on it, and remove all files of its visitors."""
        self.end()
        self.runner.close()
        self.page.close(verbose=False)
        self.folder.close()

    def __enter__(self) -> "PageServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(
    runner: JobRunner,
    priors: Sequence[str] = (),
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    names: Collection[str] = (),
    browser: bool = False,
) -> PageServer:
    """Start to serve the page.

    Args:
        runner: what restores; it ends with the page.
        priors: names of priors to offer beside "default" and those of ``hrdis list models`` that
            are here.
        host: address to listen at.
        port: port to listen at.
        names: names the page is reached by besides ``host`` and localhost, those of a proxy.
        browser: open the page in a browser.

    Raises:
        ValueError: if nothing can listen at that address.
    """
    folder = VisitorFolder.shared()
    try:
        runner.folder = folder.jobs
        offered = [*priors, "default"]
        for card in all_cards().values():
            if card.here:
                offered.append(card.name)
        page = build(list(dict.fromkeys(offered)), partial(wire, runner, folder))
        # Restorations wait in the runner, which tells each its place; gradio's queue only counts.
        page.queue(default_concurrency_limit=None, max_size=1000)
        hosts = {host, *names, *LOOPBACK} if host in LOOPBACK or names else set()
        guard = Middleware(Guard, folder=folder, hosts=hosts)
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            inbrowser=browser,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            show_error=True,
            ssr_mode=False,
            run_history=False,
            state_session_capacity=SESSIONS,
            footer_links=["api"],
            max_file_size=LARGEST,
            max_threads=runner.queue + SPARE_THREADS,
            css=CSS,
            theme=THEME,
            app_kwargs={"middleware": [guard]},
        )
    except OSError as error:
        folder.close()
        raise ValueError(
            f"Nothing can listen at {host}, port {port} ({error}). A port that is free is "
            f"expected: --port {port + 1}"
        ) from None
    except BaseException:
        folder.close()
        raise
    return PageServer(page, address.rstrip("/"), runner, folder)


def wire(runner: JobRunner, folder: VisitorFolder, layout: Layout) -> None:
    """Connect the components of the page with their handlers."""
    holes = [layout.task, layout.hole, layout.picture]
    of_task = [
        layout.hint,
        layout.hole,
        layout.painted,
        layout.mask,
        layout.kernel,
        layout.noise,
        layout.solver,
    ]
    layout.task.change(for_task, holes, of_task, **QUIETLY)
    layout.hole.change(for_hole, holes, [layout.painted, layout.mask], **QUIETLY)
    of_picture = [layout.picture, layout.note, layout.painted, layout.status]
    layout.picture.input(for_picture, holes, of_picture, **QUIETLY)
    of_example = [
        layout.picture,
        layout.note,
        layout.mask,
        layout.kernel,
        layout.noise,
        layout.hole,
        layout.status,
    ]
    show_example = example_shower(folder.examples)
    layout.try_example.click(show_example, layout.task, of_example, **QUIETLY)
    _wire_settings(layout)
    run = layout.restore.click(
        restorer(runner),
        layout.asked,
        layout.shown,
        api_name="restore",
        concurrency_limit=None,
        show_progress="hidden",
        js=FOCUS_STOP,
    )
    run.then(None, js=FOCUS_RESTORE, api_visibility="private")
    stopped = [layout.status, layout.so_far, layout.restore, layout.stop]
    layout.stop.click(stop_run, None, stopped, cancels=[run], **QUIETLY)
    _wire_fixing(layout.fixing, runner)


def _wire_fixing(tab: FixLayout, runner: JobRunner) -> None:
    unlimited: Any = {"concurrency_limit": None, "show_progress": "hidden"}
    seen = [tab.status, tab.diagnosis]
    looked = tab.picture.input(
        looker(runner), tab.picture, seen, api_visibility="private", **unlimited
    )
    shown = [*seen, tab.comparison, tab.files, tab.fix, tab.stop]
    # the button finds out by itself: a look that still runs would only be waited for
    run = tab.fix.click(
        fixer(runner),
        [tab.picture, tab.fill],
        shown,
        api_name="fix",
        cancels=[looked],
        **unlimited,
    )
    stopped = [tab.status, tab.fix, tab.stop]
    tab.stop.click(stop_fix, None, stopped, cancels=[run], **QUIETLY)


def _wire_settings(layout: Layout) -> None:
    """Show a control for each setting of the chosen solver, starting from its preset."""
    decisive = [
        layout.task, layout.solver, layout.prior, layout.noise, layout.effort, layout.samples,
    ]  # fmt: skip
    for component in decisive:
        component.change(lambda: {}, None, layout.changed, **QUIETLY)

    def show_settings(
        task: str, solver: str, prior: str, noise: float, effort: str, samples: float
    ) -> None:
        form = Form(
            picture=None, task=task, solver=solver, prior=prior, noise=noise, effort=effort,
            samples=int(samples),
        )  # fmt: skip
        gr.Markdown(for_page(form.choice.why))
        made = controls(form.choice.settings)
        for name, control in made.items():
            change = partial(changed_setting, name)
            control.change(change, [control, layout.changed], layout.changed, **QUIETLY)
        # Two in a row, but a checkbox by itself: beside another control it gets too narrow.
        row: list[str] = []
        for name, control in made.items():
            if isinstance(control, gr.Checkbox):
                control.render()
                continue
            row.append(name)
            if len(row) == 2:
                _render_row(made, row)
                row = []
        if row:
            _render_row(made, row)

    with layout.advanced:
        gr.render(inputs=decisive, queue=False)(show_settings)


def _render_row(made: Mapping[str, Any], names: Sequence[str]) -> None:
    with gr.Row():
        for name in names:
            made[name].render()
