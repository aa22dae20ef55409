"""Cards of priors: what a checkpoint is, where it comes from, and whether the file here is that
one.

The cards of the checkpoints people use lie in ``cards.json``; a user's own in ``HOME/cards``, and
files in ``HOME/priors/NAME``, where HOME is ``$HRDIS_HOME`` or the platform's cache folder. A file
whose hash nobody published is pinned on first use: its hash is noted, and whatever lies there later
must be the same.
"""

import json
import os
import re
import sys
from datetime import UTC, datetime
from hashlib import file_digest
from importlib import resources
from pathlib import Path, PurePosixPath

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic.dataclasses import dataclass

_STRICT = ConfigDict(extra="forbid")
NAME = r"[a-z0-9][a-z0-9._-]*"
SHA256 = r"^[0-9a-f]{64}$"


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class File:
    """One file of a prior.

    Args:
        name: its path inside the prior's folder.
        url: where it is fetched from; "" for a file of the user's own.
        sha256: its published hash, lower-case hexadecimal; None where there is none.
        bytes: its exact size, where known.
    """

    name: str
    url: str = ""
    sha256: str | None = Field(default=None, pattern=SHA256)
    bytes: int | None = Field(default=None, gt=0)

    @field_validator("name")
    @classmethod
    def _stays_inside(cls, name: str) -> str:
        if (
            not name
            or "\\" in name
            or PurePosixPath(name).is_absolute()
            or ".." in PurePosixPath(name).parts
        ):
            raise ValueError(f"{name!r} is no path inside a folder")
        return name


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Card:
    """What is known of a prior.

    Args:
        name: what `load_prior` calls it.
        scheme: which loader reads it, a key of ``load.LOADERS``.
        files: what it consists of.
        path: a folder of the user's own; "" for the cache.
        load: what in the folder the loader is given; "." for the folder itself.
        about: one line.
        origin: the page it was published on.
        licence: of the weights.
        data: what it was trained on.
        schedule, prediction: what its noise was, and what the network estimates.
        size: side of its training images in pixels.
        parameters: how many it has.
        classes: how many labels it takes; None if it takes none.
        roughly: size of all files in bytes, about.
        hash_source: who says so, where a hash is given.
        by_hand: where people find the file if a download by program fails.
    """

    name: str
    scheme: str
    files: tuple[File, ...]
    path: str = ""
    load: str = "."
    about: str = ""
    origin: str = ""
    licence: str = "not stated, ask the authors"
    data: str = "not stated"
    schedule: str = "not stated"
    prediction: str = "not stated"
    size: int | None = None
    parameters: int | None = None
    classes: int | None = None
    roughly: int | None = None
    hash_source: str = ""
    by_hand: str = ""

    @property
    def folder(self) -> Path:
        """Where its files lie, or will."""
        return Path(self.path) if self.path else home() / "priors" / self.name

    @property
    def target(self) -> str:
        """What `load_prior` is to load in its place."""
        return f"{self.scheme}:{self.folder / self.load}"

    @property
    def here(self) -> bool:
        """Whether all its files exist."""
        return all((self.folder / file.name).is_file() for file in self.files)


_CARDS = TypeAdapter(dict[str, Card])


def home() -> Path:
    """Where cards and files are kept: ``$HRDIS_HOME``, else hrdis in the platform's cache
    folder.
    """
    if os.environ.get("HRDIS_HOME"):
        return Path(os.environ["HRDIS_HOME"]).expanduser()
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]).expanduser() / "hrdis"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "hrdis"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "hrdis"


def cards() -> dict[str, Card]:
    """Every card by name: the shipped ones, then the user's own.

    Raises:
        ValueError: if a card of the user's own cannot be read.
    """
    shipped = _CARDS.validate_json(
        (resources.files("hrdis") / "checkpoints" / "cards.json").read_text(encoding="utf-8")
    )
    for file in sorted((home() / "cards").glob("*.json")):
        try:
            card = TypeAdapter(Card).validate_json(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            raise ValueError(
                f"The card {file} cannot be read ({str(error).splitlines()[0]}). A card that "
                "`hrdis prior add` wrote is expected: remove that file."
            ) from None
        shipped.setdefault(card.name, card)
    return shipped


def find(name: object) -> Card | None:
    """The card of that name, if there is one."""
    text = str(name)
    if not re.fullmatch(
        NAME, text
    ):  # a path or "scheme:...": spare such a caller the reading of the cards
        return None
    return cards().get(text)


def locate(name: str | Path) -> str | Path:
    """What `load_prior` is to load for a name: that of a card becomes "scheme:path", any other is
    handed back.

    Nothing is downloaded. Every file is hashed, about a second for a gigabyte, and compared with
    its card or its pin; one that has neither is pinned.

    Raises:
        ValueError: if a card's file is not here, or another one is.
    """
    card = find(name)
    if card is None:
        return name
    if not card.here:
        raise ValueError(
            f"The prior {card.name!r} is not on this machine{_amount(card)}. {_how(card)}"
        )
    verify(card)
    return card.target


def _amount(card: Card) -> str:
    return f" ({card.roughly / 1e6:.0f} MB, licence: {card.licence})" if card.roughly else ""


def _how(card: Card) -> str:
    missing = next(file for file in card.files if not (card.folder / file.name).is_file())
    if card.path:
        return (
            f"{card.folder / missing.name} is expected, where it was added from. Put it back, or "
            "add it anew."
        )
    return (
        f"{card.folder / missing.name} is expected, from {missing.url}: hrdis prior get {card.name}"
    )


def verify(card: Card) -> dict[str, str]:
    """Compare the files of a card with their hashes and pin those without; returns the hashes by
    file name.

    Raises:
        ValueError: with both hashes, if a file is another one.
    """
    found = {}
    for file in card.files:
        path = card.folder / file.name
        digest = sha256(path)
        expected = expected_hash(card, file)
        if expected is not None and digest != expected:
            raise ValueError(
                f"{path} is not the file of the prior {card.name!r}: its SHA-256 is {digest}, "
                f"{expected} is expected ({_says(card, file)}). Remove it and fetch it again: "
                f"hrdis prior get {card.name}"
            )
        if expected is None:
            pin(card, file, digest)
        found[file.name] = digest
    return found


def expected_hash(card: Card, file: File) -> str | None:
    """The hash a file must have: the published one, else the pinned one, else None."""
    return file.sha256 or pins(card).get(file.name, {}).get("sha256")


def _says(card: Card, file: File) -> str:
    date = "" if file.sha256 else pins(card)[file.name]["date"]
    return (
        f"pinned {date}; to pin anew, remove {_pins_file(card)}"
        if date
        else card.hash_source or "its card"
    )


def sha256(path: Path) -> str:
    """The SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def pins(card: Card) -> dict[str, dict[str, str]]:
    """What was noted of a card's files on first use."""
    try:
        values = json.loads(_pins_file(card).read_text(encoding="utf-8"))
        return {
            str(k): {"sha256": str(v["sha256"]), "date": str(v["date"])} for k, v in values.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{_pins_file(card)} cannot be read ({error}). Remove it: files are pinned anew."
        ) from None


def pin(card: Card, file: File, digest: str) -> dict[str, dict[str, str]]:
    """Note the hash of a file whose hash nobody published."""
    noted = pins(card) | {file.name: {"sha256": digest, "date": today()}}
    write(_pins_file(card), noted)
    return noted


def _pins_file(card: Card) -> Path:
    return home() / "pins" / f"{card.name}.json"


def today() -> str:
    """The date, for pins and cards."""
    return datetime.now(UTC).date().isoformat()


def write(path: Path, value: object) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
