"""Gradio controls for the settings of a solver, made from the type, bounds, choices and help text
of each field.
"""

from typing import Any

import gradio as gr

from ..solvers import Solver
from ..solvers.base import settings_schema


def controls(settings: Solver) -> dict[str, Any]:
    """Return one control per field, by name, showing its value; the caller renders them."""
    made = {}
    for name, field in settings_schema(type(settings)).items():
        made[name] = _control(name, getattr(settings, name), field)
    return made


def _control(name: str, value: Any, field: dict[str, Any]) -> Any:
    """Return the control of one field, described by its JSON schema."""
    common: dict[str, Any] = {
        "label": name,
        "info": field["description"],
        "interactive": True,
        "min_width": 200,
        "render": False,
    }
    if "anyOf" in field:  # a number or None; an empty box is None
        text = "" if value is None else f"{value:g}"
        return gr.Textbox(text, placeholder="by default", max_lines=1, **common)
    if "enum" in field:
        return gr.Dropdown(field["enum"], value=value, **common)
    if field["type"] == "boolean":
        return gr.Checkbox(value=value, **common)
    # An exclusive bound is shown as if it were allowed; the class refuses it with a message.
    low = field.get("minimum", field.get("exclusiveMinimum"))
    high = field.get("maximum", field.get("exclusiveMaximum"))
    if field["type"] == "integer":
        return gr.Number(value, minimum=low, maximum=high, precision=0, **common)
    if low is not None and high is not None:
        return gr.Slider(low, high, value=value, step=0.01, **common)
    return gr.Number(value, minimum=low, maximum=high, **common)
