"""The paper of a solver, as a bibliography prints it."""

from dataclasses import dataclass

#: The names of conferences and journals, by the short forms that ``Solver.reference`` uses.
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


@dataclass(frozen=True)
class Paper:
    """A published paper. Each solver's file ends with its own, ``SOURCE``.

    Args:
        key: of its BibTeX entry: the first author, the year and a word.
        title: as printed.
        authors: ``"Family, Given"`` each.
        venue: a short form, as in ``VENUES``, or the whole name of a conference that is not there.
        year: of publication.
        url: an address that stays.
    """

    key: str
    title: str
    authors: tuple[str, ...]
    venue: str
    year: int
    url: str

    def bibtex(self, note: str = "") -> str:
        """Return the entry, in braces, which keep the capitals of the title."""
        kind, where = "inproceedings", "booktitle"
        if self.venue in JOURNALS:
            kind, where = "article", "journal"
        rows = {
            "title": f"{{{self.title}}}",
            "author": " and ".join(self.authors),
            where: VENUES.get(self.venue, self.venue),
            "year": str(self.year),
            "url": self.url,
        }
        if note:
            rows["note"] = note
        return bibtex_entry(kind, self.key, rows)


def bibtex_entry(kind: str, key: str, rows: dict[str, str]) -> str:
    """Return one BibTeX entry, a field on each line."""
    fields = ",\n".join(f"  {name} = {{{value}}}" for name, value in rows.items())
    return f"@{kind}{{{key},\n{fields}\n}}"
