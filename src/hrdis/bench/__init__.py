"""Rerun the tables and figures of the paper, or a plan of your own, on one machine or many."""
