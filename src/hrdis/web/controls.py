"""A control for each setting of a solver, from the class itself: its type, bounds, choices and line
of help.
"""

from typing import Any

import gradio as gr

from ..solvers import Solver
from ..solvers.base import settings_schema


def controls(settings: Solver) -> dict[str, Any]:
    """Gradio components by name, showing these settings; each is to be rendered where it
    belongs.
    """
    return {
        name: _control(name, getattr(settings, name), known)
        for name, known in settings_schema(type(settings)).items()
    }


def _control(name: str, value: Any, known: dict[str, Any]) -> Any:
    common: dict[str, Any] = {
        "label": name,
        "info": known["description"],
        "interactive": True,
        "min_width": 200,
        "render": False,
    }
    if "anyOf" in known:  # a number, or nothing
        return gr.Textbox(
            "" if value is None else f"{value:g}", placeholder="by default", max_lines=1, **common
        )
    if "enum" in known:
        return gr.Dropdown(known["enum"], value=value, **common)
    if known["type"] == "boolean":
        return gr.Checkbox(value=value, **common)
    low = known.get(
        "minimum", known.get("exclusiveMinimum")
    )  # a bound not to be touched is left to the class
    high = known.get("maximum", known.get("exclusiveMaximum"))
    whole = known["type"] == "integer"
    if not whole and low is not None and high is not None:
        return gr.Slider(low, high, value=value, step=0.01, **common)
    return gr.Number(value, minimum=low, maximum=high, precision=0 if whole else None, **common)
