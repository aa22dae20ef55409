"""The report of a run: one page, and its tables as CSV and LaTeX."""

from .page import check_page, report

__all__ = ["check_page", "report"]
