"""The blurring network: its keys, its latents, and its errors. Weights are random here."""

import numpy as np
import pytest
import torch

import hrdis
from hrdis.operators import NonlinearBlur
from hrdis.operators.nonlinear_blur import BKSE
from tests.common.toys import random_weights, rel


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return random_weights()


@pytest.fixture(scope="module")
def network(weights) -> BKSE:
    return NonlinearBlur(weights).network


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    v, u = torch.meshgrid(torch.linspace(-1, 1, 128), torch.linspace(-1, 1, 128), indexing="ij")
    return torch.stack([torch.stack([u, v, u * v]), torch.stack([v, -u, (4 * u).sin()])]) * 0.7


def test_network_has_the_parameters_of_the_published_one(network):
    assert sum(p.numel() for p in network.parameters()) == 23_662_531
    assert not any(p.requires_grad for p in network.parameters())


def test_network_has_the_published_keys(weights):
    levels = [f"adapter.model{'.submodule' * k}" for k in range(5)]
    expected = {f"feature_extractor.{i}.{p}" for i in (0, 2, 4) for p in ("weight", "bias")}
    expected |= {f"recon_trunk.{i}.{p}" for i in (20, 23, 26, 28) for p in ("weight", "bias")}
    for part, indices in (("feature_extractor", range(6, 16)), ("recon_trunk", range(20))):
        expected |= {
            f"{part}.{i}.conv{j}.{p}" for i in indices for j in (1, 2) for p in ("weight", "bias")
        }
    expected |= {f"{level}.down.{min(k, 1)}.weight" for k, level in enumerate(levels)}
    expected |= {f"{level}.up.1.weight" for level in levels} | {"adapter.model.up.1.bias"}
    assert set(weights) == expected
    widths = [(64, 64), (64, 128), (128, 256), (256, 512), (512, 512)]
    for k, (outer, inner) in enumerate(widths):
        assert tuple(weights[f"{levels[k]}.down.{min(k, 1)}.weight"].shape) == (inner, outer, 4, 4)
        assert tuple(weights[f"{levels[k]}.up.1.weight"].shape) == (2 * inner, outer, 4, 4)


def by_functions(w: dict[str, torch.Tensor], x: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """The architecture written down once more, layer by layer."""
    F = torch.nn.functional

    def conv(key, h, stride=1):
        return F.conv2d(h, w[key + ".weight"], w[key + ".bias"], stride, 1)

    def residual(key, h):
        return h + conv(key + ".conv2", conv(key + ".conv1", h).relu())

    h = x
    for i, stride in ((0, 1), (2, 2), (4, 2)):
        h = F.leaky_relu(conv(f"feature_extractor.{i}", h, stride), 0.1)
    for i in range(6, 16):
        h = residual(f"feature_extractor.{i}", h)
    levels, skips = [f"adapter.model{'.submodule' * i}" for i in range(5)], []
    for i, level in enumerate(levels):
        skips.append(h)
        h = F.conv2d(
            h if i == 0 else F.leaky_relu(h, 0.2), w[f"{level}.down.{min(i, 1)}.weight"], None, 2, 1
        )
    h = torch.cat([h, k], 1)
    for i in reversed(range(5)):
        bias = w["adapter.model.up.1.bias"] if i == 0 else None
        h = F.conv_transpose2d(h.relu(), w[f"{levels[i]}.up.1.weight"], bias, 2, 1)
        h = h.tanh() if i == 0 else torch.cat([h, skips[i]], 1)
    for i in range(20):
        h = residual(f"recon_trunk.{i}", h)
    for i in (20, 23):
        h = F.leaky_relu(F.pixel_shuffle(conv(f"recon_trunk.{i}", h), 2), 0.1)
    return x + conv("recon_trunk.28", F.leaky_relu(conv("recon_trunk.26", h), 0.1))


def test_blur_is_the_network_with_its_ranges(weights, network, x):
    k = 1.2 * torch.from_numpy(
        hrdis.rng.stream(3, "k").standard_normal((1, 512, 1, 1), dtype=np.float32)
    )
    expected = (2 * by_functions(weights, (x + 1) / 2, k.expand(2, -1, -1, -1)) - 1).clamp(-1, 1)
    y = NonlinearBlur(network, latent=k)(x)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-5)  # float32 through 60 layers
    assert float((y.abs() < 1).float().mean()) > 0.2  # not all clipped, or nothing was compared


def test_latents_are_fixed_by_seed_and_place(network, x):
    A = NonlinearBlur(network, seed=1)
    y = A(x)
    assert torch.equal(A(x), y)
    assert not torch.equal(NonlinearBlur(network, seed=2)(x), y)
    for i in range(2):
        torch.testing.assert_close(
            A.for_image(i)(x[i : i + 1]), y[i : i + 1], rtol=0, atol=1e-5
        )  # float32
    same = A(x[:1].expand(2, -1, -1, -1))
    assert not torch.equal(same[0], same[1])  # a kernel each


def test_latents_have_the_published_spread(network):
    k = NonlinearBlur(network).latents(8, 256, 256)
    assert tuple(k.shape) == (8, 512, 2, 2)
    assert float(k.std()) == pytest.approx(
        1.2, abs=5 * 1.2 / (2 * k.numel()) ** 0.5
    )  # five standard errors


def test_resampled_latents_differ_between_calls_and_repeat_between_operators(network, x):
    A, B = (NonlinearBlur(network, resample=True) for _ in range(2))
    first, second = A(x[:1]), A(x[:1])
    assert not torch.equal(first, second)
    assert torch.equal(B(x[:1]), first)
    assert torch.equal(B(x[:1]), second)


def test_gradient_is_the_finite_difference(weights, x):
    A = NonlinearBlur({k: v.double() for k, v in weights.items()})
    u = (0.3 * x[:1]).double().requires_grad_()
    v = torch.from_numpy(hrdis.rng.stream(5, "v").standard_normal((1, 3, 128, 128)))
    (gradient,) = torch.autograd.grad((A(u) * x[1:]).sum(), u)
    step = 1e-7  # kinks of the network are everywhere, and rarely within so small a step
    with torch.no_grad():
        difference = float(((A(u + step * v) - A(u - step * v)) * x[1:]).sum()) / (2 * step)
    assert float((gradient * v).sum()) == pytest.approx(difference, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_blur_keeps_the_dtype_of_its_argument(network, x, dtype):
    y = NonlinearBlur(network)(x[:1].to(dtype))
    assert y.dtype == dtype
    assert rel(y, NonlinearBlur(network)(x[:1])) < 0.05  # bfloat16 knows three digits


def test_blur_moves_with_to(weights):
    A = NonlinearBlur(weights).to("meta")
    assert A(torch.zeros(1, 3, 128, 256, device="meta")).device.type == "meta"


def test_start_is_the_measurement_or_that_blurred_again(network, x):
    A = NonlinearBlur(network)
    y = A(x[:1])
    assert torch.equal(A.pinv(y), y)
    assert A.pinv(y).data_ptr() != y.data_ptr()
    again = NonlinearBlur(network, start="blur_again")
    assert torch.equal(again.pinv(y), A(y))


def test_blur_makes_a_problem(network, x):
    assert hrdis.measure(NonlinearBlur(network), x[:1]).image_shape == (1, 3, 128, 128)


# ---- files --------------------------------------------------------------------------------------


def test_weights_are_read_from_files(tmp_path, weights, network, x):
    from safetensors.torch import save_file

    state = weights | {"kernel_extractor.model.1.weight": torch.zeros(1)}
    torch.save(state, tmp_path / "w.pth")
    save_file(state, tmp_path / "w.safetensors")
    y = NonlinearBlur(network)(x[:1])
    for name in ("w.pth", "w.safetensors"):
        assert torch.equal(NonlinearBlur(tmp_path / name)(x[:1]), y)
    assert torch.equal(NonlinearBlur(str(tmp_path / "w.pth"))(x[:1]), y)


def test_missing_file_is_refused_with_its_origin(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"^There is no file .*nowhere\.pth\. GOPRO_wVAE\.pth of github\.com/.*1vRoDp",
    ):
        NonlinearBlur(tmp_path / "nowhere.pth")


@pytest.mark.parametrize(
    ("name", "why"), [("w.pth", "it is no file of weights"), ("w.safetensors", ".*header.*")]
)
def test_file_of_something_else_is_refused(tmp_path, name, why):
    (tmp_path / name).write_bytes(b"not weights")
    message = rf"{name} cannot be read as weights \({why}\)\. GOPRO_wVAE"
    with pytest.raises(ValueError, match=message):
        NonlinearBlur(tmp_path / name)


def test_file_that_is_no_state_dict_is_refused(tmp_path):
    torch.save(torch.zeros(1, 512, 2, 2), tmp_path / "kernel.pth")  # the repository's saved latent
    with pytest.raises(
        ValueError, match=r"kernel\.pth holds a Tensor\. A state dict of tensors is expected\."
    ):
        NonlinearBlur(tmp_path / "kernel.pth")


def test_other_keys_are_refused_by_name(weights):
    state = dict(weights)
    state["recon_trunk.29.weight"] = state.pop("recon_trunk.28.weight")
    state["recon_trunk.28.bias"] = torch.zeros(4)
    message = (
        r"^The state dict does not fit the blurring network: 1 keys missing "
        r"\(recon_trunk\.28\.weight\); "
        r"1 keys unexpected \(recon_trunk\.29\.weight\); 1 of another shape "
        r"\(recon_trunk\.28\.bias\)\."
    )
    with pytest.raises(ValueError, match=message):
        NonlinearBlur(state)


def test_wrapped_state_dict_is_refused(weights):
    with pytest.raises(
        ValueError, match=r"keys missing \(([\w.]+, ){3}\.\.\.\); 1 keys unexpected \(params\)"
    ):
        NonlinearBlur({"params": weights})


# ---- what does not fit --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (1, 3, 100, 128),
            r"^The image is 100 x 128\. Multiples of 128 are expected\. Crop it to 128 x 128",
        ),
        (
            (1, 3, 256, 200),
            r"^The image is 256 x 200\. .* Crop it to 256 x 128 or pad it to 256 x 256\.",
        ),
        ((1, 1, 128, 128), r"^The image has 1 channels\. 3 \(red, green, blue\) are expected"),
    ],
)
def test_picture_that_the_network_cannot_take_is_refused(network, shape, message):
    with pytest.raises(ValueError, match=message):
        NonlinearBlur(network)(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 512, 2, 2), (3, 512, 1, 1)])
def test_latent_that_does_not_fit_the_images_is_refused(network, x, shape):
    with pytest.raises(
        ValueError,
        match=r"^The latent has shape .*, for 2 images of 128 x 128\. \(2 or 1, 512, 1, 1\)",
    ):
        NonlinearBlur(network, latent=torch.zeros(shape))(x)


@pytest.mark.parametrize("shape", [(512, 1, 1), (1, 64, 1, 1)])
def test_latent_that_is_none_is_refused(network, shape):
    with pytest.raises(
        ValueError,
        match=r"^The latent has shape .*\. \(b or 1, 512, h / 128, w / 128\) is expected\.",
    ):
        NonlinearBlur(network, latent=torch.zeros(shape))


def test_latent_that_would_be_redrawn_is_refused(network):
    with pytest.raises(ValueError, match=r"^Both latent and resample=True are given\."):
        NonlinearBlur(network, latent=torch.zeros(1, 512, 1, 1), resample=True)


def test_unknown_start_is_refused(network):
    with pytest.raises(ValueError, match=r"^start is 'x'\. 'y' or 'blur_again' is expected\."):
        NonlinearBlur(network, start="x")
