"""EfficientNet-Lite0, a network with learned weights: studies/common/efficientnet.py as users of
``hrdis bench score`` give it.
"""

from pathlib import Path

import pytest
import torch

import hrdis
from hrdis import images
from hrdis.bench.score.networks import Scoring, classifier, distance
from hrdis.rng import ImageRNG
from tests.common.studies import STUDIES

pytest.importorskip("efficientnet_lite_pytorch")
FILE = STUDIES / "common" / "efficientnet.py"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason="no studies/ here: not a clone")

PICTURES = Path(hrdis.__file__).parent / "pictures"
CATS = (281, 282, 283, 284, 285)
CHELSEA = 0  # a place in `photographs`


@pytest.fixture(scope="module")
def photographs():
    """A cat, a cup of coffee and a flower, 128 x 128, in [-1, 1]."""
    found = []
    for name in ("chelsea.png", "coffee.jpg", "flower.jpg"):
        x = images.load(PICTURES / name)
        side = min(x.shape[-2:])
        top, left = (x.shape[-2] - side) // 2, (x.shape[-1] - side) // 2
        x = x[..., top : top + side, left : left + side]
        found.append(torch.nn.functional.interpolate(x, (128, 128), mode="bicubic", antialias=True))
    return torch.cat(found).clamp(-1, 1)


@pytest.fixture(scope="module")
def measure():
    return distance(Scoring(distance=f"{FILE}:distance"))


def test_classifier_knows_a_cat_a_cup_and_a_flower(photographs):
    classes = classifier(Scoring(classifier=f"{FILE}:classifier"))(photographs).tolist()
    assert classes[CHELSEA] in CATS
    assert classes[1] in (504, 967, 968)  # coffee mug, espresso, cup
    assert classes[2] == 985  # daisy: the photograph shows one flower of that kind


def test_distance_of_equal_pictures_is_zero(photographs, measure):
    assert measure(photographs, photographs).tolist() == [0.0, 0.0, 0.0]


def test_distance_is_symmetric(photographs, measure):
    x, y = photographs, photographs.flip(0)
    assert torch.allclose(measure(x, y), measure(y, x), rtol=1e-5)


def test_distance_grows_with_blur(photographs, measure):
    found = []
    for side in (96, 64, 32, 16):
        small = torch.nn.functional.interpolate(
            photographs, (side, side), mode="bicubic", antialias=True
        )
        blurred = torch.nn.functional.interpolate(small, (128, 128), mode="bicubic")
        found.append(measure(blurred, photographs))
    assert (torch.stack(found).diff(dim=0) > 0).all()


def test_distance_grows_with_noise(photographs, measure):
    noise = ImageRNG([0, 1, 2], "noise").randn((3, 128, 128))
    found = [measure(photographs + level * noise, photographs) for level in (0.05, 0.1, 0.2, 0.4)]
    assert (torch.stack(found).diff(dim=0) > 0).all()


def test_distance_of_a_picture_does_not_depend_on_its_neighbours(photographs, measure):
    together = measure(photographs, photographs.flip(-1))
    alone = [measure(x[None], x[None].flip(-1)) for x in photographs]
    assert torch.allclose(together, torch.cat(alone), rtol=1e-5)
