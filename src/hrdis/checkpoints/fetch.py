"""Fetch the files of a prior: resumed, checked, and put in place whole or not at all."""

import errno
import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any

from ..files import lock
from . import cards, hub
from .cards import Card, File, expected_hash, pin, sha256, verify

PIECE = 1 << 20
PATIENCE = 30.0  # seconds without a byte
RETRIES = 5  # attempts in a row that bring nothing new
ROOM = 64 << 20  # bytes of a disk to leave free


class FetchError(Exception):
    """A file could not be fetched; the message says why, and how to get it by hand."""


class _Interrupted(Exception):
    """A transfer that stopped on its way, to be taken up again."""


Report = Callable[[str, int, int | None], None]


def get(card: Card, report: Report = lambda *_: None, pause: float = 1.0) -> list[str]:
    """Fetch what is missing of a prior, and compare all of it with its hashes.

    A transfer that breaks is taken up where it stopped, now or by a later call, if the server can
    do that and the file is still the same (ETag or date). Proxies are those of the environment.
    Other processes wait for the first.

    Args:
        card: of the prior.
        report: told of every piece: name of the file, bytes here, bytes in all or None.
        pause: seconds before the second attempt; twice as many before each further one.

    Returns:
        a line for every file that was fetched; none if all were here.

    Raises:
        FetchError: without a network, room or such a file, or for another file than the card's.
        ValueError: if a file that is here already is another one.
    """
    card.folder.mkdir(parents=True, exist_ok=True)
    said = []
    with lock(card.folder / ".lock"):
        for file in card.files:
            if not (card.folder / file.name).is_file():
                said.append(_fetch(card, file, report, pause))
        verify(card)
    return said


def get_model(repo: str, scheme: str = "diffusers") -> list[str]:
    """Fetch a model of the Hugging Face hub into its cache, and pin its revision and the hashes of
    its files.

    A model that was pinned before is fetched at that revision.

    Args:
        repo: its id, OWNER/NAME.
        scheme: how it is loaded, for the messages.

    Returns:
        a line of what was fetched; none if all was here.

    Raises:
        FetchError: without a network or such a model, or if HRDIS_OFFLINE is set.
        ValueError: if its files are not those that were pinned.
    """
    pinned, here = hub.revision(repo), hub.fetched(repo)
    if here is None or pinned is None:
        if forbidden():
            raise FetchError(
                f"HRDIS_OFFLINE is set, so the model {repo!r} was not fetched. "
                f"{_copied_by_hand(repo, scheme)}"
            )
        here = _snapshot(repo, pinned, hub.FILES, scheme)
        single = any(
            (here / f"{unet}diffusion_pytorch_model.safetensors").exists() for unet in ("", "unet/")
        )
        if not single:
            here = _snapshot(repo, pinned, hub.SHARDS, scheme)
            if not list(here.rglob("*.index.json")):
                here = _snapshot(repo, pinned, hub.OTHERS, scheme)
        found = verify(hub.card_of(repo, here))
        commit = here.name
        cards.write_text(hub.revision_file(repo), f"{commit}\n")
        return [
            f"{here}: {len(found)} files at revision {commit}, pinned. Load it: {scheme}:{repo}"
        ]
    verify(hub.card_of(repo, here))
    return []


def forbidden() -> bool:
    """Return True if HRDIS_OFFLINE forbids the network."""
    return os.environ.get("HRDIS_OFFLINE", "") not in ("", "0")


def _snapshot(repo: str, commit: str | None, patterns: list[str], scheme: str) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(repo, revision=commit, allow_patterns=patterns))
    except GatedRepoError:
        reason = "its owners ask for a login and their consent (`hf auth login`)"
    except RepositoryNotFoundError:
        raise FetchError(
            f"There is no model {repo!r} on {constants.ENDPOINT}. The id of one is expected: hrdis "
            "prior get diffusers:google/ddpm-celebahq-256"
        ) from None
    except Exception as error:  # whatever the network does: the way out is the same
        offline = constants.HF_HUB_OFFLINE or type(error).__name__ in ("OfflineModeIsEnabled",)
        reason = (
            "HF_HUB_OFFLINE is set"
            if offline
            else " ".join(str(error).split())[:200] or type(error).__name__
        )
    raise FetchError(
        f"The model {repo!r} cannot be fetched: {reason}. {_copied_by_hand(repo, scheme)}"
    )


def _copied_by_hand(repo: str, scheme: str) -> str:
    name = repo.split("/")[1]
    return (
        f"Where there is a network, run `hf download {repo} --local-dir {name}`, copy the folder "
        f"here, and load that: {scheme}:./{name}"
    )


def _fetch(card: Card, file: File, report: Report, pause: float) -> str:
    """One file, from nothing or from what an earlier call left, into its place."""
    place = card.folder / file.name
    if not file.url:
        raise FetchError(
            f"{place} is missing, and the card of {card.name!r} names no address. Put the file "
            "there."
        )
    if forbidden():
        raise FetchError(
            f"HRDIS_OFFLINE is set, so {file.url} was not fetched. {_by_hand(card, file)}"
        )
    part = place.with_name(f".{place.name}.part")
    transfer = _Transfer(card, file, part, report)
    _persist(transfer, pause)
    digest, expected = sha256(part), expected_hash(card, file)
    if expected is not None and digest != expected:
        transfer.forget()
        raise FetchError(
            f"{file.url} is not the file of the prior {card.name!r}: its SHA-256 is {digest}, "
            f"{expected} is expected. It was removed. Ask the authors which is right: "
            f"{card.origin or file.url}"
        )
    if expected is None:
        pin(card, file, digest)
    os.replace(part, place)
    transfer.forget()
    note = (
        "as published"
        if file.sha256
        else "as pinned before"
        if expected
        else "pinned: nobody published a hash"
    )
    return f"{place} ({place.stat().st_size / 1e6:.1f} MB), SHA-256 {digest}, {note}"


def _persist(transfer: "_Transfer", pause: float) -> None:
    """Attempt a transfer until it is whole, or nothing new comes any more."""
    failures, most = 0, transfer.have
    while True:
        try:
            return transfer.attempt()
        except _Interrupted as stopped:
            failures = 0 if transfer.have > most else failures + 1
            most = max(most, transfer.have)
            if failures == RETRIES:
                raise FetchError(
                    f"{transfer.file.url} could not be fetched ({stopped}). What has come is kept: "
                    f"try again later with `hrdis prior get {transfer.card.name}`. "
                    f"{_by_hand(transfer.card, transfer.file)}"
                ) from None
            time.sleep(pause * 2**failures)


class _Transfer:
    """A file on its way: the part that is here, and which version of the file it is of."""

    def __init__(self, card: Card, file: File, part: Path, report: Report):
        self.card, self.file, self.part, self.report = card, file, part, report
        self.version = part.with_name(part.name + ".version")

    @property
    def have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def forget(self) -> None:
        """Remove the part and what is known of it."""
        self.part.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)

    def attempt(self) -> None:
        """Ask for the rest of the file and write it.

        Raises `_Interrupted` if it should be tried again, `FetchError` if that would not help.
        """
        request = urllib.request.Request(
            self.file.url, headers={"User-Agent": "hrdis", "Accept-Encoding": "identity"}
        )
        version = self.version.read_text(encoding="utf-8") if self.version.exists() else ""
        if self.have and version:
            request.add_header("Range", f"bytes={self.have}-")
            request.add_header("If-Range", version)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                self._receive(response)
        except urllib.error.HTTPError as error:
            self._refused(error)
        except (TimeoutError, http.client.HTTPException, ConnectionError) as error:
            raise _Interrupted(f"{type(error).__name__}: {error}") from None
        except urllib.error.URLError as error:
            if isinstance(
                error.reason, TimeoutError | ConnectionResetError | ConnectionAbortedError
            ):
                raise _Interrupted(str(error.reason)) from None
            reason = f"{self.file.url} cannot be reached ({error.reason})."
            raise FetchError(f"{reason} {_by_hand(self.card, self.file)}") from None

    def _refused(self, error: urllib.error.HTTPError) -> None:
        """What a status other than success means."""
        with error:
            if error.code == 416:  # nothing is left to send: all is here, or more than there is
                if error.headers.get("Content-Range") == f"bytes */{self.have}":
                    return
                self.forget()
                raise _Interrupted("the server has less than was fetched before")
            if error.code in (408, 425, 429) or error.code >= 500:
                raise _Interrupted(f"the server says {error.code} {error.reason}")
            said = (
                f"{self.file.url} cannot be fetched: the server says {error.code} {error.reason}."
            )
            raise FetchError(f"{said} {_by_hand(self.card, self.file)}")

    def _receive(self, response: Any) -> None:
        if self.file.url.startswith("https:") and not response.url.startswith("https:"):
            raise FetchError(
                f"{self.file.url} leads to {response.url}, which is not encrypted. It was not "
                "followed."
            )
        where = str(response.headers.get("Content-Range", ""))
        resumed = response.status == 206 and where.startswith(f"bytes {self.have}-")
        if not resumed:
            self.forget()
        if response.status == 206 and not resumed:
            raise _Interrupted("the server sent another part of the file than was asked for")
        total = _total(response.headers, self.have)
        piece = response.read(PIECE)
        self._check(response, b"" if resumed else piece, total)
        if piece:
            self.version.write_text(_version(response.headers), encoding="utf-8")
        try:
            with self.part.open("ab") as part:
                while piece:
                    part.write(piece)
                    self.report(self.file.name, part.tell(), total)
                    piece = response.read(PIECE)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self.forget()
            raise FetchError(
                f"The disk that holds {self.part.parent} is full. {_room(total)}"
            ) from None
        expected = total or self.file.bytes
        if self.have == 0 or (expected is not None and self.have != expected):
            raise _Interrupted(f"{self.have} of {expected or 'some'} bytes came")

    def _check(self, response: Any, start: bytes, total: int | None) -> None:
        """Refuse what cannot become the file, before any of it is written."""
        page = response.headers.get_content_type() == "text/html"
        if page or start.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
            self.forget()
            raise FetchError(
                f"{self.file.url} brought a web page instead of the file, as Google Drive does "
                "when it asks for a confirmation or a file was fetched too often. "
                f"{_by_hand(self.card, self.file)}"
            )
        if self.file.bytes is not None and total is not None and total != self.file.bytes:
            self.forget()
            raise FetchError(
                f"{self.file.url} has {total} bytes, but the file of the prior {self.card.name!r} "
                f"has {self.file.bytes}. Nothing was fetched. {_by_hand(self.card, self.file)}"
            )
        needed = (total or self.file.bytes or self.card.roughly or 0) - self.have
        free = shutil.disk_usage(self.part.parent).free
        if needed + ROOM > free:
            raise FetchError(
                f"The disk that holds {self.part.parent} has {free / 1e6:.0f} MB left, "
                f"{(needed + ROOM) / 1e6:.0f} MB are expected. {_room(total)}"
            )


def _by_hand(card: Card, file: File) -> str:
    """How to do without this module."""
    return (
        f"By hand: fetch {card.by_hand or file.url} with a browser, put it at "
        f"{card.folder / file.name}, and run `hrdis prior get {card.name}` to have it checked; or "
        f"leave it where it is: hrdis prior add NAME {card.scheme}:PATH"
    )


def _room(total: int | None) -> str:
    return (
        f"Free {total / 1e6:.0f} MB, or use another disk: HRDIS_HOME=/other/disk"
        if total
        else "Free some of it."
    )


def _version(headers: Message) -> str:
    """What names this version of a file for If-Range: a strong ETag, else a date."""
    tag = str(headers.get("ETag", "W/"))
    return str(headers.get("Last-Modified", "")) if tag.startswith("W/") else tag


def _total(headers: Message, have: int) -> int | None:
    """How long the whole file is, by what the server says."""
    found = re.search(r"/(\d+)$", str(headers.get("Content-Range", "")))
    length = str(headers.get("Content-Length", ""))
    return int(found[1]) if found else have + int(length) if length.isdigit() else None
