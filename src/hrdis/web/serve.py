"""Serve the page until somebody ends it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from .page import CSS, FONT, build
from .work import Workshop

LARGEST = "256mb"  # of a file sent to the page


@dataclass(frozen=True)
class Served:
    """A page that is being served; it ends with `close`."""

    page: gr.Blocks
    address: str

    def wait(self) -> None:
        """Wait for Ctrl-C, which comes as KeyboardInterrupt."""
        while True:
            time.sleep(3600)

    def close(self) -> None:
        """End the page, and whatever runs on it."""
        self.page.close()


def serve(
    workshop: Workshop, priors: Sequence[str] = (), *, host: str = "127.0.0.1", port: int = 7860,
    queue: int = 16,
    browser: bool = False,
) -> Served:  # fmt: skip
    """Begin to serve the page.

    Raises:
        ValueError: if nothing can listen at that address.
    """
    page = build(workshop, priors).queue(max_size=queue)
    try:
        _, address, _ = page.launch(
            server_name=host, server_port=port, inbrowser=browser, prevent_thread_lock=True,
            quiet=True, share=False,
            show_error=True, ssr_mode=False, run_history=False, footer_links=["api"],
            max_file_size=LARGEST, css=CSS,
            theme=gr.themes.Default(font=FONT, font_mono=["ui-monospace", "monospace"]),
        )  # fmt: skip
    except OSError as error:
        raise ValueError(
            f"Nothing can listen at {host}, port {port} ({error}). A port that is free is "
            f"expected: --port {port + 1}"
        ) from None
    return Served(page, address.rstrip("/"))
