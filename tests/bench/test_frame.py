"""Rows of run folders as a table for a notebook."""

import pytest

import hrdis
from hrdis.bench.run import frame
from tests.common.bench_rows import plan_of, write_run


def test_rows_are_a_flat_list_where_pandas_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(frame, "find_spec", lambda name: None)
    made = write_run(tmp_path / "run", plan_of(tables=[1], images=1))
    found = hrdis.bench.rows(tmp_path / "run")
    assert [row["key"] for row in found] == sorted(row["key"] for row in made)
    by_key = {row["key"]: row for row in made}
    for row in found:
        cell = by_key[row["key"]]["cell"]
        assert row["psnr"] == by_key[row["key"]]["psnr"]
        assert row["task"] == cell["task"] and row["seed"] == cell["seed"]
        for name, value in cell["settings"].items():
            assert row[f"settings.{name}"] == value
        assert "cell" not in row and "settings" not in row


def test_rows_are_a_frame_where_pandas_is_installed(tmp_path):
    pandas = pytest.importorskip("pandas")
    made = write_run(tmp_path / "run", plan_of(tables=[1], images=2))
    found = hrdis.bench.rows(tmp_path / "run")
    assert isinstance(found, pandas.DataFrame) and len(found) == len(made)
    means = found.groupby(["task", "solver"]).psnr.mean()
    first = made[0]["cell"]
    same = [
        row["psnr"]
        for row in made
        if (row["cell"]["task"], row["cell"]["solver"]) == (first["task"], first["solver"])
    ]
    assert means[first["task"], first["solver"]] == pytest.approx(sum(same) / len(same))


def test_folder_that_is_no_run_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="folder of a run is expected"):
        hrdis.bench.rows(tmp_path)
