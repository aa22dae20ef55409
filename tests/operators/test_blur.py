"""Blur and its kernels."""

import math
import pickle
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

import hrdis
from hrdis.linalg import matrix
from hrdis.operators import Blur, CircularBlur, SeparableBlur, derived, kernels
from tests.common.toys import MILD, TAPS, normal, rel

KERNELS = {
    "3 x 3": normal(3, 3),
    "5 x 3": normal(5, 3),
    "1 x 7": normal(1, 7),
    "9 x 9": normal(9, 9),
    "1 x 1": torch.ones(1, 1),
}
KERNELS = {name: k / k.sum() for name, k in KERNELS.items()}
SCIPY = {
    "reflect": "mirror",
    "replicate": "nearest",
    "zero": "constant",
}  # their names for the same borders


# ---- with a border ------------------------------------------------------------------------------


@pytest.mark.parametrize("boundary", SCIPY)
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("size", [(10, 13), (32, 9)], ids=str)
def test_blur_is_the_convolution_of_scipy(name, boundary, size):
    ndimage = pytest.importorskip("scipy.ndimage")
    kernel, x = KERNELS[name], normal(2, 3, *size)
    theirs = ndimage.convolve(x.numpy(), kernel.numpy()[None, None], mode=SCIPY[boundary])
    scale = float(
        kernel.abs().sum()
    )  # random kernels have both signs: their sum is 1, their rounding is not
    torch.testing.assert_close(
        Blur(kernel, boundary)(x), torch.from_numpy(theirs), rtol=0, atol=2e-14 * scale + 1e-14
    )


def test_blur_is_the_convolution_of_torch_for_large_kernels():
    """The Gaussian of DPS at its size, in float32: two ways of summing 625 products."""
    kernel, x = kernels.gaussian(61, 3.0), normal(1, 3, 64, 80, dtype=torch.float32)
    weight = kernel.float().expand(3, 1, 61, 61)
    expected = F.conv2d(F.pad(x, (30, 30, 30, 30), mode="reflect"), weight, groups=3)
    torch.testing.assert_close(Blur(kernel)(x), expected, rtol=0, atol=2e-6)


@given(
    st.integers(2, 12),
    st.integers(2, 12),
    st.sampled_from(list(SCIPY)),
    st.sampled_from(list(KERNELS)),
)
def test_blur_adjoint_is_the_adjoint_at_any_size(h, w, boundary, name):
    kernel = KERNELS[name]
    A, x, y = Blur(kernel, boundary), normal(1, 2, h, w), normal(1, 2, h, w, seed=1)
    if boundary == "reflect" and (kernel.shape[0] // 2 >= h or kernel.shape[1] // 2 >= w):
        return
    gap = float((A(x) * y).sum() - (x * A.adjoint(y)).sum())
    assert abs(gap) < 1e-12 * float(kernel.abs().sum() * x.norm() * y.norm())


@pytest.mark.parametrize("boundary", ["reflect", "replicate"])
def test_blur_keeps_constants(boundary):
    x = torch.full((1, 3, 16, 24), 0.7, dtype=torch.float64)
    torch.testing.assert_close(Blur(kernels.uniform(9), boundary)(x), x, rtol=0, atol=1e-14)


def test_blur_starts_from_y():
    A, y = Blur(kernels.uniform(5)), normal(1, 3, 8, 8)
    assert torch.equal(A.smooth(y), y)


def test_blur_drops_the_zeros_around_a_kernel():
    assert tuple(Blur(kernels.gaussian(61, 3.0)).kernel.shape) == (25, 25)
    one_sided = F.pad(torch.ones(1, 1), (4, 0, 0, 0))  # the centre stays: reach 2 on both sides
    assert torch.equal(Blur(one_sided).kernel, torch.tensor([[0.0, 0, 0, 0, 1]]).double())


def test_blur_pinv_sharpens_what_was_measured_without_noise():
    x = F.avg_pool2d(normal(1, 1, 40, 40), 5, stride=1)
    A = Blur(kernels.gaussian(9, 1.0))
    y = A(x)
    assert rel(A.pinv(y), x) < 0.25 * rel(y, x)
    assert (
        rel(A(A.pinv(y)), y) < 1e-3
    )  # 200 steps leave some of what singular values below 1/100 carry


MIRRORED = {"gaussian": kernels.gaussian(7, 1.5), "uniform": kernels.uniform(5)}


@pytest.mark.parametrize("name", MIRRORED)
@pytest.mark.parametrize("rho", [1e-5, 1e-2, 10.0])
@pytest.mark.parametrize("size", [(9, 12), (16, 9)], ids=str)
def test_blur_prox_is_the_minimum(name, rho, size):
    A, x, y = Blur(MIRRORED[name]), normal(2, 1, *size), normal(2, 1, *size, seed=1)
    H = matrix(A, (1, *size))
    S, b = H.T @ H + rho * torch.eye(len(H.T)).double(), y.flatten(1) @ H + rho * x.flatten(1)
    expected = torch.linalg.solve(S, b.T).T
    # 1e-14 of the residual, times a condition number of 1 / rho at most
    assert rel(A.prox(x, y, rho).flatten(1), expected) < 1e-14 / min(rho, 1) * 10


@pytest.mark.parametrize("name", MIRRORED)
@pytest.mark.parametrize("rho", [1e-6, 1e-3, 1.0])
def test_blur_prox_with_a_mirrored_kernel_takes_few_products(name, rho, monkeypatch):
    """A condition number of 4 divides the error by 3 in every step: 1e-6 takes 13 at most."""
    A, products = Blur(MIRRORED[name]).float(), []
    forward = A.forward

    def counted(x):
        products.append(x)
        return forward(x)

    monkeypatch.setattr(A, "forward", counted)
    x, y = normal(1, 3, 32, 48, dtype=torch.float32), normal(1, 3, 32, 48, seed=1).float()
    A.prox(x, y, rho)
    assert len(products) <= 13 + 2  # the residual of y, and that of the first move


def test_blur_with_another_kernel_put_into_it_is_another_blur():
    A, x = Blur(kernels.gaussian(5, 1.0)), normal(1, 1, 12, 12)
    A(x), A.prox(x, x, 0.1)
    A.kernel.copy_(kernels.uniform(5))
    B = Blur(kernels.uniform(5))
    assert torch.equal(A(x), B(x))
    assert torch.equal(A.prox(x, x, 0.1), B.prox(x, x, 0.1))
    A.kernel = kernels.uniform(3)
    assert torch.equal(A(x), Blur(kernels.uniform(3))(x))


def test_blur_of_many_sizes_keeps_few_transforms():
    A = Blur(kernels.gaussian(5, 1.0))
    for side in [*range(8, 40), 8]:
        x = normal(1, 1, side, side)
        assert torch.equal(A(x), Blur(kernels.gaussian(5, 1.0))(x))
    assert len(A._of_kernel._made) <= derived.MOST
    assert not pickle.loads(pickle.dumps(A))._of_kernel._made


def test_blur_gradient_flows_under_inference_mode_too():
    """As every solver calls it."""
    with torch.inference_mode():
        problem = hrdis.measure(Blur(MILD), 0.3 * normal(1, 1, 8, 8, dtype=torch.float32))
        x = hrdis.solve(
            hrdis.HRDIS(steps=3),
            hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25),
            problem,
            seeds=[0],
        ).x
    assert bool(torch.isfinite(x).all())


def test_kernel_too_large_to_be_mirrored_is_refused():
    with pytest.raises(
        ValueError, match=r"^The image is 4 x 20, too small to be mirrored by a kernel of 9 x 9"
    ):
        Blur(kernels.uniform(9))(torch.zeros(1, 1, 4, 20))
    Blur(kernels.uniform(9))(torch.zeros(1, 1, 5, 5))
    Blur(kernels.uniform(9), "replicate")(torch.zeros(1, 1, 4, 20))


BLURS = {"Blur": Blur, "CircularBlur": CircularBlur}


@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize("size", [(4, 4), (3, 4), (2, 3)], ids=str)
def test_even_kernel_is_refused(blur, size):
    with pytest.raises(
        ValueError, match=rf"^The kernel is {size[0]} x {size[1]}\. Odd sides are expected"
    ):
        BLURS[blur](torch.ones(size))


@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize(
    "kernel", [torch.zeros(3, 3), torch.full((3, 3), math.nan), torch.tensor([[1.0, 0, -1]])]
)
def test_kernel_without_a_sum_is_refused(blur, kernel):
    with pytest.raises(
        ValueError, match=r"^The kernel's sum is (0|nan)\. A finite sum other than 0 is expected"
    ):
        BLURS[blur](kernel)


@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize(
    "kernel", [np.ones((3, 3)), torch.ones(3), torch.ones(1, 1, 3, 3), torch.ones(3, 3) * 1j]
)
def test_kernel_that_is_no_picture_is_refused(blur, kernel):
    with pytest.raises(
        TypeError, match=r"^The kernel is given as .*\. A real tensor of shape \(k, k\) is expected"
    ):
        BLURS[blur](kernel)


@pytest.mark.parametrize("blur", BLURS)
def test_kernel_whose_sum_is_not_one_is_warned_of(blur):
    with pytest.warns(
        UserWarning, match=r"^The kernel's sum is 9, so that the blurred image is brighter"
    ) as record:
        BLURS[blur](torch.ones(3, 3))
    assert record[0].filename == __file__


@pytest.mark.parametrize("blur", BLURS)
def test_kernel_whose_sum_is_one_is_not_warned_of(blur):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BLURS[blur](torch.full((3, 3), 1 / 9))


def test_unknown_boundary_is_refused():
    with pytest.raises(
        ValueError,
        match=r"^boundary is 'circular'\. 'reflect', 'replicate' or 'zero' is expected\.",
    ):
        Blur(kernels.uniform(3), "circular")


# ---- periodic -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KERNELS)
def test_circular_blur_is_the_periodic_convolution_of_scipy(name):
    ndimage = pytest.importorskip("scipy.ndimage")
    kernel, x = KERNELS[name], normal(2, 3, 10, 13)
    theirs = ndimage.convolve(x.numpy(), kernel.numpy()[None, None], mode="wrap")
    scale = float(kernel.abs().sum())
    found = CircularBlur(kernel, tolerance=0)(x)
    torch.testing.assert_close(found, torch.from_numpy(theirs), rtol=0, atol=1e-14 * scale + 1e-14)


def test_circular_blur_is_blind_below_its_tolerance():
    A, x = CircularBlur(kernels.gaussian(13, 1.5), tolerance=1e-2), normal(1, 1, 32, 32)
    s = A.singulars(x)
    assert float(s[s > 0].min()) >= 1e-2 and bool((s == 0).any())
    exact = CircularBlur(kernels.gaussian(13, 1.5), tolerance=0)
    assert float((A(x) - exact(x)).norm()) <= 1e-2 * float(x.norm())


def test_circular_blur_stays_real_under_any_gain_that_is_a_function_of_s():
    A, x = CircularBlur(MILD), normal(1, 1, 12, 12)
    spectrum = A.Vt(x) / (0.1 + A.singulars(x))
    imaginary = torch.fft.ifft2(spectrum, norm="ortho").imag
    assert float(imaginary.abs().max()) < 1e-14


def test_circular_blur_refuses_a_kernel_larger_than_the_image():
    with pytest.raises(
        ValueError, match=r"^The image is 8 x 20, smaller than the kernel of 9 x 9\."
    ):
        CircularBlur(kernels.uniform(9))(torch.zeros(1, 1, 8, 20))


@pytest.mark.parametrize("tolerance", [-0.1, 1.0, math.nan])
def test_circular_blur_refuses_a_tolerance_outside_its_range(tolerance):
    with pytest.raises(ValueError, match=rf"^tolerance is {tolerance}\. A share in \[0, 1\)"):
        CircularBlur(kernels.uniform(3), tolerance=tolerance)


# ---- separable ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["uniform9", "gauss", "aniso"])
@pytest.mark.parametrize("size", [(20, 31), (5, 12)], ids=str)
def test_separable_blur_is_the_convolution_with_the_product_of_its_kernels(name, size):
    ndimage = pytest.importorskip("scipy.ndimage")
    kh, kw = kernels.separable(name)
    x = normal(2, 3, *size)
    theirs = ndimage.convolve(x.numpy(), torch.outer(kh, kw).numpy()[None, None], mode="constant")
    torch.testing.assert_close(
        SeparableBlur(kh, kw, threshold=0)(x), torch.from_numpy(theirs), rtol=0, atol=1e-13
    )


POINT = normal(5, 3)  # what a point of light becomes: the kernel itself
POINT = POINT / POINT.sum()


@pytest.mark.parametrize(
    "A", [Blur(POINT), CircularBlur(POINT, tolerance=0)], ids=lambda A: type(A).__name__
)
def test_picture_of_a_point_of_light_is_the_kernel(A):
    x = torch.zeros(1, 1, 11, 11).double()
    x[..., 5, 5] = 1
    torch.testing.assert_close(A(x)[0, 0, 3:8, 4:7], POINT, rtol=0, atol=1e-12)


def test_picture_of_a_point_of_light_is_the_kernels_of_a_separable_blur():
    x = torch.zeros(1, 1, 5, 5).double()
    x[..., 2, 2] = 1
    torch.testing.assert_close(
        SeparableBlur(TAPS, torch.ones(1), threshold=0)(x)[0, 0, 1:4, 2], TAPS.double()
    )


def test_separable_blur_cuts_small_singular_values_of_each_side():
    A, x = SeparableBlur(*kernels.separable("uniform9")), normal(1, 1, 24, 36)
    exact = SeparableBlur(kernels.separable("uniform9")[0], torch.ones(1), threshold=0)
    K = [matrix(exact, (1, n, 1)) for n in (24, 36)]
    s_h, s_w = (torch.linalg.svdvals(k) for k in K)
    cut = torch.outer(s_h * (s_h >= 0.03), s_w * (s_w >= 0.03))
    torch.testing.assert_close(
        A.singulars(x).flatten().sort().values, cut.flatten().sort().values, rtol=0, atol=1e-12
    )
    assert 0 < int((cut == 0).sum()) < cut.numel()


def test_separable_blur_takes_one_kernel_for_both_axes():
    x = normal(1, 1, 9, 9)
    assert torch.equal(SeparableBlur(TAPS)(x), SeparableBlur(TAPS, TAPS)(x))


@pytest.mark.parametrize("taps", [torch.ones(4) / 4, torch.ones(2) / 2])
def test_separable_blur_refuses_even_kernels(taps):
    with pytest.raises(ValueError, match=rf"^The kernel is {len(taps)}\. Odd sides are expected"):
        SeparableBlur(TAPS, taps)


def test_separable_blur_refuses_pictures_of_kernels():
    with pytest.raises(
        TypeError,
        match=r"^The kernel is given as shape \(3, 3\)\. A real tensor of shape \(k,\) is",
    ):
        SeparableBlur(torch.ones(3, 3) / 9)


@pytest.mark.parametrize("threshold", [-0.1, math.nan])
def test_separable_blur_refuses_a_threshold_that_is_none(threshold):
    with pytest.raises(
        ValueError, match=rf"^threshold is {threshold}\. A singular value >= 0 is expected"
    ):
        SeparableBlur(TAPS, threshold=threshold)


# ---- kernels ------------------------------------------------------------------------------------


def test_gaussian_kernel_is_that_of_the_reference():
    k = kernels.gaussian(61, 3.0)
    assert float(k.sum()) == pytest.approx(1, abs=1e-14)
    assert float(k.max()) == pytest.approx(0.0177, abs=5e-5)  # given with three digits
    assert int((k > 0).sum()) == 25 * 25


def test_gaussian_kernel_agrees_with_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    point = np.zeros((61, 61))
    point[30, 30] = 1
    torch.testing.assert_close(
        kernels.gaussian(61, 3.0),
        torch.from_numpy(ndimage.gaussian_filter(point, 3.0)),
        rtol=0,
        atol=1e-15,
    )


@pytest.mark.parametrize(
    ("name", "h", "w"),
    [
        ("uniform9", [1 / 9] * 9, [1 / 9] * 9),
        (
            "gauss",
            [math.exp(-(t**2) / 200) for t in range(-2, 3)],
            [math.exp(-(t**2) / 200) for t in range(-2, 3)],
        ),
        (
            "aniso",
            [math.exp(-(t**2) / 2) for t in range(-4, 5)],
            [math.exp(-(t**2) / 800) for t in range(-4, 5)],
        ),
    ],
)
def test_separable_kernels_are_those_of_the_papers(name, h, w):
    for found, taps in zip(kernels.separable(name), (h, w), strict=True):
        expected = torch.tensor(taps, dtype=torch.float64) / sum(taps)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("intensity", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", [9, 31, 61])
def test_motion_kernels_are_kernels(size, intensity):
    for index in range(10):
        k = kernels.motion(size, intensity, index=index)
        assert tuple(k.shape) == (size, size)
        assert float(k.min()) >= 0
        assert float(k.sum()) == pytest.approx(1, abs=1e-12)


def test_motion_kernel_is_a_function_of_seed_and_index():
    assert torch.equal(kernels.motion(31, seed=1, index=2), kernels.motion(31, seed=1, index=2))
    drawn = {kernels.motion(31, seed=s, index=i).numpy().tobytes() for s in (0, 1) for i in (0, 1)}
    assert len(drawn) == 4


def spread(k: torch.Tensor) -> np.ndarray:
    """Standard deviations of a kernel along its main axes, the larger first, in pixels."""
    at = torch.arange(len(k)) - len(k) // 2
    v, u = torch.meshgrid(at.double(), at.double(), indexing="ij")
    points = torch.stack([u, v]).flatten(1)
    mean = (points * k.flatten()).sum(1, keepdim=True)
    covariance = (points - mean) * k.flatten() @ (points - mean).T
    return np.sqrt(np.linalg.eigvalsh(covariance.numpy())[::-1])


def test_motion_of_no_intensity_is_a_straight_line():
    for index in range(5):
        along, across = spread(kernels.motion(61, 0.0, index=index))
        assert across < 1.5  # the line is 1 pixel wide, softened by about 1
        assert along > 2 * across or along < 3


def test_motion_turns_more_with_more_intensity():
    across = {
        q: np.mean([spread(kernels.motion(61, q, index=i))[1] for i in range(20)])
        for q in (0.0, 0.5, 1.0)
    }
    assert across[0.0] < across[0.5] < across[1.0]


lines = pytest.mark.parametrize(
    ("length", "angle"), [(3.0, 0.0), (8.5, 30.0), (15.0, 90.0), (15.0, 135.0)]
)


@lines
def test_line_is_as_long_as_it_says(length, angle):
    """Points evenly over length - 1 pixels have a variance of (length - 1)^2 / 12.

    That each is shared by four pixels adds at most 1/4, and that they are some hundred points 2 %.
    """
    along, across = spread(kernels.line(length, angle))
    expected = (length - 1) ** 2 / 12
    assert expected < along**2 < 1.02 * expected + 0.25
    assert across**2 < 0.25


@lines
def test_line_is_centred(length, angle):
    kernel = kernels.line(length, angle)
    torch.testing.assert_close(kernel, kernel.flip(0, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [kernels.gaussian, kernels.uniform, kernels.motion])
@pytest.mark.parametrize("size", [4, 0, -3, 5.0])
def test_kernel_of_no_odd_size_is_refused(make, size):
    with pytest.raises(
        ValueError, match=rf"^size is {size!r}\. An odd number of pixels is expected"
    ):
        make(size)


@pytest.mark.parametrize("intensity", [-0.1, 1.1, math.nan])
def test_intensity_outside_its_range_is_refused(intensity):
    with pytest.raises(ValueError, match=rf"^intensity is {intensity}\. A number from 0"):
        kernels.motion(31, intensity)


@pytest.mark.parametrize("std", [0, -1.0, math.inf, math.nan])
def test_standard_deviation_that_is_none_is_refused(std):
    for make in (kernels.gaussian, kernels.separable):
        with pytest.raises(ValueError, match=rf"^std is {std}\. A standard deviation > 0"):
            make(61 if make is kernels.gaussian else "gauss", std)


def test_unknown_separable_kernel_is_refused():
    with pytest.raises(
        ValueError, match=r"^There is no separable kernel 'box'\. 'uniform9', 'gauss' or 'aniso'"
    ):
        kernels.separable("box")
