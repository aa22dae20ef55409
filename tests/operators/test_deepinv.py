"""deepinv's operators as ours: on stand-ins that have its methods, and on the real package where it
is installed.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import hrdis
from hrdis.linalg import matrix
from hrdis.operators import (
    Function,
    Identity,
    Inpainting,
    LinearFunction,
    LinearOperator,
    SuperResolution,
    SVDOperator,
    from_deepinv,
)
from tests.common.toys import gaussian, normal, pixels, rel

SHAPE = (1, 4, 4)

# ---- stand-ins: images in [0, 1], methods by deepinv's names
# --------------------------------------


class GaussianNoise(nn.Module):
    def __init__(self, sigma):
        super().__init__()
        self.register_buffer("sigma", torch.as_tensor(sigma))


class ZeroNoise(nn.Module):
    pass


class PoissonNoise(nn.Module):
    gain = 0.1


class Physics(nn.Module):
    """Nonlinear unless a child says otherwise."""

    def __init__(self, noise_model=None):
        super().__init__()
        self.noise_model = noise_model or ZeroNoise()

    def A_vjp(self, x, v):
        return torch.func.vjp(self.A, x)[1](v)[0]

    def A_dagger(self, y):
        raise NotImplementedError


class Pooling(Physics):
    """Linear, without a decomposition."""

    def A(self, x):
        return F.avg_pool2d(x, 2)

    def A_adjoint(self, y):
        return y.repeat_interleave(2, -1).repeat_interleave(2, -2) / 4


class Decomposable(Physics):
    """U diag(mask) V*, with U = V = 1 here."""

    def __init__(self, mask, noise_model=None):
        super().__init__(noise_model)
        self.register_buffer("mask", torch.as_tensor(mask))

    def A(self, x):
        return self.U(self.mask * self.V_adjoint(x))

    def A_adjoint(self, y):
        return self.V(self.mask.conj() * self.U_adjoint(y))

    def U(self, x):
        return x

    V = U_adjoint = V_adjoint = U


class Circular(Decomposable):
    """The spectrum is half of a Fourier transform, real and imaginary part in the last axis."""

    def __init__(self, kernel, noise_model=None):
        full = torch.fft.rfft2(kernel)
        super().__init__(torch.stack([full.abs()] * 2, -1)[None, None], noise_model)
        self.phase, self.size = full / full.abs(), kernel.shape

    def V_adjoint(self, x):
        return torch.view_as_real(torch.fft.rfft2(x, norm="ortho"))

    def V(self, z):
        return torch.fft.irfft2(torch.view_as_complex(z), s=self.size, norm="ortho")

    def U(self, z):
        return torch.fft.irfft2(torch.view_as_complex(z) * self.phase, s=self.size, norm="ortho")

    def U_adjoint(self, y):
        return torch.view_as_real(torch.fft.rfft2(y, norm="ortho") * self.phase.conj())


class Grey(Decomposable):
    """The trap: V holds the range of A only, so that V V* x is not x."""

    def __init__(self):
        super().__init__(torch.tensor(3.0).double().sqrt() / 3)

    def V_adjoint(self, x):
        return x.sum(1, keepdim=True) / math.sqrt(3)

    def V(self, z):
        return z.expand(-1, 3, -1, -1) / math.sqrt(3)


class Rows(Decomposable):
    """The trap: V gives rows of numbers in place of images."""

    def __init__(self):
        super().__init__(MASK.flatten())

    def A_adjoint(self, y):
        return self.A(y)

    def U(self, z):
        return z.reshape(-1, *SHAPE)

    def V(self, z):
        return z

    def V_adjoint(self, x):
        return x.flatten(1)

    U_adjoint = V_adjoint


class Magnitude(Physics):
    """The trap: it has an A_adjoint (of what is inside), but is not linear."""

    def A(self, x):
        return torch.fft.fft2(x, norm="ortho").abs().square()

    def A_adjoint(self, y):
        return torch.fft.ifft2(y.to(torch.complex128), norm="ortho")


class Root(Physics):
    """Defined on [0, 1] only."""

    def A(self, x):
        return x.sqrt()

    def A_dagger(self, y):
        return y.square()


KERNEL = torch.zeros(4, 4, dtype=torch.float64)
KERNEL[0, 0], KERNEL[0, 1], KERNEL[1, 0], KERNEL[3, 3] = 0.5, 0.2, 0.2, 0.1
MASK = pixels(1, 4, 4, seed=2).double()


def circular(x):
    return torch.fft.ifft2(torch.fft.fft2(x) * torch.fft.fft2(KERNEL)).real


#: theirs, and ours that measures alike
PAIRS = {
    "denoising": (Decomposable(1.0), Identity()),
    "inpainting": (Decomposable(MASK[None]), Inpainting(MASK)),
    "pooling": (Pooling(), SuperResolution(2)),
    "blur": (Circular(KERNEL), LinearFunction(circular, SHAPE)),
    "negative gains": (
        Decomposable(MASK[None] - 0.5),
        LinearFunction(lambda x: (MASK - 0.5) * x, SHAPE),
    ),
}

every_pair = pytest.mark.parametrize("name", PAIRS)


def unit(x):
    return (x + 1) / 2


def problems(name, sigma=0.05):
    """The same measurement, as a user of deepinv has it and as one of ours does."""
    physics, A = PAIRS[name]
    x, z = (
        0.3 * normal(2, *SHAPE, seed=5),
        normal(*A(torch.zeros(2, *SHAPE).double()).shape, seed=6),
    )
    z = z * A.observed if A.observed is not None else z
    theirs = hrdis.Problem(physics.A(unit(x)) + sigma * z, physics, sigma_y=sigma)
    return theirs, hrdis.Problem(A(x) + 2 * sigma * z, A, 2 * sigma)


# ---- linear
# ---------------------------------------------------------------------------------------


@every_pair
def test_problem_with_their_physics_shifts_the_measurement_and_keeps_the_operator(name):
    """2 y - A 1, A, and 2 sigma."""
    physics, _ = PAIRS[name]
    x, z = (
        0.3 * normal(2, *SHAPE, seed=5),
        normal(*physics.A(torch.zeros(2, *SHAPE).double()).shape, seed=6),
    )
    y = physics.A(unit(x)) + 0.05 * z
    problem = hrdis.Problem(y, physics, sigma_y=0.05)
    torch.testing.assert_close(problem.y, 2 * y - physics.A(torch.ones_like(x)), rtol=0, atol=1e-12)
    torch.testing.assert_close(problem.A(x), physics.A(x), rtol=0, atol=1e-12)
    assert problem.sigma_y == 0.1
    assert problem.image_shape == (2, *SHAPE)


@every_pair
def test_problem_with_their_physics_is_that_of_our_operator(name):
    """Settings of solvers weigh measurements of images in [-1, 1]."""
    theirs, ours = problems(name)
    torch.testing.assert_close(theirs.y.flatten(), ours.y.flatten(), rtol=0, atol=1e-12)
    assert theirs.sigma_y == pytest.approx(ours.sigma_y)
    x = 0.3 * normal(2, *SHAPE)
    torch.testing.assert_close(theirs.A(x).flatten(), ours.A(x).flatten(), rtol=0, atol=1e-12)


@every_pair
def test_posterior_with_their_physics_is_that_of_our_operator(name):
    prior = gaussian(*SHAPE)
    theirs, ours = problems(name)
    for a, b in zip(prior.posterior(theirs), prior.posterior(ours), strict=True):
        torch.testing.assert_close(a.mean, b.mean, rtol=0, atol=1e-9)
        torch.testing.assert_close(a.covariance, b.covariance, rtol=0, atol=1e-9)


@every_pair
@pytest.mark.parametrize(
    "solver", [hrdis.HRDIS(steps=20), hrdis.REDDiff(steps=20)], ids=["hrdis", "reddiff"]
)
def test_solver_finds_with_their_physics_what_it_finds_with_our_operator(name, solver):
    theirs, ours = (
        hrdis.solve(solver, gaussian(*SHAPE), p, seeds=[3, 4]).x for p in problems(name)
    )
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-9)


@every_pair
def test_their_operator_has_adjoint_and_pseudo_inverse(name):
    A = from_deepinv(PAIRS[name][0], SHAPE)
    H = matrix(A, SHAPE)
    y_shape = tuple(A(torch.zeros(1, *SHAPE).double()).shape[1:])
    torch.testing.assert_close(H, matrix(PAIRS[name][0].A, SHAPE), rtol=0, atol=1e-12)
    torch.testing.assert_close(matrix(A.adjoint, y_shape), H.T, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        matrix(A.pinv, y_shape), torch.linalg.pinv(H), rtol=0, atol=1e-5
    )  # cg: 1e-6


@pytest.mark.parametrize("name", [n for n in PAIRS if n != "pooling"])
def test_their_decomposition_is_kept(name):
    A, x = from_deepinv(PAIRS[name][0], SHAPE), normal(2, *SHAPE)
    assert isinstance(A, SVDOperator)
    s = A.singulars(x)
    assert bool((s >= 0).all()) and not s.is_complex()
    torch.testing.assert_close(A.V(A.Vt(x)), x, rtol=0, atol=1e-12)
    torch.testing.assert_close(A.U(s * A.Vt(x)), PAIRS[name][0].A(x), rtol=0, atol=1e-12)
    kept = (s > 0).expand_as(A.Vt(x))
    y = A(x)
    torch.testing.assert_close(A.U(A.Ut(y)), y, rtol=0, atol=1e-12)
    assert bool((A.Ut(y)[~kept] == 0).all())
    H = matrix(A, SHAPE)
    rho, z = 0.3, A(normal(2, *SHAPE, seed=1)) + 0.1
    expected = [
        torch.linalg.solve(
            H.T @ H + rho * torch.eye(16).double(), H.T @ b.flatten() + rho * a.flatten()
        )
        for a, b in zip(x, z, strict=True)
    ]
    torch.testing.assert_close(
        A.prox(x, z, rho).flatten(1), torch.stack(expected), rtol=0, atol=1e-10
    )


@every_pair
def test_measurements_go_there_and_back(name):
    physics, _ = PAIRS[name]
    A, x = from_deepinv(physics, SHAPE), 0.3 * normal(2, *SHAPE)
    torch.testing.assert_close(A.to_deepinv_range(A(x)), physics.A(unit(x)), rtol=0, atol=1e-12)
    torch.testing.assert_close(A.from_deepinv_range(physics.A(unit(x))), A(x), rtol=0, atol=1e-12)


def test_mask_per_image_stays_with_its_image():
    masks = pixels(3, 1, 4, 4, seed=8).double()
    physics, x = Decomposable(masks), 0.3 * normal(3, *SHAPE)
    theirs = hrdis.Problem(physics.A(unit(x)), physics, sigma_y=0.05)
    ours = hrdis.Problem(masks * x, Inpainting(masks), sigma_y=0.1)
    for a, b in zip(
        gaussian(*SHAPE).posterior(theirs), gaussian(*SHAPE).posterior(ours), strict=True
    ):
        torch.testing.assert_close(a.mean, b.mean, rtol=0, atol=1e-9)
    assert torch.equal(theirs.A.for_image(1)(x[:1]), masks[1] * x[:1])


def test_shared_mask_is_every_image_s():
    A = from_deepinv(Decomposable(MASK[None]), SHAPE)
    assert A.for_image(2) is A


def test_decomposition_of_the_range_alone_is_not_taken_for_a_whole_one():
    A = from_deepinv(Grey(), (3, 4, 4))
    assert isinstance(A, LinearOperator) and not isinstance(A, SVDOperator)
    x = normal(2, 3, 4, 4)
    torch.testing.assert_close(
        A.pinv(A(x)), x.mean(1, keepdim=True).expand_as(x), rtol=0, atol=1e-9
    )


def test_decomposition_that_is_another_operator_s_is_not_used():
    physics = Decomposable(MASK[None])
    physics.A = lambda x: 2 * x
    physics.A_adjoint = lambda y: 2 * y
    assert not isinstance(from_deepinv(physics, SHAPE), SVDOperator)


def test_decomposition_into_other_shapes_is_not_used():
    assert not isinstance(from_deepinv(Rows(), SHAPE), SVDOperator)


def test_precision_of_a_mask_does_not_become_that_of_the_measurement():
    A = from_deepinv(Decomposable(MASK[None] - 0.5), SHAPE)
    assert A.mask.dtype == torch.float64
    assert A(torch.zeros(1, *SHAPE)).dtype == torch.float32


def test_gains_that_are_rounding_count_as_zero():
    gains = torch.ones(1, 1, 4, 4)
    gains[..., 0, 0] = 1e-9
    A = from_deepinv(Decomposable(gains), SHAPE)
    assert float(A.pinv(torch.ones(1, *SHAPE))[0, 0, 0, 0]) == 0


# ---- nonlinear
# ------------------------------------------------------------------------------------


def test_nonlinear_physics_sees_images_in_its_own_range():
    x = normal(2, *SHAPE).tanh()
    problem = hrdis.Problem(unit(x).sqrt(), Root(), sigma_y=0.05)
    assert not isinstance(problem.A, LinearOperator)
    assert problem.sigma_y == 0.05
    torch.testing.assert_close(problem.A(x), problem.y)
    torch.testing.assert_close(problem.A.pinv(problem.y), x)
    torch.testing.assert_close(problem.A.to_deepinv_range(problem.y), problem.y)


def test_adjoint_of_something_inside_does_not_make_a_physics_linear():
    A = from_deepinv(Magnitude(), SHAPE)
    assert not isinstance(A, LinearOperator)
    assert torch.equal(A.pinv(A(normal(2, *SHAPE))), torch.zeros(2, *SHAPE).double())  # mid-grey


# ---- noise
# ----------------------------------------------------------------------------------------


def test_noise_level_is_the_physics_own():
    y = torch.full((1, *SHAPE), 0.5)
    for sigma in (0.05, [0.05, 0.05]):
        physics = Decomposable(MASK[None], GaussianNoise(sigma))
        assert hrdis.Problem(y, physics).sigma_y == pytest.approx(0.1)
    assert hrdis.Problem(y, physics, sigma_y=0.2).sigma_y == 0.4
    assert hrdis.Problem(y, Decomposable(MASK[None])).sigma_y == 0


def test_noise_level_that_differs_between_images_is_refused():
    physics = Decomposable(MASK[None], GaussianNoise([0.05, 0.1]))
    message = (
        r"^noise_model\.sigma differs between images: \[0\.05, 0\.1\]\. One level is expected\. "
        r"Solve image by image"
    )
    with pytest.raises(ValueError, match=message):
        hrdis.Problem(torch.zeros(2, *SHAPE), physics)


def test_noise_that_is_not_gaussian_warns():
    with pytest.warns(
        UserWarning, match=r"The noise model PoissonNoise is not Gaussian; sigma_y = 0 is taken\."
    ):
        hrdis.Problem(torch.zeros(1, *SHAPE), Decomposable(MASK[None], PoissonNoise()))


def test_problem_never_writes_to_their_measurement():
    y = torch.full((1, *SHAPE), 0.5)
    hrdis.Problem(y, Decomposable(MASK[None]))
    assert bool((y == 0.5).all())


def test_measure_simulates_what_the_physics_does():
    x = 0.3 * normal(2, *SHAPE)
    theirs = hrdis.measure(Decomposable(MASK[None], GaussianNoise(0.05)), x, seeds=[1, 2])
    ours = hrdis.measure(Inpainting(MASK), x, hrdis.noise.Gaussian(0.05), seeds=[1, 2])
    torch.testing.assert_close(theirs.y, ours.y)  # no noise in the holes
    assert theirs.sigma_y == pytest.approx(ours.sigma_y)
    given = hrdis.measure(
        Decomposable(MASK[None], GaussianNoise(0.3)), x, hrdis.noise.Gaussian(0.05), seeds=[1, 2]
    )
    torch.testing.assert_close(given.y, ours.y)
    torch.testing.assert_close(hrdis.measure(Pooling(), x).y, SuperResolution(2)(x))


@pytest.mark.parametrize("declared", [True, False])
def test_measure_adds_noise_of_its_level_to_what_a_nonlinear_physics_gives(declared):
    """Its images are in [0, 1], and so is the level: half of that for images in [-1, 1]."""
    x, physics = 0.9 * torch.ones(1, 1, 64, 64).double(), Root()
    noise = None if declared else hrdis.noise.Gaussian(0.05)
    physics.noise_model = GaussianNoise(0.05) if declared else ZeroNoise()
    problem = hrdis.measure(physics, x, noise, seeds=[1])
    assert problem.sigma_y == pytest.approx(0.05)
    residual = problem.y - physics.A(unit(x))
    assert float(residual.std()) == pytest.approx(0.05, rel=0.05)  # of 4096 draws, 4 deviations


def test_measure_adds_noise_of_pictures_to_what_a_nonlinear_physics_gives():
    """Speckle is a share of the light, which is y itself there."""
    physics, noise = Root(), hrdis.noise.Speckle(0.1)
    x = 0.3 * normal(1, *SHAPE)
    y = physics.A(unit(x))
    z = (noise.add(2 * y - 1, hrdis.rng.ImageRNG([1], "measure")) + 1) / 2 / y - 1
    problem = hrdis.measure(physics, x, noise, seeds=[1])
    torch.testing.assert_close(problem.y, y * (1 + z))
    assert problem.sigma_y == 0.05


def test_names_that_were_replaced_warn_with_the_new_line():
    A, y = from_deepinv(Pooling(), SHAPE), torch.ones(1, 1, 2, 2).double()
    with pytest.warns(DeprecationWarning, match=r"Write A\.from_deepinv_range\(y\)\."):
        assert torch.equal(A.from_theirs(y), A.from_deepinv_range(y))
    with pytest.warns(DeprecationWarning, match=r"Write A\.to_deepinv_range\(y\)\."):
        assert torch.equal(A.to_theirs(y), A.to_deepinv_range(y))
    problem = hrdis.Problem(y, A)
    with pytest.warns(DeprecationWarning, match=r"Write problem\.at_least_float32\(\)\."):
        assert problem.rescaled() is problem


def test_measure_needs_seeds_where_the_physics_is_noisy():
    with pytest.raises(ValueError, match=r"^Either seeds or rng is expected, and none was given"):
        hrdis.measure(Decomposable(MASK[None], GaussianNoise(0.05)), torch.zeros(1, *SHAPE))


# ---- what is refused
# ------------------------------------------------------------------------------


def test_object_without_A_is_refused():
    with pytest.raises(
        TypeError,
        match=r"^physics is a Identity without a method A\. A deepinv Physics is expected",
    ):
        from_deepinv(nn.Identity(), SHAPE)


@pytest.mark.parametrize("shape", [(4, 4), (1, 4, 0), (1, 4, 4.0)])
def test_shape_that_is_none_is_refused(shape):
    with pytest.raises(
        ValueError, match=r"^shape is .*\. The shape \(c, h, w\) of the images is expected"
    ):
        from_deepinv(Pooling(), shape)


def test_measurement_of_images_of_unknown_shape_asks_for_it():
    physics = Physics()
    physics.A = lambda x: x.mean((2, 3))
    with pytest.raises(
        ValueError,
        match=r"name the image's shape: Problem\(y, hrdis\.operators\.from_deepinv\(physics, ",
    ):
        hrdis.Problem(torch.zeros(1, 1, 4, 4), physics)


def test_image_size_is_the_physics_own_where_it_has_no_adjoint():
    physics = Physics()
    physics.A, physics.img_size = lambda x: x.mean((2, 3)), (1, 6, 5)
    assert hrdis.Problem(torch.zeros(2, 1), physics).image_shape == (2, 1, 6, 5)


def test_shape_that_the_physics_refuses_is_named():
    with pytest.raises(
        ValueError, match=r"^Decomposable\.A refuses images of shape \(1, 1, 5, 5\)"
    ):
        from_deepinv(Decomposable(MASK[None]), (1, 5, 5))


@pytest.mark.parametrize(
    ("A", "got"),
    [(lambda x: [x, x], "a list"), (lambda x: torch.fft.fft2(x), r"torch\.complex64 numbers")],
)
def test_measurements_that_are_no_real_tensor_are_refused(A, got):
    physics = Pooling()
    physics.A = A
    with pytest.raises(
        TypeError, match=rf"^Pooling\.A gives {got}\. One tensor of real numbers is expected"
    ):
        from_deepinv(physics, SHAPE)


def test_plain_callables_are_not_taken_for_a_physics():
    assert isinstance(hrdis.Problem(torch.ones(1, 1, 4, 4), lambda x: x**2).A, Function)
    assert isinstance(hrdis.Problem(torch.ones(1, 1, 4, 4), nn.ReLU()).A, Function)


# ---- the real package
# -----------------------------------------------------------------------------


def convolved(x):
    """Circular convolution with the middle of the kernel at the pixel, written for this test."""
    kernel = CENTRED.to(x)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="circular"), kernel.flip(-1, -2))


CENTRED = torch.tensor([[0.1, 0.2, 0.0], [0.0, 0.4, 0.2], [0.05, 0.0, 0.05]], dtype=torch.float64)[
    None, None
]


def theirs_and_ours(deepinv, name):
    noise, kernel = deepinv.physics.GaussianNoise(sigma=0.05), CENTRED.float()
    physics = deepinv.physics
    return {
        "denoising": (lambda: physics.Denoising(noise), Identity()),
        "inpainting": (
            lambda: physics.Inpainting(img_size=SHAPE, mask=MASK.float(), noise_model=noise),
            Inpainting(MASK),
        ),
        "downsampling": (
            lambda: physics.Downsampling(
                SHAPE, filter=kernel, factor=2, padding="circular", noise_model=noise
            ),
            LinearFunction(lambda x: convolved(x)[..., ::2, ::2], SHAPE),
        ),
        "fft blur": (
            lambda: physics.BlurFFT(img_size=SHAPE, filter=kernel, noise_model=noise),
            LinearFunction(convolved, SHAPE),
        ),
        "blur": (
            lambda: physics.Blur(filter=kernel, padding="circular", noise_model=noise),
            LinearFunction(convolved, SHAPE),
        ),
    }[name]


@pytest.mark.parametrize("name", ["denoising", "inpainting", "downsampling", "fft blur", "blur"])
def test_real_physics_measures_and_solves_as_our_operator(deepinv, name):
    make, A = theirs_and_ours(deepinv, name)
    physics = make()
    if "blur" in name:  # HRDIS starts from y there, as with our blurs
        A.init = lambda y: y.clone()
    x = (0.3 * normal(2, *SHAPE, seed=5)).float()
    with torch.random.fork_rng():
        y = physics(unit(x))  # with its own noise
    theirs = hrdis.Problem(y, physics)
    ours = hrdis.Problem(2 * y - A(torch.ones_like(x)), A, sigma_y=0.1)
    torch.testing.assert_close(theirs.y, ours.y)
    assert theirs.sigma_y == pytest.approx(0.1)
    assert isinstance(theirs.A, SVDOperator) == (name in ("denoising", "inpainting", "fft blur"))
    theirs_x, ours_x = (
        hrdis.solve(hrdis.HRDIS(steps=20), gaussian(*SHAPE), p, seeds=[3, 4]).x
        for p in (theirs, ours)
    )
    difference = rel(theirs_x, ours_x)
    print(f"{name}: y {rel(theirs.y, ours.y):.1e}, HRDIS {difference:.1e}", end=", ")
    assert difference < 1e-4  # float32, and Adam's division
    double = (
        hrdis.Problem(y.double(), physics.double()),
        hrdis.Problem(ours.y.double(), A, sigma_y=0.1),
    )
    means = [
        torch.stack([p.mean for p in gaussian(*SHAPE).posterior(problem)]) for problem in double
    ]
    print(f"posterior mean {rel(*means):.1e}")
    assert rel(*means) < 1e-6  # the filter is kept in float32


# ---- settings and starts that suit a physics ----------------------------------------------------


class GaussianBlur(Circular):
    """A blur by its name, as deepinv's Blur and BlurFFT."""


class ValidBlur(Physics):
    """A mean over 3 x 3 pixels, without the border: y is smaller than the image."""

    def A(self, u):
        return F.avg_pool2d(u, 3, stride=1)

    def A_adjoint(self, y):
        padded = F.pad(y, (2, 2, 2, 2))
        return F.avg_pool2d(padded, 3, stride=1)


@pytest.mark.parametrize(
    ("name", "families"),
    [
        ("Denoising", ("denoise",)),
        ("Inpainting", ("inpaint",)),
        ("BlurFFT", ("deblur", "sr4")),
        ("SpaceVaryingBlur", ("deblur", "sr4")),
        ("Downsampling", ("sr4",)),
    ],
)
def test_settings_follow_from_the_class_of_the_physics(name, families):
    physics = type(name, (Pooling,), {})()
    assert hrdis.operators.from_deepinv(physics, SHAPE).families == families


@pytest.mark.parametrize("physics", [GaussianBlur(KERNEL), ValidBlur()], ids=["whole", "valid"])
def test_smooth_start_of_a_blur_does_not_divide_the_noise(physics):
    """A pseudo-inverse divides it by the smallest singular value; the start keeps its size."""
    A = hrdis.operators.from_deepinv(physics, SHAPE)
    z = normal(2, *A(torch.zeros(2, *SHAPE).double()).shape[1:], seed=6)
    assert A.smooth(z).shape == (2, *SHAPE)
    torch.testing.assert_close(A.init(z), A.smooth(z), rtol=0, atol=0)
    assert float(A.smooth(z).abs().max()) <= float(z.abs().max()) + 1e-9
    assert float(A.pinv(z).abs().max()) > float(z.abs().max())


def test_smooth_start_of_other_physics_is_the_pseudo_inverse():
    A = hrdis.operators.from_deepinv(Pooling(), SHAPE)
    y = normal(2, *A(torch.zeros(2, *SHAPE).double()).shape[1:], seed=6)
    torch.testing.assert_close(A.smooth(y), A.pinv(y))
