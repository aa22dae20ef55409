"""Compressed sensing: random orthonormal rows for blocks, and Walsh-Hadamard coefficients."""

import math

import numpy as np
import pytest
import torch

from hrdis.linalg import matrix
from hrdis.operators import CompressedSensing, WalshHadamard
from hrdis.operators.hadamard import hadamard
from tests.common.toys import normal, rel

# ---- blocks -------------------------------------------------------------------------------------


def test_block_sensing_multiplies_each_block_of_each_channel():
    A, x = CompressedSensing(0.5, block=4), normal(2, 3, 8, 12)
    Phi, y = A.Q[: A.m], A(x)
    assert tuple(y.shape) == (2, 3, 2, 3, 8)
    for row in range(2):
        for column in range(3):
            block = x[..., 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].reshape(2, 3, 16)
            torch.testing.assert_close(y[:, :, row, column], block @ Phi.T, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("rate", "m"), [(0.25, 256), (0.1, 102), (1.0, 1024)])
def test_block_sensing_takes_the_measurements_of_the_paper(rate, m):
    A = CompressedSensing(rate)
    assert tuple(A(torch.zeros(1, 3, 64, 32)).shape) == (1, 3, 2, 1, m)


def test_block_sensing_has_orthonormal_rows():
    Q = CompressedSensing(0.25).Q
    assert Q.dtype == torch.float64
    torch.testing.assert_close(Q @ Q.T, torch.eye(1024, dtype=torch.float64), rtol=0, atol=1e-13)


def test_block_sensing_draws_haar_matrices():
    """Entries of a Haar matrix have mean 0; without the signs of R the first row would lean to one
    side.
    """
    first = torch.stack([CompressedSensing(1.0, seed=k, block=2).Q[0] for k in range(400)])
    assert (
        float(first.mean(0).abs().max()) < 4 * 0.5 / 20
    )  # 4 standard errors of entries of variance 1/4
    assert float((first.T @ first / 400 - torch.eye(4) / 4).abs().max()) < 0.08


def test_block_sensing_is_a_function_of_its_seed():
    same, other = CompressedSensing(0.5, seed=1, block=4), CompressedSensing(0.5, seed=2, block=4)
    assert torch.equal(CompressedSensing(0.5, seed=1, block=4).Q, same.Q)
    assert not torch.allclose(other.Q, same.Q)


@pytest.mark.parametrize("rate", [0.1, 0.25])
def test_block_sensing_keeps_its_share_of_the_energy(rate):
    x = normal(1, 3, 64, 64)
    A = CompressedSensing(rate)
    kept = float(A.pinv(A(x)).square().sum() / x.square().sum())
    assert kept == pytest.approx(rate, abs=0.015)  # 12288 pixels: standard error 0.005


def test_block_sensing_takes_a_matrix_and_completes_it():
    Phi = torch.linalg.qr(normal(16, 5)).Q.T
    A, x = CompressedSensing(matrix=Phi, block=4), normal(1, 1, 4, 4)
    torch.testing.assert_close(A(x).flatten(), Phi @ x.flatten(), rtol=0, atol=1e-14)
    torch.testing.assert_close(A.Q @ A.Q.T, torch.eye(16, dtype=torch.float64), rtol=0, atol=1e-13)


def test_block_sensing_keeps_its_matrix_in_the_state():
    A = CompressedSensing(0.5, block=4)
    assert torch.equal(A.state_dict()["Q"], A.Q)


@pytest.mark.parametrize("rate", [0, -0.1, 1.5, math.nan])
def test_rate_outside_its_range_is_refused(rate):
    with pytest.raises(
        ValueError, match=rf"^rate is {rate}\. A share of measurements in \(0, 1\] is expected"
    ):
        CompressedSensing(rate)


def test_rate_of_no_measurement_is_refused():
    message = (
        r"^rate is 0\.01, less than one measurement for a block of 4 x 4 pixels\. At least 0\.0625 "
        r"is expected: rate=0\.0625, or a larger block\."
    )
    with pytest.raises(ValueError, match=message):
        CompressedSensing(0.01, block=4)
    assert CompressedSensing(0.0625, block=4).m == 1


@pytest.mark.parametrize("block", [0, 4.0, True])
def test_block_that_is_no_side_is_refused(block):
    with pytest.raises(ValueError, match=rf"^block is {block!r}\. A side in pixels"):
        CompressedSensing(0.5, block=block)


@pytest.mark.parametrize(
    ("rate", "given", "said"),
    [(None, None, "Neither rate and matrix is"), (0.5, torch.eye(16), "Both rate and matrix are")],
)
def test_either_rate_or_matrix_is_expected(rate, given, said):
    with pytest.raises(ValueError, match=rf"^{said} given\. One of them is expected"):
        CompressedSensing(rate, block=4, matrix=given)


@pytest.mark.parametrize("shape", [(3, 15), (17, 16), (0, 16), (16,)])
def test_matrix_of_another_size_is_refused(shape):
    with pytest.raises(
        ValueError, match=r"^The matrix has shape .*\. \(m, 16\) with 1 <= m <= 16 is expected"
    ):
        CompressedSensing(matrix=torch.zeros(shape), block=4)


@pytest.mark.parametrize(
    "given", [torch.eye(16)[:3] * 1.001, torch.ones(2, 16) / 4, torch.eye(16)[:3] * math.nan]
)
def test_matrix_whose_rows_are_not_orthonormal_is_refused(given):
    with pytest.raises(
        ValueError, match=r"^The rows of the matrix are not orthonormal: Phi Phi\^T differs from"
    ):
        CompressedSensing(matrix=given, block=4)


@pytest.mark.parametrize(
    ("h", "w", "crop", "pad"),
    [
        (48, 64, "32 x 64", "64 x 64"),
        (64, 48, "64 x 32", "64 x 64"),
        (20, 40, "32 x 32", "32 x 64"),
    ],
)
def test_size_that_is_no_multiple_of_the_block_is_refused_with_the_nearest(h, w, crop, pad):
    message = (
        rf"^The image is {h} x {w}, no multiple of the block of 32 pixels\. Crop it to {crop} or "
        rf"pad it to {pad}\."
    )
    with pytest.raises(ValueError, match=message):
        CompressedSensing(0.25)(torch.zeros(1, 3, h, w))


# ---- Walsh and Hadamard -------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 16, 64])
def test_fast_transform_is_the_matrix_of_scipy(n):
    linalg = pytest.importorskip("scipy.linalg")
    H = torch.from_numpy(linalg.hadamard(n) / math.sqrt(n))
    x = normal(3, n)
    torch.testing.assert_close(hadamard(x), x @ H.T, rtol=0, atol=1e-14)


def test_walsh_keeps_the_first_permuted_coefficients():
    linalg = pytest.importorskip("scipy.linalg")
    A, x = WalshHadamard(4, seed=3), normal(2, 3, 8, 8)
    coefficients = x.flatten(2) @ torch.from_numpy(linalg.hadamard(64) / 8)
    kept = A.permutation(8)[:16]
    torch.testing.assert_close(A(x), coefficients[..., kept], rtol=0, atol=1e-14)


def test_walsh_has_orthonormal_rows():
    H = matrix(WalshHadamard(2), (1, 8, 8))
    torch.testing.assert_close(H @ H.T, torch.eye(32, dtype=torch.float64), rtol=0, atol=1e-14)


def test_walsh_permutation_is_a_function_of_seed_and_size():
    assert torch.equal(
        WalshHadamard(4, seed=1).permutation(16), WalshHadamard(2, seed=1).permutation(16)
    )
    assert not torch.equal(
        WalshHadamard(4, seed=1).permutation(16), WalshHadamard(4, seed=2).permutation(16)
    )
    assert sorted(WalshHadamard(4).permutation(16).tolist()) == list(range(256))


@pytest.mark.parametrize("order", ["natural", "sequency"])
def test_walsh_keeps_the_mean_when_asked(order):
    A = WalshHadamard(4, keep_dc=True, order=order)
    y = A(torch.full((1, 3, 8, 8), 0.5, dtype=torch.float64))
    torch.testing.assert_close(
        y[..., 0], torch.full((1, 3), 4.0, dtype=torch.float64)
    )  # n times the mean
    assert not bool(y[..., 1:].any())


def test_walsh_in_order_of_sequency_is_a_low_pass():
    """Coefficients in that order have ever more sign changes, counted on their own pictures."""
    A = WalshHadamard(1, order="sequency")
    pictures = matrix(A, (1, 8, 8)).reshape(64, 8, 8).sign()
    changes = (pictures[:, 1:] != pictures[:, :-1])[..., 0].sum(1) + (
        pictures[..., 1:] != pictures[..., :-1]
    )[:, 0].sum(1)
    assert bool((changes.diff() >= 0).all())
    ramp = torch.linspace(-1, 1, 16, dtype=torch.float64).expand(1, 1, 16, 16)
    error = {
        o: rel((A := WalshHadamard(4, order=o, keep_dc=True)).pinv(A(ramp)), ramp)
        for o in ("natural", "sequency")
    }
    assert error["sequency"] < 0.15 < error["natural"]


def test_walsh_takes_a_permutation():
    order = torch.from_numpy(np.roll(np.arange(16), 1).copy())
    assert torch.equal(WalshHadamard(4, permutation=order).permutation(4), order)


@pytest.mark.parametrize("size", [(12, 12), (8, 16), (0, 0), (7, 8)])
def test_walsh_refuses_what_is_no_square_of_a_power_of_two(size):
    with pytest.raises(
        ValueError,
        match=rf"^The image is {size[0]} x {size[1]}\. A square whose side is a power of two",
    ):
        WalshHadamard(4)(torch.zeros(1, 1, *size))


def test_walsh_refuses_a_ratio_that_does_not_divide():
    with pytest.raises(ValueError, match=r"^ratio is 3, which does not divide the 64 pixels\."):
        WalshHadamard(3)(torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize("ratio", [0, -2, 2.0, True])
def test_ratio_that_is_no_positive_integer_is_refused(ratio):
    with pytest.raises(ValueError, match=rf"^ratio is {ratio!r}\. Pixels per measurement"):
        WalshHadamard(ratio)


def test_unknown_order_is_refused():
    with pytest.raises(
        ValueError, match=r"^order is 'dyadic'\. 'natural' or 'sequency' is expected\."
    ):
        WalshHadamard(4, order="dyadic")


@pytest.mark.parametrize("order", [[0, 1, 1, 3], [1, 2, 3, 4]])
def test_permutation_with_repeats_is_refused(order):
    with pytest.raises(ValueError, match=r"^The permutation of 4 entries repeats or misses some\."):
        WalshHadamard(4, permutation=torch.tensor(order))


def test_permutation_of_another_length_is_refused():
    A = WalshHadamard(4, permutation=torch.arange(16))
    with pytest.raises(
        ValueError, match=r"^The permutation has 16 entries\. 64 are expected for 8 x 8 pixels\."
    ):
        A(torch.zeros(1, 1, 8, 8))
