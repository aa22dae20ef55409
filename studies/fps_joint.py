"""What FPS's joint form tends to with many particles: exactly, for one pixel of a Gaussian prior.

    python studies/fps_joint.py  # rewrites a table of measurements/posterior.md
    python studies/fps_joint.py --no-write

With many particles the filter is Kalman's: given the path of y the particles have a mean and a
covariance that are propagated here, with the path itself, as small matrices in float64. No network
is called and nothing is drawn. ``tests/solvers/test_exact_law.py`` compares samples of the solver
with this law.
"""

from itertools import pairwise

import numpy as np
import tyro
from common.pages import DOCS, rewrite, table

import hrdis

PAGE = DOCS / "measurements" / "posterior.md"
VARIANCE = 0.09  # of the prior, as on the rest of the page
NOISES, CALLS = (0.05, 0.3), (50, 100, 200, 400, 1000)


def limit(times: list[int], q: hrdis.Schedule, sigma_y: float, seen: bool) -> tuple[float, float]:
    """Return the mean's factor of y and the variance of a particle at the end of a run."""
    H = np.array([[1.0, sigma_y]])  # y = H (x, e)

    def gain(P: np.ndarray) -> np.ndarray:
        return P @ H.T / (H @ P @ H.T) if seen else np.zeros((2, 1))

    def levels(t: int) -> tuple[float, float]:
        return float(q[t]) ** 0.5, (1 - float(q[t])) ** 0.5

    # state: the filter's mean of (x, e), and y_t - a_t y for y = 1
    a, b = levels(times[0])
    P, K = np.eye(2), gain(np.eye(2))
    spread = float(H[0] @ H[0])  # the variance of what diffuses y
    mean, root = np.array([0.0, 0.0, -a]), np.vstack([K, [[1.0]]])
    S, P = spread * root @ root.T, P - K @ H @ P
    for t, s in pairwise(times[:-1]):
        a, b = levels(t)
        a_s, b_s = levels(s)
        share = float(q.ddim_share(t, s, 1.0))
        kept = (1 - share**2) ** 0.5 * b_s / b
        denoise = np.array([a * VARIANCE / (a**2 * VARIANCE + b**2), a])
        F = np.diag((a_s - kept * a) * denoise + kept)
        P = F @ P @ F.T + (share * b_s) ** 2 * np.eye(2)
        K = gain(P)
        T = np.zeros((3, 3))
        T[:2, :2], T[:2, 2:], T[2, 2] = (np.eye(2) - K @ H) @ F, K * kept, kept
        mean = T @ mean + np.append(a_s * K[:, 0], 0.0)
        root = np.vstack([K, [[1.0]]]) * share * b_s
        S, P = T @ S @ T.T + spread * root @ root.T, P - K @ H @ P
    a, b = levels(times[-2])
    last = a * VARIANCE / (a**2 * VARIANCE + b**2)
    return last * mean[0], last**2 * (S[0, 0] + P[0, 0])


def main(write: bool = True) -> None:
    """Print the table, and write it to the page."""
    q, lines = hrdis.Schedule.linear(), []
    for calls in CALLS:
        times = hrdis.FPS(steps=calls, form="joint").times(q)
        _, unseen = limit(times, q, NOISES[0], seen=False)
        line = [str(calls), f"{unseen / VARIANCE:.3f}"]
        for sigma_y in NOISES:
            mean, variance = limit(times, q, sigma_y, seen=True)
            exact = VARIANCE * sigma_y**2 / (VARIANCE + sigma_y**2)
            off = (mean - VARIANCE / (VARIANCE + sigma_y**2)) / exact**0.5
            line += [f"{variance / exact:.3f}", f"{off:+.3f}"]
        lines.append(line)
    head = ["calls", "variance unseen"]
    for sigma_y in NOISES:
        head += [f"variance seen, noise {sigma_y}", f"bias / std, noise {sigma_y}"]
    text = table(head, lines)
    print(text)
    if write:
        rewrite(PAGE, "joint", text)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
