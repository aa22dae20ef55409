"""Scores of pictures: against closed forms and independent computations; what cannot be computed
says why.
"""

import json
import math
import sys
import types

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import nn

import hrdis
from hrdis import images
from hrdis.bench.paper import Column, Method, PaperTable
from hrdis.bench.report.metrics import value
from hrdis.bench.report.statistics import estimate
from hrdis.bench.results import group_by_method, read_lines
from hrdis.bench.run import collect
from hrdis.bench.score import MetricUnavailable, Scoring, score
from hrdis.bench.score.networks import classifier, distance, features
from hrdis.bench.score.set_distances import fid, kid
from tests.common.bench_rows import SIDE, plan_of, write_run_with_pictures

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`"),
]


def draws(*shape: int, name: str = "scores") -> torch.Tensor:
    return torch.from_numpy(hrdis.rng.stream(0, name).standard_normal(shape))


def with_moments(x: torch.Tensor, mean: torch.Tensor, root: torch.Tensor) -> torch.Tensor:
    """The sample, moved so that its mean and covariance are exactly mean and root root^T."""
    x = x - x.mean(0)
    whiten = torch.linalg.inv(torch.linalg.cholesky(x.T @ x / (len(x) - 1))).T
    return x @ whiten @ root.T + mean


# ---- sets
# ------------------------------------------------------------------------------------------


def test_fid_of_gaussians_is_the_closed_form():
    """Covariances that commute: |m - m'|^2 + sum of (s - s')^2 over the axes."""
    s, t = torch.tensor([1.0, 2.0, 0.5]).double(), torch.tensor([2.0, 2.0, 1.5]).double()
    turn = torch.linalg.qr(draws(3, 3, name="turn")).Q
    real = with_moments(draws(40, 3, name="a"), torch.zeros(3).double(), turn * s)
    fake = with_moments(draws(40, 3, name="b"), torch.tensor([3.0, 0.0, 4.0]).double(), turn * t)
    assert fid(real, fake) == pytest.approx(25 + float(((s - t) ** 2).sum()), rel=1e-10)


def test_fid_of_covariances_that_do_not_commute_is_that_of_matrix_roots():
    from scipy.linalg import sqrtm

    real, fake = draws(60, 5, name="a"), draws(60, 5, name="b") @ draws(5, 5, name="mix")
    c, d = (np.cov(v.numpy().T) for v in (real, fake))
    means = ((real.mean(0) - fake.mean(0)) ** 2).sum()
    assert fid(real, fake) == pytest.approx(
        float(means + np.trace(c + d - 2 * sqrtm(c @ d).real)), rel=1e-8
    )


def test_fid_with_fewer_pictures_than_features_is_finite_and_zero_on_itself():
    """Singular covariances; the rest is the root of float64's rounding, relative to the trace."""
    real, fake = draws(10, 64, name="a"), draws(10, 64, name="b")
    assert abs(fid(real, real)) < 1e-4
    assert 1 < fid(real, fake) < 1e3


def test_kid_is_the_unbiased_estimate_over_all_pairs():
    real, fake = draws(12, 4, name="a"), draws(12, 4, name="b") + 0.5

    def kernel(x, y):
        return (float(x @ y) / 4 + 1) ** 3

    def within(v):
        return sum(kernel(x, y) for i, x in enumerate(v) for j, y in enumerate(v) if i != j) / (
            12 * 11
        )

    across = sum(kernel(x, y) for x in real for y in fake) / 144
    assert kid(real, fake) == pytest.approx(within(real) + within(fake) - 2 * across, rel=1e-9)


@pytest.mark.parametrize("metric", [fid, kid])
def test_distance_of_sets_needs_two_pictures(metric):
    with pytest.raises(MetricUnavailable, match="needs 2 pictures or more, this set has 1"):
        metric(draws(1, 3), draws(1, 3))


# ---- intervals
# -------------------------------------------------------------------------------------


def test_interval_of_a_mean_covers_it_as_often_as_it_says():
    """95 % by 400 samples of 40: the percentile interval is a little short at this size; 4 standard
    errors allowed.
    """
    samples = draws(400, 40, name="coverage").numpy()
    found = [estimate(list(sample)) for sample in samples]
    share = np.mean([e.low <= 0 <= e.high for e in found])
    assert (
        0.935 - 4 * math.sqrt(0.95 * 0.05 / 400) < share < 0.95 + 4 * math.sqrt(0.95 * 0.05 / 400)
    )


def test_interval_is_seeded_and_moves_with_its_values():
    v = list(draws(12, name="v").numpy())
    once, again, moved = estimate(v), estimate(v), estimate([x + 5 for x in v])
    assert once == again
    assert (moved.low, moved.high) == (pytest.approx(once.low + 5), pytest.approx(once.high + 5))


def test_interval_of_a_median_lies_among_the_values():
    e = estimate([1.0, 2.0, 3.0, 4.0, 1000.0], "median")
    assert e.value == 3.0
    assert e.low in (1.0, 2.0)
    assert e.high in (4.0, 1000.0)


def test_interval_needs_two_images():
    assert estimate([7.0]) == estimate([7.0])
    assert (estimate([7.0]).low, estimate([7.0]).high) == (None, None)
    with pytest.raises(ValueError, match=r"^No values to average"):
        estimate([])


# ---- a run folder
# ----------------------------------------------------------------------------------

TOYS = """
import torch

class Means(torch.nn.Module):
    '''The mean and the spread of each colour: six features.'''
    def forward(self, x):
        assert x.dtype == torch.uint8
        x = x.double() / 255
        return torch.cat([x.mean((2, 3)), x.std((2, 3))], 1)

class Absolute(torch.nn.Module):
    def forward(self, x, y):
        assert x.min() < -0.01
        return (x - y).abs().mean((1, 2, 3))

def dark_first():
    return lambda x: torch.stack([x.mean((1, 2, 3)) < 2, *[x.new_full((len(x),), 0.5)] * 3], 1)

def broken():
    raise RuntimeError("no luck")

class Refuses(torch.nn.Module):
    def forward(self, *x):
        raise RuntimeError("too small")
"""


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    path = tmp_path_factory.mktemp("toys") / "toys.py"
    path.write_text(TOYS)
    return path


@pytest.fixture
def run(tmp_path):
    """Two methods on two tasks, three pictures, two seeds, and phase retrieval with four."""
    columns = (
        Column("", "sr4", "sr4", ("PSNR",)),
        Column("", "phase", "phase", ("PSNR",), seeds=4),
    )
    methods = (Method("A", "hrdis"), Method("B", "reddiff"))
    plan = plan_of(own=[PaperTable("plan", "", columns, methods)], images=3, seeds=2)
    rows = write_run_with_pictures(tmp_path / "run", plan)
    return tmp_path / "run", rows


def variant(folder, solver, task):
    run = collect([folder])
    return next(
        v for v in group_by_method(run.rows) if (v.cell["solver"], v.cell["task"]) == (solver, task)
    ), run


def test_score_finds_again_what_the_rows_say(run):
    folder, rows = run
    score(collect([folder]), Scoring(), folder)
    again = {record["key"]: record for record in read_lines(folder / "scores" / "pixels.jsonl")}
    for row in rows:
        assert again[row["key"]]["psnr"] == row["psnr"]
        assert again[row["key"]]["ssim"] == pytest.approx(row["ssim"], abs=1e-12)  # batched sums


def test_score_agrees_with_an_independent_ssim(run):
    folder, rows = run
    score(collect([folder]), Scoring(), folder)
    again = {record["key"]: record for record in read_lines(folder / "scores" / "pixels.jsonl")}
    x, y = (
        images.to_unit(images.load(folder / rows[0][k]))[0].numpy().astype(float)
        for k in ("picture", "truth")
    )
    other = structural_similarity(
        x,
        y,
        channel_axis=0,
        data_range=1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert again[rows[0]["key"]]["ssim"] == pytest.approx(other, abs=1e-5)


def test_score_without_weights_records_every_reason_and_no_number(run):
    folder, _ = run
    found = score(collect([folder]), Scoring(), folder)
    assert {r["metric"]: r["reason"].split(":")[0] for r in found} == {
        "LPIPS": "no LPIPS weights given", "FID": "no Inception weights given",
        "KID": "no Inception weights given",
        "CA": "no ResNet-50 weights given",
    }  # fmt: skip
    assert {r["status"] for r in found} == {"missing"}
    assert all("value" not in r for r in found)
    assert not (folder / "scores" / "lpips.jsonl").exists()


def test_score_with_a_distance_of_ones_own(run, toys):
    folder, rows = run
    score(collect([folder]), Scoring(distance=f"{toys}:Absolute"), folder)
    for record in read_lines(folder / "scores" / "lpips.jsonl"):
        row = next(r for r in rows if r["key"] == record["key"])
        x, y = (images.load(folder / row[name]) for name in ("picture", "truth"))
        assert record["distance"] == pytest.approx(float((x - y).abs().mean()), rel=1e-5)


def test_fid_of_a_run_is_the_mean_over_seeds_of_fid_against_the_same_originals(run, toys):
    folder, rows = run
    score(collect([folder]), Scoring(features=f"{toys}:Means"), folder)
    member, gathered = variant(folder, "hrdis", "sr4")
    parts = []
    for seed in (0, 1):
        mine = sorted(
            (r for r in rows if r["variant"] == member.id and r["cell"]["seed"] == seed),
            key=lambda r: r["key"],
        )
        pair = []
        for name in ("truth", "picture"):
            x = torch.cat([images.to_unit(images.load(folder / r[name])) for r in mine]).double()
            pair.append(torch.cat([x.mean((2, 3)), x.std((2, 3))], 1))
        parts.append(fid(*pair))
    got = value(member, "each", "FD", gathered)
    assert got.value == pytest.approx(
        sum(parts) / 2, rel=1e-4
    )  # float32 pictures here, bytes there
    assert (got.n, got.low) == (3, None)


def test_fid_of_phase_retrieval_is_of_the_selected_samples(run, toys):
    folder, _ = run
    score(collect([folder]), Scoring(features=f"{toys}:Means"), folder)
    member, gathered = variant(folder, "hrdis", "phase")
    found = [value(member, how, "FD", gathered).value for how in ("oracle", "residual", "each")]
    assert len(set(found)) == 3
    chosen = {r["psnr"] for rows in member.selected("oracle").values() for r in rows}
    best = {max(r["psnr"] for r in rows) for rows in member.by_image.values()}
    assert chosen == best


def test_fid_of_a_run_that_went_on_is_missing(run, toys):
    folder, _rows = run
    score(collect([folder]), Scoring(features=f"{toys}:Means"), folder)
    member, gathered = variant(folder, "hrdis", "sr4")
    fewer = group_by_method([r for r in member.rows if r is not member.rows[0]])[0]
    assert (
        value(fewer, "each", "FD", gathered)
        == "pictures were added after it was computed; score the run again"
    )


def test_scores_of_an_earlier_time_are_kept(run, toys):
    folder, _ = run
    score(collect([folder]), Scoring(features=f"{toys}:Means", distance=f"{toys}:Absolute"), folder)
    before = json.loads((folder / "scores" / "sets.json").read_text())
    after = score(collect([folder]), Scoring(), folder)
    assert [r for r in after if r["status"] == "ok"] == [r for r in before if r["status"] == "ok"]
    assert [r["metric"] for r in after if r["status"] == "missing"] == [
        "CA",
        "FID",
        "KID",
    ]


def test_ca_counts_labels_and_shows_the_originals(run, toys):
    """The toy says class 0 for every picture; the labels are 0, 1, 2."""
    folder, _rows = run
    score(collect([folder]), Scoring(classifier=f"{toys}:dark_first"), folder)
    member, gathered = variant(folder, "hrdis", "sr4")
    assert value(member, "each", "accuracy", gathered).value == pytest.approx(100 / 3)
    assert {(r["accuracy"], r["accuracy_clean"]) for r in member.rows} == {
        (100.0, 100.0),
        (0.0, 0.0),
    }


def test_ca_reads_labels_from_a_list_by_file_name(run, toys, tmp_path):
    folder, _ = run
    (tmp_path / "list.txt").write_text("n01/photo-0.png 3\nn02/photo-1.png 0\nn02/photo-2.png 0")
    options = Scoring(classifier=f"{toys}:dark_first", classes=tmp_path / "list.txt")
    score(collect([folder]), options, folder)
    member, gathered = variant(folder, "hrdis", "sr4")
    assert value(member, "each", "accuracy", gathered).value == pytest.approx(200 / 3)
    (tmp_path / "list.txt").write_text("photo-0.png dog")
    found = score(
        collect([folder]),
        Scoring(classifier=f"{toys}:dark_first", classes=tmp_path / "list.txt"),
        tmp_path,
    )
    assert next(r["reason"] for r in found if r["metric"] == "CA").startswith(
        f"the list {tmp_path}/list.txt cannot be"
    )


def test_diversity_of_samples_is_their_rms_distance(run):
    folder, _rows = run
    score(collect([folder]), Scoring(), folder)
    member, gathered = variant(folder, "hrdis", "phase")
    image = member.images[0]
    x = torch.cat(
        [images.to_unit(images.load(folder / r["picture"])) for r in member.by_image[image]]
    ).double()
    pairs = [float((x[i] - x[j]).square().mean().sqrt()) for i in range(4) for j in range(i)]
    record = next(
        r for r in gathered.seeds if r["variant"] == member.id and r["image_sha256"] == image
    )
    assert record["pairwise"] == pytest.approx(sum(pairs) / 6, rel=1e-6)
    assert record["std"] == pytest.approx(math.sqrt(float(x.var(0).mean())), rel=1e-6)
    mean, truth = (
        images.from_unit(x.mean(0, keepdim=True)),
        images.load(folder / member.rows[0]["truth"]),
    )
    assert record["psnr_of_mean"] == pytest.approx(float(hrdis.metrics.psnr(mean, truth)), rel=1e-9)
    assert value(member, "each", "diversity", gathered).n == 3


def test_network_that_refuses_the_pictures_is_a_reason(run, toys):
    folder, _ = run
    found = score(collect([folder]), Scoring(distance=f"{toys}:Refuses"), folder)
    reason = next(r["reason"] for r in found if r["metric"] == "LPIPS")
    assert reason == f"the network of LPIPS refuses pictures of 3x{SIDE}x{SIDE}: too small"
    assert not (folder / "scores" / "lpips.jsonl").exists()


def test_perfect_picture_in_the_files_is_found_by_the_oracle(run):
    """From the files to the table: a copy of the original, scored again."""
    folder, rows = run
    perfect = next(r for r in rows if r["cell"]["task"] == "phase" and r["cell"]["seed"] == 3)
    (folder / perfect["picture"]).write_bytes((folder / perfect["truth"]).read_bytes())
    score(collect([folder]), Scoring(), folder)
    again = {record["key"]: record for record in read_lines(folder / "scores" / "pixels.jsonl")}
    assert again[perfect["key"]]["psnr"] is None
    method, results = variant(folder, perfect["cell"]["solver"], "phase")
    chosen = method.selected("oracle")[perfect["cell"]["image_sha256"]]
    assert [row["key"] for row in chosen] == [perfect["key"]]
    assert value(method, "oracle", "PSNR", results).high == 100.0


# ---- networks
# --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "options", "reason"),
    [
        (distance, {}, "no LPIPS weights given: --lpips FILE"),
        (features, {}, "no Inception weights given: --inception FILE"),
        (classifier, {}, "no ResNet-50 weights given: --resnet FILE"),
        (
            features,
            {"features": "toys.py"},
            "'toys.py' names no function; FILE.py:NAME is expected",
        ),
        (features, {"features": "nothing.py:make"}, "nothing.py:make cannot be made"),
    ],
)
def test_network_without_weights_says_which_option_gives_them(make, options, reason):
    with pytest.raises(MetricUnavailable, match=f"^{reason}"):
        make(Scoring(**options))


def test_network_of_ones_own_that_fails_says_how(toys):
    with pytest.raises(
        MetricUnavailable, match=r"toys.py:broken cannot be made \(RuntimeError: no luck\)$"
    ):
        features(Scoring(features=f"{toys}:broken"))


@pytest.mark.parametrize(
    ("package", "make", "option"),
    [
        ("lpips", distance, "lpips"),
        ("torch_fidelity", features, "inception"),
        ("torchvision", classifier, "resnet"),
    ],
)
def test_package_that_cannot_be_imported_is_a_reason(tmp_path, monkeypatch, package, make, option):
    monkeypatch.setitem(sys.modules, package, None)
    torch.save({}, tmp_path / "w.pth")
    with pytest.raises(
        MetricUnavailable,
        match=rf"^the package {package} cannot be imported .*pip install 'hrdis\[perceptual\]'$",
    ):
        make(Scoring(**{option: tmp_path / "w.pth"}))


class ToyLPIPS(nn.Module):
    """What `lpips.LPIPS` is for this code: a backbone in slices, and linear layers that come with
    it.
    """

    made: dict = {}  # noqa: RUF012

    def __init__(self, **options):
        super().__init__()
        ToyLPIPS.made = options
        self.net = nn.Module()
        self.net.slice1 = nn.Sequential()
        self.net.slice1.add_module("0", nn.Conv2d(3, 1, 1, bias=False))
        self.net.slice2 = nn.Sequential()
        self.net.slice2.add_module("3", nn.Conv2d(1, 1, 1, bias=False))
        self.lin0 = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(self.lin0.weight, 2.0)

    def forward(self, x, y):
        a, b = (self.net.slice2(self.net.slice1(v)) for v in (x, y))
        return self.lin0((a - b).abs()).mean((1, 2, 3), keepdim=True)


@pytest.fixture
def lpips(monkeypatch, tmp_path):
    """A package of that name, and torchvision-like weights: the mean of the colours, times
    three.
    """
    monkeypatch.setitem(sys.modules, "lpips", types.SimpleNamespace(LPIPS=ToyLPIPS))
    weights = {
        "features.0.weight": torch.full((1, 3, 1, 1), 1 / 3),
        "features.3.weight": torch.full((1, 1, 1, 1), 3.0),
        "classifier.1.weight": torch.ones(7, 7),
    }  # fmt: skip
    torch.save(weights, tmp_path / "alexnet.pth")
    return tmp_path / "alexnet.pth"


@pytest.mark.parametrize(
    ("options", "scale"),
    [({}, 1.0), ({"lpips_range": "[0,1]"}, 0.5), ({"lpips_preset": "red-diff"}, 0.5)],
)
def test_lpips_takes_torchvisions_weights_the_packages_layers_and_the_range(lpips, options, scale):
    x, y = torch.full((2, 3, 4, 4), 0.25), torch.full((2, 3, 4, 4), -0.5)
    with torch.no_grad():
        found = distance(Scoring(lpips=lpips, **options))(x, y)
    assert found.tolist() == pytest.approx([2 * 3 * 0.75 * scale] * 2)
    assert ToyLPIPS.made == {
        "net": "alex",
        "pnet_rand": True,
        "verbose": False,
    }  # nothing is downloaded


def test_lpips_of_the_preset_is_named_in_its_records():
    assert Scoring(lpips_preset="red-diff", lpips_net="vgg").lpips_form == ("alex", "[0,1]")
    assert Scoring().lpips_form == ("alex", "[-1,1]")


def test_weights_that_do_not_fit_are_a_reason(lpips, tmp_path):
    torch.save({"features.0.weight": torch.ones(1, 3, 1, 1)}, tmp_path / "half.pth")
    with pytest.raises(
        MetricUnavailable, match=r"half\.pth does not fit the network: .*slice2\.3\.weight"
    ):
        distance(Scoring(lpips=tmp_path / "half.pth"))


def test_weights_that_need_code_are_refused(lpips, tmp_path):
    torch.save(types.SimpleNamespace(), tmp_path / "code.pth")
    with pytest.raises(MetricUnavailable, match=r"code\.pth cannot be read"):
        distance(Scoring(lpips=tmp_path / "code.pth"))


class ToyResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 4)
        self.seen = None

    def forward(self, x):
        ToyResNet.seen = x
        return self.fc(x.mean((2, 3)))


@pytest.mark.parametrize(("crop", "side"), [(False, 256), (True, 224)])
def test_classifier_sees_the_whole_picture_normalised_and_crops_if_asked(
    monkeypatch, tmp_path, crop, side
):
    module = types.ModuleType("torchvision.models")
    module.resnet50 = lambda weights: ToyResNet()
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", module)
    torch.save({"fc.weight": torch.ones(4, 3), "fc.bias": torch.zeros(4)}, tmp_path / "resnet.pth")
    classify = classifier(Scoring(resnet=tmp_path / "resnet.pth", crop=crop))
    classify(torch.zeros(1, 3, 256, 256))
    assert ToyResNet.seen.shape == (1, 3, side, side)
    expected = [(0.5 - m) / s for m, s in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
    assert ToyResNet.seen[0, :, 0, 0].tolist() == pytest.approx(expected, rel=1e-5)
