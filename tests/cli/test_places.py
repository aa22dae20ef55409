"""Where results may be written, and which words of a command name no place."""

import json
from pathlib import Path

import pytest

from hrdis import images
from hrdis.messages import shell_word
from tests.cli.test_cli import photo, run


def places(folder: Path) -> None:
    """Make a folder, a file, a link that leads nowhere and one that leads to itself."""
    (folder / "folder").mkdir()
    (folder / "file").write_bytes(b"")
    (folder / "lost").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")


#: An output that cannot be, and what is said of it.
NO_PLACE = {
    "folder": "folder is a folder. The name of a picture file is expected",
    "file/a.png": "file is a file",
    "lost/a.png": "lost is a link that leads nowhere",
    "lost/b/a.png": "lost is a link that leads nowhere",
    "loop/a.png": "loop is a link that leads nowhere",
    f"{'x' * 252}.png": "has 256 bytes. At most 255 are expected",
    f"{'x' * 300}": "has 300 bytes. At most 255 are expected",
    "a": "has the suffix ''",
}


@pytest.mark.parametrize(("output", "said"), NO_PLACE.items(), ids=[word[:12] for word in NO_PLACE])
def test_output_that_cannot_be_is_refused_by_its_reason(
    output: str, said: str, tmp_path: Path
) -> None:
    places(tmp_path)
    with pytest.raises(ValueError, match=said):
        images.check_output(tmp_path / output)


#: Command lines that name no file where one is expected, and what is said.
NAMELESS = {
    "fix": ("fix", "", "A word is empty"),
    "restore": ("restore", "", "--task", "sr2", "-o", "o.png", "A word is empty"),
    "output": ("restore", "a.png", "--task", "sr2", "-o", "", "-o is empty"),
    "output=": ("fix", "a.png", "--output=", "--output is empty"),
    "mask": ("restore", "a.png", "--task", "inpaint", "--mask", "", "-o", "o.png",
             "--mask is empty"),
    "data": ("bench", "--table", "9", "--data", "", "--dry-run", "--data is empty"),
    "here": ("degrade", "a.png", "--task", "sr2", "-o", ".", ". is a folder"),
    "above": ("degrade", "a.png", "--task", "sr2", "-o", "..", ".. is a folder"),
    "folder": ("degrade", "a.png", "--task", "sr2", "-o", "folder", "folder is a folder"),
    "auto": ("restore", "a.png", "--task", "denoise", "--noise", "auto", "-o", ".",
             ". is a folder"),
    "long": ("fix", f"{'x' * 251}.png", "has 261 bytes"),
    "two words": ("degrade", "my", "photo.png", "--task", "sr2", "-o", "o.png",
                  "There is no place for 'photo.png'. A name with spaces needs quotes"),
    "no record": ("replay", "none.json", "The .json beside a restored picture is expected"),
    "folder as record": ("replay", "folder", "The .json beside a restored picture is expected"),
    "bench in a file": ("bench", "--table", "9", "--dry-run", "-o", "file", "file is a file"),
    "bench in a stranger's": ("bench", "--table", "9", "--dry-run", "-o", ".", "not a run folder"),
}  # fmt: skip


@pytest.mark.parametrize("words", NAMELESS.values(), ids=NAMELESS)
def test_words_that_name_no_file_are_refused_in_one_line(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    places(tmp_path)
    photo(tmp_path / "a.png")
    photo(tmp_path / f"{'x' * 251}.png")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    *line, said = words
    assert run(*line) == 2
    message = capfd.readouterr().err
    assert message.count("\n") == 1 and said in message
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "words", [["in/a.png"], ["in"], ["in/a.png", "in/b.png"], ["in", "in/a.png"]]
)
def test_dry_run_needs_no_place_for_results(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    """Pictures on a disk that nobody can write to are looked at all the same."""
    for name in ("a.png", "b.png"):
        (tmp_path / "in").mkdir(exist_ok=True)
        photo(tmp_path / "in" / name)
    monkeypatch.chdir(tmp_path)

    def refuse(folder: object) -> None:
        raise ValueError(f"Nothing can be written to {folder}")

    for module in ("writing", "errands"):
        monkeypatch.setattr(f"hrdis.images.{module}.check_folder", refuse)
    assert run("fix", *words, "--dry-run") == 0
    assert capfd.readouterr().out.count("noise:") == (2 if "in" in words or len(words) > 1 else 1)
    assert run("fix", *words, "--dry-run", "-o", "out") == 2


@pytest.mark.parametrize(
    ("name", "word"),
    [("a.png", "a.png"), ("a b.png", "'a b.png'"), ("-a.png", "./-a.png"),
     ("--x y", "'./--x y'"), ("d/-a.png", "d/-a.png")],
)  # fmt: skip
def test_name_of_a_file_is_one_word_that_is_no_option(name: str, word: str) -> None:
    assert shell_word(Path(name)) == word


@pytest.mark.parametrize(
    ("there", "new", "refused"),
    [
        (["o.png"], "o.png", False),
        (["o.png", "o-2.png"], "o.png", False),
        (["o.png"], "o.jpg", True),
        (["gone.png"], "o.jpg", False),
    ],
)
def test_record_of_another_picture_is_not_replaced(
    there: list[str], new: str, refused: bool, tmp_path: Path
) -> None:
    record = tmp_path / "o.json"
    record.write_text(json.dumps({"hrdis": "0", "files": there}))
    for name in there:
        if name != "gone.png":
            (tmp_path / name).write_bytes(b"")
    outputs = [tmp_path / new, record]
    if refused:
        with pytest.raises(ValueError, match=r"is the record of o\.png, which would lose it"):
            images.records.check(outputs, [])
    else:
        images.records.check(outputs, [])
    images.records.check(outputs, [tmp_path / there[0]] if refused else [])
    images.records.check(outputs, [], overwrite=True)


def test_demo_writes_over_no_picture_of_others(tmp_path: Path, capfd) -> None:
    photo(tmp_path / "noise.png")
    assert run("demo", "-o", tmp_path) == 2
    assert "did not write it. Another folder is expected" in capfd.readouterr().err
