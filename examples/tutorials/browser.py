"""Repair a photograph in the browser: a tutorial, as a script. Beside it is the same as a notebook.

    python examples/tutorials/browser.py

The commands, which stand in comments, are for a terminal.
"""
# tutorial: 1
# takes: five minutes, one of them for a photograph of 256 x 256 on one core
# downloads: nothing after the [installation](../install.md) with the extra `web`
# needs: a photograph with a scratch, a stain or a fold; no Python

# %% [markdown]
# # Repair a photograph in the browser
#
# You use a page that runs on your machine, and that only your machine can reach.

# %% [markdown]
# **1. Start the page.** Run this in a terminal:

# %% command norun
# hrdis serve

# %% [markdown]
# Open `http://127.0.0.1:7860` in a browser.
#
# ![The page: two tabs, Fix a photograph and Restore, a field for a photograph, and a
# button Fix.](../pictures/tutorial/1-open.jpg)
#
# The first tab, *Fix a photograph*, finds noise, JPEG artefacts and blur by itself
# ([how](../how-to/fix.md)). For a scratch that you see and it does not, open the tab *Restore*.
#
# **2. Drop the photograph** into the field at the top. *Fill scratches, stains and holes* is chosen
# already. No damaged photograph at hand? *Try an example* brings one with its mask, and you
# can skip step 3.
#
# ![The tab Restore with a photograph of a cat that has a white scratch. The same photograph stands
# below, to be painted on.](../pictures/tutorial/2-photograph.jpg)
#
# **3. Paint over the damage** in the field *Paint over the damage*, a pixel or two beyond its edge.
# Everything that you do not paint stays as it is.
#
# ![The scratch is covered with a line of pink paint.](../pictures/tutorial/3-paint.jpg)
#
# **4. Press *Restore*.** The picture appears while it is worked on, with the time left and a button
# that stops it. Time grows with the number of pixels, so begin with a small photograph.
# *How many restorations* is 3 here.
#
# ![A bar of progress below the button Stop, and on the right the photograph with the scratch partly
# filled.](../pictures/tutorial/4-restoring.jpg)
#
# **5. Compare and download.** Move the slider between *Before | after*. With two or more
# restorations the page shows each of them, their mean, and a map of where they differ. Where they
# differ, hrdis is unsure; where they agree it can still be wrong, because all samples come from the same model.
# *Download* gives you the pictures as PNG, a record of what was done, and the mask that you painted.
# *Command that does the same* is for a terminal.
#
# ![The result: a slider between the scratched and the restored photograph, three restorations, their
# mean, the map of where they differ, and the files.](../pictures/tutorial/5-result.jpg)
#
# **What to expect.** Scratches and small spots vanish. Holes of tens of pixels become a soft blur,
# and faces or writing under the damage do not come back, because the embedded model is small.
# [Twelve photographs](../measurements/looks.md) show good and bad results.

# %% [markdown]
# **The same without a browser.** A command does what the page does. Here the photograph and its
# scratch are made first, so that the tests can run it:

# %%
from pathlib import Path

import torch

import hrdis

photo = Path(hrdis.__file__).parent / "pictures" / "chelsea.png"
x = hrdis.images.load(photo)[..., 60:124, 120:184]
scratch = torch.zeros(1, 3, 64, 64)
scratch[..., 30:33, 8:56] = 1  # white where the hole is
hrdis.images.save("scratch.png", 2 * scratch - 1)
hrdis.images.save("torn.png", torch.where(scratch > 0, torch.ones(()), x))

# %% command
# hrdis restore torn.png --task inpaint --mask scratch.png -o whole.png
# > inpaint with cm4ir (settings inpaint-normal@default), 20 network calls a sample
# > CM4IR with 20 network calls, the best measured for inpaint at normal effort.
# > 6.6 s. Wrote whole.png

# %%
torn, whole = hrdis.images.load("torn.png"), hrdis.images.load("whole.png")
print(f"scratched: {float(hrdis.metrics.psnr(torn, x)):.1f} dB")
print(f"restored: {float(hrdis.metrics.psnr(whole, x)):.1f} dB")
# > scratched: 19.4 dB
# > restored: 45.2 dB
