"""The guard before gradio: it refuses requests that gradio would answer and this page must not.

gradio fetches addresses that a request names, takes uploads without end, and on a network answers
every web site. Each refusal is a status and one line of JSON, ``{"detail": "..."}``.
"""

import json
import re
import sys
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect

from .folder import VisitorFolder

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
#: Bytes of a body that is no upload. Settings take some hundred; pictures come as uploads.
LARGEST_BODY = 4_000_000
QUOTA = 4_000_000_000  # bytes that the files of all visitors may take together
LONGEST_REASON = 200  # characters of an error in the log
ADDRESS = re.compile(r"\s*[a-z][a-z0-9+.-]+:/", re.IGNORECASE)


class Refused(Exception):
    """A request that is not answered, with its HTTP status."""

    def __init__(self, status: int, detail: str):
        super().__init__(detail)
        self.status, self.detail = status, detail


class Guard:
    """ASGI middleware that refuses addresses, foreign web sites and uploads over the quota.

    Args:
        app: answers whatever is not refused.
        folder: where visitors' files lie, whose size is bounded.
        hosts: names under which the page may be asked for; empty allows every name.
        quota: bytes that visitors' files may take.
    """

    def __init__(
        self,
        app: App,
        folder: VisitorFolder,
        hosts: Collection[str] = (),
        quota: int = QUOTA,
    ):
        self.app, self.folder, self.hosts, self.quota = app, folder, hosts, quota

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def send_noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            self._check_sender(scope)
            check_path(scope["path"])
            if scope["method"] == "POST":
                receive = await self._checked_body(scope, receive)
            await self.app(scope, receive, send_noted)
        except Refused as refused:
            if not begun:
                await answer(send, refused.status, refused.detail)
        except ClientDisconnect:  # nobody is there to be answered
            return
        except Exception as error:
            # The server would print a traceback of whatever a visitor makes a handler raise.
            first = (str(error) or type(error).__name__).splitlines()[0][:LONGEST_REASON]
            said = f"{type(error).__name__}: {first}"
            print(f"hrdis serve: a request failed: {said!a}", file=sys.stderr)
            # What is looked up in vain, or is of another kind, came with the request.
            status = 400 if isinstance(error, LookupError | ValueError | TypeError) else 500
            if not begun:  # half an answer is broken off by the server
                await answer(send, status, "The request failed. The log of the page says why.")

    def _check_sender(self, scope: Scope) -> None:
        """Refuse names the page does not have, and posts from other web sites.

        A page on the loopback address is reachable from any web site that the same browser shows:
        directly, or under a name of that site's own which resolves to 127.0.0.1.
        """
        headers = dict(scope["headers"])
        host = _name_in(f"//{headers.get(b'host', b'').decode('latin-1')}")
        if self.hosts and host not in self.hosts:
            raise Refused(
                403,
                f"This page is not called {host!r}. Names it may have besides localhost: "
                "hrdis serve --name NAME",
            )
        origin = headers.get(b"origin")
        if scope["method"] == "POST" and origin is not None:
            sender = _name_in(origin.decode("latin-1"))
            if sender != host and sender not in self.hosts:
                raise Refused(403, f"The page takes nothing from other web sites ({sender}).")

    async def _checked_body(self, scope: Scope, receive: Receive) -> Receive:
        """Check the body of a post; return what hands it on to the application.

        Raises:
            Refused: if it names an address, or is no upload and larger than `LARGEST_BODY` or no
                JSON. gradio would quote it in an answer that cannot be written.
        """
        headers = dict(scope["headers"])
        kind = headers.get(b"content-type", b"").decode("latin-1")
        if kind.lower().startswith("multipart/"):
            return self._counted(receive)
        body, more = bytearray(), True
        while more:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > LARGEST_BODY:
                raise Refused(413, f"At most {LARGEST_BODY // 1_000_000} MB are expected here.")
            more = message["type"] == "http.request" and message.get("more_body", False)
        if body:
            try:
                values = json.loads(body.decode())
            except (ValueError, RecursionError):
                raise Refused(400, "JSON in UTF-8 is expected here.") from None
            check_values(values)
        sent = False

        async def receive_again() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        return receive_again

    def _counted(self, receive: Receive) -> Receive:
        """Return a receiver of an upload that stops at the quota, whatever length was declared."""
        left = self.quota - self.folder.size()
        if left <= 0:
            self.folder.sweep()
            left = self.quota - self.folder.size()

        async def receive_counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise Refused(
                    413,
                    "The page holds as many pictures as it may. They are removed after a day: try "
                    "again later.",
                )
            return message

        return receive_counted


async def answer(send: Send, status: int, detail: str) -> None:
    """Answer a request with a status and one line."""
    body = json.dumps({"detail": detail}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        # The rest of a body that was not read would be taken for the next request.
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def check_path(path: str) -> None:
    """Refuse the paths with which gradio fetches from other machines.

    Raises:
        Refused: for an address, or for gradio's proxy.
    """
    _, _, name = path.partition("/file=")
    _, _, older_name = path.partition("/file/")
    for asked in (name, older_name):
        if ADDRESS.match(asked):
            raise Refused(403, "This page fetches nothing from other machines.")
    if "/proxy=" in path:
        raise Refused(403, "This page fetches nothing from other machines.")


def check_values(value: Any) -> None:
    """Refuse what no field of the page takes, at any depth of a JSON value.

    That is an address where the path of a file belongs, and a number that is not finite.

    Raises:
        Refused: saying what is expected.
    """
    todo = [value]
    while todo:  # a loop, not a recursion: the depth is the sender's choice
        current = todo.pop()
        if isinstance(current, float) and not isfinite(current):
            raise Refused(400, "A number is not finite. Finite ones are expected.")
        if isinstance(current, list):
            todo += current
        elif isinstance(current, dict):
            path = current.get("path")
            if isinstance(path, str) and ADDRESS.match(path):
                raise Refused(
                    403,
                    "A picture is named by an address, but this page fetches nothing from other "
                    "machines. Download the picture and send its file.",
                )
            todo += current.values()


def _name_in(address: str) -> str:
    """Return the host name of an address, "" if it has none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
