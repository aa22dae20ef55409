"""Train on your own pictures: a tutorial, as a script. Beside it is the same as a notebook.

    python examples/tutorials/train.py

The commands, which stand in comments, are for a terminal.
"""
# tutorial: 4
# takes: two minutes to try on one core; a model of use takes hours
# downloads: nothing
# needs: hrdis, and for a model of use some hundred good pictures of one kind

# %% [markdown]
# # Train on your own pictures
#
# The embedded model knows photographs. For other pictures (drawings, microscopy, scans) train one
# of your own, on a folder of some hundred good pictures of that kind, none of them damaged. Steps
# 1 to 3 try every part on the photographs of the package, with a network that is too small to be
# of use.

# %% [markdown]
# **1. A folder of pictures.** Here those of the package are used:

# %%
import shutil
from pathlib import Path

import hrdis

Path("photos").mkdir()
for picture in sorted((Path(hrdis.__file__).parent / "pictures").glob("*.jpg")):
    shutil.copy(picture, "photos")
print(len(list(Path("photos").iterdir())), "pictures")
# > 7 pictures

# %% [markdown]
# **2. A try of some steps.** It shows the progress, the time left and the present quality. The
# folder `try` receives the model, a card, the log, curves and sample sheets as it learns. Before
# the first step the training checks the gradients, and after 50 steps that every parameter has
# moved; a network that cannot learn is not trained:

# %% command
# hrdis train photos -o try --steps 60 --channels 8 16 --patches 16 32 --threads 1
# > step 60: held-out denoising 28.42 dB at noise 10, 21.08 dB at noise 25, 16.40 dB at noise 50
# > Wrote try. Use it: hrdis restore small.png --task upscale --model try -o large.png

# %% [markdown]
# **3. Use it.** The result is no better than that of a filter, since the model has learned for a
# minute:

# %%
small = hrdis.images.load("photos/coffee.jpg")[..., 80:112, 80:112]
hrdis.images.save("small.png", small)

# %% command
# hrdis restore small.png --task denoise --noise 25 --model try --steps 5 -o clean.png
# > denoise with fire (settings denoise-noise05-normal@default), 5 network calls a sample
# > FIRE with 1 network call, the best measured for denoise-noise05 at normal effort.
# > Changed by you: --steps 5
# > 0.2 s. Wrote clean.png

# %% [markdown]
# **4. Your pictures.** This takes five hours on a CPU:

# %% command norun
# hrdis train photos/ -o my-model --hours 5

# %% [markdown]
# Ctrl-C stops. The same command continues. A kill loses at most the minutes since the last
# checkpoint (10 by default). To train in pieces:

# %% command norun
# hrdis train photos/ -o my-model --max-minutes 55

# %% [markdown]
# **5. Finish.** Lower the learning rate to the end, from the run you have:

# %% command norun
# hrdis train photos/ -o final --resume my-model --hours 1 --decay 1

# %% [markdown]
# **6. Check it** beside classical filters, on pictures that it was not trained on:

# %% command norun
# hrdis check model final --photos other-photos/

# %% [markdown]
# Until settings are searched for it, a new model takes those that were tuned for the embedded one,
# which may not be the best. This command finds such settings:

# %% command norun
# hrdis tune final photos/ -o final/presets.toml

# %% [markdown]
# The commands of steps 4 to 6 were not run to their end for this page; [the embedded
# model](../measurements/model.md) was trained by them.
