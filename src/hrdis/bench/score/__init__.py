"""Scores of finished pictures."""
