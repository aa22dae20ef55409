"""Train a prior on a folder of images: ``train(folder, out, settings)``."""
