"""The order of the pages: what the site shows at its left.

GitHub shows a ``toctree`` as raw text, so `docs/index.md` has none; the build appends these.
"""

from hrdis.cli import COMMANDS

CONTENTS: dict[str, list[str]] = {
    "Start": ["install"],
    "Tutorials": [
        "tutorials/browser",
        "tutorials/python",
        "tutorials/own-operator",
        "tutorials/train",
    ],
    "How to": [
        "how-to/fix",
        "how-to/mask",
        "how-to/noise-level",
        "how-to/deblur",
        "how-to/jpeg",
        "how-to/folder",
        "how-to/large-pictures",
        "how-to/choose-solver",
        "how-to/uncertainty",
        "how-to/repeat-and-cite",
        "how-to/published-models",
        "how-to/diffusers",
        "how-to/latent",
        "how-to/deepinv",
        "how-to/coming-from",
        "how-to/extend",
        "how-to/step-by-hand",
        "how-to/paper-tables",
        "how-to/cluster",
        "how-to/serve",
        "how-to/help",
    ],
    "Reference": [
        "reference/commands",
        *(f"reference/commands/{name}" for name in COMMANDS),
        "reference/messages",
        "reference/record",
        "reference/environment",
        "reference/models",
        "reference/glossary",
        "reference/letters",
        "reference/reliability",
        "solvers/index",
        "api/index",
        "about/changelog",
        "Card of the embedded model <about/model-card>",
        "Its photographs <about/credits>",
        "The package's photographs <about/pictures>",
    ],
    "Explanation": [
        "explanation/how-it-works",
        "explanation/uncertainty",
        "explanation/limits",
        "explanation/reproducibility",
        "explanation/licences",
        "about/contributing",
        "about/security",
        "about/conduct",
        "about/studies",
    ],
    "Measurements": [
        "measurements/index",
        "measurements/fix",
        "measurements/repairs",
        "measurements/model",
        "measurements/looks",
        "measurements/tasks",
        "measurements/solvers",
        "measurements/posterior",
        "measurements/overrelaxed",
        "measurements/uncertainty",
        "measurements/few-calls",
        "measurements/effort",
        "measurements/peers",
        "measurements/latents",
        "measurements/speed",
        "measurements/paper",
        "measurements/reliability",
    ],
}


def toctrees() -> str:
    """Return the hidden toctrees of the front page, in MyST."""
    blocks = []
    for caption, entries in CONTENTS.items():
        lines = "\n".join(entries)
        blocks.append(f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{lines}\n```\n")
    return "\n".join(blocks)
