"""The report of a run: one page, and its tables as CSV and LaTeX."""
