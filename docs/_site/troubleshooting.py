"""Messages that come up at first, why, and what to do: rows of `docs/how-to/help.md`.

A message is known by its words; ``...`` stands for what differs. Each is one of
`docs/data/messages.json`, which the tests write from what the command and the page say.
"""

import re

#: The message, why it comes, and what to do.
TROUBLES: list[tuple[str, str, str]] = [
    (
        "The task 'inpaint' needs a mask",
        "nothing says where the holes are",
        "[make a mask](mask.md) and give it with `--mask`",
    ),
    (
        "... is ..., the picture ... (width x height)",
        "mask and picture differ in size; nothing is resized without being asked",
        "make the mask from the same file",
    ),
    (
        "... marks every pixel as a hole",
        "the mask has one colour, or black and white are the other way round",
        "look at the mask; `--mask-marks black` takes black for the holes",
    ),
    (
        "... has no transparency",
        "`--mask-marks transparent` needs a picture that is transparent somewhere",
        "give a mask as a picture, with `--mask-marks white`",
    ),
    (
        "The holes cover ... of the picture",
        "black and white of the mask may be the other way round",
        "look at the mask; `--mask-marks` takes the other colour for the holes",
    ),
    (
        "--task denoise needs the strength of the noise",
        "the level is not guessed unasked",
        "`--noise auto` measures it; [find the noise level](noise-level.md)",
    ),
    (
        "--noise is ...",
        "a level is a fraction of white (0.1), or grey levels of 255 (25)",
        "[find the noise level](noise-level.md)",
    ),
    (
        "The task ... needs the kernel of the blur",
        "the kernel is not estimated unasked",
        "`--kernel auto` looks for it; [deblur with a kernel](deblur.md)",
    ),
    (
        "... kernel of ... odd sides",
        "a kernel of even sides has no middle",
        "add a row or column of zeros",
    ),
    (
        "The task ... needs the weights of its network",
        "this blur is a network that hrdis does not contain",
        "download the file that the message names",
    ),
    (
        "Restored, ... has ... megapixels",
        "the memory for more was never tried",
        "crop the picture, or [restore it in parts](large-pictures.md)",
    ),
    (
        "The solver ... is for pictures without noise",
        "it copies the input into the result, and its noise with it",
        "take one of the solvers that the message names, or `--solver auto`",
    ),
    (
        "The solver ... needs ...",
        "the solver is made for operators with more structure",
        "take one of the solvers that the message names, or `--solver auto`",
    ),
    (
        "There is no model ...",
        "the name is no folder, no file, and not in the list",
        "`hrdis list models`; [load a published model](published-models.md)",
    ),
    (
        "The model ... is not on this machine",
        "models are downloaded only by the command that says so",
        "`hrdis model download NAME`",
    ),
    (
        "--device ... cannot be used",
        "PyTorch was installed without support for it, or it is not there",
        "`--device cpu`; [install](../install.md) says which PyTorch to take",
    ),
    (
        "... is no picture that can be read",
        "the file is damaged, or of another format than its name says",
        "open it in a picture viewer, and save it as PNG",
    ),
    (
        "... is an input and would be written over",
        "output and input have one name",
        "another name after `-o`",
    ),
    (
        "Nothing can be written to ...",
        "the folder belongs to somebody else, or is a file",
        "another folder after `-o`",
    ),
    (
        "the result became invalid (NaN or infinite)",
        "settings that were changed are unstable",
        "run without changed settings",
    ),
    (
        "There is no option ...",
        "the option has another name, or belongs to another solver",
        "`hrdis restore --solver NAME --help` lists the settings of a solver",
    ),
]


def pattern(message: str) -> re.Pattern[str]:
    """Return what finds the messages of a row."""
    parts = [re.escape(part) for part in message.split("...")]
    return re.compile(".+".join(parts))


def trouble(message: str) -> tuple[str, str] | None:
    """Return why a message comes, and what to do; None if its words say it all."""
    for words, why, todo in TROUBLES:
        if pattern(words).match(message):
            return why, todo
    return None
