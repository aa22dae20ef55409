"""Names that moved, objects of other libraries, and priors that wrap another one."""

import pytest
import torch
from torch import Tensor, nn

import hrdis
from hrdis.priors import Prediction, Tiled, as_prior
from hrdis.priors.base import ADAPTERS, Prior, WrappedPrior


class Classes(Prior):
    """A class-conditional prior whose noise estimate is its label."""

    classes, channels, latent, presets, name = 4, (3,), True, "default", "classes"

    def __init__(self) -> None:
        super().__init__()
        self.schedule = hrdis.Schedule.linear(10)
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        label = self.labels_of(x_t)
        assert label is not None
        return Prediction(x_t, torch.zeros_like(x_t) + label.reshape(-1, 1, 1, 1))

    def pull(self, problem):
        return ("pulled", problem)

    def picture(self, x, shape):
        return ("picture", x, shape)


class Wrapped(WrappedPrior):
    def forward(self, x_t: Tensor, t: int) -> Prediction:
        return self.prior(x_t, t)


@pytest.mark.parametrize("wrap", [Wrapped, Tiled])
def test_wrapped_prior_is_like_the_one_inside(wrap):
    inner = Classes().labelled(2)
    prior = wrap(inner)
    for name in ("schedule", "channels", "name", "latent", "presets", "classes", "label"):
        assert getattr(prior, name) == getattr(inner, name)
    assert prior.pull("problem") == ("pulled", "problem")
    assert prior.picture("x", (1, 3, 2, 2)) == ("picture", "x", (1, 3, 2, 2))


@pytest.mark.parametrize("wrap", [Wrapped, Tiled])
def test_label_of_a_wrapped_prior_reaches_the_one_inside_and_no_other(wrap):
    x, prior = torch.zeros(2, 3, 4, 4), wrap(Classes().labelled(1))
    other = prior.labelled(3)
    assert type(other) is wrap and (prior.label, other.label) == (1, 3)
    assert float(other(x, 0).eps.mean()) == 3 and float(prior(x, 0).eps.mean()) == 1
    assert other.prior.weight is prior.prior.weight


@pytest.mark.parametrize("label", [4, -1, True, 1.5])
def test_class_that_a_prior_does_not_have_is_refused_with_those_it_has(label):
    with pytest.raises(ValueError, match=rf"^label is {label}\. .* from 0 to 3, is expected"):
        Classes().labelled(label)


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("load_prior", "hrdis.load_prior"),
        ("adopt", "hrdis.priors.as_prior"),
        ("cards", "hrdis.checkpoints.cards"),
        ("adm", "hrdis.checkpoints.adm"),
        ("checkpoints", "hrdis.checkpoints"),
    ],
)
def test_name_that_moved_works_and_says_where_to(name, new):
    value = hrdis
    for part in new.split(".")[1:]:
        value = getattr(value, part)
    with pytest.warns(DeprecationWarning, match=rf"^hrdis\.priors\.{name} is now {new}$") as found:
        assert getattr(hrdis.priors, name) is value
    assert found[0].filename == __file__


def test_name_that_never_was_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"'hrdis\.priors' has no attribute 'nothing'"):
        hrdis.priors.nothing  # noqa: B018


def test_object_of_another_library_enters_by_the_table(monkeypatch):
    prior = Classes()
    row = (lambda value: value == "theirs", lambda value: prior)
    monkeypatch.setattr("hrdis.priors.base.ADAPTERS", [*ADAPTERS, row])
    assert as_prior("theirs") is prior
    assert as_prior(prior) is prior
    assert as_prior("other") == "other"
