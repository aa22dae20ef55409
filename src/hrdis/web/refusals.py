"""The page's blocks, on which a request that is wrong costs one line instead of a traceback.

gradio prints a traceback of any value that its components refuse, so that a visitor could fill the
log of a page.
"""

import sys
from typing import Any

import gradio as gr
from gradio.exceptions import InvalidPathError

from .events import error_of, explain

LONGEST = 300  # characters of a refusal; gradio's quote the values that were sent


class PageBlocks(gr.Blocks):
    """Blocks of gradio that put every refusal in one line, for the visitor and for the log."""

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
            expected = [line for line in lines if line.startswith("Expected")]
            said = (expected or lines)[0]
            raise refusal(f"What was sent does not fit its field. {said}") from None
        except Exception as error:
            raise error_of(explain(error)) from None


def refusal(said: str) -> gr.Error:
    """Return the error that a visitor gets, and write its line to the log."""
    line = " ".join(said.split())
    if len(line) > LONGEST:
        line = f"{line[:LONGEST]} ..."
    # What a visitor sent may hold characters that move the cursor of a terminal.
    print(f"hrdis serve: a request was refused: {line!a}", file=sys.stderr)
    return error_of(line)
