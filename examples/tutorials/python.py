"""Restore in Python: a tutorial, as a script. Beside it is the same as a notebook.

python examples/tutorials/python.py
"""
# tutorial: 2
# takes: a minute on one core
# downloads: nothing; the model is in the package
# needs: hrdis

# %% [markdown]
# # Restore in Python
#
# The example loads a model, describes the measurement, and solves it. The tests run it as it
# stands and compare what it prints.

# %% [markdown]
# **1. A photograph**, here a piece of 64 x 64 pixels of one that comes with the package. Images
# are tensors (b, c, h, w) from -1 to 1:

# %%
from pathlib import Path

import hrdis

picture = Path(hrdis.__file__).parent / "pictures" / "coffee.jpg"
x = hrdis.images.load(picture)[..., 80:144, 80:144]
print(tuple(x.shape))
# > (1, 3, 64, 64)

# %% [markdown]
# **2. A measurement**: the photograph made four times smaller, with noise. The noise level 0.05 is
# for pixels from 0 to 1:

# %%
A = hrdis.operators.SuperResolution(scale=4)
noise = hrdis.noise.Gaussian(0.05)
problem = hrdis.measure(A, x, noise, seeds=[0])
print(tuple(problem.y.shape), problem.sigma_y)
# > (1, 3, 16, 16) 0.1

# %% [markdown]
# For a measurement that you have, `hrdis.Problem(y, A, sigma_y=0.1)` takes its place. There the
# noise level is in units of y, which runs from -1 to 1, so 0.1 is the same noise.

# %% [markdown]
# **3. The model and the solver.** A solver by its name takes the settings that fit the operator,
# the noise and the model:

# %%
prior = hrdis.load_prior("default")
result = hrdis.solve("hrdis", prior, problem, seeds=[0])
print(result.nfe, "network calls")
# > 100 network calls

# %% [markdown]
# **4. The result** holds the image, whether it is finite, the number of network calls, the
# seconds, and the settings that were taken. A score needs the truth. The pseudo-inverse repeats
# every pixel four times, and is the least that a solver has to beat:

# %%
print(bool(result.finite), type(result.solver).__name__)
print(f"enlarged pixels: {float(hrdis.metrics.psnr(A.pinv(problem.y), x)):.1f} dB")
print(f"restored: {float(hrdis.metrics.psnr(result.x, x)):.1f} dB")
hrdis.images.save("restored.png", result.x)
# > True HRDIS
# > enlarged pixels: 20.5 dB
# > restored: 22.2 dB

# %% [markdown]
# **5. Settings of your own** are fields of a frozen dataclass, and another solver is another
# class. Settings that were not searched for can be worse than those that fit, as the first line
# shows:

# %%
for solver in (hrdis.HRDIS(steps=20, start=100, init="smooth"), hrdis.DDRM(steps=20, start=100)):
    result = hrdis.solve(solver, prior, problem, seeds=[0])
    print(f"{solver.name}: {float(hrdis.metrics.psnr(result.x, x)):.1f} dB")
# > hrdis: 20.4 dB
# > ddrm: 22.6 dB

# %% [markdown]
# Next: [your own operator](own-operator.md), [watch a run or write the
# loop](../how-to/step-by-hand.md), [choose a solver](../how-to/choose-solver.md).
