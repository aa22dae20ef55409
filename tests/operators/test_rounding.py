"""JPEG and quantisation against numpy and Pillow; one value and two gradients."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import hrdis
from hrdis.operators import JPEG, Quantization
from hrdis.operators.rounding import CHROMINANCE, LUMINANCE, YCC
from tests.common.toys import normal, rel

ROUNDING = {"jpeg": lambda **k: JPEG(30, **k), "quantize": lambda **k: Quantization(3, **k)}
every_operator = pytest.mark.parametrize("name", ROUNDING)


def smooth(h: int, w: int, c: int = 3, edge: float = 0.3) -> torch.Tensor:
    """A picture with slopes and an edge of colour, in [-1, 1]."""
    v, u = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
    planes = [0.8 * torch.sin(3 * u + v), 0.5 * u * v + edge * (u > v), 0.7 * torch.cos(4 * v)]
    return torch.stack(planes[:c])[None].double()


# ---- both ---------------------------------------------------------------------------------------


@every_operator
@given(seed=st.integers(0, 1000))
def test_measurement_is_the_same_with_either_gradient(name, seed):
    """So that measuring rounds, whatever the solver uses."""
    x = 0.5 * normal(2, 3, 16, 16, seed=seed)
    assert torch.equal(ROUNDING[name](rounding="ste")(x), ROUNDING[name](rounding="hard")(x))


@every_operator
def test_measure_rounds_for_good(name):
    A, x = ROUNDING[name](), (0.4 * normal(1, 3, 32, 32)).clamp(-1, 1)
    y = hrdis.measure(A, x).y
    # jpeg: encoding what was decoded changes nothing but the rounding of subsampled chroma, which
    # is exact
    assert rel(A(y), y) < 1e-12


@every_operator
def test_hard_rounding_has_no_gradient(name):
    x = (0.4 * normal(1, 3, 16, 16)).requires_grad_()
    y = ROUNDING[name](rounding="hard")(x)
    assert not y.requires_grad or not bool(torch.autograd.grad(y.sum(), x)[0].any())


@every_operator
def test_straight_through_gradient_is_that_of_values_that_are_not_rounded(name):
    """Quantisation without rounding is the identity; JPEG keeps luminance and spreads every fourth
    chroma sample.
    """
    A, x, r = (
        ROUNDING[name](),
        (0.4 * normal(1, 3, 16, 16)).requires_grad_(),
        normal(1, 3, 16, 16, seed=1),
    )
    (gradient,) = torch.autograd.grad((A(x) * r).sum(), x)
    exact = r
    if name == "jpeg":
        M = torch.tensor(YCC, dtype=torch.float64)
        s = (torch.linalg.inv(M).T @ r.reshape(3, -1)).reshape(1, 3, 16, 16)
        chroma = torch.zeros_like(s[:, 1:])
        chroma[..., ::2, ::2] = s[:, 1:].reshape(1, 2, 8, 2, 8, 2).sum((3, 5))
        exact = (M.T @ torch.cat([s[:, :1], chroma], 1).reshape(3, -1)).reshape(1, 3, 16, 16)
    torch.testing.assert_close(gradient, exact, rtol=0, atol=1e-12)


@every_operator
def test_start_is_a_copy_of_the_measurement(name):
    y = normal(1, 3, 16, 16)
    start = ROUNDING[name]().pinv(y)
    assert torch.equal(start, y)
    assert start.data_ptr() != y.data_ptr()


@every_operator
def test_solver_learns_from_rounded_values_only_straight_through(name):
    """From a start that does not explain y, the data term alone must move the image, or cannot."""
    x = smooth(16, 16)
    moved = {}
    for rounding in ("ste", "hard"):
        A = ROUNDING[name](rounding=rounding)
        mu = torch.zeros_like(x).requires_grad_()
        loss = (A(x) - A(mu)).square().sum()
        moved[rounding] = (
            bool(torch.autograd.grad(loss, mu)[0].any()) if loss.requires_grad else False
        )
    assert moved == {"ste": True, "hard": False}


@every_operator
def test_unknown_rounding_is_refused(name):
    with pytest.raises(ValueError, match=r"^rounding is 'soft'\. 'ste' or 'hard' is expected\."):
        ROUNDING[name](rounding="soft")


# ---- JPEG ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [1, 5, 10, 25, 49, 50, 51, 75, 90, 95, 100])
def test_jpeg_tables_are_those_of_pillow(quality):
    Image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG", quality=quality)
    theirs = Image.open(file).quantization
    A = JPEG(quality)
    zigzag = sorted(range(64), key=lambda i: (s := i // 8 + i % 8, i // 8 if s % 2 else i % 8))
    for table, tables in ((A.luminance, theirs[0]), (A.chrominance, theirs[1])):
        flat = table.flatten().tolist()
        assert flat == list(tables) or [flat[i] for i in zigzag] == list(
            tables
        )  # Pillow's order has changed


def by_numpy(x: np.ndarray, quality: int) -> np.ndarray:
    """The specification, block by block with loops and scipy's cosines."""
    dct = pytest.importorskip("scipy.fft")
    S = 5000 // quality if quality < 50 else 200 - 2 * quality
    tables = [
        np.clip((np.reshape(t, (8, 8)) * S + 50) // 100, 1, 255) for t in (LUMINANCE, CHROMINANCE)
    ]
    R, G, B = ((v + 1) / 2 * 255 for v in x)
    planes = [
        0.299 * R + 0.587 * G + 0.114 * B,
        (-0.1687 * R - 0.3313 * G + 0.5 * B + 128)[::2, ::2],
        (0.5 * R - 0.4187 * G - 0.0813 * B + 128)[::2, ::2],
    ]
    for plane, q in zip(planes, [tables[0], tables[1], tables[1]], strict=True):
        for i in range(0, plane.shape[0], 8):
            for j in range(0, plane.shape[1], 8):
                block = dct.dctn(plane[i : i + 8, j : j + 8] - 128, norm="ortho")
                plane[i : i + 8, j : j + 8] = dct.idctn(np.round(block / q) * q, norm="ortho") + 128
    Y, Cb, Cr = planes[0], *(np.kron(p, np.ones((2, 2))) - 128 for p in planes[1:])
    rgb = [Y + 1.40199 * Cr, Y - 0.344113 * Cb - 0.714104 * Cr, Y + 1.77198 * Cb]
    return np.stack(rgb) / 255 * 2 - 1


@pytest.mark.parametrize("quality", [5, 10, 50, 80, 100])
def test_jpeg_is_the_specification(quality):
    x = smooth(32, 48)
    # 2e-3: the specification's decoder is rounded to six digits, terms of 1e-4 times chroma left
    # out
    expected = torch.from_numpy(by_numpy(x[0].numpy(), quality))
    torch.testing.assert_close(JPEG(quality)(x)[0], expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize(("quality", "rms"), [(10, 0.06), (30, 0.04), (75, 0.04), (95, 0.04)])
def test_jpeg_comes_close_to_pillow(quality, rms):
    Image = pytest.importorskip("PIL.Image")
    x = smooth(64, 64, edge=0)
    file = io.BytesIO()
    given = ((x[0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(given).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    theirs = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None] / 127.5 - 1
    x = torch.from_numpy(given).permute(2, 0, 1)[None].double() / 127.5 - 1
    ours = JPEG(quality)(x).clamp(-1, 1)
    # Pillow averages chroma before and smooths it after: half a pixel of its slope
    assert float((ours - theirs).square().mean().sqrt()) < rms  # 0.04 is 5 of 255


@pytest.mark.parametrize(("h", "w"), [(64, 64), (61, 51)])
def test_grey_jpeg_comes_within_a_step_of_pillow(h, w):
    """No chroma, so that only rounding to 8 bits differs."""
    Image = pytest.importorskip("PIL.Image")
    given = ((smooth(h, w, 1)[0, 0] + 1) * 127.5).round().byte().numpy()
    file = io.BytesIO()
    Image.fromarray(given).save(file, "JPEG", quality=20)
    theirs = np.array(Image.open(file)).astype(float)
    ours = (JPEG(20)(torch.from_numpy(given)[None, None].double() / 127.5 - 1)[0, 0] + 1) * 127.5
    difference = np.abs(ours.clamp(0, 255).numpy() - theirs)
    assert (
        np.quantile(difference, 0.98) < 1.01
    )  # libjpeg's integer cosines tip a coefficient now and then


def test_jpeg_of_better_quality_is_closer():
    x = smooth(64, 64)
    errors = [rel(JPEG(q)(x), x) for q in (5, 20, 50, 90)]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("quality", [0, 101, 10.0, "10", True, None])
def test_quality_that_is_none_is_refused(quality):
    with pytest.raises(
        ValueError, match=rf"^quality is {quality!r}\. An integer from 1 to 100 is expected"
    ):
        JPEG(quality)


def test_picture_of_four_channels_is_refused_by_jpeg():
    with pytest.raises(ValueError, match=r"^The image has 4 channels\. 1 \(grey\) or 3"):
        JPEG(10)(torch.zeros(1, 4, 16, 16))


@pytest.mark.parametrize(
    ("c", "h", "w"), [(3, 17, 30), (3, 32, 47), (3, 1, 1), (1, 9, 24), (1, 23, 15)]
)
def test_jpeg_repeats_the_last_row_and_column_of_a_picture_of_any_size(c, h, w):
    x, cell = smooth(h, w, c), 8 if c == 1 else 16
    rows = [min(i, h - 1) for i in range(-(-h // cell) * cell)]
    columns = [min(j, w - 1) for j in range(-(-w // cell) * cell)]
    whole = JPEG(30)(x[:, :, rows][..., columns])
    assert torch.equal(JPEG(30)(x), whole[..., :h, :w])


def test_projection_on_a_jpeg_of_odd_sides_is_that_of_its_whole_blocks():
    """And near the border, where y says nothing of what its blocks held beyond, it stays near."""
    A, x, z = JPEG(30), smooth(40, 52), smooth(40, 52, edge=0)
    y = A(x)
    found = A.project(z, y)
    whole = A.project(z[..., :32, :48], y[..., :32, :48])
    torch.testing.assert_close(found[..., :32, :48], whole, rtol=0, atol=1e-12)
    assert rel(found, y) < rel(z, y) / 2


# ---- quantisation -------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 3, 8])
def test_quantization_is_the_formula(bits):
    x = (0.5 * normal(2, 3, 8, 8)).clamp(-1, 1)
    n = 2**bits - 1
    expected = 2 * torch.floor((x + 1) / 2 * n + 0.5) / n - 1
    y = Quantization(bits)(x)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-15)
    assert len(y.unique()) <= 2**bits
    assert float((y - x).abs().max()) <= 1 / n + 1e-15


@pytest.mark.parametrize("bits", [0, 17, 2.0, True, "3"])
def test_bits_that_are_none_are_refused(bits):
    with pytest.raises(
        ValueError, match=rf"^bits is {bits!r}\. An integer from 1 to 16 is expected"
    ):
        Quantization(bits)
