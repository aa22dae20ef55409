"""Networks in onnxruntime: the same numbers, torch's gradients, and no trust without a look."""

import importlib.util
import warnings

import pytest
import torch

import hrdis
from hrdis.priors import SmallUNet, UNetPrior, has_onnxruntime, onnx, with_onnxruntime
from tests.common.toys import Pixelwise, normal

needs_onnxruntime = pytest.mark.skipif(
    not has_onnxruntime(), reason="pip install 'hrdis[fast]' for these"
)


def small(dtype=torch.float32) -> UNetPrior:
    """A tiny network with weights that are not zero."""
    with torch.random.fork_rng():
        net = SmallUNet(channels=(8, 8), blocks=1, middle=1, embedding=8)
    for k, p in enumerate(net.parameters()):
        p.data = 0.3 * normal(*p.shape, seed=k, dtype=torch.float32)
    return UNetPrior(net.to(dtype), prediction_type="v_prediction", multiple=4)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HRDIS_HOME", str(tmp_path))
    return tmp_path


class Off(torch.nn.Module):
    """What stands for a network in onnxruntime: torch's, off by a constant."""

    by = 0.0

    def __init__(self, net, file):
        super().__init__()
        self.net = net

    def forward(self, x, t):
        return self.net(x, t) + self.by


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    monkeypatch.setattr(onnx, "has_onnxruntime", lambda: True)
    monkeypatch.setattr(onnx, "exported", lambda *_: tmp_path)
    monkeypatch.setattr(onnx, "OnnxNetwork", Off)


@needs_onnxruntime
@pytest.mark.parametrize("size", [(1, 3, 30, 47), (3, 1, 16, 16)], ids=str)
def test_estimates_are_those_of_torch(size):
    prior, x = small(), normal(*size, dtype=torch.float32)
    fast = with_onnxruntime(prior)
    assert isinstance(fast.net, onnx.OnnxNetwork)
    # 1e-4: what is refused beyond; 1e-6 is usual
    torch.testing.assert_close(fast(x, 300).eps, prior(x, 300).eps, rtol=0, atol=1e-4)


@needs_onnxruntime
def test_gradients_are_torchs_own():
    x = normal(1, 3, 16, 16, dtype=torch.float32).requires_grad_()
    slopes = []
    for prior in (fast := with_onnxruntime(small()), small()):
        slopes += torch.autograd.grad(prior(x, 300).eps.square().sum(), x)
    assert torch.equal(*slopes)
    assert not fast(x.detach(), 300).eps.requires_grad


@needs_onnxruntime
def test_network_is_exported_once(monkeypatch):
    with_onnxruntime(small())
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: pytest.fail("exported again"))
    with_onnxruntime(small())


def test_given_prior_is_left_as_it_is(stand_in):
    prior = small()
    fast = with_onnxruntime(prior)
    assert (type(prior.net), type(fast.net)) == (SmallUNet, Off)
    assert next(fast.parameters()) is next(prior.parameters())


@pytest.mark.parametrize("by", [1e-3, float("nan")])
def test_network_that_computes_something_else_is_refused(monkeypatch, stand_in, by):
    monkeypatch.setattr(Off, "by", by)
    prior = small()
    with pytest.warns(UserWarning, match=r"differs by .* from torch, more than the 1e-04"):
        assert with_onnxruntime(prior) is prior


def test_rounding_is_no_reason_to_refuse(monkeypatch, stand_in):
    monkeypatch.setattr(Off, "by", 2e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(with_onnxruntime(small()).net, Off)


def test_export_is_named_by_its_weights(monkeypatch):
    """Two networks of one kind must not be taken for each other."""
    names = set()
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: None)
    for factor in (1.0, 1.5):
        prior = small()
        next(iter(prior.net.parameters())).data *= factor
        names.add(onnx.exported(prior.net, 3, 4).name)
    assert len(names) == 2


@pytest.mark.parametrize("prior", [Pixelwise(), small(torch.bfloat16)], ids=["closed", "bf16"])
def test_prior_that_cannot_run_so_is_refused(stand_in, prior):
    with pytest.raises(ValueError, match=r"cannot run in onnxruntime\. A network of images"):
        with_onnxruntime(prior)


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(onnx, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"^onnxruntime or onnx is not installed\..*hrdis\[fast\]"):
        with_onnxruntime(small())
    with pytest.raises(ValueError, match=r'Both are expected for precision="onnx"'):
        hrdis.restore(torch.zeros(3, 16, 16), "denoise", noise=25, precision="onnx")
