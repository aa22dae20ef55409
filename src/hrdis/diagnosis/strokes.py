"""Long thin strokes of one colour, as scratches are.

A scratch has one colour all along, and none of its pixels goes beyond it. A thin detail of the
subject has its lightest pixels spread over many colours. So of the pixels along a curve that are
about as light as the colour, the share that has exactly this colour tells one from the other.
"""

from dataclasses import dataclass

import numpy as np

LONG, SHARE_LONG = 32, 0.08  # length in pixels, and as a share of the picture's shorter side
STRIP, SHARE_STRIP = 8.0, 0.03  # half of the width of the strip in which a stroke lies, likewise
STROKES = 6  # of a part
WIDE = 11.0  # grey levels beyond the tolerance that are about as light
#: Share with exactly the colour from which on a stroke is proposed, of the share to be sure.
PROPOSED = 0.7
#: Share of a stroke along which a pixel is lighter than its colour, likewise at most.
BEYOND, SURE_BEYOND = 0.2, 0.05
EDGE = 0.8  # share of what lies 3 and 4 pixels beside it that is clearly darker
STANDS_OUT = 20.0  # grey levels that is
LEAST = 9  # pixels of the colour along a stroke
THICK = 1.3  # pixels of the colour per pixel of length, at most: lines of the subject are thicker
GROUNDS = 10.0  # standard deviation in grey levels of what lies beside it: of one kind below


@dataclass(frozen=True)
class Stroke:
    """A stroke of one colour.

    Args:
        rows, columns: of its pixels.
        sure: whether it cannot be a detail of the subject.
    """

    rows: np.ndarray
    columns: np.ndarray
    sure: bool


def strokes(
    light: np.ndarray, distance: np.ndarray, rows: np.ndarray, columns: np.ndarray, ink: float,
    near: float, sure: float, short: int,
) -> list[Stroke]:  # fmt: skip
    """Return the strokes among some pixels of one colour.

    The strip that holds most pixels is taken out, with a cubic through it, up to `STROKES` times.

    Args:
        light: (h, w), the brightness in grey levels, with its sign turned for dark strokes.
        distance: (h, w), how far the colours are from that of the strokes.
        rows, columns: of the pixels.
        ink: brightness of the colour, with the same sign.
        near: tolerance of the colour in grey levels.
        sure: share of the pixels about as light that have exactly the colour, from which on a
            stroke is sure.
        short: the picture's shorter side.
    """
    least, strip = max(LONG, SHARE_LONG * short), max(STRIP, SHARE_STRIP * short)
    r, c = rows.astype(float), columns.astype(float)
    found = []
    for _ in range(STROKES):
        if len(r) < LEAST or max(np.ptp(r), np.ptp(c)) < 0.7 * least:
            break
        best, most = fullest_strip(r, c, strip)
        along = r[most] * np.sin(best) + c[most] * np.cos(best)
        across = r[most] * np.cos(best) - c[most] * np.sin(best)
        powers = np.vander(along / short, 4)
        on = np.ones(len(most), dtype=bool)
        for _ in range(3):  # without what lies beside the curve
            cubic = np.linalg.lstsq(powers[on], across[on], rcond=None)[0]
            on = np.abs(across - powers @ cubic) < 2
        if on.sum() < LEAST or np.ptp(along[on]) < least:
            break
        # What lies on the curve and up to 4 pixels beside it.
        places = np.arange(along[on].min(), along[on].max() + 1)
        aside = np.polyval(cubic, places / short) + np.arange(-4, 5)[:, None]
        rr = np.round(places * np.sin(best) + aside * np.cos(best)).astype(int)
        cc = np.round(places * np.cos(best) - aside * np.sin(best)).astype(int)
        inside = ((rr >= 0) & (cc >= 0) & (rr < len(light)) & (cc < light.shape[1])).all(0)
        rr, cc = rr[:, inside], cc[:, inside]
        if rr.shape[1] < 0.7 * least:
            break
        stroke, sides = slice(2, 7), [0, 1, 7, 8]
        seen, far = light[rr, cc], distance[rr[stroke], cc[stroke]]
        exact = (far <= near).sum() / max((far <= near + WIDE).sum(), 1)
        beyond = (seen[stroke] > ink + near + 1).any(0).mean()
        clear = (ink - seen[sides] > STANDS_OUT).mean() >= EDGE
        grounds = seen[sides].std() >= GROUNDS
        thin = on.sum() <= THICK * np.ptp(along[on])
        if exact >= PROPOSED * sure and beyond <= BEYOND and clear:
            peak = 2 + seen[stroke].argmax(0)
            k = np.arange(rr.shape[1])
            beyond_doubt = exact >= sure and beyond <= SURE_BEYOND and grounds and thin
            found.append(
                Stroke(
                    np.concatenate([rr[peak, k], r[most[on]].astype(int)]),
                    np.concatenate([cc[peak, k], c[most[on]].astype(int)]),
                    bool(beyond_doubt),
                )
            )
        left = np.ones(len(r), dtype=bool)
        left[most[on]] = False
        r, c = r[left], c[left]
    return found


def fullest_strip(r: np.ndarray, c: np.ndarray, half: float) -> tuple[float, np.ndarray]:
    """Return the angle of the straight strip that holds most points, and the numbers of these.

    Args:
        r, c: rows and columns of the points.
        half: half of the strip's width.
    """
    best, most = 0.0, np.zeros(0, dtype=int)
    for angle in np.radians(np.arange(0, 180, 5)):
        offset = r * np.cos(angle) - c * np.sin(angle)
        places, counts = np.unique(np.floor(offset / half), return_counts=True)
        middle = (places[counts.argmax()] + 0.5) * half
        there = np.flatnonzero(np.abs(offset - middle) < half)
        if len(there) > len(most):
            best, most = angle, there
    return best, most
