"""``hrdis prior``: the diffusion models at hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import tyro
from rich.console import Console
from rich.markdown import Markdown

from hrdis.priors.checkpoints import card, embedded_folder

from .parsing import checking, parse

HELP = """\
List priors, or show one's card: what it was trained on, its size, its licence, how good it is.

Examples:
  hrdis prior list
  hrdis prior show default
  hrdis prior show my-prior/
"""


@dataclass(frozen=True, kw_only=True)
class PriorCommand:
    """Options of ``hrdis prior``."""

    action: tyro.conf.Positional[Literal["list", "show"]] = "list"
    """list: the names; show: one card."""
    name: tyro.conf.Positional[str] = "default"
    """The prior to show: 'default' or a folder."""


def main(argv: Sequence[str]) -> int:
    args: Any = parse(PriorCommand, argv, "prior", HELP)
    console = Console(highlight=False)
    with checking():
        if args.action == "list":
            size = (embedded_folder() / "diffusion_pytorch_model.safetensors").stat().st_size
            console.print(f"default   the model inside the package ({size / 1e6:.1f} MB): photographs of any size")
            console.print("FOLDER    a folder made by `hrdis train` or diffusers (UNet2DModel)")
        else:
            console.print(Markdown(card(args.name)))
    return 0
