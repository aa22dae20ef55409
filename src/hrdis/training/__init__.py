"""Train a prior on a folder of images with ``train(folder, out, settings)``."""
