"""The page under load: does it answer, forget nothing and nobody, stay within bounds, and end?

    python studies/load.py                # 2 000 requests, then 200 restorations; 15 minutes
    python studies/load.py --requests 200 --jobs 30 --no-write

``hrdis serve`` runs as a process of its own on the loopback address, with a temporary folder of its
own and at most `MEMORY` bytes of addresses. Three parts:

requests    of many kinds, 50 at once, in an order drawn from a seed: pages, uploads of 1 kB to
            5 MB, restorations, pictures that unpack to too much, traversal, bodies that lie about
            their length or have none, bodies that are too large, too deep or no text, other
            methods and sites, visitors who leave while they send or are restored. Meanwhile
            `SLOW` more send a byte a second. Each kind says which answers are right.
jobs        one restoration after the other, with the memory, the descriptors, the threads and the
            files of the process after each.
end         SIGTERM: the status, the seconds, and what is left.

A restoration is lost if it was asked for and neither answered nor refused. No line of a traceback
may be in the log, no address but the loopback's among the sockets, and no byte of the file
``secret.txt``, which lies beside the page's folders, in any answer.
"""

import csv
import http.client
import io
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from common.pages import DOCS, rewrite, table
from PIL import Image

PAGE, DATA = DOCS / "measurements" / "reliability.md", DOCS / "data"
MEMORY = 24 << 30  #: bytes of addresses of the page's process; torch alone takes some
SLOW = 20  #: clients that send a byte a second
AT_ONCE = 50
PATIENCE = 300.0  #: seconds for an answer, restorations that wait in line among them
SECRET = "the secret of another"
Answer = tuple[int, bytes]  #: status, body; status 0 if the connection was closed


@dataclass
class Visitor:
    """What a request needs: the port, files to send, and what was seen of the others."""

    port: int
    secret: Path
    picture: bytes
    uploaded: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send a request; return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.putrequest(method, path, skip_host="Host" in names)
            if body is not None and "Content-Length" not in names:
                names["Content-Length"] = str(len(body))
            for name, value in names.items():
                connection.putheader(name, value)
            connection.endheaders()
            with suppress(BrokenPipeError, ConnectionResetError):  # refused before it was sent
                connection.send(body or b"")
            answer = connection.getresponse()
            return self.seen(answer.status, answer.read(), path)
        except (ConnectionError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def seen(self, status: int, body: bytes, what: str) -> Answer:
        """Note an answer in which the secret is."""
        if SECRET.encode() in body:
            self.leaks.append(what)
        return status, body

    def raw(self, content: bytes, wait: float = 30.0, more: bytes = b"") -> Answer:
        """Send bytes as they are; return the status of the answer, 0 for none."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as connection:
            try:
                connection.sendall(content)
                if more:
                    connection.sendall(more)
                answer = connection.recv(65536)
            except (TimeoutError, ConnectionError):
                return 0, b""
        words = answer.split(maxsplit=2)
        status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        return self.seen(status, answer, "raw")

    def post(self, path: str, value: object) -> Answer:
        """Post JSON."""
        return self.ask(
            "POST", path, json.dumps(value).encode(), **{"Content-Type": "application/json"}
        )

    def upload(self, content: bytes, name: str = "a.png") -> str:
        """Send a file; return its path on the server, or raise."""
        status, body = self.ask(
            "POST", "/gradio_api/upload", multipart(content, name),
            **{"Content-Type": "multipart/form-data; boundary=edge"},
        )  # fmt: skip
        if status != 200:
            raise RuntimeError(f"an upload was answered with {status} {body[:200]!r}")
        path = str(json.loads(body)[0])
        self.uploaded.append(path)
        return path

    def restore(self, leave_after: float = 0.0, **other: Any) -> tuple[str, str]:
        """Ask for a restoration.

        Args:
            leave_after: leave so many seconds after the first event.
            other: values that differ from the usual ones.

        Returns:
            "complete", "error", "left" or what else ended it, and the data of the last event.
        """
        picture = other.pop("path", None) or self.upload(other.pop("content", self.picture))
        given = {
            "picture": file_of(picture), "task": "sr2", "hole": "white", "painted": None,
            "mask": None, "kernel": None, "noise": 0, "samples": 1, "seed": 0, "solver": "ddrm",
            "settings": {"steps": 2}, "prior": "default", "label": "", "effort": "normal",
        }  # fmt: skip
        data = list((given | other).values())
        status, body = self.post("/gradio_api/call/restore", {"data": data})
        if status != 200:
            return f"status {status}", body.decode(errors="replace")
        path = f"/gradio_api/call/restore/{json.loads(body)['event_id']}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        kind, said, first = "nothing", "", 0.0
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            while line := answer.readline():
                text = line.decode().strip()
                if text.startswith("event:"):
                    kind = text[6:].strip()
                    first = first or time.monotonic()
                elif text.startswith("data:"):
                    said = text[5:].strip()
                if kind in ("complete", "error") and text.startswith("data:"):
                    break
                if leave_after and first and time.monotonic() - first > leave_after:
                    return "left", said
        except TimeoutError:
            return "no answer", said
        except (ConnectionError, http.client.HTTPException) as error:
            return type(error).__name__, said
        finally:
            connection.close()
        self.seen(200, said.encode(), "a restoration")
        return kind, said


def file_of(path: str) -> dict[str, Any]:
    """Return a file as gradio names it."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def multipart(content: bytes, name: str = "a.png") -> bytes:
    """Return the body of an upload."""
    head = f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    return head.encode(errors="surrogateescape") + content + b"\r\n--edge--\r\n"


def picture_of(side: int, seed: int = 0) -> bytes:
    """Return a PNG of noise, some 3 bytes a pixel."""
    from hrdis.rng import stream

    values = stream(seed, "load").integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG", compress_level=0)
    return file.getvalue()


def bomb(side: int) -> bytes:
    """Return a PNG of one colour that is small and unpacks to side x side pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(kind + content)
        return len(content).to_bytes(4, "big") + kind + content + crc.to_bytes(4, "big")

    head = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
    mark = b"\x89PNG\r\n\x1a\n"
    return mark + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


# ---- kinds of requests --------------------------------------------------------------------------

REFUSED = (400, 403, 404, 405, 411, 413, 415, 422)


def expect(answer: Answer, *statuses: int) -> str:
    """Return "" if the status is one of these."""
    return "" if answer[0] in statuses else f"status {answer[0]} {answer[1][:120]!r}"


def page(v: Visitor, draw: random.Random) -> str:
    path = draw.choice(
        ["/", "/config", "/gradio_api/info", "/theme.css", "/gradio_api/startup-events"]
    )
    return expect(v.ask("GET", path), 200)


def upload(v: Visitor, draw: random.Random) -> str:
    size = draw.choice([1_000, 30_000, 300_000, 1_000_000, 5_000_000])
    path = v.upload(draw.randbytes(size), draw.choice(["a.png", "b c.jpg", "ä.tif", "-o.png"]))
    return "" if path else "no path"


def restoration(v: Visitor, draw: random.Random) -> str:
    """It is answered, or refused because too many wait."""
    more = {"samples": draw.choice([1, 1, 2]), "seed": draw.randrange(99)}
    kind, said = v.restore(content=picture_of(draw.choice([16, 24, 40]), draw.randrange(5)), **more)
    if kind == "complete" or (kind == "error" and "The page is busy" in said):
        return ""
    return f"{kind}: {said[:200]}"


def odd_restoration(v: Visitor, draw: random.Random) -> str:
    """Settings out of bounds are refused in one line."""
    other = draw.choice([
        {"settings": {"steps": 10**9}}, {"settings": {"nothing": 1}}, {"samples": 10**6},
        {"noise": -1}, {"noise": "loud"}, {"label": "x"}, {"prior": "/etc/passwd"},
        {"solver": "none"}, {"task": "none"}, {"settings": [1]}, {"settings": {"steps": None}},
        {"effort": "none"}, {"hole": "none"}, {"samples": 0}, {"samples": None}, {"noise": None},
    ])  # fmt: skip
    kind, said = v.restore(**other)
    if kind == "complete" and other == {"settings": {"steps": None}}:
        return ""
    return "" if kind == "error" else f"{other} gave {kind}: {said[:200]}"


BOMB = bomb(9000)  # 81 megapixels in some 100 kB


def unpacks(v: Visitor, draw: random.Random) -> str:
    kind, said = v.restore(content=BOMB)
    refused = kind == "error" and ("megapixels" in said or "The page is busy" in said)
    return "" if refused else f"{kind}: {said[:200]}"


def no_picture(v: Visitor, draw: random.Random) -> str:
    content = draw.choice([b"", b"%!PS-Adobe-3.0 EPSF", draw.randbytes(500), v.picture[:-200]])
    kind, said = v.restore(content=content)
    return "" if kind == "error" else f"{kind}: {said[:200]}"


def traversal(v: Visitor, draw: random.Random) -> str:
    secret = str(v.secret)
    up = "../" * 12
    name = draw.choice([
        secret, f"{up}{secret[1:]}", f"%2e%2e/%2e%2e/{secret}", secret.replace("/", "%2f"),
        f"..%2f..%2f..{secret}", f"/proc/self/cwd{secret}",
        f"{v.uploaded[0]}/../../../../secret.txt"
        if v.uploaded else secret, "/proc/self/environ", "/etc/passwd",
        str(v.secret.with_name("jobs")),
    ])  # fmt: skip
    start = draw.choice([
        "/gradio_api/file=", "/file=", "/gradio_api/file/", "/static/", "/assets/",
        "/gradio_api/custom_component/", "/theme/../", "/gradio_api/stream/",
    ])  # fmt: skip
    answer = v.ask(draw.choice(["GET", "GET", "HEAD"]), start + name.replace(" ", "%20"))
    # A page of the site itself is no file of the machine.
    return expect(answer, *REFUSED) if b"root:" in answer[1] else expect(answer, 200, *REFUSED)


def path_of_another(v: Visitor, draw: random.Random) -> str:
    """A path in a request is refused unless it was sent to the page."""
    kind, said = v.restore(path=draw.choice([str(v.secret), "/etc/passwd", "/proc/self/mem", ".."]))
    refused = kind in ("error", "status 403", "status 422")
    return "" if refused else f"{kind}: {said[:200]}"


def lying(v: Visitor, draw: random.Random) -> str:
    head = b"POST /gradio_api/call/restore HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    head += b"Content-Type: application/json\r\n"
    which = draw.randrange(6)
    if which == 0:  # says more than it sends, and waits no longer than this
        answer = v.raw(head + b"Content-Length: 1000\r\n\r\n{}", wait=2)
        return expect(answer, 0, *REFUSED)
    if which == 1:  # says less: the rest is no second request that does anything
        answer = v.raw(head + b"Content-Length: 2\r\n\r\n{}" + b"x" * 50)
        return expect(answer, *REFUSED)
    if which == 2:
        answer = v.raw(head + b"Content-Length: -5\r\n\r\n{}")
        return expect(answer, 0, *REFUSED)
    if which == 3:
        answer = v.raw(head + b"Content-Length: 99999999999999999999\r\n\r\n{}", wait=2)
        return expect(answer, 0, *REFUSED)
    if which == 4:  # two lengths
        answer = v.raw(head + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        return expect(answer, 0, *REFUSED)
    answer = v.raw(head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n")
    return expect(answer, 0, *REFUSED)


def odd_body(v: Visitor, draw: random.Random) -> str:
    path = draw.choice(
        ["/gradio_api/call/restore", "/gradio_api/queue/join", "/gradio_api/call/fix"]
    )
    body: bytes = draw.choice([
        b"", b"{", b"[" * 100_000, b'{"data":' * 50_000, b"\xff\xfe", b"null", b"[]",
        b'{"data": 1}',
        b'{"data": []}', b'{"data": {}}', b'{"data": [1,2,3]}',
        b'{"data": null, "fn_index": 10000}',
        b'{"data": [], "fn_index": -1, "session_hash": "x"}', b'{"fn_index": "a"}', b"NaN",
        b'{"data": [' + b"1," * 100_000 + b"1]}",
    ])  # fmt: skip
    kind = draw.choice(["application/json", "text/plain", "multipart/form-data", "", "a/b; c=\xff"])
    answer = v.ask("POST", path, body, **{"Content-Type": kind})
    # An event of the queue is answered with its number, and its fault in the stream.
    return expect(answer, 200, 500, *REFUSED) if answer[0] != 500 else "status 500"


def too_large(v: Visitor, draw: random.Random) -> str:
    body = b'{"data": ["' + b"x" * 5_000_000 + b'"]}'
    answer = v.ask("POST", "/gradio_api/call/restore", body, **{"Content-Type": "application/json"})
    return expect(answer, 0, 413)


def odd_upload(v: Visitor, draw: random.Random) -> str:
    kind = draw.choice(["multipart/form-data", "multipart/form-data; boundary=edge", "multipart/x"])
    names = ["../../../../tmp/evil.png", "/etc/cron.d/evil", "a" * 1000, "", "\x01.png", "a\\..\\b"]
    body: bytes = draw.choice([
        b"", b"--edge", b"--edge\r\n\r\n", multipart(b"x")[:-12], b"x" * 1000,
        *(multipart(b"x", name) for name in names), multipart(b"x").replace(b"files", b"other"),
    ])  # fmt: skip
    answer = v.ask("POST", "/gradio_api/upload", body, **{"Content-Type": kind})
    if Path("/tmp/evil.png").exists() or Path("/etc/cron.d/evil").exists():
        return "a file was written where a name said"
    return expect(answer, 200, *REFUSED)


def other_site(v: Visitor, draw: random.Random) -> str:
    headers = draw.choice([{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
    answer = v.ask("POST", "/gradio_api/call/restore", b"{}", **headers)
    return expect(answer, 403)


def other_method(v: Visitor, draw: random.Random) -> str:
    method = draw.choice(["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO"])
    path = draw.choice(
        ["/", "/config", "/gradio_api/upload", "/gradio_api/call/restore", "/nothing"]
    )
    return expect(v.ask(method, path), 200, *REFUSED)


def no_http(v: Visitor, draw: random.Random) -> str:
    contents = [
        b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"\r\n" * 100, draw.randbytes(90),
        b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
    ]  # fmt: skip
    content = draw.choice(contents)
    answer = v.raw(content, wait=2)
    return expect(answer, 0, 200, *REFUSED)


def leaves_upload(v: Visitor, draw: random.Random) -> str:
    head = b"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
    head += b"Content-Type: multipart/form-data; boundary=edge\r\n\r\n"
    with socket.create_connection(("127.0.0.1", v.port), timeout=30) as connection:
        connection.sendall(head + multipart(bytes(draw.randrange(200_000)))[:-20])
    return ""


def leaves_run(v: Visitor, draw: random.Random) -> str:
    """Leave while a long restoration runs or waits; it must not go on for nobody."""
    settings = {"steps": 900}
    kind, said = v.restore(
        leave_after=draw.uniform(0, 0.6), settings=settings, content=picture_of(40)
    )
    if kind == "left" or (kind == "error" and "The page is busy" in said):
        return ""
    return f"{kind}: {said[:200]}"


KINDS: dict[str, tuple[int, Callable[[Visitor, random.Random], str]]] = {
    "pages": (18, page), "uploads": (14, upload), "restorations": (14, restoration),
    "settings out of bounds": (6, odd_restoration),
    "pictures that unpack to too much": (2, unpacks),
    "files that are no picture": (4, no_picture), "traversal": (10, traversal),
    "paths of others": (4, path_of_another), "lengths that lie": (5, lying),
    "odd bodies": (6, odd_body), "bodies that are too large": (2, too_large),
    "odd uploads": (4, odd_upload), "other sites": (3, other_site),
    "other methods": (3, other_method), "no HTTP": (2, no_http),
    "leaving while sending": (2, leaves_upload), "leaving in mid-step": (3, leaves_run),
}  # fmt: skip


# ---- the process --------------------------------------------------------------------------------


class Served:
    """``hrdis serve`` in a process of its own."""

    def __init__(self, folder: Path):
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.log = folder / "log"
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        environment = os.environ | {"TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1"}
        environment.pop("GRADIO_TEMP_DIR", None)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hrdis", "serve", "--port", str(self.port)],
                stdout=log, stderr=log, env=environment, cwd=folder, preexec_fn=limits,
            )  # fmt: skip
        end = time.monotonic() + 240
        while "Ctrl-C ends it" not in self.log.read_text():
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the page did not start: {self.log.read_text()[-2000:]}")
            time.sleep(0.2)

    def state(self) -> dict[str, float]:
        """Return memory, descriptors, threads and files of the process now."""
        place = Path(f"/proc/{self.process.pid}")
        status = dict(
            line.split(":", 1)
            for line in (place / "status").read_text().splitlines()
            if ":" in line
        )
        files = [path for path in self.temporary.rglob("*") if path.is_file()]
        jobs = [path for path in files if "/jobs/" in str(path)]
        size = 0
        for path in files:
            with suppress(FileNotFoundError):
                size += path.stat().st_size
        return {
            "memory_mb": int(status["VmRSS"].split()[0]) / 1024,
            "descriptors": len(list((place / "fd").iterdir())),
            "threads": int(status["Threads"]),
            "files": len(files),
            "megabytes": size / 1e6,
            "job_files": len(jobs),
        }

    def strangers(self) -> list[str]:
        """Return addresses other than the loopback's that the process is connected with."""
        own = set()
        for entry in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(OSError):
                own.add(os.readlink(entry))
        found = []
        for name in ("tcp", "tcp6", "udp", "udp6"):
            for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
                words = line.split()
                remote = words[2].split(":")[0]
                if f"socket:[{words[9]}]" in own and int(remote, 16) and "0100007F" not in remote:
                    found.append(words[2])
        return found

    def tracebacks(self) -> list[str]:
        """Return the last lines of the tracebacks in the log."""
        found, inside = [], False
        for line in self.log.read_text(errors="replace").splitlines():
            if line.lstrip(" |+").startswith("Traceback"):
                inside = True
            elif inside and line and not line.startswith((" ", "\t")):
                found.append(line[:200])
                inside = False
        return found


def limits() -> None:
    """Bound the process before it starts, and give it the usual signals."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def trickle(port: int, stop: threading.Event) -> None:
    """Send a request a byte a second."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for byte in (
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"A: b\r\n" * 10**4
        ):
            if stop.wait(1):
                return
            connection.send(bytes([byte]))


def under_load(served: Served, visitor: Visitor, count: int, seed: int) -> list[dict[str, Any]]:
    """Send the requests; return a row for each kind."""
    draw = random.Random(seed)
    names, weights = list(KINDS), [weight for weight, _ in KINDS.values()]
    todo = [*names, *draw.choices(names, weights, k=max(0, count - len(names)))]
    answered, faults, slowest = Counter[str](), Counter[str](), Counter[str]()
    samples: dict[str, str] = {}
    stop = threading.Event()
    slow = [threading.Thread(target=trickle, args=(served.port, stop)) for _ in range(SLOW)]
    for thread in slow:
        thread.start()

    def one(number: int) -> None:
        name = todo[number]
        began = time.monotonic()
        try:
            wrong = KINDS[name][1](visitor, random.Random(f"{seed} {number}"))
        except Exception as error:  # whatever it is, the request has no right answer
            wrong = f"{type(error).__name__}: {error}"[:300]
        seconds = time.monotonic() - began
        slowest[name] = max(slowest[name], round(seconds, 1))  # type: ignore[assignment]
        if wrong:
            faults[name] += 1
            samples.setdefault(name, wrong)
        else:
            answered[name] += 1

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(len(todo))))
    stop.set()
    for thread in slow:
        thread.join()
    for name, wrong in samples.items():
        print(f"  {name}: {wrong}", flush=True)
    asked = Counter(todo)
    return [
        {"requests": name, "sent": asked[name], "right": answered[name], "wrong": faults[name],
         "slowest_s": slowest[name]}
        for name in names
    ]  # fmt: skip


def restore_all(served: Served, visitor: Visitor, count: int) -> list[dict[str, float]]:
    """Restore one picture after the other; return the state of the process after each."""
    rows = []
    for number in range(1, count + 1):
        kind, said = visitor.restore(content=picture_of(48, number), samples=1 + number % 2)
        if kind != "complete":
            raise SystemExit(f"restoration {number} ended with {kind}: {said}")
        rows.append({"job": number, **served.state()})
    return rows


def main(requests: int = 2000, jobs: int = 200, seed: int = 0, write: bool = True) -> None:
    """Measure.

    Args:
        requests: how many of all kinds together.
        jobs: how many restorations one after the other.
        seed: of the kinds and their order.
        write: rewrite the tables of measurements/reliability.md and docs/data/load*.
    """
    with tempfile.TemporaryDirectory(prefix="load-") as name:
        folder = Path(name)
        secret = folder / "secret.txt"
        secret.write_text(SECRET)
        served = Served(folder)
        try:
            visitor = Visitor(served.port, secret, picture_of(40))
            first = visitor.restore()
            assert first[0] == "complete", first
            before = served.state()
            began = time.monotonic()
            found = under_load(served, visitor, requests, seed)
            seconds = time.monotonic() - began
            for row in found:
                print(row, flush=True)
            end = time.monotonic() + 60  # what was left in mid-step has to end by itself
            while served.state()["job_files"] and time.monotonic() < end:
                time.sleep(0.5)
            waited = 60 - (end - time.monotonic())
            after = served.state()
            last = visitor.restore()
            assert last[0] == "complete", last
            states = restore_all(served, visitor, jobs)
            summary = {
                "requests": sum(row["sent"] for row in found),
                "wrong": sum(row["wrong"] for row in found),
                "seconds": round(seconds), "leaks": len(visitor.leaks),
                "tracebacks": len(served.tracebacks()), "strangers": len(served.strangers()),
                "before": before, "after": after, "seconds_until_idle": round(waited, 1),
            }  # fmt: skip
            for line, times in Counter(served.tracebacks()).items():
                print(f"  in the log {times} times: {line}", flush=True)
            began = time.monotonic()
            served.process.send_signal(signal.SIGTERM)
            summary["status"] = served.process.wait(60)
            summary["seconds_to_end"] = round(time.monotonic() - began, 1)
            left = sorted(served.temporary.rglob("*"))
            summary["left"] = len([path for path in left if path.is_file()])
            print("left:", *left, flush=True)
        finally:
            served.process.kill()
            served.process.wait()
            print(served.log.read_text(errors="replace")[-3000:], flush=True)
    at = [row for row in states if row["job"] in (1, 20, 50, 100, 150, 200)]
    for row in at:
        print(row)
    print(json.dumps(summary, indent=1))
    if not write:
        return
    with (DATA / "load.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    with (DATA / "load-jobs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(states[0]), lineterminator="\n")
        writer.writeheader()
        for row in states:
            writer.writerow({name: round(value, 1) for name, value in row.items()})
    (DATA / "load.json").write_text(json.dumps(summary, indent=1) + "\n")
    lines = [list(row.values()) for row in found]
    rewrite(PAGE, "load", table(["requests", "sent", "right", "wrong", "slowest, s"], lines))
    names = ["job", "memory_mb", "descriptors", "threads", "files", "megabytes"]
    shown = [[f"{row[name]:.0f}" for name in names] for row in at]
    heads = ["after", "memory, MB", "descriptors", "threads", "files", "their size, MB"]
    rewrite(PAGE, "jobs", table(heads, shown))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
