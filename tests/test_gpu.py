"""On a CUDA device: the same results as on the CPU, from the same seeds. Run with -m gpu."""

import pytest
import torch

import hrdis
from hrdis.problem import Problem
from tests.common.toys import EVERY, LINEAR, NONLINEAR, mixture, normal, problem_for

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("name", LINEAR)
def test_operator_measures_alike_on_both_devices(name):
    shape = LINEAR[name].fit(2, 3, 12, 12)
    A, x = LINEAR[name](*shape), normal(*shape)
    expected = A(x), A.adjoint(A(x)), A.pinv(A(x)), A.smooth(A(x))
    A, x = A.to("cuda"), x.to("cuda")
    found = A(x), A.adjoint(A(x)), A.pinv(A(x)), A.smooth(A(x))
    for f, e in zip(found, expected, strict=True):
        assert f.device.type == "cuda"
        torch.testing.assert_close(f.cpu(), e, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NONLINEAR)
def test_nonlinear_operator_measures_alike_on_both_devices(name):
    A, x = NONLINEAR[name](2, 3, 16, 16), 0.3 * normal(2, 3, 16, 16)
    expected = A(x), A.pinv(A(x))
    there = A.to("cuda")
    found = there(x.to("cuda")), there.pinv(expected[0].to("cuda"))
    for f, e in zip(found, expected, strict=True):
        assert f.device.type == "cuda"
        # all but a few values, which rounding errors may tip to the next step
        assert float(((f.cpu() - e).abs() > 1e-10).double().mean()) < 0.01


@pytest.mark.parametrize("noise", [hrdis.noise.Poisson(), hrdis.noise.Speckle()], ids=str)
def test_noise_is_the_same_on_both_devices(noise):
    y = (0.3 * normal(2, 3, 16, 16)).clamp(-1, 1)
    here, there = (noise.add(v, hrdis.rng.ImageRNG([0, 1], "test")) for v in (y, y.to("cuda")))
    assert there.device.type == "cuda"
    torch.testing.assert_close(there.cpu(), here, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_solver_recovers_alike_on_both_devices(name):
    problem = problem_for(EVERY[name])
    expected = hrdis.solve(EVERY[name], mixture(), problem, seeds=[0, 1, 2]).x
    there = Problem(problem.y.to("cuda"), problem.A.to("cuda"))
    found = hrdis.solve(EVERY[name], mixture().to("cuda"), there, seeds=[0, 1, 2]).x
    assert found.device.type == "cuda"
    # 1e-8: the same noise and float64, but sums in another order, which eight steps of Adam amplify
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-8)


def test_source_on_the_device_draws_there_per_image():
    alone, together = (
        hrdis.rng.ImageRNG(seeds, "test", "cuda").randn((4, 4)) for seeds in ([7], [6, 7])
    )
    assert together.device.type == "cuda"
    assert torch.equal(alone[0], together[1])
