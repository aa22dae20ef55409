"""Where priors come from: files of published layouts, cards, downloads."""

from .load import load_prior as load_prior
