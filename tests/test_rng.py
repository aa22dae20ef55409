"""`hrdis.rng`: one stream per image, and replayed draws."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hrdis import rng
from hrdis.rng import ImageRNG, Replay, noise_source, stream
from tests.common.device import device, sent

# ---- streams ------------------------------------------------------------------------------------


def test_stream_is_a_function_of_its_name():
    assert stream(3, "a", 7).random() == stream(3, "a", 7).random()


@pytest.mark.parametrize(
    "other", [(4, "a", 7), (3, "b", 7), (3, "a", 8), (3, "a"), (3, "a", 7, 0), (37, "a"), (3, "a7")]
)
def test_streams_of_other_names_differ(other):
    assert stream(3, "a", 7).random() != stream(*other).random()


@pytest.mark.parametrize("kind", [np.int64, np.int32, torch.tensor])
def test_stream_names_are_numbers_whatever_their_type(kind):
    assert stream(kind(3), "mask", kind(7)).random() == stream(3, "mask", 7).random()


@pytest.mark.parametrize("bit", [32, 63, 64, 200])
def test_all_bits_of_a_seed_count(bit):
    z = ImageRNG([1, 1 + 2**bit], "test").randn((8,))
    assert not torch.equal(z[0], z[1])


def test_stream_never_changes_between_releases():
    """Results recorded with a seed stay reproducible; if this fails, say so in the changelog."""
    expected = torch.tensor(
        [[0.5792664, -1.4231559], [-1.2347978, -1.4852197]]
    )  # to the digits of a float32
    torch.testing.assert_close(ImageRNG([0, 1], "solve").randn((2,)), expected, rtol=0, atol=2e-7)


# ---- one stream per image -----------------------------------------------------------------------


@given(st.lists(st.integers(0, 2**63), min_size=1, max_size=5), st.data())
def test_image_draws_the_same_in_any_company(seeds, data):
    i = data.draw(st.integers(0, len(seeds) - 1))
    alone, together = ImageRNG([seeds[i]], "test"), ImageRNG(seeds, "test")
    for shape in ((3, 2), (4,)):  # the second draw, too
        assert torch.equal(alone.randn(shape)[0], together.randn(shape)[i])


def test_images_draw_independently():
    z = ImageRNG(range(4), "test").randn((4096,)).double()
    correlation = torch.corrcoef(z) - torch.eye(4)
    assert correlation.abs().max() < 5 / 4096**0.5  # five standard errors


def test_draws_are_standard_normal():
    z = ImageRNG([0], "test").randn((100_000,)).double()
    assert abs(z.mean()) < 5 / 100_000**0.5  # five standard errors each
    assert abs(z.var() - 1) < 5 * (2 / 100_000) ** 0.5
    assert abs((z**4).mean() - 3) < 5 * (96 / 100_000) ** 0.5


def test_differently_named_sources_are_independent():
    assert not torch.equal(ImageRNG([0], "measure").randn((8,)), ImageRNG([0], "solve").randn((8,)))


def test_successive_draws_differ():
    rng = ImageRNG([0], "test")
    assert not torch.equal(rng.randn((8,)), rng.randn((8,)))


def test_float64_run_sees_the_noise_of_a_float32_run():
    x = torch.zeros(2, 3, 4, 4)
    a, b = ImageRNG([0, 1], "test").randn_like(x), ImageRNG([0, 1], "test").randn_like(x.double())
    assert (a.dtype, b.dtype) == (torch.float32, torch.float64)
    assert torch.equal(a.double(), b)


def test_source_refuses_another_batch():
    with pytest.raises(
        ValueError, match=r"^The batch holds 3 images, but this generator has 2 seeds\."
    ):
        ImageRNG([0, 1], "test").randn_like(torch.zeros(3, 1, 2, 2))


def test_source_leaves_global_generators_alone():
    torch_before, numpy_before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    ImageRNG([0], "test").randn((8,))
    assert torch.equal(torch.random.get_rng_state(), torch_before)
    assert (np.random.get_state()[1] == numpy_before).all()


# ---- uniform numbers ----------------------------------------------------------------------------


def test_uniform_draws_fill_the_unit_interval_evenly():
    u = ImageRNG([0], "test").rand((100_000,))
    assert u.dtype == torch.float64
    assert 0 <= float(u.min()) < float(u.max()) < 1
    counts = torch.histc(u, 10, 0, 1) / 10_000 - 1
    assert float(counts.abs().max()) < 5 / 10_000**0.5 * 0.9**0.5  # five standard errors


@given(st.lists(st.integers(0, 2**63), min_size=1, max_size=5), st.data())
def test_image_draws_the_same_uniform_numbers_in_any_company(seeds, data):
    i = data.draw(st.integers(0, len(seeds) - 1))
    alone, together = ImageRNG([seeds[i]], "test"), ImageRNG(seeds, "test")
    for shape in ((3, 2), (4,)):
        assert torch.equal(alone.rand(shape)[0], together.rand(shape)[i])


def test_uniform_draws_never_change_between_releases():
    expected = torch.tensor(
        [[0.592887020013423, 0.9295174260577855], [0.5303763957566047, 0.7544582238957851]],
        dtype=torch.float64,
    )
    torch.testing.assert_close(ImageRNG([0, 1], "measure").rand((2,)), expected, rtol=0, atol=1e-15)


def test_uniform_draws_are_neither_cast_nor_moved():
    u = ImageRNG([0], "test").rand(
        (2, 2), like=torch.zeros(1, 2, 2, dtype=torch.float32, device="meta")
    )
    assert (u.dtype, u.device.type) == (torch.float64, "cpu")


def test_uniform_source_refuses_another_batch():
    with pytest.raises(
        ValueError, match=r"^The batch holds 3 images, but this generator has 2 seeds\."
    ):
        ImageRNG([0, 1], "test").rand((2,), like=torch.zeros(3, 2))


def test_replay_hands_out_uniform_draws_in_the_same_order():
    rng = Replay([torch.zeros(1, 2), torch.full((1, 2), 0.25), torch.ones(1, 2)])
    assert torch.equal(rng.randn((2,)), torch.zeros(1, 2))
    assert torch.equal(rng.rand((2,)), torch.full((1, 2), 0.25, dtype=torch.float64))
    assert torch.equal(rng.randn((2,)), torch.ones(1, 2))
    rng.close()


def test_replay_refuses_a_uniform_draw_of_another_shape():
    with pytest.raises(ValueError, match=r"^Draw 1 has shape \(2, 2\), but the solver asked for"):
        Replay([torch.zeros(2, 2)]).rand((3,), like=torch.zeros(2, 3))


# ---- replay -------------------------------------------------------------------------------------


def test_replay_hands_draws_out_in_order():
    draws = [torch.full((2, 3), float(k)) for k in range(3)]
    rng = Replay(draws)
    assert all(torch.equal(rng.randn_like(torch.zeros(2, 3)), draw) for draw in draws)
    rng.close()


def test_replay_casts_to_the_dtype_asked_for():
    assert (
        Replay([torch.ones(1, 2)]).randn_like(torch.zeros(1, 2, dtype=torch.float64)).dtype
        == torch.float64
    )


def test_replay_takes_arrays():
    z = Replay(np.ones((1, 1, 2), dtype=np.float32)).randn_like(torch.zeros(1, 2))
    assert torch.equal(z, torch.ones(1, 2))


@pytest.mark.parametrize("asked", [(2, 3), (3, 2), (2, 2, 1)])
def test_replay_refuses_another_shape(asked):
    with pytest.raises(ValueError, match=r"^Draw 1 has shape \(2, 2\), but the solver asked for"):
        Replay([torch.zeros(2, 2)]).randn_like(torch.zeros(asked))


def test_replay_refuses_a_draw_too_many():
    rng = Replay([torch.zeros(1, 2)])
    rng.randn((2,))
    with pytest.raises(
        ValueError, match=r"^The solver asked for draw 2, but only 1 were recorded\."
    ):
        rng.randn((2,))


def test_replay_refuses_draws_left_over():
    rng = Replay([torch.zeros(1, 2)] * 3)
    rng.randn((2,))
    with pytest.raises(ValueError, match=r"^2 of 3 recorded draws were never used\."):
        rng.close()


# ---- generators of a device ---------------------------------------------------------------------


def test_images_on_a_device_have_generators_of_seeds_of_63_bits(monkeypatch):
    seeds = []

    class Generator:
        def __init__(self, device):
            assert device.type == "cuda"

        def manual_seed(self, seed):
            seeds.append(seed)

    monkeypatch.setattr(torch, "Generator", Generator)
    ImageRNG(range(100), "test", device="cuda")
    assert len(set(seeds)) == 100
    assert max(seeds) >= 2**62  # half of all are; that none of a hundred is, has a chance of 1e-30


# ---- ahead, for an accelerator ------------------------------------------------------------------


def drawn(source: ImageRNG, like: torch.Tensor) -> list[torch.Tensor]:
    """Draws as solvers make them: of one shape, of another, and uniform ones in between."""
    found = [source.randn_like(like) for _ in range(4)]
    found += [source.randn((3, 2), like=like), source.randn_like(like)]
    found += [source.rand((5,), like=like), source.randn_like(like), source.randn_like(like)]
    return found


@pytest.mark.parametrize("expected", [1, 2, 5, 100])
@pytest.mark.parametrize("piece", [2, 24, 2**24])
def test_numbers_sent_ahead_are_those_of_the_cpu(expected, piece, monkeypatch):
    monkeypatch.setattr(rng, "PIECE", piece)
    like = torch.zeros(2, 1, 3)
    here = drawn(ImageRNG([3, 4], "test"), like)
    source = ImageRNG([3, 4], "test")
    source.expect(expected)
    with device():
        there = drawn(source, sent(like))
    for a, b in zip(here, there, strict=True):
        assert torch.equal(a, getattr(b, "held", b))


@pytest.mark.parametrize("expected", [1, 2, 5, 100])
@pytest.mark.parametrize("piece", [2, 24, 2**18])
def test_numbers_drawn_ahead_on_a_cpu_are_those_drawn_one_by_one(expected, piece, monkeypatch):
    monkeypatch.setattr(rng, "SMALL_PIECE", piece)
    like = torch.zeros(2, 1, 3)
    one_by_one = drawn(ImageRNG([3, 4], "test"), like)
    source = ImageRNG([3, 4], "test")
    source.expect(expected)
    for a, b in zip(one_by_one, drawn(source, like), strict=True):
        assert torch.equal(a, b)


def test_draws_of_a_run_are_sent_in_two_pieces():
    source = ImageRNG([3, 4], "test")
    source.expect(50)
    with device() as traffic:
        like = sent(torch.zeros(2, 1, 3))
        for _ in range(50):
            source.randn_like(like)
    assert traffic.uploads == ["shape (2, 3)", "shape (2, 147)"]


def test_first_draw_is_sent_alone():
    """A solver that draws its start only costs no other numbers."""
    source = ImageRNG([3, 4], "test")
    source.expect(50)
    with device() as traffic:
        source.randn_like(sent(torch.zeros(2, 1, 3)))
    assert traffic.uploads == ["shape (2, 3)"]


def test_pieces_are_bounded(monkeypatch):
    monkeypatch.setattr(rng, "PIECE", 60)
    source = ImageRNG([3, 4], "test")
    source.expect(50)
    with device() as traffic:
        like = sent(torch.zeros(2, 1, 3))
        for _ in range(50):
            source.randn_like(like)
    assert traffic.uploads == ["shape (2, 3)", *4 * ["shape (2, 30)"], "shape (2, 27)"]


def test_a_draw_on_the_cpu_goes_on_after_draws_ahead():
    like, source = torch.zeros(2, 1, 3), ImageRNG([3, 4], "test")
    other = ImageRNG([3, 4], "test")
    source.expect(9)
    with device():
        source.randn_like(sent(like)), source.randn_like(sent(like))
    other.randn_like(like), other.randn_like(like)
    assert torch.equal(source.randn_like(like), other.randn_like(like))


def test_seeds_are_counted_before_they_are_looked_at():
    with pytest.raises(ValueError, match="seeds has 1000000000000 entries for a batch of 2"):
        noise_source(range(10**12), None, 2, "solve")
