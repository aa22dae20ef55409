"""What solvers share: their settings and how these are explained."""

from dataclasses import fields

import pytest

import hrdis
from hrdis.solvers.base import settings, settings_schema


@pytest.mark.parametrize("name", hrdis.SOLVERS)
def test_schema_of_settings_has_each_with_default_and_help(name):
    cls = hrdis.SOLVERS[name][0]
    schema = settings_schema(cls)
    assert list(schema) == [setting.name for setting in fields(cls)]
    for setting in fields(cls):
        assert schema[setting.name]["default"] == setting.default
        assert schema[setting.name]["description"]


def test_part_of_a_setting_that_is_refused_is_named_as_the_setting():
    @settings
    class Levels:
        levels: tuple[int, int] = (1, 2)

    with pytest.raises(
        ValueError, match=r"^Levels: levels is 'a', but .*Levels\(levels=\(1, 2\)\)"
    ):
        Levels(levels=(1, "a"))
