"""Options that are given and would change nothing; a command refuses them before any work."""

from collections.abc import Mapping, Sequence


def given(argv: Sequence[str]) -> frozenset[str]:
    """Return the long names, without dashes in front, of the options on a command line.

    An option counts that is given with its default value, too. Who types it expects something.
    """
    names = set()
    for word in argv:
        if word.startswith("--"):
            names.add(word[2:].partition("=")[0].replace("_", "-"))
    return frozenset(names)


def refuse(argv: Sequence[str], unused: Mapping[str, str]) -> None:
    """Raise if an option is given that changes nothing.

    Args:
        argv: the words of the command.
        unused: for each option that would change nothing, by its long name, the reason, a sentence
            that begins after "is given, but".

    Raises:
        ValueError: naming the first of them and the reason.
    """
    there = given(argv)
    for name, why in unused.items():
        if name in there:
            raise ValueError(f"--{name} is given, but {why}")
