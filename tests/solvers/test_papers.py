"""Papers as a bibliography prints them."""

import pytest

from hrdis.solvers.papers import Paper


def paper(venue: str) -> Paper:
    return Paper("one1990way", "A Way", ("One, A", "Two, B"), venue, 1990, "https://a.org")


@pytest.mark.parametrize(
    ("venue", "kind", "where"),
    [
        ("PRD", "article", "journal = {Physical Review D}"),
        ("ICLR", "inproceedings", "booktitle = {International Conference on Learning Repr"),
        ("A Workshop", "inproceedings", "booktitle = {A Workshop}"),
    ],
)
def test_kind_of_entry_is_that_of_the_venue(venue, kind, where):
    entry = paper(venue).bibtex()
    assert entry.startswith(f"@{kind}{{one1990way,\n") and where in entry


def test_entry_has_a_note_where_one_is_given():
    plain, noted = paper("PRD").bibtex(), paper("PRD").bibtex("as read")
    assert noted.splitlines() == [*plain.splitlines()[:-2], "  url = {https://a.org},",
                                  "  note = {as read}", "}"]  # fmt: skip
