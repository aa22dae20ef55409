"""Old names, which keep working for one minor version and say what to write instead."""

import warnings


def warn(old: str, new: str) -> None:
    """Warn, at the line that calls the caller, that ``old`` is now written ``new``."""
    warnings.warn(
        f"{old} is deprecated and will go with the next minor version. Write {new}.",
        DeprecationWarning,
        stacklevel=3,
    )
