"""Download one file over an unreliable network.

A download is resumed where it stopped. A file is never joined from two versions, and never longer
than it may be.
"""

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
from typing import IO, Any

from ..files import write_text
from .cards import Card, File

PIECE = 1 << 20  # bytes read at a time
FLUSH = 64 << 20  # bytes after which what has come is forced to the disk
PATIENCE = 30.0  # seconds without a byte
RETRIES = 5  # attempts in a row that bring nothing new
ROOM = 64 << 20  # bytes of a disk to leave free

#: Called with the name of a file, its bytes on this machine, and all its bytes or None.
Report = Callable[[str, int, int | None], None]


class FetchError(Exception):
    """A download that failed; the message says why, and how to get the file by hand."""


class DownloadInterrupted(Exception):
    """An attempt that failed on its way, and may succeed if it is repeated."""


def repeat(download: "Download", pause: float) -> None:
    """Attempt a download until the file is whole, or `RETRIES` attempts in a row add nothing."""
    failures, most = 0, download.have
    while True:
        try:
            return download.attempt()
        except DownloadInterrupted as stopped:
            failures = 0 if download.have > most else failures + 1
            most = max(most, download.have)
            if failures == RETRIES:
                raise FetchError(
                    f"{download.file.url} could not be fetched ({stopped}). What has come is kept: "
                    f"try again later with `hrdis model download {download.card.name}`. "
                    f"{by_hand(download.card, download.file)}"
                ) from None
            time.sleep(pause * 2**failures)


class Download:
    """A file under way: the part that has come, and a note of which version of the file it is.

    The note holds the validator of that version (an ETag or a date), and how many bytes of the part
    are certainly on the disk. After a power cut a longer part may end in zeros.

    Args:
        card, file: the file to fetch, and the card it is of.
        report: called after every piece.
        hashed: True if the hash of the file is known, which reveals a part of another version.
    """

    def __init__(self, card: Card, file: File, report: Report, hashed: bool):
        self.card, self.file, self.report, self.hashed = card, file, report, hashed
        place = card.folder / file.name
        self.part = place.with_name(f".{place.name}.part")
        self.note = place.with_name(f".{place.name}.part.version")
        self.validator = ""  # of the version that the part is of

    @property
    def have(self) -> int:
        """Bytes of the part."""
        return self.part.stat().st_size if self.part.exists() else 0

    def forget(self) -> None:
        """Remove the part and its note."""
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def attempt(self) -> None:
        """Ask for the rest of the file and write it.

        Raises:
            DownloadInterrupted: if it should be tried again.
            FetchError: if that would not help.
        """
        noted: list[str] = []
        if self.note.exists():
            noted = self.note.read_text(encoding="utf-8").split("\n")
        self.validator = ""
        if len(noted) > 1 and noted[0] and noted[1].isdigit() and self.have:
            safe = min(int(noted[1]), self.have)
            with self.part.open("r+b") as part:
                part.truncate(safe)
            if safe:
                self.validator = noted[0]
        else:
            self.forget()
        request = urllib.request.Request(
            self.file.url, headers={"User-Agent": "hrdis", "Accept-Encoding": "identity"}
        )
        if self.validator:
            request.add_header("Range", f"bytes={self.have}-")
            request.add_header("If-Range", self.validator)
        try:
            opener = urllib.request.build_opener(_SafeRedirects)
            with opener.open(request, timeout=PATIENCE) as response:
                self._receive(response)
        except urllib.error.HTTPError as error:
            with error:
                self._raise_for_status(error)
        except urllib.error.URLError as error:
            passing = TimeoutError | ConnectionResetError | ConnectionAbortedError
            if isinstance(error.reason, passing):
                raise DownloadInterrupted(str(error.reason)) from None
            raise FetchError(
                f"{self.file.url} cannot be reached ({error.reason}). "
                f"{by_hand(self.card, self.file)}"
            ) from None
        except (TimeoutError, http.client.HTTPException, ConnectionError) as error:
            raise DownloadInterrupted(f"{type(error).__name__}: {error}") from None

    def _receive(self, response: Any) -> None:
        """Write the body of a response to the part."""
        content_range = str(response.headers.get("Content-Range", ""))
        resumed = response.status == 206 and content_range.startswith(f"bytes {self.have}-")
        # If-Range makes a server send the whole of a file that changed, but there are caches that
        # ignore it; their answer names the new version. One that names none is believed only where
        # a hash will tell.
        version = _validator(response.headers)
        same = version == self.validator or (not version and self.hashed)
        if response.status == 206 and not (resumed and same):
            self.forget()
            raise DownloadInterrupted("the server sent another part or version than was asked for")
        if not resumed:
            self.forget()
        total = None  # bytes of the whole file, where the server states them
        length = str(response.headers.get("Content-Length", ""))
        if whole := re.search(r"/(\d+)$", content_range):
            total = int(whole[1])
        elif length.isdigit():
            total = self.have + int(length)
        piece = _read(response)
        self._check(response, b"" if resumed else piece, total)
        if not resumed:  # a partial response need not repeat the validator
            self.validator = version
        try:
            with self.part.open("ab") as part:
                self._write(part, piece, response, total)
        except FetchError:
            self.forget()
            raise
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self.forget()
            raise FetchError(
                f"The disk that holds {self.part.parent} is full. {_room(total)}"
            ) from None
        expected = total or self.file.bytes
        if self.have == 0 or (expected is not None and self.have != expected):
            raise DownloadInterrupted(f"{self.have} of {expected or 'some'} bytes came")

    def _write(self, part: IO[bytes], piece: bytes, response: Any, total: int | None) -> None:
        """Append pieces to the part until the response ends, and note what is on the disk."""
        # A length that nobody states is bounded too: a server may send without end.
        most = total or self.file.bytes or 2 * (self.card.roughly or 0)
        flushed = part.tell()
        try:
            while piece:
                part.write(piece)
                if most and part.tell() > most:
                    raise FetchError(
                        f"{self.file.url} brings more than the {most} bytes that are expected. "
                        f"What came was removed. {by_hand(self.card, self.file)}"
                    )
                if total is None and shutil.disk_usage(self.part.parent).free < ROOM:
                    raise OSError(errno.ENOSPC, "only the room to leave free is left")
                if part.tell() - flushed >= FLUSH:
                    flushed = self._flush(part)
                self.report(self.file.name, part.tell(), total)
                piece = _read(response)
        finally:
            self._flush(part)

    def _flush(self, part: IO[bytes]) -> int:
        """Force the part to the disk and note its length; return that."""
        part.flush()
        os.fsync(part.fileno())
        write_text(self.note, f"{self.validator}\n{part.tell()}\n")
        return part.tell()

    def _raise_for_status(self, error: urllib.error.HTTPError) -> None:
        """Raise the error for an HTTP status, to retry or to give up, unless the part is whole."""
        if error.code == 416:  # nothing is left to send: the part is whole, or longer than the file
            whole = error.headers.get("Content-Range") == f"bytes */{self.have}"
            if whole and _validator(error.headers) in ("", self.validator):
                return
            self.forget()
            raise DownloadInterrupted("the server has less than was fetched before")
        if error.code in (408, 425, 429) or error.code >= 500:
            raise DownloadInterrupted(f"the server says {error.code} {error.reason}")
        raise FetchError(
            f"{self.file.url} cannot be fetched: the server says {error.code} {error.reason}. "
            f"{by_hand(self.card, self.file)}"
        )

    def _check(self, response: Any, start: bytes, total: int | None) -> None:
        """Refuse what cannot become the file, before any of it is written."""
        page = response.headers.get_content_type() == "text/html"
        if page or start.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
            self.forget()
            raise FetchError(
                f"{self.file.url} brought a web page instead of the file, as Google Drive does "
                "when it asks for a confirmation or a file was fetched too often. "
                f"{by_hand(self.card, self.file)}"
            )
        if self.file.bytes is not None and total is not None and total != self.file.bytes:
            self.forget()
            raise FetchError(
                f"{self.file.url} has {total} bytes, but the file of the prior {self.card.name!r} "
                f"has {self.file.bytes}. Nothing was fetched. {by_hand(self.card, self.file)}"
            )
        needed = (total or self.file.bytes or self.card.roughly or 0) - self.have
        free = shutil.disk_usage(self.part.parent).free
        if needed + ROOM > free:
            raise FetchError(
                f"The disk that holds {self.part.parent} has {free / 1e6:.0f} MB left, "
                f"{(needed + ROOM) / 1e6:.0f} MB are expected. {_room(total)}"
            )


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects that never leave https once an address has it.

    Otherwise anybody on the way could swap a file whose hash nobody knows.
    """

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        scheme = newurl.partition(":")[0].lower()
        if scheme not in ("http", "https") or (req.type == "https" and scheme != "https"):
            raise FetchError(
                f"{req.full_url} leads to {newurl}, which is not encrypted. It was not followed."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _read(response: Any) -> bytes:
    """Read the next piece of a response.

    Raises:
        DownloadInterrupted: for whatever the network does meanwhile; the disk is not involved here.
    """
    try:
        piece: bytes = response.read(PIECE)
    except (OSError, http.client.HTTPException) as error:
        raise DownloadInterrupted(f"{type(error).__name__}: {error}") from None
    return piece


def by_hand(card: Card, file: File) -> str:
    """Tell how to do without this module."""
    return (
        f"By hand: fetch {card.by_hand or file.url} with a browser, put it at "
        f"{card.folder / file.name}, and run `hrdis model download {card.name}` to have it "
        f"checked; or leave it where it is: hrdis model add NAME {card.scheme}:PATH"
    )


def _room(total: int | None) -> str:
    if total is None:
        return "Free some of it."
    return f"Free {total / 1e6:.0f} MB, or use another disk: HRDIS_HOME=/other/disk"


def _validator(headers: Message) -> str:
    """Return the validator for an If-Range header: a strong ETag, or the Last-Modified date."""
    tag = str(headers.get("ETag", "W/"))
    return str(headers.get("Last-Modified", "")) if tag.startswith("W/") else tag
