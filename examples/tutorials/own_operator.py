"""Your own operator: a tutorial, as a script. Beside it is the same as a notebook.

    python examples/tutorials/own_operator.py

The commands, which stand in comments, are for a terminal.
"""
# tutorial: 3
# takes: a minute on one core
# downloads: nothing; the model is in the package
# needs: hrdis, and a function or a deepinv `Physics`

# %% [markdown]
# # Your own operator
#
# A camera has an exposure that fades to the right, and a sensor that sums pairs of rows. You know
# how it makes y from x, and want x back.

# %% [markdown]
# **1. The operator.** A function of images (b, c, h, w) from -1 to 1 is all there is to write.
# Save it as `camera.py`:

# %% file="camera.py"
import torch

import hrdis


def make(h, w):
    exposure = torch.linspace(1.0, 0.3, w)

    def fading_camera(x):
        return (exposure.to(x) * x).unflatten(-2, (-1, 2)).sum(-2)

    return hrdis.operators.LinearFunction(fading_camera, shape=(3, h, w))


# %% [markdown]
# `LinearFunction` says that the function is linear, and derives the adjoint and the pseudo-inverse
# from it. A nonlinear function is returned as it is.

# %% [markdown]
# **2. A good picture** to try it on, a piece of a photograph of the package:

# %%
from pathlib import Path

import hrdis

photo = Path(hrdis.__file__).parent / "pictures" / "coffee.jpg"
hrdis.images.save("photo.png", hrdis.images.load(photo)[..., 80:144, 80:144])

# %% [markdown]
# **3. Check the operator.** This tries the adjoint, the gradient, batches, and which solvers can
# use it:

# %% command
# hrdis check operator camera.py:make
# > LinearFunction of fading_camera: a LinearOperator, tried on images of 3 x 32 x 32
# >
# > ok    runs            (2, 3, 32, 32) to (2, 3, 16, 32)
# >       A(x) is a tensor of real numbers whose first axis is the image.
# > ok    dtype kept      float32 to torch.float32
# >       Solvers work in float32 and mix x with y.
# > ok    finite          y from -2 to 2
# >       No NaN or infinity for any image in [-1, 1].
# > ok    repeats         0.0e+00 (at most 1e-05)
# >       Two calls agree: A is deterministic; noise is added elsewhere.
# > ok    input kept      0.0% of x changed
# >       A does not write into its argument.
# > ok    images apart    0.0e+00 (at most 1e-05)
# >       y of an image does not depend on its batch.
# > ok    image size      (2, 3, 32, 32)
# >       image_shape(y.shape) is the shape of the images.
# > ok    gradient        4.4e-12 (at most 0.0001)
# >       Autograd agrees with finite differences: HRDIS, RED-diff and DPS follow it.
# > ok    linear          1.5e-17 (at most 1e-05)
# >       A(2 u - 3 v) = 2 A(u) - 3 A(v): adjoint and pseudo-inverse mean nothing without it.
# > ok    adjoint         3.8e-18 (at most 1e-05)
# >       <A u, v> = <u, A* v>: with another A*, least squares and the data term lead astray.
# > ok    pseudo inverse  6.7e-15 (at most 0.01)
# >       A A^+ A = A and A^+ A is a projection: DDNM, DDRM and PiGDM are built on it.
# >
# > null space: y says nothing about 49.5% of a random image; the prior fills it.
# >
# > solvers that can use it: hrdis, reddiff, cr, drddim, cmhrdis, dps, pigdm, ddnm, dds, gdp, diffpir, mmps, daps, overrelaxed, fire, cm4ir, repaint
# >   not blindhrdis: needs a BlindOperator
# >   not ddrm: needs an SVDOperator
# >   not ddnmplus: needs an SVDOperator
# >   not fps: needs an SVDOperator
# >
# > All checks passed.

# %% [markdown]
# **4. Measure the picture with it**, so that there is something to restore:

# %% command
# hrdis degrade photo.png --operator camera.py:make -o y.npy
# > Wrote y.npy

# %% [markdown]
# **5. Restore**, and say how large the picture is (here 64 x 64), which y does not tell:

# %% command
# hrdis restore y.npy --operator camera.py:make --image-size 64 64 -o restored.png
# > camera.py:make with hrdis (settings sr4@default), 100 network calls a sample
# > 7.8 s. Wrote restored.png

# %% [markdown]
# **6. The same in Python.** This also computes a score:

# %%
from camera import make

x = hrdis.images.load("photo.png")
A = make(*x.shape[-2:])
problem = hrdis.measure(A, x, seeds=[0])
result = hrdis.solve("ddnm", hrdis.load_prior("default"), problem, seeds=[0])
print(f"{float(hrdis.metrics.psnr(result.x, x)):.1f} dB")
# > 30.1 dB

# %% [markdown]
# A longer version is [`examples/own_operator.py`](../../examples/own_operator.py). A deepinv
# `Physics` works in place of the function: [deepinv](../how-to/deepinv.md).
