"""The noise of run tasks by its name."""

from ... import noise as noises

KINDS = {"gaussian": noises.Gaussian, "poisson": noises.Poisson, "speckle": noises.Speckle}


def parse_noise(name: str) -> noises.Noise | None:
    """Return the noise of a name: none, gaussian0.05, poisson1.0, speckle0.1.

    Raises:
        ValueError: for any other, or a level that the noise refuses.
    """
    if name == "none":
        return None
    for kind, make in KINDS.items():
        if not name.startswith(kind):
            continue
        try:
            level = float(name.removeprefix(kind))
        except ValueError:
            break  # no number: the message below names the form that is expected
        return make(level)
    raise ValueError(
        f"Unknown noise {name!r}. none, or a kind and a level, is expected: gaussian0.05, "
        "poisson1.0."
    )
