"""Copy the code of examples/own_*.py into docs/how-to/extend.md: ``python docs/_site/examples.py``.

The page holds the code itself, because GitHub cannot include a file. A test compares the two.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "extend.md"


def code_of(name: str) -> str:
    """Return an example without the docstring at its top."""
    text = (ROOT / "examples" / f"own_{name}.py").read_text(encoding="utf-8")
    return text.split('"""', 2)[2].strip()


def main() -> None:
    """Rewrite the block of code that follows each link to an example."""
    text = PAGE.read_text(encoding="utf-8")
    for name in ("solver", "operator", "noise", "prior", "task"):
        found = re.search(rf"\]\(\S*own_{name}\.py\).*?```python\n(.*?)\n```", text, re.DOTALL)
        assert found is not None, f"{PAGE} shows no code below its link to own_{name}.py"
        text = text[: found.start(1)] + code_of(name) + text[found.end(1) :]
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
