"""Rerun the tables and figures of the paper, or a plan of your own, on one machine or many.

    paper/    the paper as data: its tables and figures, and the numbers it prints
    plan/     which pictures, tasks and methods; the restoration of one unit
    run/      the run folder, and the engines that work off the units
    score/    scores of finished pictures
    report/   one page, and its tables as CSV and LaTeX

Below them lie ``records`` (run tasks, units, rows) and ``results`` (rows with their scores, by
method). A package imports the others, of which ``plan`` and ``report`` need ``paper`` alone,
through their ``__init__``; the command in ``hrdis.cli.bench`` joins them.
"""

from .run import rows

__all__ = ["rows"]
