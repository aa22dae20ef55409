"""``hrdis prior``: the diffusion models at hand, and those that can be had."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from textwrap import fill
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import tyro
from rich.console import Console
from rich.markdown import Markdown
from torch import Tensor

from hrdis import images
from hrdis.check import check_prior
from hrdis.checkpoints import cards, fetch, load_prior
from hrdis.checkpoints.hub import is_id
from hrdis.checkpoints.load import LOADERS, card, embedded_folder
from hrdis.devices import pick_device

from .parsing import checking, fail, parse
from .progress import byte_bar, say

HELP = """\
List priors, show one's card, fetch one, add one of your own, or check that one is what it claims to
be.

Examples:
  hrdis prior list
  hrdis prior show default
  hrdis prior get ffhq256                  fetch it into the cache; resumes, checks its hash
  hrdis prior get diffusers:google/ddpm-celebahq-256
                                fetch a model of the Hugging Face hub by its id, and pin it
  hrdis prior add mine adm-ffhq256:~/w/faces.pt --licence CC-BY-4.0
  hrdis prior check default     denoise at five noise levels, beside filters: does it work?
  hrdis prior check ffhq256 --photos faces/
  hrdis restore small.jpg --task sr4 --prior ffhq256 -o large.png

Files are kept in $HRDIS_HOME, or hrdis in the platform's cache folder; nothing is ever fetched
without `get`, and nothing at all if HRDIS_OFFLINE=1. No file runs code when it is loaded. A file
whose hash nobody published is pinned: the first one seen is noted, and another one under its name
is refused. Exit status: 0, 1 for a failed check or download, 2 for bad input.
"""


FOLDERS = ("diffusers", "edm", "consistency")  # schemes of a folder, which the hub has too


@dataclass(frozen=True, kw_only=True)
class PriorCommand:
    """Options of ``hrdis prior``."""

    action: tyro.conf.Positional[Literal["list", "show", "add", "get", "check"]] = "list"
    """list: the names; show: one card; add: a card of your own; get: fetch; check: try it on
    pictures.
    """
    name: tyro.conf.Positional[str] = "default"
    """The prior: 'default', a name of the list, a folder, or SCHEME:PATH."""
    source: tyro.conf.Positional[str] = ""
    """For add: SCHEME:PATH or SCHEME:URL, e.g. adm-ffhq256:/w/faces.pt."""
    sha256: str = ""
    """For add: the hash the file must have."""
    licence: str = "not stated, ask the authors"
    """For add: the licence of the weights."""
    photos: Path | None = None
    """For check: a folder of pictures of the prior's own kind; by default those in the package."""
    size: int = 0
    """For check: side of the pictures in pixels; by default that of the card, or 128."""
    label: int | None = None
    """For check: the class of the pictures, for class-conditional models."""
    device: str = "auto"
    """For check: where the network runs: auto, cpu, cuda, mps."""


def main(argv: Sequence[str]) -> int:
    args: Any = parse(PriorCommand, argv, "prior", HELP)
    try:
        return int(
            {"list": _list, "show": _show, "add": _add, "get": _get, "check": _check}[args.action](
                args
            )
        )
    except fetch.FetchError as error:
        return fail("prior", error, 1)


def _list(args: Any) -> int:
    console = Console(highlight=False, soft_wrap=True)
    with checking():
        known = cards.cards()
        size = (embedded_folder() / "diffusion_pytorch_model.safetensors").stat().st_size
    console.print(
        f"{'default':<20} here     {size / 1e6:>7.1f} MB  the model inside the package: "
        "photographs of any size"
    )
    for name, each in known.items():
        size = (
            sum((each.folder / f.name).stat().st_size for f in each.files)
            if each.here
            else each.roughly or 0
        )
        amount = f"{size / 1e6:>7.0f} MB" if size else " " * 10
        console.print(
            f"{name:<20} {'here    ' if each.here else 'not here'} {amount}  {each.about}",
            markup=False,
        )
    console.print(f"{'FOLDER':<20} made by `hrdis train` or diffusers")
    console.print(
        f"{'SCHEME:PATH':<20} a checkpoint file or folder of a known kind; the schemes are"
    )
    console.print(
        fill(
            ", ".join(LOADERS),
            100,
            initial_indent=21 * " ",
            subsequent_indent=21 * " ",
            break_on_hyphens=False,
        )
    )
    return 0


def _show(args: Any) -> int:
    with checking():
        found = cards.find(args.name)
        text = card(args.name) if found is None else _text(found)
    Console(highlight=False).print(Markdown(text))
    return 0


def _text(found: cards.Card) -> str:
    """A card as Markdown."""
    pinned = cards.pins(found)
    rows = {
        "origin": found.origin, "licence": found.licence, "trained on": found.data,
        "schedule": found.schedule,
        "predicts": found.prediction, "image size": found.size and f"{found.size} pixels",
        "parameters": found.parameters, "classes": found.classes, "loads as": found.target,
    }  # fmt: skip
    lines = [f"# {found.name}", "", found.about, "", *(f"- {k}: {v}" for k, v in rows.items() if v)]
    for file in found.files:
        pin = pinned.get(file.name)
        sha = f"{file.sha256} ({found.hash_source})" if file.sha256 else "none published"
        sha += f"; pinned {pin['date']}: {pin['sha256']}" if pin else ""
        here = (
            "here"
            if (found.folder / file.name).is_file()
            else f"not here: `hrdis prior get {found.name}`"
        )
        lines.append(f"- {file.name}: {file.url or found.folder}; SHA-256 {sha}; {here}")
    return "\n".join(lines) + "\n"


def _get(args: Any) -> int:
    scheme, _, where = args.name.rpartition(":")
    if (
        is_id(where)
        and (scheme or "diffusers") in FOLDERS
        and not Path(where).expanduser().exists()
    ):
        return _get_model(where, scheme or "diffusers")
    with checking():
        found = _known(args.name)
    try:
        with byte_bar() as report:
            said = fetch.get(found, report)
    except ValueError as error:
        return fail("prior", error, 1)
    say(
        "\n".join(said)
        if said
        else f"{found.name} is here already, and is what its card says: {found.folder}"
    )
    return 0


def _get_model(repo: str, scheme: str) -> int:
    """Fetch a model of the hub."""
    try:
        said = fetch.get_model(repo, scheme)
    except ValueError as error:
        return fail("prior", error, 1)
    say(
        "\n".join(said)
        if said
        else f"{repo} is here already, as it was pinned. Load it: {scheme}:{repo}"
    )
    return 0


def _known(name: str) -> cards.Card:
    found = cards.find(name)
    if name == "default":
        raise ValueError(
            "The default prior comes with the package. Another name is expected: hrdis prior get "
            "ffhq256"
        )
    if found is None:
        raise ValueError(
            f"There is no card {name!r}. A name of `hrdis prior list` is expected, the id of a "
            "model of the hub (diffusers:google/ddpm-celebahq-256), or: hrdis prior add"
        )
    return found


def _add(args: Any) -> int:
    with checking():
        made = _made(args)
        file = cards.home() / "cards" / f"{made.name}.json"
        cards.write(file, asdict(made))
    say(
        f"Wrote {file}. "
        + (f"Fetch it: hrdis prior get {made.name}" if not made.path else f"Load it: {made.name}")
    )
    return 0


def _made(args: Any) -> cards.Card:
    """The card of a user's own file, folder or address."""
    scheme, _, rest = args.source.partition(":")
    if scheme not in LOADERS or not rest:
        raise ValueError(
            f"The source is {args.source!r}. SCHEME:PATH or SCHEME:URL is expected, with one of "
            f"{', '.join(LOADERS)}: hrdis prior add mine diffusers:/w/folder"
        )
    if not re.fullmatch(cards.NAME, args.name):
        raise ValueError(
            f"The name is {args.name!r}. Lower-case letters, digits, '.', '_' and '-' are expected."
        )
    if args.name == "default" or cards.find(args.name):
        where = cards.home() / "cards" / f"{args.name}.json"
        raise ValueError(
            f"There is a prior {args.name!r} already. Take another name, or remove {where}."
        )
    if args.sha256 and not re.fullmatch(cards.SHA256, args.sha256.lower()):
        raise ValueError(f"--sha256 is {args.sha256!r}. 64 hexadecimal digits are expected.")
    common = dict(
        name=args.name, scheme=scheme, licence=args.licence, about=f"added {cards.today()}"
    )
    if re.match("https?://", rest):
        name = unquote(Path(urlsplit(rest).path).name) or "weights"
        entry = cards.File(name=name, url=rest, sha256=args.sha256.lower() or None)
        return cards.Card(**common, files=(entry,), load=name, origin=rest)
    path = Path(rest).expanduser().resolve()
    if path.is_file():
        digest = cards.sha256(path)
        if args.sha256 and digest != args.sha256.lower():
            raise ValueError(
                f"The SHA-256 of {path} is {digest}, --sha256 says {args.sha256.lower()}. Nothing "
                "added."
            )
        entry = cards.File(name=path.name, sha256=digest, bytes=path.stat().st_size)
        return cards.Card(
            **common,
            files=(entry,),
            load=path.name,
            path=str(path.parent),
            hash_source="when added",
        )
    if not path.is_dir():
        raise ValueError(
            f"There is no {path}. A file, a folder or an address is expected: "
            f"{scheme}:/w/weights.pt"
        )
    if args.sha256:
        raise ValueError(f"--sha256 is given, but {path} is a folder. A hash belongs to one file.")
    kept = (
        f
        for f in sorted(path.rglob("*"))
        if f.suffix in (".json", ".safetensors", ".bin") and f.is_file()
    )
    files = tuple(
        cards.File(name=f.relative_to(path).as_posix(), sha256=cards.sha256(f)) for f in kept
    )
    if not files:
        raise ValueError(
            f"{path} holds no weights. A folder made by `hrdis train` or diffusers is expected."
        )
    return cards.Card(**common, files=files, path=str(path), hash_source="when added")


def _check(args: Any) -> int:
    with checking():
        found = cards.find(args.name)
        prior = load_prior(args.name, label=args.label, device=pick_device(args.device))
        if prior.latent:
            raise ValueError(
                f"{args.name} works in latents, and check tries pictures. A prior of pictures is "
                "expected."
            )
        size = args.size or (found.size if found and found.size else 128)
        x = _pictures(args.photos, size, prior.channels)
        report = check_prior(prior, x.to(pick_device(args.device)), found)
    console = Console(highlight=False)
    styles = {"ok  ": "green", "FAIL": "bold red", "All ": "green"}
    if found:
        hashes = ", ".join(
            f"{name} {digest[:16]}..." for name, digest in cards.verify(found).items()
        )
        console.print(
            f"files as published, added or pinned: {hashes}", markup=False, soft_wrap=True
        )
    for line in str(report).splitlines():
        console.print(line, style=styles.get(line[:4]), markup=False, soft_wrap=True)
    return 0 if report.passed else 1


def _pictures(
    folder: Path | None, size: int, channels: tuple[int, ...] | None, most: int = 8
) -> Tensor:
    """Up to ``most`` pictures of that size, from their middle; larger ones are made smaller for a
    prior's size.
    """
    import torch

    where = folder or Path(str(resources.files("hrdis") / "pictures"))
    files = [
        f for f in sorted(where.glob("*")) if f.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp")
    ]
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
