"""The biharmonic fill, which gives holes the least squared Laplacian.

It is solved directly where that is affordable.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..linalg import cg

#: Multiplications of a direct solution, per mask: some seconds of one core.
AFFORDABLE = 5e10

#: Holes this many pixels wide or less are solved with those beside them: a loop over specks would
#: take longer.
STRIP = 64

# L is the five-point Laplacian with a mirrored border: minus d on the diagonal, where d counts a
# pixel's neighbours, and 1 for each of them. These are the entries of L^2 between a pixel with d =
# a and the pixel at an offset with d = b.
STENCIL = {
    (0, 0): lambda a, b: a * a + a,
    **dict.fromkeys([(0, 1), (1, 0), (0, -1), (-1, 0)], lambda a, b: -a - b),
    **dict.fromkeys([(1, 1), (1, -1), (-1, 1), (-1, -1)], lambda a, b: torch.full_like(a, 2)),
    **dict.fromkeys([(0, 2), (2, 0), (0, -2), (-2, 0)], lambda a, b: torch.ones_like(a)),
}


def biharmonic(y: Tensor, mask: Tensor, steps: int = 100, affordable: float = AFFORDABLE) -> Tensor:
    """Fill the holes of y (mask = 0) by minimising the sum of squared Laplacians (mirrored border).

    The normal equations of holes that do not touch are solved apart, in float64, by Cholesky
    factors of pairs of rows (or columns). Where holes are so large that this is not ``affordable``,
    a fill of half the size is enlarged and bent by ``steps`` of conjugate gradient: smooth, though
    not quite biharmonic.

    Args:
        y: (b, c, h, w); what stands in holes is not looked at.
        mask: 1 = observed, 0 = hole, of the same shape.
    """
    images = []
    for image, seen in zip(y, mask, strict=True):
        on_host = seen.cpu()  # read once, of an accelerator
        # Channels that share a mask are filled at once.
        shared = bool((on_host == on_host[:1]).all())
        count = len(image) if shared else 1
        filled = []
        for k in range(0, len(image), count):
            part = slice(k, k + count)
            hole = on_host[k] == 0
            filled.append(_fill(seen[part] * image[part], seen[k], hole, steps, affordable))
        images.append(torch.cat(filled))
    return torch.stack(images)


def _fill(y: Tensor, mask: Tensor, hole: Tensor, steps: int, affordable: float) -> Tensor:
    """Fill the channels (c, h, w) of one mask (h, w), whose hole is also given on the CPU."""
    if bool(hole.all()) or not bool(hole.any()):
        return y
    # Row pairs are what L^2 couples to their neighbours only: cells of 2 x 2 give both kinds of
    # pairs.
    rows, columns = hole.nonzero(as_tuple=True)
    group, across, along = _groups(hole)[rows // 2, columns // 2], rows // 2, columns // 2
    costs = torch.stack([_cost(group, across), _cost(group, along)])
    if float(costs.min(0).values.sum()) <= affordable:
        pair = torch.where((costs[1] < costs[0])[group], along, across)
        known = y.cpu()
        key = group * max(*hole.shape) + pair
        values = _solve(hole, rows, columns, key, _bending(known.double()))
        if values is not None:
            filled = known.clone()
            filled[:, rows, columns] = values.to(known)
            return filled.to(y.device)
    # Half the size: means of what was observed, and a mask of where anything was.
    weight = F.avg_pool2d(mask[None], 2, ceil_mode=True)[0]
    seen = (weight > 0).to(y)
    smaller = seen * F.avg_pool2d(y[None], 2, ceil_mode=True)[0] / weight.clamp(min=1e-6)
    coarse = _fill(smaller, seen, seen.cpu() == 0, steps, affordable)
    # By 2 exactly, and cropped: a factor of y's own odd sides would shift the picture.
    start = F.interpolate(coarse[None], scale_factor=2, mode="bicubic", align_corners=False)[0]
    start = start[..., : y.shape[-2], : y.shape[-1]]
    free = mask == 0
    start = torch.where(free, start, y)

    def bending(x: Tensor) -> Tensor:
        return free * _bending(x)

    return start + cg(bending, -bending(start), torch.zeros_like(y), steps, tolerance=1e-4)


def _groups(hole: Tensor) -> Tensor:
    """Assign each 2 x 2 block of a mask (h, w) the number of its hole; -1 without a hole."""
    cells = F.max_pool2d(hole[None].double(), 2, ceil_mode=True)[0] > 0
    h, w = cells.shape
    label = torch.cat([torch.zeros(1), torch.arange(1, h * w + 1) * cells.flatten()]).double()
    before = torch.zeros_like(label)
    while not torch.equal(
        label, before
    ):  # take the largest number around, and what that cell itself has taken
        before, owner = label, label.long()
        around = F.max_pool2d(label[1:].reshape(1, h, w), 3, stride=1, padding=1) * cells
        label = label.scatter_reduce(0, owner[1:], around.flatten(), "amax")
        label = label[label.long()]
    label = label[1:].reshape(h, w).long()
    columns = torch.arange(w).expand(h, w)
    left = torch.full((h * w + 1,), w).scatter_reduce(
        0, label.flatten(), columns.flatten(), "amin"
    )[label]
    right = torch.zeros(h * w + 1, dtype=torch.long).scatter_reduce(
        0, label.flatten(), columns.flatten(), "amax"
    )[label]
    label = torch.where(right - left < STRIP // 2, h * w + 1 + left // (STRIP // 2), label)
    return torch.full((h, w), -1).masked_scatter(cells, label[cells].unique(return_inverse=True)[1])


def _cost(group: Tensor, pair: Tensor) -> Tensor:
    """Return the multiplications that solve each group in these pairs."""
    blocks, count = (group * (int(pair.max()) + 1) + pair).unique(return_counts=True)
    return torch.bincount(blocks // (int(pair.max()) + 1), 7 / 3 * count.double() ** 3)


def _solve(
    hole: Tensor, rows: Tensor, columns: Tensor, key: Tensor, bending: Tensor
) -> Tensor | None:
    """Return the values (c, n) of the n pixels of the holes; None if rounding forbids it.

    Args:
        key: orders the pixels by blocks.
    """
    order = key.argsort(stable=True)
    rows, columns, key = rows[order], columns[order], key[order]
    blocks, sizes = key.unique_consecutive(return_counts=True)
    first = sizes.cumsum(0) - sizes
    block = torch.arange(len(blocks)).repeat_interleave(sizes)
    inside = torch.arange(len(key)) - first[block]
    within, beyond = _entries(hole.shape, rows, columns, block, inside)
    b = (-bending[:, rows, columns].T).split(sizes.tolist())

    # Cholesky of a block tridiagonal matrix, going down: C_k C_k^T = D_k - S_(k-1)^T S_(k-1) and
    # S_k = C_k^-1 E_k.
    factors: list[tuple[Tensor, Tensor | None]] = []
    x: list[Tensor] = []
    for k, n in enumerate(sizes.tolist()):
        D, right = _dense(within, k, n, n), b[k]
        if k > 0 and (above := factors[-1][1]) is not None:
            D, right = D - above.T @ above, right - above.T @ x[-1]
        C, failed = torch.linalg.cholesky_ex(D)
        if int(failed):
            return None
        touches = k + 1 < len(sizes) and int(blocks[k + 1]) == int(blocks[k]) + 1
        E = _dense(beyond, k, n, int(sizes[k + 1])) if touches else None
        factors.append((C, None if E is None else torch.linalg.solve_triangular(C, E, upper=False)))
        x.append(torch.linalg.solve_triangular(C, right, upper=False))
    for k in reversed(range(len(x))):  # and up again
        C, below = factors[k]
        right = x[k] if below is None else x[k] - below @ x[k + 1]
        x[k] = torch.linalg.solve_triangular(C.T, right, upper=True)
    values = torch.empty(len(key), len(bending), dtype=torch.float64)
    values[order] = torch.cat(x)
    return values.T


Entries = tuple[Tensor, Tensor, Tensor, list[int]]


def _entries(
    size: torch.Size, rows: Tensor, columns: Tensor, block: Tensor, inside: Tensor
) -> tuple[Entries, Entries]:
    """Return the entries of L^2 within a block, and from a block to the next.

    Each is rows, columns, values, and where each block begins.
    """
    h, w = size
    index = torch.full((h + 4, w + 4), -1)
    index[rows + 2, columns + 2] = torch.arange(len(rows))
    d = (
        4
        - (rows == 0).long()
        - (rows == h - 1).long()
        - (columns == 0).long()
        - (columns == w - 1).long()
    ).double()
    found = []
    for (down, right), value in STENCIL.items():
        q = index[rows + 2 + down, columns + 2 + right]
        p = (q >= 0).nonzero()[:, 0]
        found.append(torch.stack([p.double(), q[p].double(), value(d[p], d[q[p]])]))
    p, q, value = torch.cat(found, 1)
    p, q = p.long(), q.long()
    result = []
    for step in (0, 1):
        chosen = (block[q] - block[p] == step).nonzero()[:, 0]
        chosen = chosen[block[p[chosen]].argsort()]
        starts = torch.bincount(block[p[chosen]], minlength=int(block[-1]) + 1).cumsum(0)
        result.append((inside[p[chosen]], inside[q[chosen]], value[chosen], [0, *starts.tolist()]))
    return result[0], result[1]


def _dense(entries: Entries, k: int, n: int, m: int) -> Tensor:
    """Return block k of a matrix as a tensor (n, m)."""
    i, j, value, starts = entries
    part = slice(starts[k], starts[k + 1])
    out = torch.zeros(n, m, dtype=torch.float64)
    out[i[part], j[part]] = value[part]
    return out


def _bending(x: Tensor) -> Tensor:
    """Return L^2 x for images (c, h, w)."""
    return _laplacian(_laplacian(x))


def _laplacian(x: Tensor) -> Tensor:
    """Apply the five-point Laplacian with a mirrored border.

    It is symmetric, so that its square is positive semidefinite.
    """
    p = F.pad(x[None], (1, 1, 1, 1), mode="replicate")[0]
    return p[..., 1:-1, 2:] + p[..., 1:-1, :-2] + p[..., 2:, 1:-1] + p[..., :-2, 1:-1] - 4 * x
