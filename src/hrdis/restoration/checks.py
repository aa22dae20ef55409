"""What is refused before any work: outputs over inputs, and tasks that measure no picture."""

from collections.abc import Sequence
from pathlib import Path

from ..operators import Operator


def check_outputs(outputs: Sequence[Path], inputs: Sequence[Path | None]) -> None:
    """Raise unless no output would overwrite an input, and a record in the way is one of ours.

    Raises:
        ValueError: naming the file in the way; nothing has been written.
    """
    for path in outputs:
        if path.resolve() in {i.resolve() for i in inputs if i is not None}:
            raise ValueError(
                f"{path} is an input and would be written over. Another name is expected: -o "
                "new.png"
            )
        if (
            path.suffix == ".json"
            and path.exists()
            and b'"hrdis"' not in path.read_bytes()[:100_000]
        ):
            raise ValueError(
                f"{path} exists and is no record of this program. Another name is expected: -o "
                "new.png"
            )


def check_picture(name: str, operator: Operator) -> None:
    """Raise unless what a task measures is a picture, which a file can hold.

    Raises:
        ValueError: naming the way that takes any measurement.
    """
    if not operator.picture:
        raise ValueError(
            f"The task {name!r} measures numbers that are no picture, and this command reads and "
            "writes pictures. It can be used from Python."
        )
