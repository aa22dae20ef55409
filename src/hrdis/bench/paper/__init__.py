"""The HRDIS paper as data: its tables and figures, and the numbers it prints."""

from .figures import FIGURE_NOTES, FIGURES
from .numbers import TITLES, Number, numbers, printed
from .tables import HRDIS_PRESETS, TABLE_NOTES, TABLES, Column, Method, PaperTable

__all__ = [
    "FIGURES", "FIGURE_NOTES", "HRDIS_PRESETS", "TABLES", "TABLE_NOTES", "TITLES", "Column",
    "Method", "Number", "PaperTable", "numbers", "printed",
]  # fmt: skip
