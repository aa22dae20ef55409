"""The fastest way to run a network: never a slower one, never one that computes something else."""

import pytest
import torch

from hrdis.checkpoints import precision
from hrdis.checkpoints.precision import fastest
from hrdis.priors import Prediction
from tests.common.toys import Pixelwise

SHAPE = (3, 8, 8)


class Other(Pixelwise):
    """What stands for the network in onnxruntime: off by a factor in its estimate or gradient."""

    def __init__(self, estimate=1.0, gradient=1.0):
        super().__init__()
        self.estimate, self.gradient = estimate, gradient

    def forward(self, x_t, t):
        x0_hat, eps = super().forward(x_t, t)
        if torch.is_grad_enabled():  # the same value with another slope
            eps = self.gradient * eps + (1 - self.gradient) * eps.detach()
        return Prediction(x0_hat, self.estimate * eps)


@pytest.fixture(autouse=True)
def ways(monkeypatch, tmp_path):
    """Onnxruntime is there; calls take the seconds of `times`, by the class of the prior."""
    times = {"Pixelwise": 1.0, "Other": 0.5}
    monkeypatch.setenv("HRDIS_HOME", str(tmp_path))
    monkeypatch.setattr(precision, "has_onnxruntime", lambda: True)
    monkeypatch.setattr(precision, "version", lambda name: "1")
    monkeypatch.setattr(precision, "with_onnxruntime", lambda prior: Other())
    monkeypatch.setattr(precision, "_seconds", lambda prior, x: times[type(prior).__name__])
    return times


def chosen(prior=None):
    def refuse(dtype):
        raise AssertionError("half precision is not tried on a CPU")

    return fastest(prior or Pixelwise(), refuse, SHAPE, "0" * 64)


def test_faster_way_is_taken_and_named():
    way = chosen()
    assert (way.precision, type(way.prior)) == ("onnx", Other)
    assert way.why.startswith("onnx is the fastest way here for 8 x 8 pixels")
    assert "fp32 1e+03 ms, onnx 500 ms" in way.why


@pytest.mark.parametrize(("seconds", "taken"), [(0.94, "onnx"), (0.96, "fp32"), (5.0, "fp32")])
def test_fp32_stays_unless_another_way_gains(ways, seconds, taken):
    ways["Other"] = seconds
    assert chosen().precision == taken


@pytest.mark.parametrize("other", [Other(estimate=1.01), Other(gradient=1.01)], ids=["eps", "grad"])
def test_way_that_computes_something_else_is_not_taken(monkeypatch, other):
    monkeypatch.setattr(precision, "with_onnxruntime", lambda prior: other)
    prior = Pixelwise()
    way = chosen(prior)
    assert way.precision == "fp32" and way.prior is prior
    assert "onnx" not in way.why


def test_way_that_fails_is_passed_over(monkeypatch):
    def fails(prior):
        raise ValueError("no such network")

    monkeypatch.setattr(precision, "with_onnxruntime", fails)
    assert chosen().precision == "fp32"


def test_choice_is_remembered(monkeypatch):
    first = chosen()
    monkeypatch.setattr(precision, "timed", lambda *_: pytest.fail("timed again"))
    assert chosen().why == first.why


def test_choice_is_of_one_network_and_size(monkeypatch):
    chosen()
    calls = []
    monkeypatch.setattr(precision, "timed", lambda *_: calls.append(1) or {"fp32": 1.0})
    fastest(Pixelwise(), lambda dtype: Pixelwise(), SHAPE, "1" * 64)
    fastest(Pixelwise(), lambda dtype: Pixelwise(), (3, 64, 64), "0" * 64)
    assert len(calls) == 2


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_damaged_file_is_made_anew(tmp_path, content):
    (tmp_path / precision.FILE).write_text(content)
    assert chosen().precision == "onnx"
    assert '"onnx"' in (tmp_path / precision.FILE).read_text()
