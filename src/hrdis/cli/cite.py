"""``hrdis cite``: BibTeX of hrdis and of the papers behind the solvers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

import hrdis
from hrdis.solvers import SOLVERS, find

from .parsing import BadInput, checking, parse

HELP = """\
Print BibTeX: hrdis itself, and the papers of the solvers that you used. Without a solver or a
record: the paper of HRDIS, which the package is named after.

Examples:
  hrdis cite
  hrdis cite --solver ddrm diffpir
  hrdis cite whole.json              (the solver that made whole.png, by its record)
  hrdis cite --solver all > hrdis.bib
"""


@dataclass(frozen=True, kw_only=True)
class Cite:
    """Options of ``hrdis cite``."""

    record: tyro.conf.Positional[Path | None] = None
    """The record (.json) of a restoration: cite the solver that it names."""
    solver: tuple[str, ...] = ()
    """Cite these solvers; `hrdis list solvers` lists the names, and all means every one."""


@dataclass(frozen=True)
class Paper:
    """A published paper: what a bibliography prints."""

    title: str
    authors: tuple[str, ...]
    venue: str
    year: int
    url: str

    def bibtex(self, key: str, note: str = "") -> str:
        """Return the entry; capitals of the title are kept by braces."""
        kind, where = "inproceedings", "booktitle"
        if self.venue in JOURNALS:
            kind, where = "article", "journal"
        rows = {
            "title": f"{{{self.title}}}",
            "author": " and ".join(self.authors),
            where: VENUES[self.venue],
            "year": str(self.year),
            "url": self.url,
        }
        if note:
            rows["note"] = note
        return entry(kind, key, rows)


#: The names of the conferences, by the short forms that ``Solver.reference`` uses.
VENUES = {
    "ICLR": "International Conference on Learning Representations",
    "NeurIPS": "Advances in Neural Information Processing Systems",
    "CVPR": "IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    "CVPRW": "IEEE/CVF Conference on Computer Vision and Pattern Recognition Workshops",
    "TMLR": "Transactions on Machine Learning Research",
    "PRD": "Physical Review D",
}
#: Those that are journals.
JOURNALS = ("TMLR", "PRD")

PAPERS = {
    "adler1981overrelaxation": Paper(
        "Over-relaxation method for the Monte Carlo evaluation of the partition function for "
        "multiquadratic actions",
        ("Adler, Stephen L.",),
        "PRD",
        1981,
        "https://doi.org/10.1103/PhysRevD.23.2901",
    ),
    "bendel2025ddfire": Paper(
        "Solving Inverse Problems using Diffusion with Iterative Colored Renoising",
        ("Bendel, Matthew C.", "Shastri, Saurav K.", "Ahmad, Rizwan", "Schniter, Philip"),
        "TMLR",
        2025,
        "https://arxiv.org/abs/2501.17468",
    ),
    "garber2025cm4ir": Paper(
        "Zero-Shot Image Restoration Using Few-Step Guidance of Consistency Models (and Beyond)",
        ("Garber, Tomer", "Tirer, Tom"),
        "CVPR",
        2025,
        "https://arxiv.org/abs/2412.20596",
    ),
    "dou2025hrdis": Paper(
        "Hybrid Regularization Improves Diffusion-based Inverse Problem Solving",
        ("Dou, Hongkun", "Li, Zeyu", "Du, Jinyang", "Yang, Lijun", "Yao, Wen", "Deng, Yue"),
        "ICLR",
        2025,
        "https://openreview.net/forum?id=d7pr2doXn3",
    ),
    "mardani2024reddiff": Paper(
        "A Variational Perspective on Solving Inverse Problems with Diffusion Models",
        ("Mardani, Morteza", "Song, Jiaming", "Kautz, Jan", "Vahdat, Arash"),
        "ICLR",
        2024,
        "https://arxiv.org/abs/2305.04391",
    ),
    "kawar2022ddrm": Paper(
        "Denoising Diffusion Restoration Models",
        ("Kawar, Bahjat", "Elad, Michael", "Ermon, Stefano", "Song, Jiaming"),
        "NeurIPS",
        2022,
        "https://arxiv.org/abs/2201.11793",
    ),
    "chung2023dps": Paper(
        "Diffusion Posterior Sampling for General Noisy Inverse Problems",
        (
            "Chung, Hyungjin",
            "Kim, Jeongsol",
            "McCann, Michael Thompson",
            "Klasky, Marc Louis",
            "Ye, Jong Chul",
        ),
        "ICLR",
        2023,
        "https://arxiv.org/abs/2209.14687",
    ),
    "song2023pigdm": Paper(
        "Pseudoinverse-Guided Diffusion Models for Inverse Problems",
        ("Song, Jiaming", "Vahdat, Arash", "Mardani, Morteza", "Kautz, Jan"),
        "ICLR",
        2023,
        "https://openreview.net/forum?id=9_gsMA8MRKQ",
    ),
    "wang2023ddnm": Paper(
        "Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model",
        ("Wang, Yinhuai", "Yu, Jiwen", "Zhang, Jian"),
        "ICLR",
        2023,
        "https://arxiv.org/abs/2212.00490",
    ),
    "chung2024dds": Paper(
        "Decomposed Diffusion Sampler for Accelerating Large-Scale Inverse Problems",
        ("Chung, Hyungjin", "Lee, Suhyeon", "Ye, Jong Chul"),
        "ICLR",
        2024,
        "https://arxiv.org/abs/2303.05754",
    ),
    "fei2023gdp": Paper(
        "Generative Diffusion Prior for Unified Image Restoration and Enhancement",
        (
            "Fei, Ben",
            "Lyu, Zhaoyang",
            "Pan, Liang",
            "Zhang, Junzhe",
            "Yang, Weidong",
            "Luo, Tianyue",
            "Zhang, Bo",
            "Dai, Bo",
        ),
        "CVPR",
        2023,
        "https://arxiv.org/abs/2304.01247",
    ),
    "dou2024fps": Paper(
        "Diffusion Posterior Sampling for Linear Inverse Problem Solving: A Filtering Perspective",
        ("Dou, Zehao", "Song, Yang"),
        "ICLR",
        2024,
        "https://openreview.net/forum?id=tplXNcHZs1",
    ),
    "zhu2023diffpir": Paper(
        "Denoising Diffusion Models for Plug-and-Play Image Restoration",
        (
            "Zhu, Yuanzhi",
            "Zhang, Kai",
            "Liang, Jingyun",
            "Cao, Jiezhang",
            "Wen, Bihan",
            "Timofte, Radu",
            "Van Gool, Luc",
        ),
        "CVPRW",
        2023,
        "https://arxiv.org/abs/2305.08995",
    ),
    "rozet2024mmps": Paper(
        "Learning Diffusion Priors from Observations by Expectation Maximization",
        ("Rozet, Fran{\\c{c}}ois", "Andry, G{\\'e}r{\\^o}me", "Lanusse, Fran{\\c{c}}ois",
        "Louppe, Gilles"),
        "NeurIPS",
        2024,
        "https://arxiv.org/abs/2405.13712",
    ),
    "zhang2025daps": Paper(
        "Improving Diffusion Inverse Problem Solving with Decoupled Noise Annealing",
        (
            "Zhang, Bingliang",
            "Chu, Wenda",
            "Berner, Julius",
            "Meng, Chenlin",
            "Anandkumar, Anima",
            "Song, Yang",
        ),
        "CVPR",
        2025,
        "https://arxiv.org/abs/2407.01521",
    ),
}  # fmt: skip

#: The paper of every solver, a key of `PAPERS`.
SOURCES = {
    "hrdis": "dou2025hrdis",
    "reddiff": "mardani2024reddiff",
    "cr": "dou2025hrdis",
    "drddim": "dou2025hrdis",
    "cmhrdis": "dou2025hrdis",
    "blindhrdis": "dou2025hrdis",
    "ddrm": "kawar2022ddrm",
    "dps": "chung2023dps",
    "pigdm": "song2023pigdm",
    "ddnm": "wang2023ddnm",
    "ddnmplus": "wang2023ddnm",
    "dds": "chung2024dds",
    "gdp": "fei2023gdp",
    "fps": "dou2024fps",
    "diffpir": "zhu2023diffpir",
    "mmps": "rozet2024mmps",
    "daps": "zhang2025daps",
    "overrelaxed": "adler1981overrelaxation",
    "fire": "bendel2025ddfire",
    "cm4ir": "garber2025cm4ir",
}


def main(argv: Sequence[str]) -> int:
    args: Any = parse(Cite, argv, "cite", HELP)
    named = list(SOLVERS) if "all" in args.solver else list(args.solver)
    if args.record is not None:
        with checking():
            named.append(solver_of(args.record))
    with checking():
        chosen = [find(name) for name in named or ["hrdis"]]
    print(bibliography(chosen))
    return 0


def bibliography(solvers: Sequence[str]) -> str:
    """Return the BibTeX of hrdis and of the papers of these solvers, each paper once."""
    entries = [software()]
    users: dict[str, list[str]] = {}
    for name in solvers:
        users.setdefault(SOURCES[name], []).append(name)
    for key, names in users.items():
        labels = [SOLVERS[name][0].__name__ for name in dict.fromkeys(names)]
        entries.append(PAPERS[key].bibtex(key, f"as implemented in hrdis: {', '.join(labels)}"))
    return "\n\n".join(entries)


def software() -> str:
    """Return the entry of the package itself."""
    rows = {
        "title": "{hrdis: image restoration with diffusion models}",
        "author": "{hrdis maintainers}",
        "note": f"Version {hrdis.__version__}. Python package, MIT licence; an independent "
        "implementation",
    }
    return entry("misc", "hrdis", rows)


def entry(kind: str, key: str, rows: dict[str, str]) -> str:
    """Return one BibTeX entry, a field on each line."""
    fields = ",\n".join(f"  {name} = {{{value}}}" for name, value in rows.items())
    return f"@{kind}{{{key},\n{fields}\n}}"


def solver_of(record: Path) -> str:
    """Return the name of the solver in the record of a restoration.

    Raises:
        BadInput: if the file is no record of ``hrdis restore``.
    """
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        found = None
    except OSError as error:
        raise BadInput(
            f"{record} cannot be read ({error.strerror}). The .json beside a restored picture is "
            "expected, or a name: --solver ddrm"
        ) from None
    if not isinstance(found, dict) or "hrdis" not in found or "solver" not in found:
        raise BadInput(
            f"{record} is no record of a restoration. The .json beside a restored picture is "
            "expected, or a name: --solver ddrm"
        )
    return str(found["solver"])
