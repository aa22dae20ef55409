"""Gradio controls for the settings of a solver, made from the type, bounds, choices and help text
of each field.
"""

from typing import Any

import gradio as gr

from ..solvers import Solver
from ..solvers.base import settings_schema


def controls(settings: Solver) -> dict[str, Any]:
    """Return one control per field, by name, showing its value; the caller renders them."""
    made: dict[str, Any] = {}
    for name, field in settings_schema(type(settings)).items():
        value = getattr(settings, name)
        common: dict[str, Any] = {
            "label": name,
            "info": field["description"],
            "interactive": True,
            "min_width": 200,
            "render": False,
        }
        # An exclusive bound is shown as if it were allowed; the class refuses it with a message.
        low = field.get("minimum", field.get("exclusiveMinimum"))
        high = field.get("maximum", field.get("exclusiveMaximum"))
        if "anyOf" in field:  # a number or None; an empty box is None
            text = "" if value is None else f"{value:g}"
            made[name] = gr.Textbox(text, placeholder="by default", max_lines=1, **common)
        elif "enum" in field:
            made[name] = gr.Dropdown(field["enum"], value=value, **common)
        elif field["type"] == "boolean":
            made[name] = gr.Checkbox(value=value, **common)
        elif field["type"] == "integer":
            made[name] = gr.Number(value, minimum=low, maximum=high, precision=0, **common)
        elif low is not None and high is not None:
            made[name] = gr.Slider(low, high, value=value, step=0.01, **common)
        else:
            made[name] = gr.Number(value, minimum=low, maximum=high, **common)
    return made
