"""Metrics against their definitions and scikit-image; summaries of samples."""

import pytest
import torch

from hrdis import metrics, rng, uncertainty
from hrdis.rng import ImageRNG


def pair(size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    truth = ImageRNG([0, 1], "truth").randn((3, size, size)).mul(0.3).double()
    return (truth + 0.1 * ImageRNG([0, 1], "noise").randn((3, size, size))).clamp(
        -1, 1
    ), truth.clamp(-1, 1)


def test_psnr_of_a_known_error() -> None:
    x = torch.zeros(1, 3, 4, 4)
    assert float(metrics.psnr(x + 0.2, x)) == pytest.approx(
        20.0, abs=1e-5
    )  # 0.2 in [-1, 1] is 0.1 in [0, 1]


def test_psnr_clamps_to_the_range() -> None:
    x = torch.ones(1, 3, 4, 4)
    assert float(metrics.psnr(x * 5, x)) == float("inf")


def test_psnr_pooled_is_of_the_mean_error() -> None:
    truth = torch.zeros(2, 1, 4, 4)
    x = truth + torch.tensor([0.2, 0.02]).reshape(2, 1, 1, 1)
    assert metrics.psnr_pooled(x, truth) == pytest.approx(
        -10 * torch.tensor((0.01 + 0.0001) / 2).log10().item(), abs=1e-4
    )


def test_psnr_agrees_with_scikit_image() -> None:
    skimage = pytest.importorskip("skimage.metrics")
    x, truth = pair()
    want = [
        skimage.peak_signal_noise_ratio(((t + 1) / 2).numpy(), ((v + 1) / 2).numpy(), data_range=1)
        for v, t in zip(x, truth, strict=True)
    ]
    assert metrics.psnr(x, truth).tolist() == pytest.approx(want, rel=1e-10)


def test_ssim_agrees_with_scikit_image() -> None:
    skimage = pytest.importorskip("skimage.metrics")
    x, truth = pair(48)
    for i in range(2):
        _, full = skimage.structural_similarity(
            ((truth[i] + 1) / 2).numpy(), ((x[i] + 1) / 2).numpy(), channel_axis=0, data_range=1,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True,
        )  # fmt: skip
        inner = full[
            :, 5:-5, 5:-5
        ].mean()  # scikit-image pads; only windows inside the image are compared
        assert float(metrics.ssim(x, truth)[i]) == pytest.approx(inner, abs=1e-6)


def test_ssim_of_itself_is_one() -> None:
    _, truth = pair()
    assert metrics.ssim(truth, truth).tolist() == pytest.approx([1, 1], abs=1e-12)


def test_ssim_refuses_tiny_images() -> None:
    with pytest.raises(ValueError, match="11 x 11"):
        metrics.ssim(torch.zeros(1, 3, 8, 20), torch.zeros(1, 3, 8, 20))


AMBIGUOUS = {
    "none": lambda x: x,
    "negative": lambda x: -x,
    "turned": lambda x: x.flip(-1, -2),
    "both": lambda x: -x.flip(-1, -2),
}


@pytest.mark.parametrize("how", ["global", "per_channel"])
@pytest.mark.parametrize("change", AMBIGUOUS)
def test_align_undoes_what_phase_retrieval_cannot_tell(how: str, change: str) -> None:
    x, truth = pair()
    assert torch.equal(metrics.align(AMBIGUOUS[change](x), truth, how), x)


def test_align_treats_images_apart() -> None:
    x, truth = pair()
    assert torch.equal(metrics.align(torch.stack([-x[0], x[1].flip(-1, -2)]), truth, "global"), x)


def test_align_treats_channels_apart_when_asked() -> None:
    x, truth = pair()
    mixed = torch.cat([-x[:, :1], x[:, 1:2].flip(-1, -2), x[:, 2:]], 1)
    assert torch.equal(metrics.align(mixed, truth, "per_channel"), x)
    assert not torch.equal(metrics.align(mixed, truth, "global"), x)


def test_align_without_sign_only_turns() -> None:
    x, truth = pair()
    assert torch.equal(metrics.align(x.flip(-1, -2), truth, "global", sign=False), x)
    assert float(metrics.psnr(metrics.align(-x, truth, "global", sign=False), truth).max()) < 20


def test_align_does_nothing_unless_asked() -> None:
    x, truth = pair()
    assert metrics.align(-x, truth).equal(-x)


def test_align_never_lowers_the_score() -> None:
    x, truth = pair()
    before = metrics.psnr(-x, truth)
    whole, apart = (
        metrics.psnr(metrics.align(-x, truth, how), truth) for how in ("global", "per_channel")
    )
    assert bool((whole >= before).all()) and bool((apart >= whole).all())


def test_align_refuses_another_way() -> None:
    x, truth = pair()
    with pytest.raises(
        ValueError, match=r"^how is 'best'\. 'none', 'global' or 'per_channel' is expected\."
    ):
        metrics.align(x, truth, "best")
    with pytest.raises(
        ValueError, match=r"^x has shape \(1, 3, 32, 32\), the truth \(2, 3, 32, 32\)\."
    ):
        metrics.align(x[:1], truth, "global")


def test_summary_is_the_mean_and_the_deviation() -> None:
    samples = torch.stack([torch.full((3, 4, 5), v) for v in (-0.5, 0.5)])
    summary = uncertainty.summarise(samples)
    assert torch.equal(summary.mean, torch.zeros(1, 3, 4, 5))
    assert torch.allclose(
        summary.deviation, torch.full((4, 5), 0.5**0.5 / 2)
    )  # sample deviation of 0.25, 0.75


def test_summary_needs_two_samples() -> None:
    with pytest.raises(ValueError, match="At least 2"):
        uncertainty.summarise(torch.zeros(1, 3, 4, 4))


@pytest.mark.parametrize(
    ("half_width", "said"), [(None, "differ by 0 to 51"), (0.4, "+- 0 to 102")]
)
def test_panel_of_a_map_is_white_at_the_number_of_its_title(half_width, said) -> None:
    deviation = torch.zeros(8, 8)
    deviation[:, 4:] = 0.2  # of 255: 51
    width = None if half_width is None else half_width * (deviation > 0)
    panel, title = uncertainty.map_panel(deviation, width)
    assert panel.shape == (1, 1, 8, 8) and said in title
    assert torch.equal(panel[0, 0], torch.where(deviation > 0, 1.0, -1.0))


def test_sheet_holds_every_picture() -> None:
    sheet = uncertainty.sheet(
        [torch.full((1, 3, 256, 256), v) for v in (-1.0, 0.0, 1.0)], ["a", "b", "c"]
    )
    colours = {sheet.getpixel((x, sheet.height // 2)) for x in range(sheet.width)}
    assert {(0, 0, 0), (128, 128, 128), (255, 255, 255)} <= colours


class NoFloat64(torch.Tensor):
    """A tensor of a device that has no float64, as Apple's GPUs."""

    def double(self):
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    def cpu(self):
        return self.as_subclass(torch.Tensor)


@pytest.mark.parametrize(
    "metric",
    [
        lambda x, y: metrics.psnr(x, y),
        lambda x, y: torch.tensor(metrics.psnr_pooled(x, y)),
        lambda x, y: metrics.ssim(x, y),
        lambda x, y: metrics.align(x, y, "global"),
    ],
    ids=["psnr", "psnr_pooled", "ssim", "align"],
)
def test_device_without_float64_has_the_same_scores(metric):
    x, y = (
        0.3 * torch.from_numpy(rng.stream(k, "m").standard_normal((2, 3, 12, 12))).float()
        for k in range(2)
    )
    there = metric(x.as_subclass(NoFloat64), y.as_subclass(NoFloat64))
    assert torch.equal(there.as_subclass(torch.Tensor), metric(x, y))
