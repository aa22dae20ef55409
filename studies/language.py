"""How plain is the English of the documentation and of the docstrings?

    python studies/language.py              # the counts, by file
    python studies/language.py --show long  # every sentence that breaks a law

The laws: a sentence has a verb and at most 30 words; a colon joins no second sentence; words that
only this project uses stay out; a docstring of a function does not open with What, Whether, How, Of
or As. Words are looked up in a list and not parsed, so that single findings may be wrong; the
counts are good for seeing whether a text gets better. `tests/test_language.py` keeps them from
growing.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import tyro
from common.pages import DOCS, ROOT, table

Law = Literal["long", "verbless", "colon", "jargon", "opening"]
LAWS: tuple[Law, ...] = ("long", "verbless", "colon", "jargon", "opening")
LONGEST = 30  # words of a sentence
#: Folders of docs/ that the build of the site makes.
MADE = {"_build", "about", "api", "solvers"}
#: Words that a stranger cannot know in the sense they have here.
JARGON = re.compile(
    r"\b(rooms?|leaf|explains? y|those for none|cells?|told|the given|riddles?|bites?)\b", re.I
)
OPENING = re.compile(r"(What|Whether|How|Of|As|Where|Which)\b")
#: Finite verbs and imperatives that occur in these texts.
LISTED = """
is are was were be been has have had do does did can could may might must shall should will
would add adds ask asks begin begins belong belongs bring brings build builds call calls change
changes choose chooses come comes compare compares contain contains cost costs count counts crop
cut depend depends differ differs draw draws drop end ends enlarge estimate expect fail fails
fall falls fill fills find finds fit fits follow follows gain gains get gets give gives go goes
grow grows hold holds install keep keeps know knows lack lacks lead leads lie lies like list
lists load loads look looks lose loses make makes map maps mark marks mean means measure
measures miss misses move moves name names need needs open opens paint pass passes pay pays
predict predicts print prints prove put puts raise raises reach reaches read reads refuse
refuses repeat repeats replace replaces report restore restores return returns rewrite rewrites
run runs save saves say says see sees seem seems send set sets share shares show shows sit sits
solve solves stand stands start starts stay stays step stop stops subclass suit take takes tell
tells test tests train trains try turn turns use uses vanish vanishes wait want wants warn warns
win wins work works write writes wrote found took gave made became went ran came said saw left
let ignore leave press click download compute computes convert converts quote quotes repairs mix
mixes divide divides smooths forbids receives continues reconstructs downloads shrinks blurs
hides remove removes reject recognise recognised peaks peak exits tries appears appear matter
matters bleed bleeds
"""
VERBS = set(LISTED.split())
#: After these a word of the list is a noun, or the verb of a relative clause.
BEFORE_NOUNS = "a an the its their our no of per every each one that which who"
NO_VERB_AFTER = set(BEFORE_NOUNS.split())


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of Markdown or of a docstring: no code, tables, headings or formulas."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"!\[.*?\]\(.*?\)", "", text, flags=re.DOTALL)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    # One word for each piece of code, whatever stands in it.
    text = re.sub(r"``[^`]+``|`[^`]+`", "CODE", text)
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", text):
        lines = block.strip("\n").splitlines()
        if not lines or lines[0].lstrip().startswith(("#", "|", ">>>")):
            continue
        if lines[0].startswith("    ") or " · " in block:  # a formula; a line of links
            continue
        joined = " ".join(line.strip() for line in lines)
        joined = re.sub(r"\*\*[^*]+\.\*\* ?", "", joined).replace("**", "")  # a title in bold
        joined = re.sub(r"^([-*>]|\d+\.) ", "", joined)
        for sentence in re.split(r"(?<=[.?!])[)\"]* +(?=[A-Z0-9(*]|hrdis)", joined):
            if len(sentence.split()) >= 3:
                yield sentence


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, numbers left out."""
    return re.findall(r"[A-Za-z][A-Za-z'-]*", text)


def has_verb(text: str) -> bool:
    """Return True if a word of the list of verbs occurs, or one that ends in -ed."""
    return any(word.lower() in VERBS or re.fullmatch(r"[a-z]{2,}ed", word) for word in words(text))


def is_second(tail: str) -> bool:
    """Return True if the words after a colon are a sentence, and no noun with what describes it.

    A verb of the list is none here as a noun ("the steps"), as the verb of a relative clause
    ("files that hold"), or as a participle in -ed without "is" or "has".
    """
    before = ""
    for word in words(tail.removeprefix("that ")):  # a pronoun, where it comes first
        lower = word.lower()
        if lower in VERBS and before not in NO_VERB_AFTER:
            return True
        before = lower
    return False


def broken(sentence: str) -> Iterator[Law]:
    """Yield the laws that a sentence breaks, but for the one about openings."""
    if len(sentence.split()) > LONGEST:
        yield "long"
    if not has_verb(sentence):
        yield "verbless"
    head, mark, tail = sentence.partition(": ")
    if mark and len(words(tail)) >= 4 and has_verb(head) and is_second(tail):
        yield "colon"
    if JARGON.search(sentence):
        yield "jargon"


def pages() -> list[Path]:
    """Return the pages of docs/ that people write."""
    found = sorted(DOCS.rglob("*.md"))
    return [path for path in found if path.relative_to(DOCS).parts[0] not in MADE]


def of_page(path: Path) -> Iterator[tuple[Law, str]]:
    """Yield every breach on a page."""
    for sentence in sentences(path.read_text(encoding="utf-8")):
        for law in broken(sentence):
            yield law, sentence


def of_module(path: Path) -> Iterator[tuple[Law, str]]:
    """Yield every breach in the docstrings of a module, up to their first section (``Args:``)."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        doc = ast.get_docstring(node) if isinstance(node, kinds) else None
        if not doc:
            continue
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if function and OPENING.match(doc):
            yield "opening", doc.splitlines()[0]
        prose = re.split(r"^[A-Z][\w ()]*:$", doc, maxsplit=1, flags=re.MULTILINE)[0]
        for sentence in sentences(prose):
            for law in broken(sentence):
                if law != "verbless":  # classes and modules are described by noun phrases
                    yield law, sentence


def breaches() -> dict[str, dict[Path, list[tuple[Law, str]]]]:
    """Return every breach, by "docs" or "docstrings" and by file."""
    modules = sorted((ROOT / "src" / "hrdis").rglob("*.py"))
    return {
        "docs": {path: list(of_page(path)) for path in pages()},
        "docstrings": {path: list(of_module(path)) for path in modules},
    }


def counts() -> dict[str, dict[str, int]]:
    """Return how often each law is broken, in the pages and in the docstrings."""
    result = {}
    for part, files in breaches().items():
        found = Counter(law for listed in files.values() for law, _ in listed)
        result[part] = {law: found[law] for law in LAWS}
    return result


def main(show: Law | None = None) -> None:
    """Print the counts of every file that breaks a law, and the sums.

    Args:
        show: print every sentence that breaks this law.
    """
    for part, files in breaches().items():
        rows = []
        for path, listed in files.items():
            found = Counter(law for law, _ in listed)
            if found:
                rows.append([str(path.relative_to(ROOT)), *(found[law] for law in LAWS)])
            for law, sentence in listed:
                if law == show:
                    print(f"{path.relative_to(ROOT)}: {sentence}")
        total = Counter(law for listed in files.values() for law, _ in listed)
        rows.append([f"all {part}", *(total[law] for law in LAWS)])
        print(table([part, *LAWS], rows) + "\n")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
