"""The tables of a training."""

from __future__ import annotations

from pathlib import Path

import pytest

from skyloom.errors import OutputError
from skyloom_train.errors import StateError
from skyloom_train.progress_display import described, shown
from skyloom_train.records import Table, read_table


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.csv", step=0)
    table.write(1, {"loss": 0.1 + 0.2})
    table.write(2, {"loss": 1e-30})
    assert read_table(tmp_path / "t.csv") == {"step": [1, 2], "loss": [0.1 + 0.2, 1e-30]}


@pytest.mark.parametrize("torn", ["", "3", "3,0.", "\n", "x,1\n"])
def test_what_will_be_written_again_is_cut_off(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "t.csv"
    table = Table(path, step=0)
    for step in (1, 2, 3):
        table.write(step, {"loss": step / 10})
    with path.open("a") as file:
        file.write(torn)
    again = Table(path, step=2)
    again.write(3, {"loss": 0.5})
    assert read_table(path) == {"step": [1, 2, 3], "loss": [0.1, 0.2, 0.5]}


@pytest.mark.parametrize("header", ["", "step", "step,lo", "step,loss"])
def test_a_file_without_a_whole_header_begins_anew(tmp_path: Path, header: str) -> None:
    (tmp_path / "t.csv").write_text(header)
    Table(tmp_path / "t.csv", step=4).write(5, {"loss": 1.0})
    assert read_table(tmp_path / "t.csv") == {"step": [5], "loss": [1.0]}


def test_a_table_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    table = Table(tmp_path / "gone" / "t.csv", step=0)
    with pytest.raises(OutputError, match="cannot write"):
        table.write(1, {"loss": 1.0})


def test_a_table_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"step,loss\n1,\xff\n")
    with pytest.raises(StateError, match="cannot be read"):
        Table(tmp_path / "t.csv", step=1)


def test_a_log_gets_a_line_for_each_validation(capsys: pytest.CaptureFixture[str]) -> None:
    from skyloom_train.outcome import Status

    with shown(False) as show:
        for step, figures in (
            (1, {}),
            (2, {"deviation": 0.5}),
            (3, {"deviation": 0.5}),
            (4, {"deviation": 0.4}),
        ):
            show(Status(step, step / 4, {"loss": 0.125}, figures, 12.0, 0.07))
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.splitlines() == [
        "step 2, 50%: loss 0.125  deviation 0.5  12/s  waiting 7%",
        "step 4, 100%: loss 0.125  deviation 0.4  12/s  waiting 7%",
    ]


def test_a_terminal_sees_losses_figures_and_waiting(capsys: pytest.CaptureFixture[str]) -> None:
    from skyloom_train.outcome import Status

    status = Status(10, 0.25, {"loss": 0.125}, {"deviation": 0.5}, 12.0, 0.07)
    assert described(status) == "loss 0.125  [bold]deviation[/] 0.5  12/s  waiting 7%"
    with shown(True) as show:
        show(status)
    written = capsys.readouterr().err
    assert "step 10" in written
    assert "waiting 7%" in written
