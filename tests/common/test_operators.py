"""Every operator by one table; super-resolution, inpainting and callables by their own formulas."""

import math
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

import hrdis
from hrdis.linalg import matrix
from hrdis.operators import (
    Function,
    Identity,
    Inpainting,
    LinearFunction,
    LinearOperator,
    Matrix,
    SuperResolution,
    SVDOperator,
    masks,
)
from hrdis.operators.biharmonic import biharmonic
from hrdis.problem import Problem
from tests.common.toys import LINEAR, exported, listed, normal, pixels, rel

SIZES = [(12, 12), (24, 12)]
# One rounding per operation: 1e-6 is some ten units in the last place of float32, 1e-12 of float64.
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}

SHAPES = [(b, c, h, w) for b in (1, 3) for c in (1, 3) for h, w in SIZES]


def with_shapes(names):
    """Every operator with every shape that it can take, each once."""
    pairs = {(name, LINEAR[name].fit(*shape)) for name in names for shape in SHAPES}
    return pytest.mark.parametrize(("name", "shape"), sorted(pairs), ids=str)


every_operator = pytest.mark.parametrize("name", LINEAR)
every_operator_and_shape = with_shapes(LINEAR)
every_dtype = pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)

# ---- every linear operator ----------------------------------------------------------------------


def test_every_exported_linear_operator_is_listed():
    missing = {cls.__name__ for cls in exported() - listed()}
    assert not missing, "these need arguments: add a row to LINEAR in tests/common/toys.py"


@every_operator_and_shape
@every_dtype
def test_adjoint_is_the_adjoint(name, shape, dtype):
    A, x = LINEAR[name](*shape), normal(*shape, dtype=dtype)
    Ax = A(x)
    y = normal(*Ax.shape, seed=1, dtype=dtype)
    forward, backward = float((Ax * y).sum()), float((x * A.adjoint(y)).sum())
    assert abs(forward - backward) <= TOLERANCE[dtype] * float(Ax.norm() * y.norm())


@every_operator_and_shape
@every_dtype
def test_pinv_gives_a_picture_with_the_same_measurement(name, shape, dtype):
    A, x = LINEAR[name](*shape), normal(*shape, dtype=dtype)
    assert (
        rel(A(A.pinv(A(x))), A(x)) <= 10 * (LINEAR[name].condition / 3) * TOLERANCE[dtype]
    )  # three applications


@every_operator
def test_pinv_is_the_pseudo_inverse_of_the_matrix(name):
    shape = LINEAR[name].fit(1, 1, 12, 12)
    A = LINEAR[name](*shape)
    H = matrix(A, shape[1:])
    found = matrix(A.pinv, tuple(A(torch.zeros(shape)).shape[1:]))
    torch.testing.assert_close(found, torch.linalg.pinv(H), rtol=0, atol=1e-12)


@every_operator
def test_gradient_of_half_the_squared_residual_is_the_adjoint_of_the_residual(name):
    shape = LINEAR[name].fit(2, 3, 12, 12)
    A, x = LINEAR[name](*shape), normal(*shape).requires_grad_()
    y = normal(*A(x).shape, seed=1)
    (gradient,) = torch.autograd.grad(0.5 * (y - A(x)).square().sum(), x)
    torch.testing.assert_close(gradient, A.adjoint(A(x) - y).detach(), rtol=0, atol=1e-13)


@every_operator
@pytest.mark.parametrize("what", ["forward", "adjoint", "pinv"])
def test_operator_is_linear(name, what):
    shape = LINEAR[name].fit(2, 3, 12, 12)
    A = LINEAR[name](*shape)
    f = getattr(A, what)
    u = normal(*shape) if what == "forward" else A(normal(*shape))
    v = normal(*u.shape, seed=1)
    torch.testing.assert_close(f(2 * u - 3 * v), 2 * f(u) - 3 * f(v), rtol=0, atol=1e-12)


@every_operator
def test_project_explains_y_and_moves_no_further_than_needed(name):
    shape = LINEAR[name].fit(2, 1, 12, 12)
    A, x = LINEAR[name](*shape), normal(*shape)
    y = A(normal(*shape, seed=1))
    projected = A.project(x, y)
    assert rel(A(projected), y) < 1e-12
    # The move is orthogonal to the null space: it is A^+ of something.
    torch.testing.assert_close(A.pinv(A(projected - x)), projected - x, rtol=0, atol=1e-12)


@every_operator
def test_prox_is_the_regularised_solution(name):
    shape = LINEAR[name].fit(1, 1, 12, 12)
    A, x = LINEAR[name](*shape), normal(*shape)
    y = A(normal(*shape, seed=1)) + 0.1
    H, rho = matrix(A, shape[1:]), 0.3
    left = H.T @ H + rho * torch.eye(H.shape[1], dtype=torch.float64)
    expected = torch.linalg.solve(left, H.T @ y.flatten() + rho * x.flatten())
    torch.testing.assert_close(
        A.prox(x, y, rho).flatten(), expected, rtol=0, atol=1e-6
    )  # conjugate gradient: 1e-6


@every_operator
def test_prox_without_regularisation_is_the_projection(name):
    shape = LINEAR[name].fit(2, 1, 12, 12)
    A, x = LINEAR[name](*shape), normal(*shape)
    y = A(normal(*shape, seed=1))
    assert torch.equal(A.prox(x, y, 0.0), A.project(x, y))


# ---- every operator with a singular value decomposition
# -------------------------------------------

SVD = [name for name, row in LINEAR.items() if isinstance(row(*row.fit(1, 1, 12, 12)), SVDOperator)]
every_svd = pytest.mark.parametrize("name", SVD)
every_svd_and_shape = with_shapes(SVD)


@every_svd_and_shape
def test_svd_is_one_of_the_operator(name, shape):
    A, x = LINEAR[name](*shape), normal(*shape)
    torch.testing.assert_close(A.U(A.singulars(x) * A.Vt(x)), A(x), rtol=0, atol=1e-11)


@every_svd_and_shape
def test_v_is_unitary(name, shape):
    A, x = LINEAR[name](*shape), normal(*shape)
    spectrum = A.Vt(x)
    torch.testing.assert_close(A.V(spectrum), x, rtol=0, atol=1e-11)
    assert float(spectrum.abs().square().sum()) == pytest.approx(float(x.square().sum()), rel=1e-12)


@every_svd_and_shape
def test_u_is_unitary_on_the_range(name, shape):
    A = LINEAR[name](*shape)
    y = A(normal(*shape))
    torch.testing.assert_close(A.U(A.Ut(y)), y, rtol=0, atol=1e-11)


@every_svd
def test_spectrum_of_a_measurement_is_zero_where_the_operator_is_blind(name):
    shape = LINEAR[name].fit(2, 3, 12, 24)
    A, x = LINEAR[name](*shape), normal(*shape)
    y = normal(*A(x).shape, seed=1)  # not in the range
    assert float((A.Ut(y).abs() * (A.singulars(x) == 0)).max()) == 0


@every_svd
def test_singular_values_are_those_of_the_matrix(name):
    shape = LINEAR[name].fit(1, 3, 12, 12)
    A, x = LINEAR[name](*shape), normal(*shape)
    s = (A.singulars(x) * torch.ones_like(A.Vt(x)).real).flatten().sort(descending=True).values
    assert bool((s >= 0).all())
    expected = torch.linalg.svdvals(matrix(A, shape[1:]))
    torch.testing.assert_close(s[: len(expected)], expected, rtol=0, atol=1e-12)
    assert not bool(s[len(expected) :].any())


@every_svd
def test_filter_by_the_squared_singular_values_is_the_normal_map(name):
    shape = LINEAR[name].fit(2, 3, 12, 12)
    A, x = LINEAR[name](*shape), normal(*shape)
    torch.testing.assert_close(A.filter(A.singulars(x) ** 2, x), A.normal(x), rtol=0, atol=1e-11)


@every_svd
@every_dtype
def test_spectrum_has_the_precision_of_the_image(name, dtype):
    shape = LINEAR[name].fit(2, 3, 12, 12)
    A, x = LINEAR[name](*shape), normal(*shape, dtype=dtype)
    spectrum = A.Vt(x)
    assert {
        A.singulars(x).dtype,
        spectrum.real.dtype,
        A.V(spectrum).dtype,
        A.U(spectrum).dtype,
    } == {dtype}


@every_operator
@pytest.mark.parametrize("what", ["pinv", "init", "smooth"])
def test_starting_picture_explains_y(name, what):
    shape = LINEAR[name].fit(2, 3, 12, 24)
    A = LINEAR[name](*shape)
    y = A(normal(*shape))
    start = getattr(A, what)(y)
    assert tuple(start.shape) == shape
    assert rel(A(start), y) < (1 if what != "pinv" and LINEAR[name].rough else 1e-12)


@every_operator_and_shape
def test_image_shape_inverts_the_shape_of_the_measurement(name, shape):
    A = LINEAR[name](*shape)
    assert A.image_shape(tuple(A(torch.zeros(shape)).shape)) == shape


@every_operator
@pytest.mark.parametrize("what", ["forward", "adjoint", "pinv", "init", "smooth"])
def test_image_is_treated_alike_in_any_batch(name, what):
    shape = LINEAR[name].fit(3, 3, 12, 12)
    A = LINEAR[name](*shape)
    u = normal(*shape) if what == "forward" else A(normal(*shape))
    together = getattr(A, what)(u)
    for i in range(3):
        alone = getattr(A.for_image(i), what)(u[i : i + 1])
        # 1e-12, and not bit for bit: matrix products of another size may sum in another order
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-12)


@every_operator
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_operator_keeps_the_dtype_of_its_argument(name, dtype):
    shape = LINEAR[name].fit(2, 3, 12, 12)
    A, x = LINEAR[name](*shape), normal(*shape, dtype=dtype)
    y = A(x)
    assert {y.dtype, A.adjoint(y).dtype, A.pinv(y).dtype} == {dtype}


@every_operator
def test_operator_moves_with_to(name):
    """The meta device computes shapes without memory, and refuses tensors that stayed behind."""
    shape = LINEAR[name].fit(2, 3, 12, 12)
    A = LINEAR[name](*shape).to("meta")
    y = A(torch.zeros(shape, device="meta"))
    backward = [A.adjoint] if LINEAR[name].iterative else [A.adjoint, A.pinv]
    assert {y.device.type, *(f(y).device.type for f in backward)} == {"meta"}


@every_operator
def test_operator_does_not_write_into_its_argument(name):
    shape = LINEAR[name].fit(2, 3, 12, 12)
    A, x = LINEAR[name](*shape), normal(*shape)
    before = x.clone()
    y = A(x).clone()
    kept = y.clone()
    for f in (A.adjoint, A.pinv, A.smooth):
        f(y)
    assert torch.equal(x, before)
    assert torch.equal(y, kept)


@every_operator
def test_operator_gives_the_same_measurement_twice(name):
    shape = LINEAR[name].fit(2, 3, 12, 12)
    A, x = LINEAR[name](*shape), normal(*shape)
    assert torch.equal(A(x), A(x))


@every_operator
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (
            torch.zeros(1, 1, 12, 12, dtype=torch.int64),
            TypeError,
            r"got torch.int64 of shape \(1, 1, 12, 12\)\. A floating",
        ),
        (
            torch.zeros(1, 12, 12),
            TypeError,
            r"got torch.float32 of shape \(1, 12, 12\)\. A floating tensor",
        ),
        (np.zeros((1, 1, 12, 12)), TypeError, r"got ndarray\. A floating tensor"),
        (
            torch.zeros(0, 1, 12, 12),
            TypeError,
            r"got torch.float32 of shape \(0, 1, 12, 12\)\. A floating tensor",
        ),
        (
            torch.full((1, 1, 12, 12), math.nan),
            ValueError,
            r"^The image given to \w+ holds NaN or infinite values\.",
        ),
    ],
)
def test_check_refuses_what_is_no_batch_of_images(name, x, error, message):
    with pytest.raises(error, match=message):
        LINEAR[name](*LINEAR[name].fit(1, 1, 12, 12)).check(x)


@every_operator
def test_whole_numbers_are_refused(name):
    """Cast to them, the 1/4 of block means is 0, and so was every measurement."""
    shape = LINEAR[name].fit(1, 3, 12, 12)
    with pytest.raises(
        TypeError, match=r"got torch\.uint8\. A floating tensor of shape \(b, c, h, w\)"
    ):
        LINEAR[name](*shape)(torch.ones(shape, dtype=torch.uint8))


# ---- super-resolution by block means ------------------------------------------------------------


@pytest.mark.parametrize("scale", [1, 2, 4, 8, 16])
def test_average_is_the_mean_of_blocks(scale):
    x = normal(2, 3, 32, 48)
    torch.testing.assert_close(
        SuperResolution(scale)(x), F.avg_pool2d(x, scale), rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("scale", [2, 4, 16])
def test_average_pinv_replicates(scale):
    y = normal(2, 3, 2, 3)
    expected = F.interpolate(y, scale_factor=scale, mode="nearest")
    torch.testing.assert_close(SuperResolution(scale).pinv(y), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("scale", [2, 4])
def test_average_has_orthogonal_rows_of_length_one_over_scale(scale):
    H = matrix(SuperResolution(scale), (1, 8, 8))
    torch.testing.assert_close(H @ H.T, torch.eye(len(H)).double() / scale**2, rtol=0, atol=1e-15)


# ---- super-resolution, bicubic ------------------------------------------------------------------


def keys(u: float) -> float:
    u = abs(u)
    if u <= 1:
        return 1.5 * u**3 - 2.5 * u**2 + 1
    return -0.5 * u**3 + 2.5 * u**2 - 4 * u + 2 if u < 2 else 0.0


def bicubic_matrix(n: int, f: int) -> torch.Tensor:
    """K sample by sample: 4 f taps of the stretched cubic, normalised; indices mirrored until they
    lie inside.
    """
    K = torch.zeros(n // f, n, dtype=torch.float64)
    for k in range(n // f):
        taps = list(range(k * f + f // 2 - 2 * f, k * f + f // 2 + 2 * f))
        weights = [keys((j - k * f - f // 2 + 0.5) / f) for j in taps]
        for j, weight in zip(taps, weights, strict=True):
            while not 0 <= j < n:
                j = -1 - j if j < 0 else 2 * n - 1 - j
            K[k, j] += weight / sum(weights)
    return K


@pytest.mark.parametrize("scale", [2, 4, 8, 16])
@pytest.mark.parametrize("blocks", [1, 2, 5])  # one output sample: mirrored several times
def test_bicubic_is_the_separable_product_of_the_stretched_cubic(scale, blocks):
    h, w = blocks * scale, 3 * scale
    x = normal(2, 3, h, w)
    expected = bicubic_matrix(h, scale) @ x @ bicubic_matrix(w, scale).T
    torch.testing.assert_close(
        SuperResolution(scale, kernel="bicubic")(x), expected, rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("kernel", ["average", "bicubic"])
@pytest.mark.parametrize("scale", [2, 4, 8, 16])
def test_pinv_explains_y_at_every_scale_of_the_papers(scale, kernel):
    A, y = SuperResolution(scale, kernel=kernel), normal(1, 3, 4, 6)
    torch.testing.assert_close(A(A.pinv(y)), y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [2, 4])
def test_bicubic_agrees_with_torch_away_from_the_border(scale):
    x = normal(1, 3, 64, 64)
    ours = SuperResolution(scale, kernel="bicubic")(x)
    theirs = F.interpolate(x, scale_factor=1 / scale, mode="bicubic", antialias=True)
    # torch tabulates nothing: interiors agree to rounding. Two samples at the border are
    # renormalised there instead.
    torch.testing.assert_close(ours[..., 2:-2, 2:-2], theirs[..., 2:-2, 2:-2], rtol=0, atol=1e-12)
    assert float((ours - theirs).abs().max()) > 1e-2


@pytest.mark.parametrize("scale", [2, 4])
def test_bicubic_agrees_with_pillow_away_from_the_border(scale):
    Image = pytest.importorskip("PIL.Image")
    x = normal(1, 1, 64, 64, dtype=torch.float32)
    small = Image.fromarray(x[0, 0].numpy()).resize(
        (64 // scale, 64 // scale), Image.Resampling.BICUBIC
    )
    ours = SuperResolution(scale, kernel="bicubic")(x)[0, 0]
    theirs = torch.from_numpy(np.array(small))
    torch.testing.assert_close(
        ours[2:-2, 2:-2], theirs[2:-2, 2:-2], rtol=0, atol=1e-5
    )  # float32, 64 taps
    assert float((ours - theirs).abs().max()) > 1e-2


@pytest.mark.parametrize(
    ("scale", "low", "high"), [(4, 0.349, 0.5), (8, 0.247, 0.354), (16, 0.176, 0.25)]
)
def test_bicubic_has_reference_singular_values(scale, low, high):
    """Of K at 256 pixels, read from a picture of one column: A of it is K times the column sum of a
    1-D kernel.
    """
    A = SuperResolution(scale, kernel="bicubic")
    rows = torch.eye(256, dtype=torch.float64).reshape(256, 1, 256, 1).expand(256, 1, 256, scale)
    K = A(rows)[:, 0, :, 0].T  # constant along w, which the kernel keeps: weights sum to 1
    values = torch.linalg.svdvals(K)
    assert float(values.min()) == pytest.approx(low, abs=6e-4)  # given with three digits
    assert float(values.max()) == pytest.approx(high, abs=6e-4)


def test_bicubic_keeps_constants():
    x = torch.full((1, 3, 16, 24), 0.7, dtype=torch.float64)
    y = SuperResolution(4, kernel="bicubic")(x)
    torch.testing.assert_close(y, torch.full_like(y, 0.7), rtol=0, atol=1e-14)


def test_super_resolution_starts_smooth():
    """A ramp comes back nearly as a ramp (torch's cubic, a = -0.75, does not keep it), not as
    stairs of 4 pixels.
    """
    x = torch.linspace(-1, 1, 64, dtype=torch.float64).expand(1, 1, 64, 64)
    A = SuperResolution(4)
    error = {f: float((f(A(x)) - x)[..., 8:-8].abs().max()) for f in (A.smooth, A.pinv)}
    assert error[A.smooth] < 0.006 < 0.04 < error[A.pinv]


@pytest.mark.parametrize("scale", [0, -2, 2.0, "4", True, None])
def test_scale_that_is_no_positive_integer_is_refused(scale):
    with pytest.raises(ValueError, match=rf"^scale is {scale!r}\. An integer >= 1 is expected"):
        SuperResolution(scale)


def test_odd_scale_is_refused_for_bicubic():
    with pytest.raises(
        ValueError, match=r"^scale is 3, but the bicubic kernel is defined for even scales"
    ):
        SuperResolution(3, kernel="bicubic")


def test_unknown_kernel_is_refused():
    with pytest.raises(
        ValueError, match=r"^kernel is 'lanczos'\. 'average' or 'bicubic' is expected\."
    ):
        SuperResolution(2, kernel="lanczos")


@pytest.mark.parametrize(
    ("h", "w", "crop", "pad"), [(10, 12, "8 x 12", "12 x 12"), (3, 9, "4 x 8", "4 x 12")]
)
def test_size_that_is_no_multiple_of_the_scale_is_refused_with_the_nearest(h, w, crop, pad):
    message = (
        rf"^The image is {h} x {w}, no multiple of scale 4\. Crop it to {crop} or pad it to {pad}\."
    )
    with pytest.raises(ValueError, match=message):
        SuperResolution(4)(torch.zeros(1, 1, h, w))


# ---- inpainting ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [(6, 8), (1, 6, 8), (3, 6, 8), (1, 1, 6, 8), (2, 1, 6, 8), (2, 3, 6, 8)], ids=str
)
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32, torch.float64], ids=str)
def test_inpainting_multiplies_by_its_mask(shape, dtype):
    x, mask = normal(2, 3, 6, 8), pixels(*shape)
    assert torch.equal(Inpainting(mask.to(dtype))(x), x * mask)


def test_inpainting_says_what_was_observed():
    mask = pixels(2, 1, 6, 8)
    assert torch.equal(Inpainting(mask).observed, mask)


def test_inpainting_keeps_its_mask_in_the_state():
    mask = pixels(2, 1, 6, 8)
    assert torch.equal(Inpainting(mask).state_dict()["mask"], mask)


@pytest.mark.parametrize(
    "values", [[0.0, 255.0], [0.0, 0.5, 1.0], [-1.0, 1.0], [0.0, 1.0, math.nan]]
)
def test_mask_of_other_values_is_refused(values):
    mask = torch.zeros(4, 4)
    mask.view(-1)[: len(values)] = torch.tensor(values)
    with pytest.raises(
        ValueError, match=r"^The mask holds values from .*\. Only 0 \(hole\) and 1 \(observed\) are"
    ):
        Inpainting(mask)


def test_mask_that_observes_nothing_is_refused_by_number():
    mask = pixels(3, 1, 4, 4)
    mask[1] = 0
    with pytest.raises(ValueError, match=r"^Nothing is observed: mask \[1\] is 0 everywhere\."):
        Inpainting(mask)


def test_mask_that_hides_nothing_is_warned_of():
    with pytest.warns(UserWarning, match=r"^Nothing is hidden: the mask is 1 everywhere\."):
        Inpainting(torch.ones(4, 4))


@pytest.mark.parametrize(
    "mask",
    [[[1, 0]], np.ones((2, 2)), torch.ones(4), torch.ones(1, 1, 1, 2, 2), torch.ones(2, 2) * 1j],
)
def test_mask_that_is_no_picture_is_refused(mask):
    with pytest.raises(
        TypeError, match=r"^The mask is given as .*\. A tensor of shape \(h, w\) or \(b, 1, h, w\)"
    ):
        Inpainting(mask)


def test_mask_of_another_size_is_refused():
    with pytest.raises(
        ValueError, match=r"^The mask is 4 x 6, the image 6 x 4 \(height x width\)\."
    ):
        Inpainting(pixels(4, 6))(torch.zeros(1, 1, 6, 4))


@pytest.mark.parametrize(
    ("mask", "image"),
    [((2, 1, 4, 4), (3, 1, 4, 4)), ((3, 4, 4), (1, 1, 4, 4)), ((2, 1, 4, 4), (1, 1, 4, 4))],
)
def test_masks_that_do_not_match_the_batch_are_refused(mask, image):
    with pytest.raises(
        ValueError,
        match=r"^The mask has shape .*, the images .*\. One mask for all images or one per",
    ):
        Inpainting(pixels(*mask))(torch.zeros(image))


# ---- the biharmonic fill ------------------------------------------------------------------------


def surface(h: int, w: int) -> torch.Tensor:
    """A smooth picture: low frequencies only."""
    v, u = torch.meshgrid(torch.arange(h) / h, torch.arange(w) / w, indexing="ij")
    return (0.5 * torch.sin(3 * u + 1) + 0.4 * torch.cos(2 * v - 2 * u))[None, None].double()


HOLES = {
    "a pixel": lambda m: m[12, 12].fill_(0),
    "a box": lambda m: m[8:14, 10:15].fill_(0),
    "a scratch": lambda m: m[11, 4:28].fill_(0),
    "scattered": lambda m: m[4:20, 4:28].mul_(pixels(16, 24, keep=0.8)),
    "a tall hole and a wide one": lambda m: (m[3:20, 5:7].fill_(0), m[15:17, 12:28].fill_(0)),
}
#: scikit-image writes the border's equations otherwise.
AT_THE_BORDER = {
    "a corner": lambda m: m[:6, :7].fill_(0),
    "a side": lambda m: m[10:, 20:26].fill_(0),
    "across": lambda m: m[9:11].fill_(0),
    "all but a pixel": lambda m: m.fill_(0)[3, 4].fill_(1),
}


@pytest.mark.parametrize("hole", HOLES)
def test_biharmonic_fill_agrees_with_scikit_image_on_small_holes(hole):
    skimage = pytest.importorskip("skimage.restoration")
    mask = torch.ones(24, 32)
    HOLES[hole](mask)
    x = surface(24, 32)
    filled = biharmonic(x * mask, mask.to(x).expand_as(x))
    theirs = torch.from_numpy(
        skimage.inpaint_biharmonic((x * mask)[0, 0].numpy(), mask.numpy() == 0)
    )
    known = (x * mask)[0, 0][mask == 1]
    ours = filled[0, 0].clamp(known.min(), known.max())  # as theirs
    assert float((ours - theirs).abs().max()) < 1e-9  # the same equations, solved directly


@pytest.mark.parametrize("hole", HOLES)
def test_biharmonic_fill_of_a_smooth_picture_is_close_to_it(hole):
    mask = torch.ones(24, 32)
    HOLES[hole](mask)
    x = surface(24, 32)
    filled = Inpainting(mask).smooth(x * mask)
    assert float((filled - x).abs().max()) < 5e-4  # the picture itself is not biharmonic


def test_biharmonic_fill_does_not_look_into_holes():
    mask = torch.ones(24, 32)
    HOLES["a box"](mask)
    x, mask = surface(24, 32), mask.double().expand(1, 1, 24, 32)
    torch.testing.assert_close(
        biharmonic(x + 9 * (1 - mask), mask), biharmonic(x * mask, mask), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("hole", HOLES | AT_THE_BORDER)
def test_biharmonic_fill_is_where_the_squared_laplacian_is_least(hole):
    """Its gradient vanishes on the holes; found here by automatic differentiation of the sum
    itself.
    """
    mask = torch.ones(24, 32)
    (HOLES | AT_THE_BORDER)[hole](mask)
    x = surface(24, 32)
    filled = biharmonic(x * mask, mask.to(x).expand_as(x)).requires_grad_()

    def bending(f):
        p = F.pad(f, (1, 1, 1, 1), mode="replicate")
        return (
            (p[..., 1:-1, 2:] + p[..., 1:-1, :-2] + p[..., 2:, 1:-1] + p[..., :-2, 1:-1] - 4 * f)
            .square()
            .sum()
        )

    (gradient,) = torch.autograd.grad(bending(filled), filled)
    (unfilled,) = torch.autograd.grad(bending(start := (x * mask).requires_grad_()), start)
    assert float((gradient * (1 - mask)).norm()) < 1e-9 * float((unfilled * (1 - mask)).norm())


def test_biharmonic_fill_takes_a_mask_per_image_and_channel():
    mask, x = pixels(2, 3, 24, 32, keep=0.8).double(), normal(2, 3, 24, 32)
    together = biharmonic(mask * x, mask)
    for i, c in ((0, 0), (1, 2)):
        one = (slice(i, i + 1), slice(c, c + 1))
        torch.testing.assert_close(biharmonic(x[one], mask[one]), together[one], rtol=0, atol=1e-12)


@pytest.mark.parametrize("hole", ["a box", "a side"])
def test_biharmonic_fill_of_holes_too_large_to_solve_is_nearly_the_same(hole):
    """1 % of the range of values: a start from half the size, then a few steps of conjugate
    gradient.
    """
    small = torch.ones(24, 32)
    (HOLES | AT_THE_BORDER)[hole](small)
    mask, x = F.interpolate(small[None, None], scale_factor=4), surface(96, 128)
    direct, bent = (biharmonic(x * mask, mask.to(x), affordable=a) for a in (1e12, 1e5))
    assert 0 < float((direct - bent).abs().max()) < 1e-2


def test_biharmonic_fill_of_holes_too_large_to_solve_takes_odd_sides():
    """4e-5, as for even sides; 3e-3 if the fill of half the size does not lie where it belongs."""
    mask, x = torch.ones(1, 1, 95, 127).double(), surface(95, 127)
    mask[..., 32:56, 40:60] = 0
    direct, bent = (biharmonic(x * mask, mask, affordable=a) for a in (1e12, 1e5))
    assert 0 < float((direct - bent).abs().max()) < 4e-4


#: Boxes of 16 x 16: the first two are in one strip of holes and share columns, the third shares
#: rows with the first.
CORNERS = [(4, 10), (28, 10), (4, 150)]


def masks_of_boxes() -> torch.Tensor:
    """Return one mask for each box, (3, 1, 1, 48, 200)."""
    found = torch.ones(3, 1, 1, 48, 200, dtype=torch.float64)
    for mask, (top, left) in zip(found, CORNERS, strict=True):
        mask[..., top : top + 16, left : left + 16] = 0
    return found


def test_biharmonic_fill_of_holes_far_apart_is_that_of_each_alone():
    x, alone = surface(48, 200), masks_of_boxes()
    mask = alone.prod(0)
    expected = x * mask
    for one in alone:
        expected += (1 - one) * biharmonic(x * one, one)
    torch.testing.assert_close(biharmonic(x * mask, mask), expected, rtol=0, atol=1e-12)


def test_biharmonic_fill_of_holes_far_apart_costs_what_each_costs():
    """Each box has 8 pairs of rows with 32 pixels, whose cube counts 7 / 3."""
    x, mask = surface(48, 200), masks_of_boxes().prod(0)
    affordable = 3 * 8 * 7 / 3 * 32**3
    whole = biharmonic(x * mask, mask)
    assert torch.equal(biharmonic(x * mask, mask, affordable=affordable), whole)
    assert not torch.equal(biharmonic(x * mask, mask, affordable=affordable - 1), whole)


def test_biharmonic_fill_of_a_channel_that_was_not_observed_is_flat():
    mask = torch.stack([torch.ones(8, 8), torch.zeros(8, 8)])[None]
    assert torch.equal(
        biharmonic(normal(1, 2, 8, 8), mask.double())[0, 1], torch.zeros(8, 8).double()
    )


@pytest.mark.slow
@pytest.mark.parametrize("hole", ["scratches", "box"])
def test_biharmonic_fill_of_a_large_picture_takes_seconds(hole):
    mask = masks.scratches(768, 1024, 0.15) if hole == "scratches" else torch.ones(768, 1024)
    mask[300:400, 400:500] = 0
    x = surface(768, 1024).float().expand(1, 3, -1, -1)
    started = time.process_time()
    filled = Inpainting(mask).smooth(x * mask)
    assert time.process_time() - started < 10  # about 1 s; the rest is for slow machines
    assert float((filled - x).abs().max()) < 0.1


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 100), st.floats(0.05, 0.95))
def test_biharmonic_fill_is_finite_and_explains_y_at_any_size(h, w, seed, keep):
    mask, x = pixels(2, 1, h, w, seed=seed, keep=keep), normal(2, 3, h, w, seed=seed)
    A = Inpainting(mask) if float(mask.min()) == 0 else Identity()
    filled = A.smooth(A(x))
    assert bool(torch.isfinite(filled).all())
    assert torch.equal(A(filled), A(x))


# ---- callables ----------------------------------------------------------------------------------

FUNCTIONS = {
    "hdr": lambda x: (2 * x).clamp(-1, 1),
    "square": lambda x: x.square(),
    "phase": lambda x: torch.fft.fft2(x, norm="ortho").abs(),
    "cubed mean": lambda x: (x**3).mean((2, 3)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_gradient_is_the_finite_difference(name):
    A, x, v = (
        Function(FUNCTIONS[name], shape=(1, 6, 6)),
        0.4 * normal(1, 1, 6, 6),
        normal(1, 1, 6, 6, seed=1),
    )
    x.requires_grad_()
    y = normal(*A(x).shape, seed=2)

    def loss(x):
        return 0.5 * (A(x) - y).square().sum()

    (gradient,) = torch.autograd.grad(loss(x), x)
    step = 1e-5  # error step^2 / 6 of the third derivative, and 1e-16 / step of rounding
    with torch.no_grad():
        difference = (loss(x + step * v) - loss(x - step * v)) / (2 * step)
    assert float((gradient * v).sum()) == pytest.approx(float(difference), rel=1e-7)


def test_function_names_its_image_shape():
    A = Function(FUNCTIONS["cubed mean"], shape=(3, 8, 8))
    assert A.image_shape((2, 3)) == (2, 3, 8, 8)
    assert Function(FUNCTIONS["square"]).image_shape((2, 3, 4, 4)) == (2, 3, 4, 4)


@pytest.mark.parametrize(
    ("A", "y_shape", "start"),
    [
        (Function(torch.square), (2, 1, 4, 4), "y"),
        (Function(lambda x: x.mean((2, 3)), shape=(1, 4, 4)), (2, 1), "grey"),
        (Function(lambda x: x[..., :2], shape=(1, 4, 4)), (2, 1, 4, 2), "grey"),
        (Function(torch.square, start=lambda y: 2 * y), (2, 1, 4, 4), "twice"),
    ],
)
def test_function_starts_where_it_can(A, y_shape, start):
    y = normal(*y_shape)
    expected = {"y": y, "twice": 2 * y, "grey": torch.zeros(2, 1, 4, 4).double()}[start]
    assert torch.equal(A.pinv(y), expected)


@pytest.mark.parametrize(
    "make", [Function, lambda f: LinearFunction(f, (1, 4, 4))], ids=["function", "linear"]
)
def test_function_may_write_into_what_it_gets(make):
    A, x = make(lambda x: x.mul_(2)), normal(2, 1, 4, 4).requires_grad_()
    kept = x.detach().clone()
    (gradient,) = torch.autograd.grad(A(x).sum(), x)
    assert torch.equal(x, kept)
    assert torch.equal(gradient, torch.full_like(x, 2))


def test_adjoint_of_a_function_that_writes_into_what_it_gets():
    y = normal(2, 1, 4, 4)
    assert torch.equal(LinearFunction(lambda x: x.mul_(2), (1, 4, 4)).adjoint(y), 2 * y)


def test_module_behind_a_function_is_registered():
    """So that `.to` moves it."""
    net = torch.nn.Conv2d(1, 1, 3, device="meta")
    assert list(Function(net).parameters()) == list(net.parameters())


# ---- problems -----------------------------------------------------------------------------------


def test_problem_takes_any_callable():
    problem = Problem(torch.ones(1, 3, 4, 4), lambda x: x**2)
    assert isinstance(problem.A, Function)
    assert problem.image_shape == (1, 3, 4, 4)


@pytest.mark.parametrize(
    "y",
    [
        np.zeros((1, 1, 4, 4)),
        torch.zeros(1, 1, 4, 4, dtype=torch.int32),
        torch.zeros(4),
        torch.zeros(0, 1, 4, 4),
    ],
    ids=["array", "whole numbers", "one axis", "no image"],
)
def test_problem_refuses_a_measurement_that_is_no_batch(y):
    with pytest.raises(
        TypeError, match=r"^y is .*\. A floating tensor whose first axis is the image is expected\."
    ):
        Problem(y, Identity())


def test_problem_refuses_what_cannot_be_called():
    with pytest.raises(
        TypeError, match=r"^A is a str\. A hrdis Operator or a callable x -> y is expected"
    ):
        Problem(torch.zeros(1, 1, 4, 4), "sr4")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_problem_refuses_a_measurement_that_is_not_finite_by_image(bad):
    y = torch.zeros(3, 1, 4, 4)
    y[1, 0, 2, 2] = bad
    with pytest.raises(ValueError, match=r"^y is not finite \(images \[1\]\)\."):
        Problem(y, Identity())


@pytest.mark.parametrize("sigma_y", [-0.1, math.nan, math.inf])
def test_problem_refuses_a_noise_level_that_is_none(sigma_y):
    with pytest.raises(
        ValueError, match=rf"^sigma_y is {sigma_y}\. A standard deviation >= 0 in units of y"
    ):
        Problem(torch.zeros(1, 1, 4, 4), Identity(), sigma_y)


@pytest.mark.parametrize(
    "level",
    [
        torch.tensor(0.5),
        torch.tensor([0.5]),
        np.float32(0.5),
        np.array(0.5),
        np.array([0.5]),
        "0.5",
    ],
    ids=["tensor", "tensor of one", "number of numpy", "array", "array of one", "text"],
)
def test_problem_holds_the_noise_level_as_a_number(level):
    sigma_y = Problem(torch.zeros(1, 1, 4, 4), Identity(), level).sigma_y
    assert (type(sigma_y), sigma_y) == (float, 0.5)


@pytest.mark.parametrize(
    ("level", "got"),
    [
        (torch.tensor([0.1, 0.2]), r"of shape \(2,\)"),
        (np.ones((2, 1)), r"of shape \(2, 1\)"),
        ("high", "'high'"),
        (1j, "1j"),
    ],
)
def test_problem_refuses_a_noise_level_that_is_no_single_number(level, got):
    with pytest.raises(
        TypeError, match=rf"^sigma_y is {got}\. One number for all images is expected"
    ):
        Problem(torch.zeros(2, 1, 4, 4), Identity(), level)


@pytest.mark.parametrize(
    ("A", "given"),
    [(lambda x: x.mean((2, 3)), r"\(1, 1\)"), (lambda x: x[..., :2], r"\(1, 1, 4, 2\)")],
)
def test_problem_refuses_a_measurement_of_another_shape(A, given):
    message = (
        rf"^y has shape \(1, 1, 4, 4\), but Function gives {given} for images of shape \(1, 1, 4, "
        r"4\)\."
    )
    with pytest.raises(ValueError, match=message):
        Problem(torch.zeros(1, 1, 4, 4), A)


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize(
    "bend",
    [lambda y: y[..., 0], lambda y: y[..., None], lambda y: y.flatten(1)],
    ids=["less", "more", "flat"],
)
def test_problem_refuses_measurements_of_another_rank_with_a_message_of_its_own(name, bend):
    """A rank that fits by chance is refused by its sides."""
    shape = LINEAR[name].fit(1, 3, 12, 12)
    A = LINEAR[name](*shape)
    y = A(torch.zeros(shape))
    y = bend(y)
    if name == "matrix" and y.ndim == 2:
        return  # its measurements are flat
    with pytest.raises((ValueError, TypeError), match=r"expected|Build both at once|nearest"):
        Problem(y, A, 0.1)


def test_problem_refuses_a_mask_of_another_size():
    with pytest.raises(ValueError, match=r"^The mask is 6 x 6, the image 4 x 4"):
        Problem(torch.zeros(1, 1, 4, 4), Inpainting(pixels(6, 6)))


def test_denoising_without_noise_warns():
    with pytest.warns(UserWarning, match="leaves nothing to recover"):
        hrdis.Problem(torch.zeros(1, 1, 4, 4), Identity())


def test_denoising_with_noise_does_not_warn(recwarn):
    hrdis.Problem(torch.zeros(1, 1, 4, 4), Identity(), sigma_y=0.1)
    assert not recwarn.list


# ---- matrices
# -------------------------------------------------------------------------------------


def test_matrix_is_multiplied_with_flattened_images():
    H, x = normal(5, 12), normal(2, 3, 2, 2)
    torch.testing.assert_close(Matrix(H, (3, 2, 2))(x), torch.stack([H @ v.flatten() for v in x]))


@pytest.mark.parametrize("shape", [(5, 11), (12,), (1, 5, 12), (5, 12, 1)])
def test_matrix_of_another_size_is_refused(shape):
    with pytest.raises(
        ValueError, match=r"^The matrix has shape .* A finite \(m, 12\) matrix is expected"
    ):
        Matrix(torch.zeros(shape), (3, 2, 2))


def test_conjugate_gradient_stands_in_for_a_missing_pseudo_inverse():
    class OnlyAdjoint(LinearOperator):
        def forward(self, x):
            return 2 * x[..., ::2]

        def adjoint(self, y):
            return 2 * torch.stack([y, torch.zeros_like(y)], -1).flatten(-2)

    y = normal(2, 1, 4, 2)
    torch.testing.assert_close(
        OnlyAdjoint().pinv(y), OnlyAdjoint().adjoint(y) / 4, rtol=0, atol=1e-9
    )
