"""``hrdis model``: list, show, add, download and check diffusion models."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

import tyro
from rich.console import Console
from rich.markdown import Markdown
from torch import Tensor

from hrdis import images
from hrdis.check import check_prior
from hrdis.checkpoints import (
    FOLDERS,
    LOADERS,
    Card,
    FetchError,
    File,
    all_cards,
    embedded_folder,
    fetch_model,
    fetch_prior,
    find_card,
    is_id,
    load_prior,
    model_card,
    save_card,
    verify,
)
from hrdis.checkpoints.cards import NAME, SHA256, card_file, pins, today
from hrdis.devices import pick_device
from hrdis.files import sha256

from .parsing import checking, fail, parse
from .progress import byte_bar, say

HELP = """\
List models, show one's card, download one, add one of your own, or check that one is what it
claims to be.

Examples:
  hrdis list models
  hrdis model show default
  hrdis model download ffhq256        (into the cache; goes on after a break, checks the hash)
  hrdis model download diffusers:google/ddpm-celebahq-256
                                      (a model of the Hugging Face hub by its id, which is pinned)
  hrdis model add mine adm-ffhq256:~/w/faces.pt --licence CC-BY-4.0
  hrdis check model default           (denoise at five noise levels, beside filters)
  hrdis check model ffhq256 --photos faces/
  hrdis restore small.jpg --task sr4 --model ffhq256 -o large.png

Files are kept in $HRDIS_HOME, or hrdis in the platform's cache folder; nothing is ever
downloaded but by `hrdis model download`, and nothing at all if HRDIS_OFFLINE=1. No file runs code
when it is loaded. Without a published hash, hrdis stores that of your first download and refuses a
different file later. Exit status: 0, 1 for a failed check or download, 2 for bad input.
"""


@dataclass(frozen=True, kw_only=True)
class ModelCommand:
    """Options of ``hrdis model``."""

    action: Annotated[
        tyro.conf.Positional[Literal["list", "show", "add", "download", "check"]],
        tyro.conf.arg(metavar="ACTION"),
    ] = "list"
    """list: the names; show: one card; add: a card of your own; download: fetch one; check: try it
    on pictures.
    """
    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")] = "default"
    """The model: 'default', a name of the list, a folder, or SCHEME:PATH."""
    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SOURCE")] = ""
    """For add: SCHEME:PATH or SCHEME:URL, e.g. adm-ffhq256:/w/faces.pt."""
    sha256: Annotated[str, tyro.conf.arg(metavar="HASH")] = ""
    """For add: the SHA-256 that the file must have."""
    licence: Annotated[str, tyro.conf.arg(metavar="LICENCE")] = "not stated, ask the authors"
    """For add: the licence of the weights."""
    photos: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """For check: a folder of pictures of the model's own kind; by default those in the package."""
    size: int = 0
    """For check: side of the pictures in pixels; by default that of the card, or 128."""
    label: Annotated[int | None, tyro.conf.arg(name="class-label", metavar="N")] = None
    """For check: the class of the pictures, for class-conditional models."""
    device: Annotated[str, tyro.conf.arg(metavar="DEVICE")] = "auto"
    """For check: where the network runs: auto, cpu, cuda, mps."""


def main(argv: Sequence[str]) -> int:
    args: Any = parse(ModelCommand, argv, "model", HELP)
    actions = {"list": _list, "show": _show, "add": _add, "download": _get, "check": _check}
    try:
        return actions[args.action](args)
    except FetchError as error:
        return fail("model", error, 1)


def _list(args: Any) -> int:
    console = Console(highlight=False, soft_wrap=True)
    with checking():
        known = all_cards()
        size = (embedded_folder() / "diffusion_pytorch_model.safetensors").stat().st_size
    console.print(
        f"{'default':<20} here     {size / 1e6:>7.1f} MB  the model inside the package: "
        "photographs of any size"
    )
    for name, card in known.items():
        size = card.bytes_here if card.here else card.roughly or 0
        amount = f"{size / 1e6:>7.0f} MB" if size else " " * 10
        place = "here    " if card.here else "not here"
        console.print(f"{name:<20} {place} {amount}  {card.about}", markup=False)
    console.print(f"{'FOLDER':<20} made by `hrdis train` or diffusers")
    console.print(
        f"{'SCHEME:PATH':<20} a checkpoint file or folder of a known kind; the schemes are"
    )
    indent = 21 * " "
    schemes = ", ".join(LOADERS)
    console.print(
        fill(schemes, 100, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    )
    return 0


def _show(args: Any) -> int:
    with checking():
        card = find_card(args.name)
        if card is None:  # a folder, or the one of the package
            lines = [model_card(args.name)]
        else:
            lines = [f"# {card.name}", "", card.about, ""]
            rows = {
                "origin": card.origin, "licence": card.licence, "trained on": card.data,
                "schedule": card.schedule, "predicts": card.prediction,
                "image size": card.size and f"{card.size} pixels",
                "parameters": card.parameters, "classes": card.classes, "loads as": card.target,
            }  # fmt: skip
            for key, value in rows.items():
                if value:
                    lines.append(f"- {key}: {value}")
            pinned, missing = pins(card), card.missing
            for file in card.files:
                digest = "none published"
                if file.sha256:
                    digest = f"{file.sha256} ({card.hash_source})"
                if file.name in pinned:
                    pin = pinned[file.name]
                    digest += f"; pinned {pin['date']}: {pin['sha256']}"
                place = "here"
                if file in missing:
                    place = f"not here: `hrdis model download {card.name}`"
                source = file.url or card.folder
                lines.append(f"- {file.name}: {source}; SHA-256 {digest}; {place}")
    Console(highlight=False).print(Markdown("\n".join(lines)))
    return 0


def _get(args: Any) -> int:
    scheme, _, where = args.name.rpartition(":")
    scheme = scheme or "diffusers"
    if is_id(where) and scheme in FOLDERS and not Path(where).expanduser().exists():
        try:
            lines = fetch_model(where, scheme)
        except ValueError as error:
            return fail("model", error, 1)
        here = f"{where} is here already, as it was pinned. Load it: {scheme}:{where}"
        say("\n".join(lines) or here)
        return 0
    with checking():
        if args.name == "default":
            raise ValueError(
                "The default prior comes with the package. Another name is expected: hrdis model "
                "download ffhq256"
            )
        card = find_card(args.name)
        if card is None:
            raise ValueError(
                f"There is no card {args.name!r}. A name of `hrdis list models` is expected, the "
                "id of a model of the hub (diffusers:google/ddpm-celebahq-256), or: hrdis model add"
            )
    try:
        with byte_bar() as report:
            lines = fetch_prior(card, report)
    except ValueError as error:
        return fail("model", error, 1)
    say(
        "\n".join(lines) or f"{card.name} is here already, and is what its card says: {card.folder}"
    )
    return 0


def _add(args: Any) -> int:
    with checking():
        card = _new_card(args)
        file = save_card(card)
    lines = [f"Wrote {file}."]
    if card.path:
        lines.append(f"Load it: {card.name}")
    else:
        lines.append(f"Fetch it: hrdis model download {card.name}")
    if card.origin.startswith("http:") and not card.files[0].sha256:
        lines.append(
            "Its address is not encrypted and its hash is not known: anybody on the way can swap "
            "the file. Use https, or --sha256."
        )
    say(" ".join(lines))
    return 0


def _new_card(args: Any) -> Card:
    """Make the card of a user's own file, folder or address."""
    scheme, _, rest = args.source.partition(":")
    if scheme not in LOADERS or not rest:
        raise ValueError(
            f"The source is {args.source!r}. SCHEME:PATH or SCHEME:URL is expected, with one of "
            f"{', '.join(LOADERS)}: hrdis model add mine diffusers:/w/folder"
        )
    if not re.fullmatch(NAME, args.name):
        raise ValueError(
            f"The name is {args.name!r}. Lower-case letters, digits, '.', '_' and '-' are expected."
        )
    if args.name == "default" or find_card(args.name):
        raise ValueError(
            f"There is a prior {args.name!r} already. Take another name, or remove "
            f"{card_file(args.name)}."
        )
    expected = args.sha256.lower()
    if expected and not re.fullmatch(SHA256, expected):
        raise ValueError(f"--sha256 is {args.sha256!r}. 64 hexadecimal digits are expected.")
    common = dict(name=args.name, scheme=scheme, licence=args.licence, about=f"added {today()}")
    if re.match("https?://", rest):
        name = unquote(Path(urlsplit(rest).path).name) or "weights"
        file = File(name=name, url=rest, sha256=expected or None)
        return Card(**common, files=(file,), load=name, origin=rest)
    path = Path(rest).expanduser().resolve()
    own = dict(**common, hash_source="when added")
    if path.is_file():
        digest = sha256(path)
        if expected and digest != expected:
            raise ValueError(
                f"The SHA-256 of {path} is {digest}, --sha256 says {expected}. Nothing added."
            )
        file = File(name=path.name, sha256=digest, bytes=path.stat().st_size)
        return Card(**own, files=(file,), load=path.name, path=str(path.parent))
    if not path.is_dir():
        raise ValueError(
            f"There is no {path}. A file, a folder or an address is expected: "
            f"{scheme}:/w/weights.pt"
        )
    if expected:
        raise ValueError(f"--sha256 is given, but {path} is a folder. A hash belongs to one file.")
    files = []
    for entry in sorted(path.rglob("*")):
        name = entry.relative_to(path).as_posix()
        # Hidden files are notes of other programs, such as those of `hf download`.
        hidden = any(part.startswith(".") for part in Path(name).parts)
        if entry.suffix in (".json", ".safetensors", ".bin") and entry.is_file() and not hidden:
            files.append(File(name=name, sha256=sha256(entry)))
    if not files:
        raise ValueError(
            f"{path} holds no weights. A folder made by `hrdis train` or diffusers is expected."
        )
    return Card(**own, files=tuple(files), path=str(path))


def _check(args: Any) -> int:
    with checking():
        card = find_card(args.name)
        prior = load_prior(args.name, label=args.label, device=pick_device(args.device))
        if prior.latent:
            raise ValueError(
                f"{args.name} works in latents, and check tries pictures. A prior of pictures is "
                "expected."
            )
        size = args.size or (card and card.size) or 128
        x = _pictures(args.photos, size, prior.channels)
        report = check_prior(prior, x.to(pick_device(args.device)), card)
    console = Console(highlight=False)
    styles = {"ok  ": "green", "FAIL": "bold red", "All ": "green"}
    if card:
        hashes = [f"{name} {digest[:16]}..." for name, digest in verify(card).items()]
        console.print(
            f"files as published, added or pinned: {', '.join(hashes)}",
            markup=False,
            soft_wrap=True,
        )
    for line in str(report).splitlines():
        console.print(line, style=styles.get(line[:4]), markup=False, soft_wrap=True)
    return 0 if report.passed else 1


def _pictures(
    folder: Path | None, size: int, channels: tuple[int, ...] | None, most: int = 8
) -> Tensor:
    """Read up to ``most`` pictures, cropped to a size in their middle; larger ones are made smaller
    first for a prior's own size.
    """
    import torch

    where = folder or Path(str(resources.files("hrdis") / "pictures"))
    files = []
    for file in sorted(where.glob("*")):
        if file.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"):
            files.append(file)
    found = []
    for file in files[:most]:
        x = images.load(file)
        h, w = x.shape[-2:]
        if min(h, w) < size or size > 128:
            scale = size / min(h, w)
            to = (max(size, round(h * scale)), max(size, round(w * scale)))
            x = torch.nn.functional.interpolate(x, to, mode="bicubic", antialias=True).clamp(-1, 1)
        top, left = (x.shape[-2] - size) // 2, (x.shape[-1] - size) // 2
        found.append(x[..., top : top + size, left : left + size].expand(-1, 3, -1, -1))
    if not found:
        raise ValueError(
            f"{where} holds no pictures. PNG, JPEG or WebP files are expected: --photos FOLDER"
        )
    x = torch.cat(found)
    if channels is not None and 3 not in channels and 1 not in channels:
        raise ValueError(
            f"The prior takes images of {channels} channels; pictures have 1 or 3, so it was not "
            "tried."
        )
    return x if channels is None or 3 in channels else x.mean(1, keepdim=True)
