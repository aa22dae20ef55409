"""Run folders that nothing was run for: the plans of the paper's tables, rows with drawn scores,
small pictures.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import torch

import hrdis
from hrdis.bench.paper import PaperTable
from hrdis.bench.plan import DataPicture, Plan, PlanOptions, PriorIdentity, expand, paper_tables
from hrdis.bench.records import RunTask
from hrdis.bench.run import Store
from hrdis.presets import embedded
from hrdis.schedule import Schedule

SIDE = 32


def plan_of(
    tables: Iterable[int] = (), figures: Iterable[int] = (), images: int = 3,
    without: dict[str, str] | None = None,
    own: Sequence[PaperTable] = (), prior: str = "default", **options: Any,
) -> Plan:  # fmt: skip
    pictures = [
        DataPicture(f"photo-{n}.png", Path(f"photo-{n}.png"), f"{n:064x}", n, label=n % 4)
        for n in range(images)
    ]
    identity = PriorIdentity(prior, "0" * 64, embedded(), Schedule.linear())
    asked = [*paper_tables(tables, figures), *((table, "") for table in own)]

    def why_not(column: Any, method: Any, solver: Any) -> str:
        """Everything can be run but the tasks that are named."""
        return (without or {}).get(column.task, "")

    return expand(asked, pictures, PlanOptions(size=SIDE, **options), identity, why_not)


def row_of(run_task: RunTask, **more: Any) -> dict[str, Any]:
    """A row as a worker writes it; its scores are drawn from the stream of its key."""
    draw = hrdis.rng.stream(0, "row", run_task.key)
    row = {
        "key": run_task.key, "variant": run_task.variant, "cell": run_task.record(), "status": "ok",
        "error": None, "picture": None,
        "truth": None, "measurement": None, "psnr": 20 + 10 * draw.random(), "ssim": draw.random(),
        "residual": draw.random() / 10, "seconds": 1 + draw.random(), "nfe": 100,
        "peak_memory": 2**30,
        "call_seconds": 0.01, "finite": True, "worker": "host-1", "device": "cpu",
        "hrdis": hrdis.__version__,
        "torch": torch.__version__, "batch": 1,
    }  # fmt: skip
    if run_task.task == "phase":
        row |= {"psnr_aligned": row["psnr"] + 1, "ssim_aligned": row["ssim"]}
    return row | more


def failed(run_task: RunTask, error: str) -> dict[str, Any]:
    scores = dict.fromkeys(("psnr", "ssim", "residual", "seconds", "nfe", "peak_memory", "finite"))
    return row_of(run_task, status="failed", error=error, **scores)


def write_run(
    folder: Path,
    plan: Plan,
    row: Callable[[RunTask], dict[str, Any] | None] = row_of,
    shipped: bool = True,
) -> list[dict[str, Any]]:
    """Write a run folder without pictures, all rows at once; None leaves a run_task undone."""
    made = {
        "command": "hrdis bench --table 9 -o RUN",
        "python": "3.11",
        "platform": "test",
        "data": "/data/faces",
    }
    config = plan.config | {"shipped": {"data": shipped, "prior": shipped}, "provenance": made}
    Store.create(folder, config)
    rows = [made_row for run_task in plan.tasks if (made_row := row(run_task)) is not None]
    (folder / "results").mkdir(exist_ok=True)
    (folder / "results" / "w.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return rows


def picture_of(run_task: RunTask, side: int = SIDE) -> tuple[torch.Tensor, torch.Tensor]:
    """Original and restoration: waves, and noise on them that depends on the run_task."""
    at = torch.linspace(0, 6, side)
    number = 1 + int(run_task.image_sha256, 16)
    wave = 0.8 * torch.stack([(at[:, None] * (k + 1) + at * number).sin() for k in range(3)])
    noise = torch.from_numpy(
        hrdis.rng.stream(0, "picture", run_task.key).standard_normal(wave.shape)
    ).float()
    return wave, wave + 0.2 * noise


def write_run_with_pictures(folder: Path, plan: Plan) -> list[dict[str, Any]]:
    """A run folder with pictures, whose scores are those of the pictures."""
    rows = write_run(folder, plan, lambda _: None)
    store = Store.open(folder)
    for run_task in plan.tasks:
        truth, x = picture_of(run_task)
        names = {
            "picture": store.write_picture(f"images/{run_task.key}.png", x),
            "truth": store.write_picture(f"truth/{run_task.image_sha256[-16:]}-{SIDE}.png", truth),
            "measurement": store.write_picture(
                f"given/{run_task.image_sha256[-16:]}-{run_task.task}.png", truth / 2
            ),
        }
        x, truth = (hrdis.images.load(folder / names[name]) for name in ("picture", "truth"))
        scores = {
            "psnr": float(hrdis.metrics.psnr(x, truth)),
            "ssim": float(hrdis.metrics.ssim(x, truth)),
        }
        rows.append(row_of(run_task, **names, **scores))
        store.append(rows[-1])
    return rows


# ---- reading a page
# -------------------------------------------------------------------------------


class Node:
    """An element of a page: tag, attributes, children, and its own and all text."""

    def __init__(self, tag: str, attributes: dict[str, str]):
        self.tag, self.attributes, self.children = tag, attributes, []  # type: ignore[var-annotated]

    @property
    def text(self) -> str:
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> Iterable[str]:
        for child in self.children:
            yield from [child] if isinstance(child, str) else child._texts()

    def all(self, tag: str = "", of: str = "") -> list["Node"]:
        """Descendants of a tag and a class."""
        found = []
        for child in self.children:
            if isinstance(child, Node):
                if tag in ("", child.tag) and (
                    not of or of in child.attributes.get("class", "").split()
                ):
                    found.append(child)
                found += child.all(tag, of)
        return found

    def id(self, name: str) -> "Node":
        return next(node for node in self.all() if node.attributes.get("id") == name)


class _Reader(HTMLParser):
    VOID = ("meta", "link", "img", "br", "input", "path", "use", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.stack = [Node("", {})]

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        node = Node(tag, {k: v or "" for k, v in attrs})
        self.stack[-1].children.append(node)
        if tag not in self.VOID:
            self.stack.append(node)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.stack[-1].children.append(Node(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.stack[-1].tag == tag, f"</{tag}> closes <{self.stack[-1].tag}>"
            self.stack.pop()

    def handle_data(self, data: str) -> None:
        self.stack[-1].children.append(data)


def read_page(path: Path) -> Node:
    """Parse a page; elements that are not closed in order are an error."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert len(reader.stack) == 1, reader.stack[-1].tag
    return reader.stack[0]


def cells_of(article: Node) -> dict[tuple[str, str, str, str], Node]:
    """(method with what was chosen, data set, task's title, metric's title) to the cell of a
    table.
    """
    first, second = article.all("thead")[0].all("tr")
    groups: list[tuple[str, str]] = []
    for head in first.all("th", "group"):
        spans = head.all("span")
        dataset = spans[0].text.removeprefix("paper: ") if spans else ""
        title = head.text.removesuffix(spans[0].text).strip() if spans else head.text
        groups += [(dataset, title)] * int(head.attributes["colspan"])
    names = [th.text.rstrip("↓↑ ") for th in second.all("th")]
    found = {}
    for line in article.all("tbody")[0].all("tr"):
        label = line.all("th")[0].text
        for (dataset, title), name, cell in zip(groups, names, line.all("td"), strict=True):
            found[label, dataset, title, name] = cell
    return found


def one(cell: Node, of: str) -> str:
    """The text of the element of a class in a cell, "" without one."""
    found = cell.all("", of)
    assert len(found) <= 1
    return found[0].text if found else ""
