"""Cards of priors: what a checkpoint is, where it comes from, and whether the file on this machine
is that one.

The cards of published checkpoints are in ``cards.json``; a user's own are in ``HOME/cards``, and
downloaded files in ``HOME/priors/NAME``, where HOME is ``$HRDIS_HOME`` or hrdis in the platform's
cache folder. A file whose hash nobody published is pinned on first use. Its hash is noted then, and
every later file under its name must have it.
"""

import re
import warnings
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path, PurePosixPath

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic.dataclasses import dataclass

from ..files import cache_folder, read_json, sha256, write_json

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
        path = PurePosixPath(name)
        outside = path.is_absolute() or ".." in path.parts or "\\" in name
        # Hidden names are those of locks and of downloads under way.
        if not path.name or path.name.startswith(".") or outside:
            raise ValueError(f"{name!r} is no path inside a folder")
        return name


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Card:
    """Description of a prior: its files, their origin and hashes, and what the network is.

    Args:
        name: the name that `load_prior` takes.
        scheme: the loader that reads it, a key of ``LOADERS``.
        files: the files it consists of.
        path: a folder of the user's own; "" for the cache.
        load: the file in the folder that the loader is given; "." for the folder itself.
        about: description in one line.
        origin: the page it was published on.
        licence: licence of the weights.
        data: training data.
        schedule, prediction: noise schedule of the training, and what the network predicts.
        size: side of its training images in pixels.
        parameters: number of parameters.
        classes: number of labels it takes; None if it takes none.
        roughly: approximate size of all files in bytes.
        hash_source: who published the hashes that are given.
        by_hand: the page where people find the file if a program cannot download it.
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
        """Folder of its files, whether or not they are there."""
        return Path(self.path) if self.path else cache_folder() / "priors" / self.name

    @property
    def target(self) -> str:
        """The "scheme:path" that `load_prior` loads for it."""
        return f"{self.scheme}:{self.folder / self.load}"

    @property
    def here(self) -> bool:
        """True if all its files exist on this machine."""
        return not self.missing

    @property
    def missing(self) -> list[File]:
        """The files that are not on this machine."""
        return [file for file in self.files if not (self.folder / file.name).is_file()]

    @property
    def bytes_here(self) -> int:
        """Size of its files in bytes; all of them must exist."""
        return sum((self.folder / file.name).stat().st_size for file in self.files)


_CARD = TypeAdapter(Card)
_CARDS = TypeAdapter(dict[str, Card])


def published_cards() -> dict[str, Card]:
    """Return the cards of published checkpoints by name; they come with the package."""
    text = resources.files("hrdis") / "checkpoints" / "cards.json"
    return _CARDS.validate_json(text.read_text(encoding="utf-8"))


def all_cards() -> dict[str, Card]:
    """Return every card by name, first the published ones, then the user's own.

    Warns:
        UserWarning: for each card of the user's own that cannot be read and is left out.
    """
    found = published_cards()
    for file in sorted(_own_cards().glob("*.json")):
        try:
            card = _read_card(file)
        except ValueError as error:
            # One damaged card must not make all other priors unusable.
            warnings.warn(str(error), stacklevel=2)
        else:
            found.setdefault(card.name, card)
    return found


def find_card(name: object) -> Card | None:
    """Return the card of that name, or None.

    Raises:
        ValueError: if it is a card of the user's own that cannot be read.
    """
    text = str(name)
    # A path and "scheme:..." are not names; the prior in the package needs no cache folder.
    if text == "default" or not re.fullmatch(NAME, text):
        return None
    published = published_cards()
    if text in published:
        return published[text]
    file = _own_cards() / f"{text}.json"
    if not file.is_file():
        return None
    card = _read_card(file)
    return card if card.name == text else None


def save_card(card: Card) -> Path:
    """Write a card of the user's own; return its file."""
    file = card_file(card.name)
    write_json(file, _CARD.dump_python(card))
    return file


def card_file(name: str) -> Path:
    """Return the file of a card of the user's own, whether or not it exists."""
    return _own_cards() / f"{name}.json"


def _own_cards() -> Path:
    return cache_folder() / "cards"


def _read_card(file: Path) -> Card:
    try:
        return _CARD.validate_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise ValueError(
            f"The card {file} cannot be read ({str(error).splitlines()[0]}). A card that "
            "`hrdis model add` wrote is expected: remove that file."
        ) from None


def resolve_card(name: str | Path) -> str | Path:
    """Resolve a card to "scheme:path" and verify its files; return any other name as it is.

    Nothing is downloaded.

    Raises:
        ValueError: if a file of the card does not exist, or is not the right one.

    Cost:
        every file is hashed, about a second for a gigabyte.
    """
    card = find_card(name)
    if card is None:
        return name
    if card.missing:
        amount = ""
        if card.roughly:
            amount = f" ({card.roughly / 1e6:.0f} MB, licence: {card.licence})"
        first = card.missing[0]
        if card.path:
            fix = (
                f"{card.folder / first.name} is expected, where it was added from. Put it back, or "
                "add it anew."
            )
        else:
            fix = (
                f"{card.folder / first.name} is expected, from {first.url}: hrdis model download "
                f"{card.name}"
            )
        raise ValueError(f"The prior {card.name!r} is not on this machine{amount}. {fix}")
    verify(card)
    return card.target


# ---- hashes and pins ----------------------------------------------------------------------------


def verify(card: Card) -> dict[str, str]:
    """Compare the files of a card with their hashes, pin those without, and return the hashes by
    file name.

    Raises:
        ValueError: with both hashes, if a file is another one.
    """
    found = {}
    for file in card.files:
        path = card.folder / file.name
        digest = sha256(path)
        expected = expected_hash(card, file)
        if expected is None:
            pin(card, file, digest)
        elif digest != expected:
            source = card.hash_source or "its card"
            if not file.sha256:
                date = pins(card)[file.name]["date"]
                source = f"pinned {date}; to pin anew, remove {_pins_file(card)}"
            raise ValueError(
                f"{path} is not the file of the prior {card.name!r}: its SHA-256 is {digest}, "
                f"{expected} is expected ({source}). Remove it and fetch it again: "
                f"hrdis model download {card.name}"
            )
        found[file.name] = digest
    return found


def check_listed(card: Card, read: Iterable[Path]) -> None:
    """Raise if a loader would read a file that the card does not list, and so nobody has hashed.

    Args:
        card: a card whose files were verified.
        read: the files that the loader reads.

    Raises:
        ValueError: naming the file.
    """
    listed = {(card.folder / file.name).resolve() for file in card.files}
    for path in read:
        if path.is_file() and path.resolve() not in listed:
            raise ValueError(
                f"{path} is not on the card of the prior {card.name!r}, but would be loaded in "
                "place of a file that is. Remove it, or add the folder under another name: "
                "hrdis model add NAME SCHEME:FOLDER"
            )


def expected_hash(card: Card, file: File) -> str | None:
    """Return the hash a file must have, the published one, else the pinned one, else None."""
    return file.sha256 or pins(card).get(file.name, {}).get("sha256")


def pins(card: Card) -> dict[str, dict[str, str]]:
    """Return hash and date that were noted for each file of a card when it was first used.

    Raises:
        ValueError: if the notes cannot be read.
    """
    file = _pins_file(card)
    if not file.exists():
        return {}
    found = {}
    try:
        for name, noted in read_json(file).items():
            found[name] = {"sha256": str(noted["sha256"]), "date": str(noted["date"])}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{file} cannot be read ({error}). Remove it: files are pinned anew."
        ) from None
    return found


def pin(card: Card, file: File, digest: str) -> None:
    """Note the hash of a file whose hash nobody published."""
    noted = pins(card)
    noted[file.name] = {"sha256": digest, "date": today()}
    try:
        write_json(_pins_file(card), noted)
    except OSError as error:
        raise ValueError(
            f"The hash of {file.name} cannot be noted ({error}). A folder that can be written is "
            "expected: HRDIS_HOME=/some/folder"
        ) from None


def _pins_file(card: Card) -> Path:
    return cache_folder() / "pins" / f"{card.name}.json"


def today() -> str:
    """Return the date in UTC, for pins and cards."""
    return datetime.now(UTC).date().isoformat()
