"""Every setting of every solver has a control with its value, its bounds and its help."""

import pytest

import hrdis
from hrdis.solvers import SOLVERS
from hrdis.solvers.base import settings_schema

pytest.importorskip("gradio")
from hrdis.web.controls import controls


def value_shown(control, value):
    """Return what a control shows, as a value of the field."""
    if value is None or not isinstance(control.value, str):
        return control.value
    return type(value)(control.value)


@pytest.mark.parametrize("name", SOLVERS)
def test_every_setting_has_a_control_that_shows_it(name):
    cls, presets = SOLVERS[name]
    for settings in (cls(), *list(presets.values())[:3]):
        made = controls(settings)
        assert list(made) == list(settings_schema(cls))
        for field, control in made.items():
            value = getattr(settings, field)
            assert value_shown(control, value) == ("" if value is None else value)
            assert control.info


def test_bounds_of_a_setting_reach_its_control():
    made = controls(hrdis.HRDIS())
    assert (made["beta"].minimum, made["beta"].maximum) == (0, 1) and made["steps"].minimum == 1
    assert [value for _, value in made["grid"].choices] == ["uniform", "stride"]
