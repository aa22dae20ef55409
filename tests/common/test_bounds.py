"""Any solver on any operator, with settings at their bounds: a defined result, or one line.

The default suite draws a few; ``HYPOTHESIS_PROFILE=search`` draws a thousand for each solver.
"""

import warnings
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

import hrdis
from tests.common.toys import LINEAR, NONLINEAR, Pixelwise, normal

FEW = max(1, hypothesis.settings.default.max_examples // 8)
COSTLY = 2  #: the most that a whole number is, where it may be a number of steps
TINY, HUGE = 1e-30, 1e30
PICTURES = {
    "black": lambda shape: torch.full(shape, -1.0),
    "grey": lambda shape: torch.zeros(shape),
    "white": lambda shape: torch.ones(shape),
    "noise": lambda shape: 0.5 * normal(*shape).float(),
    "one pixel": lambda shape: torch.nn.functional.one_hot(
        torch.tensor(0), shape[1] * shape[2] * shape[3]
    ).float().expand(shape[0], -1).reshape(shape),
}  # fmt: skip


def values_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return values of a setting: at its bounds, and some between."""
    if "anyOf" in schema:
        return st.one_of(*map(values_of, schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("type") == "boolean":
        return st.booleans()
    if schema.get("type") == "integer":
        least = schema.get("minimum", 0)
        return st.sampled_from([least, least + 1, least + COSTLY, schema.get("default", least)])
    if schema.get("type") == "number":
        least = schema.get("minimum", schema.get("exclusiveMinimum", -HUGE))
        most = schema.get("maximum", schema.get("exclusiveMaximum", HUGE))
        found = [least, most, (least + most) / 2, schema.get("default", least), 0.1, 1.0]
        if least == 0:
            found += [TINY, 1e-6]
        return st.sampled_from([value for value in found if value is not None])
    return st.none()


def settings_of(cls: type[hrdis.Solver]) -> st.SearchStrategy[dict[str, Any]]:
    """Return settings of which one to three differ from the defaults."""
    fields = TypeAdapter(cls).json_schema().get("properties", {})
    values = {name: values_of(schema) for name, schema in fields.items() if name != "steps"}
    if not values:
        return st.just({})

    def of(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries({name: values[name] for name in names})

    return st.lists(st.sampled_from(sorted(values)), max_size=3, unique=True).flatmap(of)


@pytest.mark.parametrize("name", hrdis.SOLVERS)
@hypothesis.settings(max_examples=FEW)
@given(data=st.data())
def test_settings_at_their_bounds_are_refused_in_one_line_or_give_a_result(
    name: str, data: st.DataObject
) -> None:
    """`Result.finite` tells which images are numbers; nothing else is raised or returned."""
    cls = hrdis.SOLVERS[name][0]
    chosen = data.draw(settings_of(cls), "settings")
    steps = {"steps": 2} if hasattr(cls, "steps") else {}
    row = data.draw(st.sampled_from(sorted({**LINEAR, **NONLINEAR})), "operator")
    b, c = data.draw(st.integers(1, 3), "batch"), data.draw(st.sampled_from([1, 3]), "channels")
    side = data.draw(st.sampled_from([12, 24]), "side")
    sigma = data.draw(st.sampled_from([0.0, 1e-6, 0.05, 10.0]), "noise")
    picture = data.draw(st.sampled_from(sorted(PICTURES)), "picture")
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]), "dtype")
    if row in LINEAR:
        shape = LINEAR[row].fit(b, c, side, 12)
        A: Any = LINEAR[row](*shape)
    else:
        shape = (b, c, side, 12)
        A = NONLINEAR[row](*shape)
    x = PICTURES[picture](shape).to(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            noise = hrdis.noise.Gaussian(sigma / 2) if sigma else None
            problem = hrdis.measure(A.to(dtype), x, noise, seeds=range(shape[0]))
            found = hrdis.solve(cls(**steps, **chosen), Pixelwise(), problem, seeds=range(shape[0]))
        except (ValueError, TypeError) as error:
            assert str(error).strip() and "\n" not in str(error)
            return
    assert found.x.shape[0] == shape[0] and found.x.shape[-2:] == x.shape[-2:]
    finite = torch.stack([image.isfinite().all() for image in found.x])
    assert found.finite.tolist() == finite.tolist()
