"""Tiles: for a prior that looks at one pixel they change nothing, for others little."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import hrdis
from hrdis.priors import Prediction, Tiled
from tests.common.toys import Pixelwise, Recorded, normal, rel
from tests.priors.test_unet import UNetPrior, unet

Q = hrdis.Schedule.linear()


sizes = st.integers(1, 50)
tiles = st.integers(1, 16).flatmap(lambda tile: st.tuples(st.just(tile), st.integers(0, tile - 1)))


@given(sizes, sizes, tiles, st.integers(1, 7), st.sampled_from([0, 300, 999]))
def test_tiles_change_nothing_for_a_prior_of_single_pixels(h, w, tile, batch, t):
    x, (side, overlap) = normal(2, 3, h, w), tile
    prior = Tiled(Pixelwise(), side, overlap, batch)
    # 1e-10: eps to rounding, and x0_hat divides it by a signal of 0.0064 at the top
    for tiled, whole in zip(prior(x, t), Pixelwise()(x, t), strict=True):
        torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-10)


def test_tiles_change_nothing_in_float32_either():
    x = normal(2, 3, 40, 33, dtype=torch.float32)
    tiled, whole = Tiled(Pixelwise(), 16, 4)(x, 300), Pixelwise()(x, 300)
    assert tiled.eps.dtype == torch.float32
    torch.testing.assert_close(tiled.eps, whole.eps, rtol=0, atol=1e-6)


def test_tiles_blend_the_learned_variance():
    class Learned(Pixelwise):
        def forward(self, x_t, t):
            return Prediction(*super().forward(x_t, t), x_t.tanh())

    x = normal(2, 1, 40, 33)
    torch.testing.assert_close(
        Tiled(Learned(), 16, 4, batch=3)(x, 300).v, x.tanh(), rtol=0, atol=1e-12
    )


def layout(n, tile, overlap, multiple):
    """The layout of tiles for a network that needs such a multiple."""
    prior = Pixelwise()
    prior.multiple = multiple
    return Tiled(prior, tile, overlap).layout(n)


@given(st.integers(1, 400), tiles, st.sampled_from([1, 2, 4, 8]))
def test_tiles_cover_a_side_with_at_least_the_overlap(n, tile, multiple):
    largest, overlap = tile
    side, starts = layout(n, largest, overlap, multiple)
    if n <= largest:
        assert (side, starts) == (n, [0])
        return
    assert starts[0] == 0 and n <= starts[-1] + side < n + multiple
    assert all(0 < after - before <= side - overlap for before, after in pairwise(starts))
    assert side <= largest


@given(st.integers(1, 400), tiles)
def test_tiles_are_as_few_and_as_small_as_the_overlap_allows(n, tile):
    largest, overlap = tile
    side, starts = layout(n, largest, overlap, 1)
    count = len(starts)
    assert count == 1 or (count - 1) * (largest - overlap) < n - overlap
    assert count * (side - 1) - (count - 1) * overlap < n


@given(st.integers(65, 2000), st.sampled_from([2, 4, 8, 32]))
def test_tiles_lie_on_the_grid_of_the_network(n, multiple):
    side, starts = layout(n, 64, 16, multiple)
    assert not any(start % multiple for start in (side, *starts))


@pytest.mark.parametrize("multiple", [1, 4, 8])
def test_fitted_tiles_compute_at_most_a_third_more_pixels(multiple):
    """Of a square; for a rectangle the two sides' ratios multiply likewise. 1.71^2 = 2.9 at 600 if
    all tiles were of 512. Networks that need multiples of 32 come to 1.56 at 513.
    """
    for n in range(257, 4097):
        side, starts = layout(n, 512, 64, multiple)
        assert (side * len(starts) / n) ** 2 <= 1.35


class Blocks(torch.nn.Module):
    """A network that mixes the pixels of every block of 4 x 4, and looks no further."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(normal(3, 3, 4, 4))

    def forward(self, x, t):
        coarse = torch.nn.functional.conv2d(x, self.weight, stride=4)
        return torch.nn.functional.interpolate(coarse, scale_factor=4.0)


@pytest.mark.parametrize("size", [(93, 90), (60, 131), (30, 95)], ids=str)
def test_estimates_of_tiles_are_those_of_the_whole_image(size):
    """A network that lowers the resolution is the same function of a tile's pixels and of the
    image's only where the tile begins on its grid.
    """
    prior, x = UNetPrior(Blocks(), multiple=4), normal(1, 3, *size)
    torch.testing.assert_close(
        Tiled(prior, 40, 10)(x, 300).eps, prior(x, 300).eps, rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("size", [(40, 40), (40, 10), (10, 40)], ids=str)
@pytest.mark.parametrize("overlap", [0, 4, 12])
def test_weights_of_the_tiles_sum_to_one(size, overlap):
    """Tiles that all answer 1 must blend to 1: every pixel is covered, and its weights are
    normalised.
    """

    class One(Pixelwise):
        def forward(self, x_t, t):
            return Prediction(x_t, torch.ones_like(x_t))

    _, eps = Tiled(One(), 16, overlap)(normal(1, 1, *size), 5)
    torch.testing.assert_close(eps, torch.ones_like(eps), rtol=0, atol=1e-14)


@pytest.mark.parametrize("t", [0, 500, 999])
def test_both_forms_are_one_estimate(t):
    x = normal(1, 3, 40, 40)
    x0_hat, eps = Tiled(Pixelwise(), 16, 4)(x, t)
    torch.testing.assert_close(Q.signal(t) * x0_hat + Q.noise(t) * eps, x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch", [2, 5, 100])
def test_tiles_may_run_in_batches(batch):
    x = normal(2, 3, 40, 33)
    prior = UNetPrior(unet().double(), multiple=2)
    one, many = Tiled(prior, 16, 4, 1)(x, 300), Tiled(prior, 16, 4, batch)(x, 300)
    torch.testing.assert_close(many.eps, one.eps, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("batch", "calls"), [(1, 9), (2, 5), (4, 3), (9, 1), (50, 1)])
def test_tiles_bound_the_size_of_a_call(batch, calls):
    inner = Recorded(Pixelwise())
    Tiled(inner, 16, 4, batch)(normal(2, 3, 40, 40), 5)
    assert len(inner.inputs) == calls
    assert all(x.shape[0] <= 2 * batch and x.shape[2:] == (16, 16) for x in inner.inputs)
    assert sum(len(x) for x in inner.inputs) == 2 * 9


@pytest.mark.parametrize("size", [(16, 16), (3, 16), (16, 1)], ids=str)
def test_image_within_a_tile_runs_whole(size):
    inner, x = Recorded(Pixelwise()), normal(2, 3, *size)
    Tiled(inner, 16, 4)(x, 5)
    assert [tuple(seen.shape) for seen in inner.inputs] == [(2, 3, *size)]


@pytest.mark.parametrize(
    ("size", "told"), [((40, 40), [(4, 9), (8, 9), (9, 9)]), ((16, 16), [])], ids=str
)
def test_tiles_that_are_done_are_told(size, told):
    seen = []
    prior = Tiled(Pixelwise(), 16, 4, 4, on_tiles=lambda done, total: seen.append((done, total)))
    prior(normal(1, 3, *size), 5)
    assert seen == told


@pytest.mark.parametrize("size", [(10, 40), (40, 10)], ids=str)
def test_tiles_bound_the_size_of_a_call_along_a_strip(size):
    inner = Recorded(Pixelwise())
    Tiled(inner, 16, 4)(normal(1, 3, *size), 5)
    assert [x.shape[2] * x.shape[3] for x in inner.inputs] == [10 * 16] * 3


@pytest.mark.parametrize("size", [(96, 96), (32, 96), (96, 32)], ids=str)
def test_seams_of_a_network_vanish_with_the_overlap(size):
    """A network that sees some pixels around: its tiles differ at their edges, where their weight
    is least.
    """
    prior, x = UNetPrior(unet().double(), multiple=2), normal(1, 3, *size)
    whole = prior(x, 300).eps
    error = {overlap: rel(Tiled(prior, 48, overlap)(x, 300).eps, whole) for overlap in (0, 8, 24)}
    assert error[24] < error[8] < error[0]
    # Not zero: the group norms of a tile see other statistics. Measured at 96 x 96: 0.045, 0.0072
    # and 0.0038; with equal weights all over a tile, 24 pixels of overlap leave 0.017 and more.
    assert error[24] < 0.006


def test_image_is_treated_alike_in_any_batch():
    prior, x = Tiled(Pixelwise(), 16, 4, batch=3), normal(3, 1, 40, 40)
    for i in range(3):
        torch.testing.assert_close(
            prior(x, 300).eps[i : i + 1], prior(x[i : i + 1], 300).eps, rtol=0, atol=1e-14
        )


def test_tiled_prior_passes_for_the_prior_inside():
    prior = Tiled(Pixelwise())
    assert (prior.schedule, prior.channels, prior.name) == (Q, (1, 3), "pixelwise")


@pytest.mark.parametrize("memory", [None, 1e9])
def test_prior_inside_may_answer_with_a_plain_pair(memory):
    class Pair(Pixelwise):
        def forward(self, x_t, t):
            return tuple(super().forward(x_t, t))

    x = normal(2, 1, 20, 20)
    found, expected = (
        Tiled(inside, 16, 4, memory=memory)(x, 300) for inside in (Pair(), Pixelwise())
    )
    assert torch.equal(found.eps, expected.eps)


class Classed(Pixelwise):
    """A prior of three classes, of which the later have the more noise."""

    classes = 3

    def forward(self, x_t, t):
        found = super().forward(x_t, t)
        return Prediction(found.x0_hat, found.eps + self.labels_of(x_t).reshape(-1, 1, 1, 1))


def test_tiles_are_told_the_class():
    x = normal(1, 1, 20, 20)
    before, after = Tiled(Classed().labelled(2), 16, 4), Tiled(Classed(), 16, 4).labelled(2)
    assert (before.label, after.label) == (2, 2)
    assert torch.equal(before(x, 300).eps, after(x, 300).eps)
    torch.testing.assert_close(after(x, 300).eps, Pixelwise()(x, 300).eps + 2)


def test_tiles_of_no_class_are_refused_before_the_first_call():
    problem = hrdis.Problem(torch.zeros(1, 1, 20, 20), hrdis.operators.Identity(), 0.1)
    with pytest.raises(
        ValueError, match=r"^The prior 'pixelwise' was trained on 3 classes and was told none\."
    ):
        hrdis.iterate(hrdis.HRDIS(steps=2), Tiled(Classed(), 16, 4), problem, seeds=[0])


@pytest.mark.parametrize(("tile", "overlap"), [(16, 16), (16, 20), (16, -1)])
def test_overlap_that_is_no_part_of_a_tile_is_refused(tile, overlap):
    with pytest.raises(
        ValueError,
        match=rf"^overlap is {overlap} and tile is {tile}\. 0 <= overlap < tile is expected\.",
    ):
        Tiled(Pixelwise(), tile, overlap)


@pytest.mark.parametrize("batch", [0, -1])
def test_batch_of_no_tiles_is_refused(batch):
    with pytest.raises(
        ValueError, match=rf"^batch is {batch}\. At least one tile per call is expected\."
    ):
        Tiled(Pixelwise(), 16, 4, batch)


# ---- memory -------------------------------------------------------------------------------------


def network(dtype=torch.float32) -> UNetPrior:
    return UNetPrior(unet().to(dtype), multiple=2)


def one_tile(prior, x) -> float:
    """Bytes that `Tiled` reckons for a tile of 16 x 16."""
    tiled = Tiled(prior, 16, 4, memory=1e12)
    tiled(x, 300)
    return next(iter(tiled._bytes.values()))


@pytest.mark.parametrize(("tiles", "calls"), [(1.0, 18), (2.9, 9), (5.0, 4), (18.0, 1), (1e6, 1)])
def test_memory_bounds_the_tiles_of_all_images_in_a_call(tiles, calls):
    """Two images of nine tiles each, 18 in all, whichever image they belong to; the call that
    measures comes first.
    """
    inner, x = Recorded(network()), normal(2, 3, 40, 40, dtype=torch.float32)
    Tiled(inner, 16, 4, memory=tiles * one_tile(Recorded(network()), x))(x, 300)
    sizes = [len(seen) for seen in inner.inputs]
    assert (
        sizes[0] == 1
        and len(sizes) == 1 + calls
        and sum(sizes[1:]) == 18
        and max(sizes[1:]) <= max(tiles, 1)
    )


@pytest.mark.parametrize("tiles", [1.0, 2.9, 7.0, 1e6])
@pytest.mark.parametrize("size", [(40, 33), (17, 50)], ids=str)
def test_memory_changes_no_result(tiles, size):
    x = normal(3, 3, *size)
    prior = network(torch.float64)
    found = Tiled(prior, 16, 4, memory=tiles * one_tile(prior, x))(x, 300)
    torch.testing.assert_close(found.eps, Tiled(prior, 16, 4)(x, 300).eps, rtol=0, atol=1e-12)


@pytest.mark.parametrize("tile", [15, 16, 21])
def test_tiles_need_be_no_multiple_of_the_networks(tile):
    x = normal(1, 3, 41, 37)
    found = Tiled(network(torch.float64), tile, 4, memory=1e12)(x, 300)
    assert found.eps.shape == x.shape and bool(torch.isfinite(found.eps).all())


def test_tiles_of_a_gaussian_are_independent_without_overlap():
    """Any prior will do: one of 8 x 8 pixels, side by side, is the exact prior of the whole."""
    tile = hrdis.priors.Gaussian(0.3 * normal(1, 8, 8), 0.2)
    x = normal(2, 1, 16, 24)
    found = Tiled(tile, 8, 0, memory=1e12)(x, 400)
    for top in (0, 8):
        for left in (0, 8, 16):
            here = (..., slice(top, top + 8), slice(left, left + 8))
            torch.testing.assert_close(
                found.eps[here], tile(x[here].contiguous(), 400).eps, rtol=0, atol=1e-12
            )


def test_gradients_through_bounded_memory_are_the_same():
    x = normal(1, 3, 40, 33).requires_grad_()
    prior = network(torch.float64)
    grads = [
        torch.autograd.grad(Tiled(prior, 16, 4, memory=memory)(x, 300).x0_hat.square().sum(), x)[0]
        for memory in (None, 1e12)
    ]
    torch.testing.assert_close(*grads, rtol=0, atol=1e-9)


def test_bounded_memory_keeps_the_activations_of_one_call_only():
    """What autograd saves for the backward pass: without the bound every tile's activations, with
    it their inputs.
    """
    x, prior = normal(1, 3, 64, 64, dtype=torch.float32).requires_grad_(), network()
    kept = {}
    for memory in (None, 1e12):
        saved = {}
        tiled = Tiled(prior, 16, 4, memory=memory)
        tiled(x, 300)  # measured once
        with torch.autograd.graph.saved_tensors_hooks(
            lambda v, saved=saved: saved.setdefault(v.untyped_storage()._cdata, v), lambda v: v
        ):
            tiled(x, 300)
        kept[memory] = sum(v.untyped_storage().nbytes() for v in saved.values())
    assert kept[1e12] < 0.2 * kept[None]


def test_live_tensors_are_counted_until_they_are_freed():
    from hrdis.priors.tiled import LiveBytes

    with LiveBytes() as live:
        a = torch.zeros(1000)
        b = a + 1
        view = b[:10]
        del a
        c = torch.ones(500)
        del b, view, c
    assert (live.most, live.now) == (8000, 0)


def test_tile_that_takes_too_much_is_refused():
    with pytest.raises(
        ValueError,
        match=r"^A tile of 16 x 16 takes about .* MB, but 0 MB are allowed\. Smaller tiles",
    ):
        Tiled(network(), 16, 4, memory=10.0)(normal(1, 3, 40, 40, dtype=torch.float32), 300)


@pytest.mark.parametrize("memory", [0, -1.0, float("nan")])
def test_memory_that_is_none_is_refused(memory):
    with pytest.raises(ValueError, match=r"^memory is .*A positive number of bytes is expected"):
        Tiled(Pixelwise(), 16, 4, memory=memory)


# ---- memory that others take --------------------------------------------------------------------


def on_gpu(monkeypatch, free):
    """Let tiles believe that they are on a GPU with so many bytes free, one after the other."""
    from hrdis.priors import tiled

    left = list(free)
    monkeypatch.setattr(tiled, "free_memory", lambda device: left.pop(0))
    choose = Tiled._tiles_per_call

    def on_cuda(self, tile, t, images):
        class There:
            shape, dtype, requires_grad = tile.shape, tile.dtype, False
            device = torch.device("cuda")

        monkeypatch.setattr(self, "_peak_bytes", lambda *_, **__: 1000, raising=False)
        return choose(self, There(), t, images)

    monkeypatch.setattr(Tiled, "_tiles_per_call", on_cuda)


@pytest.mark.parametrize(("free", "first"), [(1e12, 16), (13 * 1800, 8), (2.5 * 1800, 2)])
def test_memory_that_others_take_during_a_run_changes_no_call(monkeypatch, free, first):
    """A power of two, at most 16, chosen once: the last bits depend on it. Later there is none."""
    on_gpu(monkeypatch, [free])
    inner = Recorded(network())
    tiled = Tiled(inner, 16, 4, memory="free")
    x = normal(2, 3, 40, 40, dtype=torch.float32)
    for _ in range(2):
        tiled(x, 300)
    sizes = [len(seen) for seen in inner.inputs]
    assert sizes[: len(sizes) // 2] == sizes[len(sizes) // 2 :]
    assert sizes[0] == first and sum(sizes) == 2 * 18


def test_run_goes_on_with_fewer_tiles_when_others_took_the_memory(monkeypatch):
    on_gpu(monkeypatch, [1e12])

    class Crowded(Recorded):
        def forward(self, x_t, t):
            if len(x_t) > 3:
                raise torch.OutOfMemoryError("out of memory")
            return super().forward(x_t, t)

    inner = Crowded(network(torch.float64))
    x = normal(1, 3, 40, 40)
    tiled = Tiled(inner, 16, 4, memory="free")
    with pytest.warns(UserWarning, match=r"going on with \d at once") as told:
        found = tiled(x, 300)
    assert len(told) == 2  # nine tiles, four, two
    assert {len(seen) for seen in inner.inputs} <= {1, 2}
    expected = Tiled(network(torch.float64), 16, 4)(x, 300)
    torch.testing.assert_close(found.eps, expected.eps, rtol=0, atol=1e-12)


def test_out_of_memory_of_one_tile_is_not_hidden(monkeypatch):
    on_gpu(monkeypatch, [1e12])

    class Full(Recorded):
        def forward(self, x_t, t):
            raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError), pytest.warns(UserWarning):
        Tiled(Full(network()), 16, 4, memory="free")(normal(1, 3, 40, 40), 300)
