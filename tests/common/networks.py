"""ADM and the original DDPM as plain functions of their state dicts: what the conversions are held
against.

Written from the networks' description, not from the code that converts them; nothing here is
imported by the library.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


def linear(s: State, name: str, x: Tensor) -> Tensor:
    return F.linear(x, s[f"{name}.weight"], s[f"{name}.bias"])


def conv(s: State, name: str, x: Tensor, **options) -> Tensor:
    w = s[f"{name}.weight"]
    return F.conv2d(x, w, s[f"{name}.bias"], **({"padding": w.shape[-1] // 2} | options))


def norm(s: State, name: str, x: Tensor, eps: float) -> Tensor:
    return F.group_norm(x, 32, s[f"{name}.weight"], s[f"{name}.bias"], eps)


def sinusoids(t: Tensor, width: int, last: int, sine_first: bool) -> Tensor:
    """cos and sin of t / 10000^(i / last), i = 0 ... width / 2 - 1."""
    angle = (
        t.float()[:, None]
        * torch.exp(-math.log(10000) * torch.arange(width // 2).float() / last)[None]
    )
    return torch.cat(
        [angle.sin(), angle.cos()] if sine_first else [angle.cos(), angle.sin()], dim=1
    )


# ---- guided-diffusion
# -----------------------------------------------------------------------------


def adm_res(
    s: State, name: str, x: Tensor, emb: Tensor, *, scale_shift: bool, resize=lambda x: x
) -> Tensor:
    h = F.silu(norm(s, f"{name}.in_layers.0", x, 1e-5))
    h, x = resize(h), resize(x)
    h = conv(s, f"{name}.in_layers.2", h)
    e = linear(s, f"{name}.emb_layers.1", F.silu(emb))[:, :, None, None]
    if scale_shift:
        scale, shift = e.chunk(2, dim=1)
        h = norm(s, f"{name}.out_layers.0", h, 1e-5) * (1 + scale) + shift
    else:
        h = norm(s, f"{name}.out_layers.0", h + e, 1e-5)
    h = conv(s, f"{name}.out_layers.3", F.silu(h))
    return h + (
        conv(s, f"{name}.skip_connection", x) if f"{name}.skip_connection.weight" in s else x
    )


def adm_attention(s: State, name: str, x: Tensor, order: str, head: int) -> Tensor:
    b, c, height, width = x.shape
    w = s[f"{name}.qkv.weight"].reshape(3 * c, c)
    rows = (
        w @ norm(s, f"{name}.norm", x, 1e-5).flatten(2) + s[f"{name}.qkv.bias"][:, None]
    )  # (b, 3 c, pixels)
    out = []
    for h in range(c // head):
        if order == "legacy":  # one head after the other, each with its q, k, v
            q, k, v = (rows[:, h * 3 * head + p * head :][:, :head] for p in range(3))
        elif order == "new":  # all q, then all k, then all v
            q, k, v = (rows[:, p * c + h * head :][:, :head] for p in range(3))
        else:  # EDM: q, k, v of a channel side by side
            q, k, v = (rows[:, h * 3 * head + p :: 3][:, :head] for p in range(3))
        weight = torch.softmax(torch.einsum("bdi,bdj->bij", q, k) / math.sqrt(head), dim=-1)
        out.append(torch.einsum("bij,bdj->bdi", weight, v))
    h = (
        s[f"{name}.proj_out.weight"].reshape(c, c) @ torch.cat(out, dim=1)
        + s[f"{name}.proj_out.bias"][:, None]
    )
    return x + h.reshape(b, c, height, width)


def adm(
    s: State,
    x: Tensor,
    t: Tensor,
    *,
    order: str,
    head: int,
    scale_shift: bool,
    label: Tensor | None = None,
):
    """The network: whatever its state dict holds, block by block."""
    width = s["time_embed.0.weight"].shape[1]
    emb = linear(s, "time_embed.0", sinusoids(t, width, width // 2, sine_first=False).to(x.dtype))
    emb = linear(s, "time_embed.2", F.silu(emb))
    if label is not None:
        emb = emb + s["label_emb.weight"][label]

    def block(prefix: str, x: Tensor, resize) -> Tensor:
        """The layers 0, 1, 2 of one entry; ``resize`` belongs to those that change the size."""
        for k in range(3):
            name = f"{prefix}.{k}"
            if f"{name}.in_layers.0.weight" in s:
                resizes = resize if _changes_size(s, name) else lambda x: x
                x = adm_res(s, name, x, emb, scale_shift=scale_shift, resize=resizes)
            elif f"{name}.qkv.weight" in s:
                x = adm_attention(s, name, x, order, head)
            elif f"{name}.op.weight" in s:
                x = conv(s, f"{name}.op", x, stride=2)
            elif f"{name}.conv.weight" in s:
                x = conv(s, f"{name}.conv", F.interpolate(x, scale_factor=2))
        return x

    h = conv(s, "input_blocks.0.0", x)
    skips, n = [h], 1
    while any(key.startswith(f"input_blocks.{n}.") for key in s):
        h = block(f"input_blocks.{n}", h, lambda x: F.avg_pool2d(x, 2))
        skips.append(h)
        n += 1
    h = block("middle_block", h, None)
    n = 0
    while skips:
        h = block(
            f"output_blocks.{n}",
            torch.cat([h, skips.pop()], dim=1),
            lambda x: F.interpolate(x, scale_factor=2),
        )
        n += 1
    return conv(s, "out.2", F.silu(norm(s, "out.0", h, 1e-5)))


def _changes_size(s: State, name: str) -> bool:
    """Up: a residual block that is not the first layer of its entry. Down: every (R + 1)-th input
    block.
    """
    place, n, k = name.split(".") if name.count(".") == 2 else (name.split(".")[0], "0", "0")
    if place == "output_blocks":
        return k != "0"
    entries = 1 + max(int(key.split(".")[1]) for key in s if key.startswith("output_blocks."))
    ups = sum(
        any(f"output_blocks.{m}.{j}.in_layers.0.weight" in s for j in (1, 2))
        for m in range(entries)
    )
    stage = entries // (ups + 1)
    return place == "input_blocks" and ups > 0 and int(n) % stage == 0


def adm_state(
    draw,
    *,
    channels,
    mult,
    blocks,
    attention,
    scale_shift,
    updown,
    classes=None,
    in_channels=3,
    out_channels=6,
    unit=1,
) -> State:
    """A state dict in guided-diffusion's layout; ``draw(*shape)`` makes the tensors, ``unit`` ends
    attention's shapes.

    Follows the published construction: a stack of widths is filled on the way down and emptied on
    the way up.
    """
    s: State = {}
    wide = 4 * channels

    def affine(name, *shape):
        s[f"{name}.weight"], s[f"{name}.bias"] = draw(*shape), draw(shape[0])

    def res(name, a, b):
        affine(f"{name}.in_layers.0", a)
        affine(f"{name}.in_layers.2", b, a, 3, 3)
        affine(f"{name}.emb_layers.1", 2 * b if scale_shift else b, wide)
        affine(f"{name}.out_layers.0", b)
        affine(f"{name}.out_layers.3", b, b, 3, 3)
        if a != b:
            affine(f"{name}.skip_connection", b, a, 1, 1)

    def attend(name, c):
        affine(f"{name}.norm", c)
        affine(f"{name}.qkv", 3 * c, c, *[1] * unit)
        affine(f"{name}.proj_out", c, c, *[1] * unit)

    affine("time_embed.0", wide, channels)
    affine("time_embed.2", wide, wide)
    if classes:
        s["label_emb.weight"] = draw(classes, wide)
    here = int(mult[0] * channels)
    affine("input_blocks.0.0", here, in_channels, 3, 3)
    stack, n = [here], 1
    for i, m in enumerate(mult):
        for _ in range(blocks):
            res(f"input_blocks.{n}.0", here, int(m * channels))
            here = int(m * channels)
            if i in attention:
                attend(f"input_blocks.{n}.1", here)
            stack.append(here)
            n += 1
        if i < len(mult) - 1:
            if updown:
                res(f"input_blocks.{n}.0", here, here)
            else:
                affine(f"input_blocks.{n}.0.op", here, here, 3, 3)
            stack.append(here)
            n += 1
    res("middle_block.0", here, here)
    attend("middle_block.1", here)
    res("middle_block.2", here, here)
    n = 0
    for i, m in reversed(list(enumerate(mult))):
        for j in range(blocks + 1):
            res(f"output_blocks.{n}.0", here + stack.pop(), int(m * channels))
            here, k = int(m * channels), 1
            if i in attention:
                attend(f"output_blocks.{n}.1", here)
                k = 2
            if i and j == blocks:
                if updown:
                    res(f"output_blocks.{n}.{k}", here, here)
                else:
                    affine(f"output_blocks.{n}.{k}.conv", here, here, 3, 3)
            n += 1
    affine("out.0", here)
    affine("out.2", out_channels, here, 3, 3)
    return s


# ---- the original DDPM, in pytorch_diffusion's names
# ------------------------------------------------


def ddpm_res(s: State, name: str, x: Tensor, emb: Tensor) -> Tensor:
    h = conv(s, f"{name}.conv1", F.silu(norm(s, f"{name}.norm1", x, 1e-6)))
    h = h + linear(s, f"{name}.temb_proj", F.silu(emb))[:, :, None, None]
    h = conv(s, f"{name}.conv2", F.silu(norm(s, f"{name}.norm2", h, 1e-6)))
    return h + (conv(s, f"{name}.nin_shortcut", x) if f"{name}.nin_shortcut.weight" in s else x)


def ddpm_attention(s: State, name: str, x: Tensor) -> Tensor:
    h = norm(s, f"{name}.norm", x, 1e-6)
    q, k, v = (conv(s, f"{name}.{part}", h).flatten(2) for part in "qkv")
    weight = torch.softmax(torch.einsum("bci,bcj->bij", q, k) / math.sqrt(x.shape[1]), dim=-1)
    return x + conv(s, f"{name}.proj_out", torch.einsum("bij,bcj->bci", weight, v).reshape(x.shape))


def ddpm(s: State, x: Tensor, t: Tensor, *, levels: int, blocks: int) -> Tensor:
    width = s["temb.dense.0.weight"].shape[1]
    emb = sinusoids(t, width, width // 2 - 1, sine_first=True).to(x.dtype)
    emb = linear(s, "temb.dense.1", F.silu(linear(s, "temb.dense.0", emb)))

    def block(place: str, j: int, h: Tensor) -> Tensor:
        h = ddpm_res(s, f"{place}.block.{j}", h, emb)
        return ddpm_attention(s, f"{place}.attn.{j}", h) if f"{place}.attn.{j}.q.weight" in s else h

    skips = [conv(s, "conv_in", x)]
    for i in range(levels):
        for j in range(blocks):
            skips.append(block(f"down.{i}", j, skips[-1]))
        if i < levels - 1:
            skips.append(
                conv(
                    s,
                    f"down.{i}.downsample.conv",
                    F.pad(skips[-1], (0, 1, 0, 1)),
                    stride=2,
                    padding=0,
                )
            )
    h = ddpm_res(s, "mid.block_1", skips[-1], emb)
    h = ddpm_res(s, "mid.block_2", ddpm_attention(s, "mid.attn_1", h), emb)
    for i in reversed(range(levels)):
        for j in range(blocks + 1):
            h = block(f"up.{i}", j, torch.cat([h, skips.pop()], dim=1))
        if i:
            h = conv(s, f"up.{i}.upsample.conv", F.interpolate(h, scale_factor=2))
    return conv(s, "conv_out", F.silu(norm(s, "norm_out", h, 1e-6)))


def ddpm_state(draw, *, widths, blocks, attention, channels=3) -> State:
    """A state dict in pytorch_diffusion's names."""
    s: State = {}
    wide = 4 * widths[0]

    def affine(name, *shape):
        s[f"{name}.weight"], s[f"{name}.bias"] = draw(*shape), draw(shape[0])

    def res(name, a, b):
        for part, shape in {
            "norm1": (a,), "conv1": (b, a, 3, 3), "temb_proj": (b, wide), "norm2": (b,),
            "conv2": (b, b, 3, 3)
        }.items():  # fmt: skip
            affine(f"{name}.{part}", *shape)
        if a != b:
            affine(f"{name}.nin_shortcut", b, a, 1, 1)

    def attend(name, c):
        affine(f"{name}.norm", c)
        for part in ("q", "k", "v", "proj_out"):
            affine(f"{name}.{part}", c, c, 1, 1)

    affine("temb.dense.0", wide, widths[0])
    affine("temb.dense.1", wide, wide)
    affine("conv_in", widths[0], channels, 3, 3)
    here = widths[0]
    stack = [here]
    for i, width in enumerate(widths):
        for j in range(blocks):
            res(f"down.{i}.block.{j}", here, width)
            here = width
            if i in attention:
                attend(f"down.{i}.attn.{j}", here)
            stack.append(here)
        if i < len(widths) - 1:
            affine(f"down.{i}.downsample.conv", here, here, 3, 3)
            stack.append(here)
    res("mid.block_1", here, here)
    attend("mid.attn_1", here)
    res("mid.block_2", here, here)
    for i, width in reversed(list(enumerate(widths))):
        for j in range(blocks + 1):
            res(f"up.{i}.block.{j}", here + stack.pop(), width)
            here = width
            if i in attention:
                attend(f"up.{i}.attn.{j}", here)
        if i:
            affine(f"up.{i}.upsample.conv", here, here, 3, 3)
    affine("norm_out", here)
    affine("conv_out", channels, here, 3, 3)
    return s
