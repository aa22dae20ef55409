"""Latent diffusion: the decoder in front of the measurement, and what is known about its
posterior.
"""

from functools import cache

import pytest
import torch
from torch import nn

import hrdis
from hrdis.operators import HDR, Function, Identity, Inpainting, Matrix, SuperResolution
from hrdis.priors import Gaussian, LatentPrior, Tiled
from hrdis.problem import Problem
from tests.common.toys import Gain, Recorded, drain, gaussian, mixture, normal, pixels, rel
from tests.priors.test_unet import UNetPrior, unet

# ---- autoencoders -------------------------------------------------------------------------------


class Same(nn.Module):
    """Latents are pictures."""

    def __init__(self, **config):
        super().__init__()
        self.config, self.decoded = config, 0

    def encode(self, x):
        return x

    def decode(self, z):
        self.decoded += 1
        return z


class Linear(nn.Module):
    """x = W z + b; the encoder is the pseudo-inverse. Latents are (k / 4, 2, 2), pictures (1, 4,
    4).
    """

    def __init__(self, W, b):
        super().__init__()
        self.W, self.b = W, b
        self.shape = (W.shape[1] // 4, 2, 2)
        self.config = {"latent_channels": self.shape[0], "block_out_channels": (1, 1)}

    def encode(self, x):
        return ((x.flatten(1) - self.b) @ torch.linalg.pinv(self.W).T).reshape(-1, *self.shape)

    def decode(self, z):
        return (z.flatten(1) @ self.W.T + self.b).reshape(-1, 1, 4, 4)


VAE = {
    "block_out_channels": (4, 8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "layers_per_block": 1,
    "norm_num_groups": 4,
}


@cache
def vae(kind: str = "AutoencoderKL", **changes) -> nn.Module:
    """A tiny diffusers autoencoder, float64, whose weights are a function of their names."""
    import diffusers

    with torch.random.fork_rng(devices=[]):
        net = getattr(diffusers, kind)(**{**VAE, "latent_channels": 4, **changes})
    for name, parameter in net.named_parameters():
        parameter.data = parameter[0].numel() ** -0.5 * normal(
            *parameter.shape, seed=len(name), dtype=torch.float32
        )
    return net.double()


def network(channels: int = 4) -> UNetPrior:
    return UNetPrior(unet(in_channels=channels, out_channels=channels).double(), multiple=2)


#: Solvers that need a gradient of the operator and nothing else, with few steps.
GRADIENT: dict[str, hrdis.Solver] = {
    "hrdis": hrdis.HRDIS(steps=5),
    "hrdis, smooth": hrdis.HRDIS(steps=5, init="smooth", start=500),
    "reddiff": hrdis.REDDiff(steps=5),
    "cr": hrdis.CR(steps=5),
    "drddim": hrdis.DRDDIM(steps=5),
    "cmhrdis": hrdis.CMHRDIS(steps=5),
    "dps": hrdis.DPS(steps=5),
    "dps, ddim": hrdis.DPS(steps=5, form="ddim"),
    "gdp": hrdis.GDP(steps=5),
    "daps": hrdis.DAPS(steps=3, ode_steps=2, langevin_steps=3, lr=1e-6),
    "blindhrdis": hrdis.BlindHRDIS(steps=5),
    "overrelaxed": hrdis.OverRelaxed(steps=5, start=500),
}
LINEAR = [
    name
    for name, (cls, _) in hrdis.SOLVERS.items()
    if issubclass(cls().needs(), hrdis.operators.ProximalOperator)
]


def damaged(solver: hrdis.Solver, b: int = 3, c: int = 1, h: int = 8, w: int = 8) -> Problem:
    """A nonlinear problem, so that no solver has another way with pictures than with latents; a
    mask per image.
    """
    mask, x = pixels(b, 1, h, w, seed=5), 0.3 * normal(b, c, h, w, seed=4)
    holes = Inpainting(mask)
    A = Gain(mask) if isinstance(solver, hrdis.BlindHRDIS) else Function(holes, start=holes.pinv)
    return hrdis.measure(A, x)


# ---- where latents are pictures -----------------------------------------------------------------


@pytest.mark.parametrize("name", GRADIENT)
def test_latents_that_are_pictures_change_nothing(name):
    """Bit for bit, steps and results, for every solver that can run on latents."""
    solver = GRADIENT[name]
    problem = damaged(solver)
    steps, here = drain(hrdis.iterate(solver, mixture(), problem, seeds=[0, 1, 2]))
    decoded, there = drain(
        hrdis.iterate(solver, LatentPrior(mixture(), Same(), 1), problem, seeds=[0, 1, 2])
    )
    assert torch.equal(here.x, there.x)
    assert all(torch.equal(a.x, b.x) and a.t == b.t for a, b in zip(steps, decoded, strict=True))
    assert all(
        torch.equal(a.info["residual"], b.info["residual"])
        for a, b in zip(steps, decoded, strict=True)
    )
    assert here.nfe == there.nfe and all(
        torch.equal(here.theta[k], there.theta[k]) for k in here.theta
    )


def test_every_solver_is_tried_or_needs_more_than_a_gradient():
    assert {name.split(",")[0] for name in GRADIENT} | set(LINEAR) == set(hrdis.SOLVERS)


@pytest.mark.parametrize("name", LINEAR)
def test_solver_of_linear_problems_is_refused_with_the_reason(name):
    problem = hrdis.measure(Inpainting(pixels(8, 8)), normal(1, 1, 8, 8).clamp(-1, 1))
    message = (
        r"^\w+ needs an? \w+, but the prior 'custom' works on latents, and its decoder followed by "
        r"a Inpainting lacks "
        r".*\. Solvers that can use it: HRDIS, "
    )
    with pytest.raises(TypeError, match=message):
        hrdis.iterate(hrdis.SOLVERS[name][0](), LatentPrior(mixture(), Same()), problem, seeds=[0])


# ---- units of latents ---------------------------------------------------------------------------


@pytest.mark.parametrize("t", [0, 10, 300, 700, 999])
@pytest.mark.parametrize("bound", [0.5, 4.0])
def test_bounded_prior_is_the_exact_one_of_bounded_latents(bound, t):
    """N(m, C) over the bound is N(m / bound, C / bound^2), and both know their noise in closed
    form.
    """
    prior = gaussian()
    latent = LatentPrior(prior, Same(), bound)
    exact = Gaussian(prior.mean / bound, prior.covariance / bound**2, latent.schedule)
    x_t = normal(3, 1, 4, 4)
    for found, known in zip(latent(x_t, t), exact(x_t, t), strict=True):
        torch.testing.assert_close(
            found, known, rtol=0, atol=1e-9
        )  # x0_hat is divided by a signal down to 0.006


def test_bound_divides_the_noise_over_the_signal():
    prior = LatentPrior(gaussian(), Same(), 4.0)
    own = gaussian().schedule
    for t in (0, 500, 999):
        torch.testing.assert_close(prior.schedule.sigma(t), own.sigma(t) / 4)


def test_bound_of_one_keeps_the_schedule():
    prior = gaussian()
    assert LatentPrior(prior, Same(), 1).schedule is prior.schedule


def test_bound_of_one_hands_on_what_the_prior_says():
    """With the learned variance, which belongs to the prior's own schedule."""
    said = hrdis.priors.Prediction(normal(1, 1, 4, 4), normal(1, 1, 4, 4, seed=1), torch.ones(1))

    class Said(hrdis.Prior):
        schedule = hrdis.Schedule.linear()

        def forward(self, x_t, t):
            return said

    assert LatentPrior(Said(), Same(), 1)(normal(1, 1, 4, 4), 300) is said


CONFIGS = [
    ({}, 1.0, 0.0),
    ({"scaling_factor": 0.18215}, 0.18215, 0.0),
    ({"scaling_factor": 1.5305, "shift_factor": 0.0609}, 1.5305, 0.0609),
    ({"scaling_factor": None, "shift_factor": None}, 1.0, 0.0),
    ({"scaling_factor": 0.5, "latents_mean": [0.2], "latents_std": [2.0]}, 0.25, 0.2),
]


@pytest.mark.parametrize(("config", "scale", "shift"), CONFIGS, ids=str)
@pytest.mark.parametrize("bound", [1.0, 4.0])
def test_latents_are_shifted_scaled_and_bounded(config, scale, shift, bound):
    """diffusers' convention: z = (latent - shift) scale; u = z / bound."""
    prior, x = LatentPrior(gaussian(), Same(**config), bound), normal(2, 1, 4, 4)
    u = prior.latents(x)
    torch.testing.assert_close(u, (x - shift) * scale / bound, rtol=0, atol=1e-12)
    torch.testing.assert_close(prior.picture(u, (2, 1, 4, 4)), x, rtol=0, atol=1e-12)


def test_network_sees_latents_in_its_own_units():
    """At the lowest noise, what the network is shown is the encoding it was trained on."""
    inner = Recorded(gaussian())
    prior, x = LatentPrior(inner, Same(scaling_factor=0.5), 4.0), normal(2, 1, 4, 4)
    prior(prior.schedule.signal(0) * prior.latents(x), 0)
    torch.testing.assert_close(
        inner.inputs[0], inner.schedule.signal(0) * 0.5 * x, rtol=0, atol=1e-12
    )


# ---- a posterior known in closed form: x = W z + b
# ------------------------------------------------

LEFT = torch.cat([torch.ones(4, 2), torch.zeros(4, 2)], dim=1)
W = torch.linalg.qr(normal(16, 16, seed=1)).Q  # mixes all pixels, lengths kept
DECODER = Linear(W, 0.2 * normal(16, seed=5))

#: The settings, tolerances and the reasons for them: test_solvers_posterior.py, whose pictures
#: these latents stand for.
SETTINGS: dict[str, hrdis.Solver] = {
    "hrdis": hrdis.HRDIS(steps=100),
    "reddiff": hrdis.REDDiff(steps=100),
    "cr": hrdis.CR(steps=100),
    "drddim": hrdis.DRDDIM(steps=100),
    "cmhrdis": hrdis.CMHRDIS(steps=100),
    "dps": hrdis.DPS(steps=100, zeta=0.5),
    "gdp": hrdis.GDP(steps=100, kappa=0.5),
    "daps": hrdis.DAPS(steps=20, langevin_steps=20, lr=5e-5),
}
FAR = {"dps": 0.6, "gdp": 0.5, "daps": 0.3}
#: Measured, as there.
SPREAD = {
    "hrdis": 0.79, "reddiff": 0.31, "cr": 1.48, "drddim": 0.34, "cmhrdis": 0.78, "dps": 0.74,
    "gdp": 0.78, "daps": 1.00,
}  # fmt: skip


@cache
def known() -> tuple[Problem, torch.Tensor, torch.Tensor, torch.Tensor]:
    """400 times one measurement, and mean and covariance of the pictures given it, and the mean
    without it.
    """
    prior = gaussian(4, 2, 2)
    y = Inpainting(LEFT)(DECODER.decode(prior.sample(1, seed=3)))
    seen = LEFT.flatten() > 0
    told = (y.flatten() - DECODER.b)[seen][None]
    (posterior,) = prior.posterior(Problem(told, Matrix(W[seen], (4, 2, 2))))
    mean, before = (DECODER.decode(g.mean[None])[0] for g in (posterior, prior))
    return (
        Problem(y.expand(400, -1, -1, -1), Inpainting(LEFT)),
        mean,
        W @ posterior.covariance @ W.T,
        before,
    )


@cache
def samples(name: str) -> torch.Tensor:
    return hrdis.solve(
        SETTINGS[name], LatentPrior(gaussian(4, 2, 2), DECODER, 1), known()[0], seeds=range(400)
    ).x


@pytest.mark.parametrize("name", SETTINGS)
def test_mean_of_samples_through_a_linear_decoder_is_near_the_posterior_mean(name):
    _, mean, _, before = known()
    assert float((samples(name).mean(0) - mean).norm() / (before - mean).norm()) < FAR.get(
        name, 0.2
    )


@pytest.mark.parametrize("name", SPREAD)
def test_spread_of_samples_through_a_linear_decoder_is_the_one_recorded(name):
    spread = float(torch.cov(samples(name).flatten(1).T).trace() / known()[2].trace())
    # A standard error of 3 %. CR carries all of its noise, and Adam amplifies rounding: on another
    # processor it had 1.68.
    assert spread == pytest.approx(SPREAD[name], rel=0.25 if name == "cr" else 0.1)


def test_bounded_latents_of_unit_variance_are_solved_as_well():
    """Latents twice as large, over twice the bound, are the same problem: the same pictures come
    out.
    """
    prior = gaussian(4, 2, 2)
    large = Gaussian(2 * prior.mean, 4 * prior.covariance, hrdis.Schedule.linear())
    decoder = Linear(W / 2, DECODER.b)
    problem = Problem(known()[0].y[:40], Inpainting(LEFT))
    small = LatentPrior(
        Gaussian(prior.mean, prior.covariance, LatentPrior(prior, Same(), 2).schedule), DECODER, 1
    )
    for solver in (SETTINGS["hrdis"], SETTINGS["dps"]):
        here = hrdis.solve(solver, small, problem, seeds=range(40)).x
        there = hrdis.solve(solver, LatentPrior(large, decoder, 2), problem, seeds=range(40)).x
        torch.testing.assert_close(there, here, rtol=0, atol=1e-7)


# ---- networks: sizes, precision, batches
# ----------------------------------------------------------


@pytest.mark.parametrize("size", [(16, 16), (13, 21), (4, 18)], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_picture_of_any_size_comes_back_at_its_size(size, channels):
    prior = LatentPrior(network(), vae())
    problem = hrdis.measure(Inpainting(pixels(*size)), 0.3 * normal(2, channels, *size))
    result = hrdis.solve(hrdis.HRDIS(steps=3), prior, problem, seeds=[0, 1])
    assert result.x.shape == (2, channels, *size)
    assert bool(result.finite.all())
    assert prior.pull(problem).image_shape == (2, 4, -(-size[0] // 4), -(-size[1] // 4))


def test_picture_is_padded_by_reflection_and_cropped():
    inner = Same(block_out_channels=(1, 1, 1))  # stands for an autoencoder of factor 4
    decoder = LatentPrior(gaussian(), inner, 1).decoder((1, 1, 6, 7))
    x = normal(1, 1, 6, 7)
    padded = decoder.pinv(x)
    assert padded.shape == (1, 1, 8, 8)
    assert torch.equal(padded[..., 6:, :7], x[..., [4, 3], :])
    assert torch.equal(decoder(padded), x)


@pytest.mark.parametrize("name", ["hrdis", "reddiff", "dps", "gdp", "daps", "blindhrdis"])
def test_image_alone_is_the_image_in_a_batch(name):
    solver, prior = GRADIENT[name], LatentPrior(network(), vae())
    mask = pixels(3, 1, 16, 16, seed=5)
    A = Gain(mask) if name == "blindhrdis" else Inpainting(mask)
    problem = hrdis.measure(A, 0.3 * normal(3, 3, 16, 16))
    together = hrdis.solve(solver, prior, problem, seeds=[5, 6, 7]).x
    for i in range(3):
        own = Problem(problem.y[i : i + 1], problem.A.for_image(i))
        alone = hrdis.solve(solver, prior, own, seeds=[5 + i]).x
        assert (
            rel(alone, together[i : i + 1]) < 1e-9
        )  # float64; convolutions of another batch round otherwise


def test_blind_operator_of_latents_is_that_of_each_image():
    mask, z = pixels(2, 1, 4, 4), normal(1, 1, 4, 4)
    problem = Problem(torch.zeros(2, 1, 4, 4).double(), Gain(mask), 0.1)
    A = LatentPrior(gaussian(), Same(), 1).pull(problem).A
    assert torch.equal(A.for_image(1)(z), Gain(mask[1:])(z))
    shared = LatentPrior(gaussian(), Same(), 1).pull(Problem(problem.y, Gain(mask[:1]), 0.1)).A
    assert shared.for_image(1) is shared


def test_seed_decides_and_repeats():
    prior, problem = LatentPrior(network(), vae()), damaged(hrdis.HRDIS(), 1, 3, 16, 16)
    a, b, c = (hrdis.solve(hrdis.HRDIS(steps=3), prior, problem, seeds=[s]).x for s in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_measurement_is_never_written_to():
    problem = damaged(hrdis.HRDIS(), 1, 3, 16, 16)
    before = problem.y.clone()
    hrdis.solve(hrdis.HRDIS(steps=3), LatentPrior(network(), vae()), problem, seeds=[0])
    assert torch.equal(problem.y, before)


def test_networks_keep_their_precision_and_states_the_callers():
    import copy

    inner = UNetPrior(nn.Module.to(unet(in_channels=4, out_channels=4), torch.bfloat16), multiple=2)
    prior = LatentPrior(inner, nn.Module.to(copy.deepcopy(vae()), torch.bfloat16))
    problem = hrdis.measure(SuperResolution(2), 0.3 * normal(1, 3, 16, 16, dtype=torch.float32))
    result = hrdis.solve(hrdis.HRDIS(steps=3), prior, problem, seeds=[0])
    assert result.x.dtype == torch.float32
    assert {p.dtype for p in prior.parameters()} == {torch.bfloat16}
    assert bool(result.finite.all())


def test_gradient_flows_through_the_decoder():
    """The data term's gradient in the latent against a difference quotient."""
    pulled = LatentPrior(network(), vae()).pull(hrdis.measure(HDR(), 0.3 * normal(1, 3, 16, 16)))
    z, d = 0.2 * normal(1, 4, 4, 4, seed=1).requires_grad_(), normal(1, 4, 4, 4, seed=2)

    def misfit(z):
        return (pulled.A(z) - pulled.y).square().sum()

    (gradient,) = torch.autograd.grad(misfit(z), z)
    with torch.no_grad():
        slope = (misfit(z + 1e-5 * d) - misfit(z - 1e-5 * d)) / 2e-5
    assert float((gradient * d).sum()) == pytest.approx(float(slope), rel=1e-5)
    assert float(gradient.norm()) > 0


def _kept(prior: LatentPrior) -> tuple[int, torch.Tensor]:
    """Bytes that the decoder's graph holds on to, and the gradient it gives."""
    bytes_, z = {}, 0.2 * normal(1, 4, 8, 8, seed=1).requires_grad_()

    def keep(tensor):
        bytes_[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = prior.decoder((1, 3, 32, 32))(z).square().sum()
    return sum(bytes_.values()), torch.autograd.grad(out, z)[0]


def test_checkpoints_keep_less_of_the_graph_and_the_same_gradient():
    import copy

    (much, plain), (little, again) = (
        _kept(LatentPrior(network(), copy.deepcopy(vae()), checkpoint=on)) for on in (False, True)
    )
    assert torch.equal(plain, again)
    assert little < 0.6 * much  # measured: 0.20


def test_tiles_of_the_latent_may_be_inside_or_outside():
    problem = damaged(hrdis.HRDIS(), 1, 3, 64, 64)  # latents of 16 x 16
    inside = LatentPrior(Tiled(network(), 12, 4), vae(), 1)
    outside = Tiled(LatentPrior(network(), vae(), 1), 12, 4)
    a, b = (
        hrdis.solve(hrdis.HRDIS(steps=3), prior, problem, seeds=[0]).x
        for prior in (inside, outside)
    )
    assert a.shape == (1, 3, 64, 64)
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


# ---- the driver ---------------------------------------------------------------------------------


def test_picture_of_a_step_is_decoded_when_it_is_looked_at():
    inner = Same()
    problem = hrdis.measure(SuperResolution(2), 0.3 * normal(1, 1, 4, 4))
    run = hrdis.iterate(hrdis.HRDIS(steps=3), LatentPrior(gaussian(), inner), problem, seeds=[0])
    step = next(run)
    before = inner.decoded
    picture = step.x
    assert inner.decoded == before + 1
    assert step.x is picture and inner.decoded == before + 1
    assert picture.shape == (1, 1, 4, 4)


def test_picture_of_the_last_step_is_the_result():
    problem = damaged(hrdis.HRDIS(), 1, 3, 16, 16)
    steps, result = drain(
        hrdis.iterate(hrdis.HRDIS(steps=3), LatentPrior(network(), vae()), problem, seeds=[0])
    )
    assert torch.equal(steps[-1].x, result.x)
    assert isinstance(steps[-1], hrdis.Step)
    assert "residual" in repr(steps[-1])


def test_residual_of_a_step_is_that_of_its_picture():
    """What the solver drives to 0 in the latent is the residual of the picture handed out."""
    problem = hrdis.measure(SuperResolution(2), 0.3 * normal(1, 3, 16, 16))
    solver = hrdis.DAPS(steps=3, ode_steps=2, langevin_steps=3, lr=1e-6)
    steps, _ = drain(hrdis.iterate(solver, LatentPrior(network(), vae()), problem, seeds=[0]))
    for step in steps:
        own = (problem.A(step.x) - problem.y).square().mean().sqrt()
        assert float(step.info["residual"]) == pytest.approx(float(own), rel=1e-9)


def test_prior_of_latents_denoises_no_picture_for_deepinv():
    with pytest.raises(
        TypeError, match=r"^The prior 'custom' works on latents, and does not denoise pictures\."
    ):
        hrdis.interop.as_deepinv_denoiser(LatentPrior(gaussian(), Same()))


# ---- refusals -----------------------------------------------------------------------------------


def test_picture_of_other_channels_is_refused():
    with pytest.raises(
        ValueError, match=r"^The images have 2 channels, but the prior 'custom' takes 1 or 3\."
    ):
        hrdis.solve(
            hrdis.HRDIS(steps=2),
            LatentPrior(network(), vae()),
            Problem(torch.zeros(1, 2, 8, 8), Identity(), 0.1),
            seeds=[0],
        )


def test_network_of_other_latents_is_refused():
    with pytest.raises(
        ValueError, match=r"^The latents have 4 channels, but the prior 'custom' takes 1 or 3\."
    ):
        LatentPrior(network(3), vae())


def test_bare_network_is_refused():
    with pytest.raises(
        TypeError,
        match=r"^prior is a UNet2DModel\. A prior of the latents is expected: LatentPrior\(",
    ):
        LatentPrior(unet(), vae())


class Encoder(nn.Module):
    encode = Same.encode


class Decoder(nn.Module):
    decode = Same.decode


@pytest.mark.parametrize("kind", [nn.Identity, Encoder, Decoder])
def test_autoencoder_that_lacks_a_half_is_refused(kind):
    with pytest.raises(TypeError, match=rf"^vae is a {kind.__name__}, without encode or decode\."):
        LatentPrior(gaussian(), kind())


@pytest.mark.parametrize("bound", [0, -1.0, float("nan")])
def test_bound_that_is_not_positive_is_refused(bound):
    with pytest.raises(ValueError, match=rf"^bound is {bound}\. A positive number"):
        LatentPrior(gaussian(), Same(), bound)
