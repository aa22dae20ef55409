"""Fuzz the readers: does any file or request end in anything but an answer or one line?

    python studies/fuzz.py --minutes 10 --rounds 6     # each reader for an hour, in turns
    python studies/fuzz.py --only plans --minutes 5 --no-write
    python studies/fuzz.py --rounds 0                  # write the table of what was run

One reader for each kind of input: pictures, arrays, records, plans, presets, weights, cards, the
states of a training, run folders, and what the page is asked. Inputs are made from whole ones:
half of them by changes of bytes, half by changes of structure (a field that is something else,
absent, twice, deep, or huge). With atheris installed (``pip install atheris``) the changes follow
the branches that they reach; without it they are drawn at random. Each reader runs in a child
process that may take 3 GB of memory beside what importing takes, and `SECONDS` of processor time
for an input. All times are of the processor, so that other work on the machine neither shortens a
turn nor makes a hang of an input that waited; `WAITED` ends an input that does nothing.

Verdict of an input: it is read, or refused in one line, in the voice of its place (``ValueError``;
exit status 2 of a command; an error of the page). Any other exception, more lines, a hang, memory
beyond the limit, a death of the process, a changed file beside the input, or an answer that cannot
be true (pixels outside [-1, 1], a state whose hash differs) is a fault. Inputs of faults are kept
in ``--crashers``, one for each place where an exception arose.

docs/data/fuzz.csv has a line for each turn, and the table of the page their sums.
"""

import contextlib
import copy
import io
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from common import rows
from common.pages import DOCS, rewrite, table
from common.stamps import now

PAGE, DATA = DOCS / "measurements" / "reliability.md", DOCS / "data" / "fuzz.csv"
SECONDS = 20  #: of processor time, the most an input may take
WAITED = 300  #: seconds of the clock, the most an input may take
MEMORY = 3 << 30  #: bytes that a reader may take beside what importing takes
LONGEST = 60_000  #: bytes of an input

try:
    import atheris
except ImportError:
    atheris = None

Verdict = str  #: "read", "refused", or what is wrong


class Draws:
    """Choices that are read from the bytes of an input, so that a fuzzer can steer them."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def below(self, n: int) -> int:
        """Return a whole number from 0 to n - 1."""
        piece = self.data[self.at : self.at + 2]
        self.at += 2
        return int.from_bytes(piece, "little") % max(1, n)

    def of(self, values: Any) -> Any:
        """Return one of the values."""
        return values[self.below(len(values))]


#: What may stand where something else is expected.
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 17, 255, 10**4, 10**6, 2**31, 2**63, 10**30, -(10**30),
    0.0, 0.5, -0.5, 1e-300, 1e300, float("nan"), float("inf"), "", "text", "0", "1e5", "hrdis",
    "../../etc/passwd", "/dev/zero", "a\nb", "\0", "\ud800", "\u03b1", "x" * 5000, "auto", "none",
    "gaussian0.1", "gaussian:3", "gaussian:999999999", "motion:1e9:30", "/tmp", ".", [], [1],
    [None], [[]], ["a", "b"], list(range(300)), {}, {"a": 1}, {"": None}, {"path": "http://a/b"},
]  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) of a value of JSON."""
    found: list[tuple[Any, Any]] = []
    todo = [value]
    while todo:
        current = todo.pop()
        keys = list(current) if isinstance(current, dict) else range(len(current))
        for key in keys:
            found.append((current, key))
            if isinstance(current[key], dict | list):
                todo.append(current[key])
    return found


def changed(value: Any, draws: Draws) -> Any:
    """Return a value of JSON in which one to three things are something else."""
    value = copy.deepcopy(value)
    for _ in range(1 + draws.below(3)):
        container, key = draws.of(places(value) or [([None], 0)])
        what = draws.below(8)
        if what <= 3:
            container[key] = copy.deepcopy(draws.of(ODD))
        elif what == 4 and isinstance(container, dict):
            del container[key]
        elif what == 5:  # the value of another place
            other, name = draws.of(places(value) or [([None], 0)])
            container[key] = copy.deepcopy(other[name])
        elif what == 6 and isinstance(container[key], int | float):
            container[key] = container[key] * draws.of([-1, 2, 10, 1e3, 0.1]) + draws.of([0, 1, -1])
        elif isinstance(container, dict):
            container[draws.of(["extra", "steps", "size", "seed", "", "hrdis", "settings"])] = (
                draws.of(ODD)
            )
    return value


def as_json(value: Any, draws: Draws) -> bytes:
    """Write a value, now and then damaged, deep or long."""
    text = json.dumps(value)
    what = draws.below(12)
    if what == 0:
        text = text[: draws.below(len(text))]
    elif what == 1:
        text = draws.of(["[", '{"a":']) * draws.of([50, 5000, 30000])
    elif what == 2:
        return text.encode("utf-16")
    return text.encode(errors="surrogatepass")


# ---- verdicts -----------------------------------------------------------------------------------


class Late(BaseException):
    """An input took longer than `SECONDS` or `WAITED`."""


def one_line(text: str) -> str:
    """Return what is wrong with a message, or ""."""
    if not text.strip():
        return "an empty message"
    if len(text.strip().splitlines()) > 1:
        return f"{len(text.strip().splitlines())} lines"
    return "" if len(text) < 20_000 else "a long message"


def refused_or(read: Callable[[], object], kinds: Any = ValueError) -> Verdict:
    """Call a reader; return "read", "refused", or what is wrong with its refusal."""
    try:
        read()
    except kinds as error:
        wrong = one_line(str(error))
        return f"{type(error).__name__} of {wrong}" if wrong else "refused"
    return "read"


def of_command(words: list[str]) -> Verdict:
    """Run a command; return the verdict on its status and what it said."""
    from hrdis import cli

    said, printed = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(printed):
        status = cli.main(words)
    if status == 0:
        return "read"
    if status not in (1, 2):
        return f"exit status {status}"
    lines = [line for line in said.getvalue().splitlines() if line.startswith("hrdis ")]
    if status == 2 and len(lines) != 1:
        warned = [line for line in lines if line != lines[-1]]
        if not lines or any("expected" not in line and "taken" not in line for line in warned):
            return f"exit status 2 with {len(lines)} lines"
    return "refused"


# ---- readers ------------------------------------------------------------------------------------


class Reader:
    """What is fuzzed: inputs that are whole, and a verdict on any bytes.

    Args:
        folder: of its own; what the input names lies there.
    """

    structured = True  # half of the inputs are changes of structure

    def __init__(self, folder: Path):
        self.folder = folder

    def seeds(self) -> list[bytes]:
        """Return whole inputs."""
        return []

    def judge(self, data: bytes) -> Verdict:
        """Read bytes."""
        raise NotImplementedError

    def case(self, data: bytes) -> Verdict:
        """Read an input: the first byte says whether it is changes of structure."""
        if not data:
            return "refused"
        if self.structured and data[0] % 2:
            return self.judge(self.made(Draws(data[1:])))
        return self.judge(data[1:])

    def made(self, draws: Draws) -> bytes:
        """Return an input whose structure is changed."""
        raise NotImplementedError


class Pictures(Reader):
    """`images.read`, masks, kernels, numbers and thumbnails of any bytes."""

    structured = False

    def seeds(self) -> list[bytes]:
        from PIL import Image

        from hrdis.images.deep import write_deep

        values = np.arange(16 * 12 * 3, dtype=np.uint8).reshape(12, 16, 3)
        rgb, found = Image.fromarray(values), []
        deep = Image.fromarray((np.arange(192).reshape(12, 16) * 300).astype(np.uint16))
        real = Image.fromarray(np.linspace(0, 1, 192, dtype=np.float32).reshape(12, 16))
        exif = Image.Exif()
        exif[274] = 6
        variants: list[tuple[Any, str, dict[str, Any]]] = [
            (rgb, "PNG", {}), (rgb.convert("L"), "PNG", {}), (rgb.convert("1"), "PNG", {}),
            (rgb.convert("RGBA"), "PNG", {}), (rgb.quantize(8), "PNG", {"transparency": 1}),
            (deep, "PNG", {}), (rgb.convert("LA"), "PNG", {}), (rgb, "JPEG", {"exif": exif}),
            (rgb.convert("L"), "JPEG", {"progressive": True}), (rgb.convert("CMYK"), "JPEG", {}),
            (rgb, "WEBP", {"lossless": True}), (rgb, "WEBP", {}), (rgb, "TIFF", {}),
            (rgb, "TIFF", {"compression": "tiff_lzw"}), (deep, "TIFF", {}), (real, "TIFF", {}),
            (rgb, "TIFF", {"compression": "tiff_adobe_deflate", "exif": exif}),
            (rgb.convert("1"), "TIFF", {"compression": "group4"}), (rgb, "BMP", {}),
            (rgb.quantize(16), "GIF", {"save_all": True, "append_images": [rgb.quantize(4)]}),
            (rgb, "PPM", {}), (rgb.convert("L"), "PPM", {}),
        ]  # fmt: skip
        for image, kind, options in variants:
            for end in (".png", ".tif"):
                file = io.BytesIO()
                image.save(file, kind, **options)
                found.append(end.encode()[:2] + file.getvalue())
                if kind != "TIFF":
                    break
        numbers = (np.arange(12 * 16 * 4).reshape(12, 16, 4) * 85).astype(np.uint16)
        for channels in (3, 4):
            for end, form in ((b".p", "png"), (b".t", "tiff")):
                file = io.BytesIO()
                write_deep(file, numbers[..., :channels], form, {"dpi": (300, 300)})
                found.append(end + file.getvalue())
        with contextlib.suppress(Exception):
            file = io.BytesIO()
            rgb.save(file, "AVIF")
            found.append(b".p" + file.getvalue())
        return found

    def judge(self, data: bytes) -> Verdict:
        from hrdis import images

        path = self.folder / "picture.png"
        path.write_bytes(data[2:])
        found: list[Any] = []
        verdict = refused_or(lambda: found.append(images.read(path)))
        if found:
            x = found[0].x
            if not bool(x.isfinite().all()) or float(x.abs().max()) > 1.0001:
                return "pixels outside [-1, 1]"
            if found[0].alpha is not None and tuple(found[0].alpha.shape) != tuple(x.shape[-2:]):
                return "transparency of another size"
            target = self.folder / "again.png"
            said = refused_or(lambda: images.write(target, found[0]))
            if said != "read":
                return f"what was read cannot be written: {said}"
            images.to_pil(found[0])
            if min(x.shape[-2:]) * max(x.shape[-2:]) < 10**6:
                return worst(
                    verdict,
                    refused_or(lambda: images.read_mask(path)),
                    refused_or(lambda: images.read_mask(path, "alpha")),
                    refused_or(lambda: images.read_kernel(path)),
                    refused_or(lambda: images.read_numbers(path)),
                )
        return verdict


def worst(*verdicts: Verdict) -> Verdict:
    """Return the first fault, else "read" if anything was, else "refused"."""
    for verdict in verdicts:
        if verdict not in ("read", "refused"):
            return verdict
    return "read" if "read" in verdicts else "refused"


class Arrays(Reader):
    """Measurements, masks and kernels in .npy, .pt, .safetensors and .npz."""

    structured = False
    ENDINGS = (".npy", ".pt", ".safetensors", ".npz")

    def seeds(self) -> list[bytes]:
        import torch
        from safetensors.torch import save

        found = []
        values: list[np.ndarray[Any, Any]] = [
            np.ones((1, 3, 4), np.float32), np.eye(5), np.eye(3, dtype=np.uint8), np.ones((2, 2)),
            np.asfortranarray(np.arange(15.0).reshape(3, 5)), np.ones((3, 3), np.complex64),
            np.eye(3, dtype=bool), np.ones((3, 3), np.float16), np.array(["a"]),
            np.ones((3, 3), ">f8"), np.array(1.0),
        ]  # fmt: skip
        for value in values:
            file = io.BytesIO()
            np.save(file, value)
            found.append(b"\0" + file.getvalue())
        for tensor in (torch.ones(1, 3, 4), torch.eye(3), torch.ones(1, 2, dtype=torch.bfloat16)):
            file = io.BytesIO()
            torch.save(tensor, file)
            found += [b"\1" + file.getvalue(), b"\2" + save({"y": tensor})]
        file = io.BytesIO()
        torch.save(torch.ones(1, 2), file, _use_new_zipfile_serialization=False)
        found += [b"\1" + file.getvalue(), b"\1" + pickle.dumps({"a": [1, 2]}, protocol=2)]
        file = io.BytesIO()
        np.savez(file, **{"10-20% freeform": np.full(8192, 17, np.uint8)})
        return [*found, b"\3" + file.getvalue()]

    def judge(self, data: bytes) -> Verdict:
        from hrdis import images
        from hrdis.images.arrays import read_array

        ending = self.ENDINGS[data[0] % 4] if data else ".npy"
        path = self.folder / f"array{ending}"
        path.write_bytes(data[1:])
        if ending == ".npz":
            return refused_or(lambda: images.read_palette_mask(path))
        found: list[Any] = []
        verdict = refused_or(lambda: found.append(read_array(path)))
        if found and str(found[0].dtype) != "torch.float32":
            return f"numbers of {found[0].dtype}"
        if ending != ".npy":
            return verdict
        kernels: list[Any] = []
        verdict = worst(
            verdict,
            refused_or(lambda: images.read_mask(path)),
            refused_or(lambda: kernels.append(images.read_kernel(path))),
        )
        if kernels and not bool(kernels[0].isfinite().all()):
            return "a kernel that is not finite"
        return verdict


class Records(Reader):
    """`hrdis replay` of a record, and all that looks for records beside pictures."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        from PIL import Image

        self.model = tiny_model(folder / "model")
        Image.fromarray(np.arange(768, dtype=np.uint8).reshape(16, 16, 3)).save(folder / "in.png")
        words = f"restore {folder}/in.png -o {folder}/out.png --task sr2 --model {self.model}"
        assert of_command([*words.split(), "--solver", "ddrm", "--steps", "2"]) == "read"
        self.record = json.loads((folder / "out.json").read_text())
        words = f"fix {folder}/in.png -o {folder}/mended.png --noise 5 --only noise"
        assert of_command([*words.split(), "--model", self.model]) == "read"
        self.mended = json.loads((folder / "mended.png.json").read_text())

    def seeds(self) -> list[bytes]:
        return [json.dumps(self.record).encode(), json.dumps(self.mended).encode()]

    def made(self, draws: Draws) -> bytes:
        return as_json(changed(draws.of([self.record] * 4 + [self.mended]), draws), draws)

    def judge(self, data: bytes) -> Verdict:
        from hrdis import images
        from hrdis.fixing import many
        from hrdis.restoration.arrays import _recorded_seed
        from hrdis.restoration.options import Options

        path = self.folder / "record.json"
        path.write_bytes(data)
        images.records.files_of_record(path)
        _recorded_seed(Options(image=path, task="cs25"), path.with_suffix(".npy"))
        beside = self.folder / "mended.png.json"
        beside.write_bytes(data)
        many.is_done(images.Errand(self.folder / "in.png", self.folder / "mended.png"), {})
        return of_command(["replay", str(path)])


PLAN = {
    "tasks": ["sr4", "inpaint-20-30"], "noise": ["none", "gaussian0.05"],
    "solvers": [
        "ddrm", {"solver": "hrdis", "label": "A", "settings": {"steps": [2, 3], "beta": 0.1}},
    ],
    "images": {"limit": 2}, "metrics": ["PSNR", "SSIM"], "size": 32, "crop": 0, "seeds": 1,
    "batch": 1, "title": "a plan",
}  # fmt: skip


class Plans(Reader):
    """Plans in YAML, read and expanded as ``hrdis bench PLAN`` does before any work."""

    def seeds(self) -> list[bytes]:
        import yaml

        anchors = b"a: &a [sr4, sr4]\ntasks: *a\nsolvers: [ddrm]\n"
        merged = b"tasks: [sr4]\nsolvers: [{solver: hrdis, settings: {beta: !!float 1}}]\nseeds: 2"
        return [yaml.safe_dump(PLAN).encode(), anchors, merged, json.dumps(PLAN).encode()]

    def made(self, draws: Draws) -> bytes:
        return as_json(changed(PLAN, draws), draws)  # JSON is YAML

    def judge(self, data: bytes) -> Verdict:
        from hrdis.bench.plan import RunRequest, prepare, read_plan

        path = self.folder / "plan.yaml"
        path.write_bytes(data)
        plans: list[Any] = []
        verdict = refused_or(lambda: plans.append(read_plan(path)))
        if not plans:
            return verdict

        def expanded() -> None:
            request = RunRequest(
                numbers=(), figures=(), plan=plans[0], prior=None, data=None, list=None,
                limit=None, bkse=None, device="cpu", tasks=(), solvers=(), options={},
            )  # fmt: skip
            prepare(request.completed(), None)

        return refused_or(expanded)


class Presets(Reader):
    """``presets.toml``: read, written and read again."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        import tomllib
        from importlib import resources

        self.text = (resources.files("hrdis") / "weights" / "default" / "presets.toml").read_text()
        whole = tomllib.loads(self.text)
        searches = whole.get("search", [])
        self.small = whole | {"preset": whole["preset"][:4], "auto": whole.get("auto", [])[:3]}
        self.small["search"] = searches

    def seeds(self) -> list[bytes]:
        return [self.text[:LONGEST].encode(), b'format = 1\nprior = "a"\n']

    def made(self, draws: Draws) -> bytes:
        value = changed(self.small, draws)
        lines = []
        for name, entry in value.items() if isinstance(value, dict) else []:
            lines.append(f"{json.dumps(str(name))} = {toml(entry)}")
        if draws.below(20) == 0:
            lines.append("a = " + "[" * draws.of([50, 3000]))
        return "\n".join(lines).encode(errors="surrogatepass")

    def judge(self, data: bytes) -> Verdict:
        from hrdis.presets import file

        path = self.folder / "presets.toml"
        path.write_bytes(data)
        found: list[Any] = []
        verdict = refused_or(lambda: found.append(file.read(path)))
        if not found:
            return verdict
        again = self.folder / "again.toml"
        said = refused_or(lambda: file.write(again, found[0]))
        if said == "read" and file.read(again) != found[0]:
            return "what was written is read as something else"
        return said


def toml(value: Any) -> str:
    """Write a value in TOML in one line; null, which it has not, as a text."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(k))} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(entry) for entry in value) + "]"
    if value is None:
        return '""'
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


class Weights(Reader):
    """Folders of weights: a configuration, a schedule, safetensors, a pickle, a card, an index."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        import torch

        self.model = Path(tiny_model(folder / "model"))
        self.files = ["config.json", "scheduler_config.json"]
        self.whole = {name: json.loads((self.model / name).read_text()) for name in self.files}
        self.binary = "diffusion_pytorch_model.safetensors"
        self.tensors = (self.model / self.binary).read_bytes()
        file = io.BytesIO()
        state = {"conv_in.weight": torch.zeros(8, 3, 3, 3), "time_embed.0.weight": torch.ones(2)}
        torch.save(state, file)
        self.pickled = file.getvalue()
        file = io.BytesIO()
        torch.save(state, file, _use_new_zipfile_serialization=False)
        self.older = file.getvalue()
        os.environ["HRDIS_HOME"] = str(folder / "home")

    def seeds(self) -> list[bytes]:
        small = self.tensors[:2000]
        return [b"\0" + small, b"\1" + self.pickled, b"\1" + self.older, b"\2" + b"{}"]

    def made(self, draws: Draws) -> bytes:
        what = draws.below(4)
        if what <= 1:
            return bytes([3 + what]) + as_json(changed(self.whole[self.files[what]], draws), draws)
        if what == 2:  # the head of safetensors
            length = int.from_bytes(self.tensors[:8], "little")
            head = as_json(changed(json.loads(self.tensors[8 : 8 + length]), draws), draws)
            size = draws.of([len(head)] * 6 + [len(head) + 1, 2**31, 2**63, 0])
            return b"\0" + size.to_bytes(8, "little") + head + self.tensors[8 + length :]
        index = {"weight_map": {"conv_in.weight": self.binary}, "metadata": {"total_size": 1}}
        return b"\2" + as_json(changed(index, draws), draws)

    def judge(self, data: bytes) -> Verdict:
        from hrdis import load_prior
        from hrdis.checkpoints import identity

        kind = data[0] % 5 if data else 0
        model = self.folder / "damaged"
        model.mkdir(exist_ok=True)
        for file in model.iterdir():
            file.unlink()
        for name in self.files:
            (model / name).write_bytes((self.model / name).read_bytes())
        (model / self.binary).write_bytes(self.tensors)
        if kind == 0:
            (model / self.binary).write_bytes(data[1:])
        elif kind == 1:
            (model / "w.pt").write_bytes(data[1:])
            path = model / "w.pt"
            verdicts = []
            for scheme in ("adm", "ddpm"):
                name = f"{scheme}:{path}"
                verdicts.append(refused_or(lambda name=name: load_prior(name)))
            return worst(*verdicts)
        elif kind == 2:
            (model / f"{self.binary}.index.json").write_bytes(data[1:])
            (model / self.binary).rename(model / "part.safetensors")
        else:
            (model / self.files[kind - 3]).write_bytes(data[1:])
        return worst(
            refused_or(lambda: load_prior(str(model))), refused_or(lambda: identity(str(model)))
        )


class Cards(Reader):
    """Cards of models in the folder of downloads, read by the commands and `load_prior`."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.home = folder / "home"
        os.environ["HRDIS_HOME"] = str(self.home)
        model = tiny_model(folder / "model")
        assert of_command(["model", "add", "mine", f"diffusers:{model}"]) in ("read", "refused")
        self.cards = sorted(self.home.rglob("*.json"))
        assert self.cards, "hrdis model add wrote no card"
        self.whole = [json.loads(card.read_text()) for card in self.cards]

    def seeds(self) -> list[bytes]:
        return [json.dumps(card).encode() for card in self.whole]

    def made(self, draws: Draws) -> bytes:
        return as_json(changed(draws.of(self.whole), draws), draws)

    def judge(self, data: bytes) -> Verdict:
        from hrdis import load_prior

        self.cards[0].write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            verdict = worst(
                of_command(["list", "models"]),
                of_command(["model", "show", "mine"]),
                refused_or(lambda: load_prior("mine")),
            )
            if sum(data[-20:]) % 16 == 0:  # a whole model takes longer than all the rest
                return worst(verdict, refused_or(lambda: load_prior("default")))
        return verdict


class States(Reader):
    """The state of a training: equal to what was written, or refused."""

    structured = False

    def __init__(self, folder: Path):
        super().__init__(folder)
        import torch

        from hrdis.training import state

        tensors = {"net.a": torch.arange(6.0), "ema.a": torch.ones(2, 2)}
        whole = state.State(step=3, first=0, pixels=99, seconds=1.5, updates=3, tensors=tensors)
        state.write(folder, whole)
        self.path = folder / state.STATE
        self.whole = self.path.read_bytes()
        self.read = state.read(folder)

    def seeds(self) -> list[bytes]:
        return [self.whole]

    def judge(self, data: bytes) -> Verdict:
        import torch

        from hrdis.training import state

        self.path.write_bytes(data)
        found: list[Any] = []
        verdict = refused_or(lambda: found.append(state.read(self.folder)))
        if found and found[0] is not None and self.read is not None:
            for name, tensor in self.read.tensors.items():
                if not torch.equal(found[0].tensors.get(name, torch.zeros(0)), tensor):
                    return "numbers that were not written"
        return verdict


class Runs(Reader):
    """Run folders of a benchmark: results, scores, configuration; read, reported and scored."""

    FILES = ("config.json", "results", "scores/pixels.jsonl", "scores/seeds.jsonl")

    def __init__(self, folder: Path):
        super().__init__(folder)
        plan = folder / "plan.yaml"
        plan.write_text(
            "tasks: [sr4]\nsolvers: [{solver: ddrm, settings: {steps: 2}}]\nimages: {limit: 2}\n"
            "size: 16\nseeds: 2\n"
        )
        self.run = folder / "run"
        model = tiny_model(folder / "model")
        words = ["bench", str(plan), "-o", str(self.run), "--prior", model, "--device", "cpu"]
        assert of_command(words) == "read"
        of_command(["bench", "score", str(self.run)])
        self.files = [path for path in sorted(self.run.rglob("*.json*")) if path.stat().st_size]
        self.whole = [path.read_bytes() for path in self.files]

    def seeds(self) -> list[bytes]:
        return [bytes([number]) + content for number, content in enumerate(self.whole)]

    def made(self, draws: Draws) -> bytes:
        number = draws.below(len(self.files))
        content = self.whole[number]
        if self.files[number].suffix == ".jsonl":
            lines = content.splitlines()
            at = draws.below(len(lines))
            lines[at] = as_json(changed(json.loads(lines[at]), draws), draws).replace(b"\n", b" ")
            content = b"\n".join(lines) + b"\n"
        else:
            content = as_json(changed(json.loads(content), draws), draws)
        return bytes([number]) + content

    def judge(self, data: bytes) -> Verdict:
        from hrdis.bench.report import report
        from hrdis.bench.run import Store, collect

        number = data[0] % len(self.files) if data else 0
        for path, content in zip(self.files, self.whole, strict=True):
            path.write_bytes(content)
        self.files[number].write_bytes(data[1:])
        found: list[Any] = []
        verdict = worst(
            refused_or(lambda: found.append(collect([self.run]))),
            refused_or(lambda: Store.open(self.run).finished()),
        )
        if found and (len(data) + sum(data[-20:])) % 16 == 0:  # a page takes long
            target = self.folder / "report.html"
            return worst(verdict, refused_or(lambda: report(found[0], target, alone=True)))
        return verdict


class Requests(Reader):
    """What the page is asked: the handlers of Restore and Fix with any values."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        from PIL import Image

        from hrdis.web.jobs import JobRunner
        from hrdis.web.limits import Limits

        picture = folder / "in.png"
        Image.fromarray(np.arange(768, dtype=np.uint8).reshape(16, 16, 3)).save(picture)
        hole = np.zeros((16, 16), np.uint8)
        hole[4:8, 4:9] = 255
        Image.fromarray(hole).save(folder / "mask.png")
        np.save(folder / "kernel.npy", np.eye(3))
        self.sent = [str(picture), str(folder / "mask.png"), str(folder / "kernel.npy")]
        limits = Limits(work=3e5, memory=1e6, seconds=5)
        self.runner = JobRunner("cpu", limits=limits)
        self.runner.folder = folder / "jobs"
        self.runner.folder.mkdir()
        self.whole = {
            "picture": str(picture), "task": "inpaint", "hole": "white", "painted": None,
            "mask": str(folder / "mask.png"), "kernel": str(folder / "kernel.npy"), "noise": 0.0,
            "samples": 1, "seed": 0, "solver": "ddrm", "settings": {"steps": 2},
            "prior": tiny_model(folder / "model"), "label": "", "effort": "normal",
        }  # fmt: skip

    def seeds(self) -> list[bytes]:
        return [json.dumps(self.whole).encode()]

    def made(self, draws: Draws) -> bytes:
        from dataclasses import fields

        from hrdis.solvers import SOLVERS
        from hrdis.web.labels import LABELS

        value = copy.deepcopy(self.whole)
        value["task"] = draws.of([*LABELS, "sr2", "cs25"])
        name = value["solver"] = draws.of([*SOLVERS, "auto"])
        if name in SOLVERS:
            setting = draws.of([f.name for f in fields(SOLVERS[name][0])] or ["steps"])  # type: ignore[arg-type]
            value["settings"][setting] = draws.of(ODD)
        for _ in range(draws.below(3)):
            # Of the rest, what a browser can send: `judge` ends what gradio would not let pass.
            field = draws.of(["noise", "samples", "seed", "settings", "label", "hole", "effort"])
            if field == "settings":
                value[field] = changed(value[field], draws)
            elif draws.below(2):
                value[field] = copy.deepcopy(draws.of(ODD))
        if draws.below(3) == 1:
            value["mask"], value["kernel"] = draws.of(self.sent), draws.of([None, *self.sent])
        if draws.below(8) == 1:
            value = changed(value, draws)
        return json.dumps(value).encode(errors="surrogatepass")

    def judge(self, data: bytes) -> Verdict:
        import gradio as gr

        from hrdis.web.events import for_task, restorer

        try:
            asked = json.loads(data)
        except (ValueError, RecursionError):
            return "refused"  # gradio's answer, not that of the page
        if not isinstance(asked, dict) or set(asked) != set(self.whole):
            return "refused"
        # What gradio checks before: the kinds of its components.
        for name in ("label", "prior", "task", "hole", "solver", "effort"):
            if not isinstance(asked[name], str | None):
                return "refused"
        for name in ("picture", "mask", "kernel"):  # only files that were sent
            if asked[name] is not None and asked[name] not in self.sent:
                return "refused"
        if not isinstance(asked["painted"], dict | None) or asked["painted"]:
            return "refused"
        if asked["task"] not in self.tasks() or asked["prior"] is None or asked["solver"] is None:
            return "refused"
        log = io.StringIO()
        with contextlib.redirect_stderr(log):
            verdict = refused_or(lambda: list(restorer(self.runner)(**asked)), gr.Error)
        if "a restoration failed" in log.getvalue():
            return f"fault of the page: {log.getvalue().strip()[:300]}"
        if any(self.runner.folder.iterdir()):  # type: ignore[union-attr]
            time.sleep(0.2)
            if any(self.runner.folder.iterdir()):  # type: ignore[union-attr]
                return "files of a restoration stay"
        for_task(asked["task"], "white", None)
        return verdict

    def tasks(self) -> tuple[str, ...]:
        """Return the tasks of the page's list, which gradio compares with."""
        from hrdis.web.labels import LABELS

        return tuple(LABELS)


READERS: dict[str, Callable[[Path], Reader]] = {
    "pictures": Pictures, "arrays": Arrays, "records": Records, "plans": Plans,
    "presets": Presets, "weights": Weights, "cards": Cards, "states": States, "runs": Runs,
    "requests": Requests,
}  # fmt: skip


def tiny_model(folder: Path) -> str:
    """Write a network of a few thousand weights that are noise; return its folder."""
    import torch

    from hrdis.checkpoints.unet import build_unet
    from hrdis.rng import stream

    config = {
        "sample_size": 16, "in_channels": 3, "out_channels": 3, "block_out_channels": [8, 16],
        "layers_per_block": 1, "down_block_types": ["DownBlock2D"] * 2,
        "up_block_types": ["UpBlock2D"] * 2, "add_attention": False, "norm_num_groups": 4,
    }  # fmt: skip
    net, draw = build_unet(config), stream(0, "tiny model")
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.from_numpy(0.1 * draw.standard_normal(p.shape, dtype=np.float32)))
    net.save_pretrained(folder)
    (folder / "scheduler_config.json").write_text(
        '{"prediction_type": "v_prediction", "beta_schedule": "linear"}'
    )
    (folder / "MODEL_CARD.md").write_text("# Tiny\n")
    return str(folder)


# ---- in the child -------------------------------------------------------------------------------


class Court:
    """Judges inputs, counts verdicts, and keeps one input for each place of a fault."""

    def __init__(self, reader: Reader, out: Path, crashers: Path):
        self.reader, self.out, self.crashers = reader, out, crashers
        self.counts: Counter[str] = Counter()
        self.faults: dict[str, str] = {}
        self.began = time.process_time()
        self.told = 0.0
        self.slowest = 0.0

    def __call__(self, data: bytes) -> None:
        # A process that dies leaves its input here.
        (self.crashers / "last").write_bytes(data)
        began = time.process_time()
        try:
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            signal.setitimer(signal.ITIMER_REAL, WAITED)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                verdict = self.reader.case(data)
        except Late:
            verdict = f"took too long, at {place_of(sys.exc_info()[2])}"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            verdict = f"{type(error).__name__} at {place_of(error.__traceback__)}"
            self._keep(verdict, data, traceback.format_exc())
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
        self.slowest = max(self.slowest, time.process_time() - began)
        if verdict in ("read", "refused"):
            self.counts[verdict] += 1
        else:
            self.counts["fault"] += 1
            self._keep(verdict, data, verdict)
        self.tell()

    def _keep(self, verdict: str, data: bytes, said: str) -> None:
        if verdict in self.faults or len(self.faults) > 200:
            return
        number = len(list(self.crashers.glob("*.txt")))
        self.faults[verdict] = said
        (self.crashers / f"{number:03d}.bin").write_bytes(data)
        (self.crashers / f"{number:03d}.txt").write_text(
            f"{verdict}\n{said}", errors="backslashreplace"
        )

    def tell(self) -> None:
        """Write the counts down now and then; they survive the process."""
        if time.process_time() - self.told > 2:
            self.write()

    def write(self) -> None:
        """Write the counts down."""
        self.told = time.process_time()
        about = {
            **self.counts, "seconds": self.spent(), "faults": list(self.faults),
            "slowest": self.slowest,
        }  # fmt: skip
        self.out.write_text(json.dumps(about))

    def spent(self) -> float:
        """Return the seconds of processor time that the inputs have taken."""
        return time.process_time() - self.began


def place_of(trace: Any) -> str:
    """Return the innermost line of the package in a traceback, and the innermost of all."""
    frames = traceback.extract_tb(trace)
    ours = [frame for frame in frames if "/hrdis/" in frame.filename]
    last = ours[-1] if ours else frames[-1]
    inner = frames[-1]
    at = f"{Path(last.filename).name}:{last.lineno}"
    return at if inner is last else f"{at} ({Path(inner.filename).name}:{inner.lineno})"


def late(*_: object) -> None:
    raise Late


def child(name: str, seconds: float, seed: int, folder: Path, crashers: Path) -> None:
    """Fuzz one reader in this process until the time is over."""
    os.chdir(folder)
    with imports_instrumented():
        import hrdis.bench.plan
        import hrdis.bench.report
        import hrdis.cli.bench
        import hrdis.cli.replay
        import hrdis.cli.restore
        import hrdis.fixing
        import hrdis.presets.file
        import hrdis.restoration
        import hrdis.training.state

        if name == "requests":
            import hrdis.web.events
            import hrdis.web.jobs  # noqa: F401
    reader = READERS[name](folder)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    signal.signal(signal.SIGALRM, late)
    signal.signal(signal.SIGPROF, late)
    court = Court(reader, folder / "counts.json", crashers)
    seeds = [b"\0" + seed for seed in reader.seeds()]
    for content in seeds:
        verdict = court.reader.case(content)
        assert verdict in ("read", "refused"), (name, verdict)
    if atheris is not None:
        corpus = folder / "corpus"
        corpus.mkdir(exist_ok=True)
        for number, content in enumerate(seeds):
            (corpus / f"seed-{number}").write_bytes(content)
        for number in range(32 if reader.structured else 0):
            (corpus / f"drawn-{number}").write_bytes(b"\1" + drawn(seed, number, 40))
        words = [
            "fuzz", str(corpus), f"-seed={seed + 1}",
            f"-max_len={LONGEST}", "-timeout=120", "-rss_limit_mb=0", "-verbosity=0",
            "-print_final_stats=0", f"-artifact_prefix={crashers}/", "-len_control=20",
        ]  # fmt: skip

        def one(content: bytes) -> None:
            court(content)
            if court.spent() > seconds:
                court.write()
                os._exit(0)  # the fuzzer takes neither an exception nor SystemExit for an end

        atheris.Setup(words, one)
        atheris.Fuzz()
        return
    number = 0
    while court.spent() < seconds:
        court(mutated(seeds, reader.structured, seed, number))
        number += 1
    court.write()


def drawn(seed: int, number: int, length: int) -> bytes:
    """Return random bytes."""
    from hrdis.rng import stream

    return bytes(stream(seed, "fuzz", number).integers(0, 256, length, dtype=np.uint8))


def mutated(seeds: list[bytes], structured: bool, seed: int, number: int) -> bytes:
    """Return a seed with a few bytes changed, cut, doubled or joined; or changes of structure."""
    from hrdis.rng import stream

    draw = stream(seed, "fuzz", number)
    if structured and draw.random() < 0.7:
        return b"\1" + drawn(seed, -1 - number, 40)
    content = bytearray(seeds[int(draw.integers(len(seeds)))])
    for _ in range(int(draw.integers(1, 8))):
        at = int(draw.integers(1, len(content) + 1))
        what = int(draw.integers(5))
        if what == 0 and at < len(content):
            content[at] = int(draw.integers(256))
        elif what == 1:
            length = int(draw.integers(1, 5))
            content[at : at + length] = drawn(seed, number, length)
        elif what == 2:
            content = content[: max(2, at)]
        elif what == 3:
            content[at:at] = content[at : at + 40]
        elif at < len(content):
            content[at] = (0, 255, 127, 128)[int(draw.integers(4))]
    return bytes(content)


@contextlib.contextmanager
def imports_instrumented() -> Iterator[None]:
    """Let atheris see the branches of what is imported: this package and the readers below it."""
    if atheris is None:
        yield
        return
    import torch  # noqa: F401  # far too large to be instrumented

    with atheris.instrument_imports(include=["hrdis", "PIL", "yaml", "tomllib"]):
        yield


# ---- the study ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Turn:
    """What became of the inputs of one reader in one turn."""

    date: str
    commit: str
    reader: str
    way: str
    minutes: float
    """Of processor time."""
    inputs: int
    read: int
    refused: int
    faults: int
    places: int
    """Different faults."""
    slowest: float
    """Seconds of the slowest input."""


def measure(name: str, minutes: float, seed: int, crashers: Path) -> Turn:
    """Fuzz one reader in children, a new one after each death."""
    crashers.mkdir(parents=True, exist_ok=True)
    total: Counter[str] = Counter()
    faults: dict[str, None] = {}
    seconds, slowest, deaths = 0.0, 0.0, 0
    while (left := 60 * minutes - seconds) > 5 and deaths < 50:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            words = [sys.executable, __file__, "--child", name, "--minutes", str(left / 60)]
            words += ["--seed", str(seed + deaths), "--folder", folder]
            words += ["--crashers", str(crashers)]
            with open(crashers / "log", "ab") as log:
                done = subprocess.run(
                    words, stdout=log, stderr=log, timeout=500 * left + 600,
                    env=os.environ | {"OMP_NUM_THREADS": "1"},
                )  # fmt: skip
            counts = Path(folder) / "counts.json"
            if counts.exists():
                found = json.loads(counts.read_text())
                seconds += found["seconds"]
                slowest = max(slowest, found["slowest"])
                faults |= dict.fromkeys(found["faults"])
                for verdict in ("read", "refused", "fault"):
                    total[verdict] += found.get(verdict, 0)
            elif done.returncode:
                raise SystemExit(f"{name}: its child failed at once; see {crashers}/log")
        if done.returncode:
            deaths += 1
            last = crashers / "last"
            last.rename(crashers / f"death-{deaths}.bin")
            faults[f"the process ended with {done.returncode}"] = None
    way = "random" if atheris is None else "by coverage"
    turn = Turn(
        now()["date"], now()["commit"], name, way, round(seconds / 60, 1), total.total(),
        total["read"], total["refused"], total["fault"] + deaths, len(faults), round(slowest, 1),
    )  # fmt: skip
    print(turn, flush=True)
    for fault in faults:
        print(f"  {fault}", flush=True)
    return turn


def main(
    minutes: float = 10.0,
    rounds: int = 6,
    only: tuple[str, ...] = (),
    crashers: Path | None = None,
    write: bool = True,
) -> None:
    """Fuzz.

    Args:
        minutes: of processor time, for each reader in a round.
        rounds: how often every reader has a turn.
        only: readers, by name.
        crashers: folder for the inputs of faults; by default a temporary one, which is named.
        write: add the turns to docs/data/fuzz.csv, and rewrite the table of the page.
    """
    crashers = crashers or Path(tempfile.mkdtemp(prefix="crashers-"))
    print(f"Inputs of faults: {crashers}")
    for _ in range(rounds):
        for name in only or READERS:
            turns = rows.read(DATA, Turn)
            # No two turns of a reader make the same inputs.
            seed = 1000 * sum(turn.reader == name for turn in turns)
            turn = measure(name, minutes, seed, crashers / name)
            if write:
                rows.write(DATA, Turn, [*turns, turn])
    if write:
        rewrite(PAGE, "fuzz", summary(rows.read(DATA, Turn)))


def summary(turns: list[Turn]) -> str:
    """Return the table of all turns of each reader together."""
    lines = []
    for name in READERS:
        mine = [turn for turn in turns if turn.reader == name]
        if not mine:
            continue
        minutes, slowest = sum(turn.minutes for turn in mine), max(turn.slowest for turn in mine)
        inputs, places = sum(turn.inputs for turn in mine), sum(turn.places for turn in mine)
        whole, refused = sum(turn.read for turn in mine), sum(turn.refused for turn in mine)
        counts = [inputs, whole, refused, places, mine[-1].places]
        lines.append([name, f"{minutes:.1f}", *counts, f"{slowest:.1f}"])
    heads = ["reader", "minutes", "inputs", "read", "refused", "places of faults"]
    return table([*heads, "in the last turn", "slowest, s"], lines)


def main_of_child(child_: str, minutes: float, seed: int, folder: Path, crashers: Path) -> None:
    """Fuzz one reader in this process."""
    child(child_, 60 * minutes, seed, folder, crashers)


if __name__ == "__main__":
    if "--child" in sys.argv:
        values = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
        main_of_child(
            values["--child"], float(values["--minutes"]), int(values["--seed"]),
            Path(values["--folder"]), Path(values["--crashers"]),
        )  # fmt: skip
    else:
        tyro.cli(main, description=__doc__)
