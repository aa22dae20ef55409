"""Pictures that Python gives are read by one rule, in `hrdis.fix` and `hrdis.restore` alike."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

import hrdis
from hrdis.fixing import opened
from hrdis.images import from_python, to_pil, to_unit
from hrdis.restoration.inputs import read_picture

RAMP = np.arange(12, dtype=np.uint8).reshape(3, 4) * 23
COLOURS = np.dstack([RAMP, RAMP[::-1], 255 - RAMP])
ALPHA = np.dstack([COLOURS, np.full_like(RAMP, 128)])
DEEP = RAMP.astype(np.uint16) * 257
X = torch.from_numpy(COLOURS / 255).permute(2, 0, 1).float() * 2 - 1
LAYOUTS = {
    "negative strides": COLOURS[::-1, ::-1].copy()[::-1, ::-1],
    "every second": COLOURS.repeat(2, 1)[:, ::2],
    "columns first": np.asfortranarray(COLOURS),
    "float16": (COLOURS / 255).astype(np.float16),
    "float64": COLOURS / 255,
    "big-endian": COLOURS.astype(">u2") * 257,
    "big-endian floats": (COLOURS / 255).astype(">f4"),
    "tensor": X,
    "batch of one": X[None],
    "transposed": X.transpose(1, 2).contiguous().transpose(1, 2),
    "needs a gradient": X.clone().requires_grad_(),
    "parameter": torch.nn.Parameter(X.clone()),
    "float64 tensor": X.double(),
    "channels last": X[None].contiguous(memory_format=torch.channels_last),
}
READ_ONLY = COLOURS.copy()
READ_ONLY.flags.writeable = False
LAYOUTS["read-only"] = READ_ONLY


@pytest.mark.parametrize("given", LAYOUTS.values(), ids=LAYOUTS)
def test_layout_and_type_do_not_change_the_picture(given) -> None:
    with torch.inference_mode():
        inside = from_python(given)
    for picture in (from_python(given), inside):
        assert np.abs(255 * to_unit(picture.x[0]).permute(1, 2, 0).numpy() - COLOURS).max() < 0.1
        assert not picture.x.requires_grad


#: What is given, and the mode and the depth of what comes back.
KEPT = {
    "grey": (RAMP, "L"),
    "grey with an axis": (RAMP[..., None], "L"),
    "grey matrix": (np.asmatrix(RAMP), "L"),
    "grey and transparency": (ALPHA[..., 2:], "LA"),
    "colours": (COLOURS, "RGB"),
    "transparency": (ALPHA, "RGBA"),
    "transparency in floats": (ALPHA / 255, "RGBA"),
    "transparency of 16 bits": (ALPHA.astype(np.uint16) * 257, "RGBA"),
    "16 bits": (DEEP, "I;16"),
    "16 bits with an axis": (DEEP[..., None], "I;16"),
    "16 bits, big-endian": (DEEP.astype(">u2"), "I;16"),
    "grey floats": (RAMP / 255, "I;16"),
    "grey tensor": (X[:1], "L"),
    "palette": (Image.fromarray(COLOURS).convert("P"), "RGB"),
    "bilevel": (Image.fromarray(RAMP).convert("1"), "L"),
    "print": (Image.fromarray(COLOURS).convert("CMYK"), "RGB"),
    "Pillow's 16 bits": (Image.fromarray(DEEP), "I;16"),
}


@pytest.mark.parametrize(("given", "mode"), KEPT.values(), ids=KEPT)
def test_depth_grey_and_transparency_are_kept(given, mode: str) -> None:
    picture = from_python(given)
    image = to_pil(picture)
    assert image.mode == mode
    if isinstance(given, np.ndarray) and given.dtype != float and given.ndim < 3:
        assert np.array_equal(np.asarray(image), given)
    assert torch.equal(opened(given)[0].x, picture.x)
    restored = read_picture(given, False)[0]
    assert restored is not None and torch.equal(restored.x, picture.without_hidden().x)


#: What is no picture, and what is said of it.
REFUSED = {
    "channels first": (np.zeros((3, 8, 8), np.uint8), r"shape \(3, 8, 8\)"),
    "batch": (COLOURS[None], r"shape \(1, 3, 4, 3\)"),
    "signed": (COLOURS.astype(np.int16), "int16"),
    "words of 32 bits": (COLOURS.astype(np.uint32), "uint32"),
    "truth values": (RAMP > 9, "bool"),
    "complex": (COLOURS.astype(complex), "complex128"),
    "objects": (COLOURS.astype(object), "object"),
    "no pixel": (np.zeros((0, 0, 3), np.uint8), "holds no pixel"),
    "0 and 1": ((RAMP > 9).astype(np.uint8), "0 and 1 of 255"),
    "levels as floats": (COLOURS.astype(float), "from 0 to 255"),
    "infinity": (np.full((3, 4), np.inf), "from inf to inf"),
    "NaN": (torch.full((3, 4, 4), torch.nan), "from nan to nan"),
    "tensor of levels": (torch.from_numpy(COLOURS), "x / 127.5 - 1"),
    "tensor of truth": (X > 0, "torch.bool"),
    "complex tensor": (X.to(torch.complex64), "torch.complex64"),
    "sparse tensor": (X.to_sparse(), "torch.sparse_coo"),
    "tensor of nothing": (X.to("meta"), "without values"),
    "two images": (torch.stack([X, X]), "One image"),
    "list": (COLOURS.tolist(), "picture is a list"),
    "content": (b"\x89PNG", r"PIL\.Image\.open\(io\.BytesIO\(content\)\)"),
    "open file": (io.BytesIO(b"\x89PNG"), r"PIL\.Image\.open\(file\)"),
    "None": (None, "picture is a NoneType"),
}


@pytest.mark.parametrize("read", [hrdis.fix, lambda given: hrdis.restore(given, "sr2")],
                         ids=["fix", "restore"])  # fmt: skip
@pytest.mark.parametrize(("given", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_picture_is_refused_in_words_of_python(given, said: str, read) -> None:
    with pytest.raises((ValueError, TypeError), match=said) as caught:
        read(given)
    assert "\n" not in str(caught.value) and "--" not in str(caught.value)


def test_repair_shows_its_result_as_deep_as_what_was_given() -> None:
    assert hrdis.fix(DEEP, dry_run=True).image.mode == "I;16"


#: One mask, and what is given for it: a hole in the middle.
HOLE = np.zeros((8, 8))
HOLE[3:5, 3:6] = 1
MASKS = {
    "numbers": HOLE,
    "truth": HOLE > 0,
    "levels": (255 * HOLE).astype(np.uint8),
    "an axis more": HOLE[..., None],
    "flipped": HOLE[::-1].copy()[::-1],
    "transposed": HOLE.T.copy().T,
    "big-endian": HOLE.astype(">f4"),
    "tensor": torch.from_numpy(HOLE),
    "Pillow's": Image.fromarray((255 * HOLE).astype(np.uint8)),
    "Pillow's of one bit": Image.fromarray((255 * HOLE).astype(np.uint8)).convert("1"),
    "list": HOLE.tolist(),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_mask_is_taken_in_any_layout(mask) -> None:
    prior = hrdis.priors.Gaussian(torch.zeros(3, 8, 8), 0.25)
    given = np.full((8, 8, 3), 0.5)
    done = hrdis.restore(given, "inpaint", mask=mask, prior=prior, solver=hrdis.DDNM(steps=1))
    assert np.array_equal(1 - done.job.problem.A.mask[0, 0].numpy(), HOLE)


@pytest.mark.parametrize("name", ["kernel", "file"])
def test_kernel_and_measurement_are_taken_in_any_layout(name: str, tmp_path) -> None:
    flipped = np.eye(9, dtype=">f4")[::-1, ::-1]
    if name == "file":
        np.save(tmp_path / "y.npy", flipped[None])
        assert hrdis.images.read_array(tmp_path / "y.npy").sum() == 9
        return
    prior = hrdis.priors.Gaussian(torch.zeros(3, 16, 16), 0.25)
    options = {"prior": prior, "solver": hrdis.HRDIS(steps=1), "noise": 0.1}
    hrdis.restore(np.full((16, 16, 3), 0.5), "deblur", kernel=flipped / 9, **options)
