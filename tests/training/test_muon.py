"""The optimiser: Muon inside, AdamW at the ends."""

import pytest
import torch

from hrdis.training import network
from hrdis.training.muon import MuonAdamW, orthogonalised
from hrdis.training.settings import TrainSettings
from tests.common.toys import normal


@pytest.mark.parametrize("shape", [(5, 5), (4, 36), (36, 4)], ids=str)
def test_singular_values_are_brought_near_one(shape):
    matrix = normal(3, *shape)
    values = torch.linalg.svdvals(orthogonalised(matrix))
    assert float(values.min()) > 0.6 and float(values.max()) < 1.35


def test_singular_vectors_are_kept():
    matrix = normal(1, 6, 20)[0]
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    inside = u.mT @ orthogonalised(matrix[None])[0] @ vh.mT
    torch.testing.assert_close(inside, torch.diag(inside.diagonal()), rtol=0, atol=1e-9)


def test_matrices_of_one_shape_do_not_mix():
    pair = normal(2, 4, 12)
    together, alone = orthogonalised(pair), torch.cat([orthogonalised(m[None]) for m in pair])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)


def test_first_step_is_the_one_of_the_formula():
    """m = 0.05 g, u = 0.05 g + 0.95 m; the direction does not depend on the length of u."""
    weight = torch.nn.Parameter(normal(1, 8, 2, 3, 3)[0])
    before, weight.grad = weight.detach().clone(), normal(1, 8, 2, 3, 3, seed=1)[0]
    MuonAdamW([("middle.weight", weight)]).step(0.1, 0.0)
    direction = orthogonalised(weight.grad.reshape(1, 8, 18))[0].reshape(8, 2, 3, 3)
    torch.testing.assert_close(
        weight.detach(), (1 - 0.01) * before - 0.1 * direction, rtol=0, atol=1e-9
    )


def test_rest_is_updated_as_torch_does():
    ours, theirs = (torch.nn.Parameter(normal(1, 7)[0].clone()) for _ in range(2))
    optimizer = MuonAdamW([("norm.bias", ours)])
    reference = torch.optim.AdamW([theirs], lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    for i in range(5):
        ours.grad = normal(1, 7, seed=i)[0]
        theirs.grad = ours.grad.clone()
        optimizer.step(0.0, 1e-3)
        reference.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_first_and_last_layer_and_vectors_are_left_to_adamw():
    optimizer = MuonAdamW(
        network.build(TrainSettings(channels=(8, 16), blocks=1)).named_parameters()
    )
    assert {"conv_in.weight", "conv_out.weight", "middle.0.norm.weight"} <= set(optimizer.others)
    assert {"middle.0.conv1.weight", "upsample.0.weight", "time.linear1.weight"} <= set(
        optimizer.matrices
    )
