"""The logs of a training: tables for people and programs, and TensorBoard."""

from __future__ import annotations

import contextlib
import csv
import io
from typing import TYPE_CHECKING

from skyloom.disk import fsync_file
from skyloom.errors import OutputError, SkyloomError
from skyloom.files import complete
from skyloom_train.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

STEP = "step"


class Table:
    """A CSV file that grows by rows; what a resumed training will write again is cut off first.

    Parameters
    ----------
    path
        The file.
    step
        The last step whose row is kept.
    """

    def __init__(self, path: Path, *, step: int) -> None:
        self.path = path
        self._names: list[str] = []
        if path.exists():
            self._cut(step)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add a row."""
        row = {STEP: step, **values}
        text = io.StringIO()
        writer = csv.DictWriter(text, self._names or list(row), restval="", lineterminator="\n")
        if not self._names:
            self._names = list(row)
            writer.writeheader()
        writer.writerow(row)
        with _writing(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(text.getvalue())

    def sync(self) -> None:
        """Return when all rows have reached the disk."""
        with _writing(self.path):
            if self.path.exists():
                fsync_file(self.path)

    def _cut(self, step: int) -> None:
        try:
            with self.path.open(encoding="utf-8", newline="") as file:
                header = file.readline()  # a kill may have cut it short, or the last row
                if header.endswith("\n"):
                    self._names = next(csv.reader([header]), [])
                reader = csv.reader(file)
                rows = [row for row in reader if len(row) == len(self._names) and _number(row[0]) <= step]
        except (OSError, ValueError, csv.Error) as error:
            raise StateError(
                f"the table '{self.path}' cannot be read: {error}",
                "Move it away; the training goes on in a new one",
            ) from error
        with complete(self.path, overwrite=True) as part, part.open("w", encoding="utf-8") as file:
            if self._names:
                csv.writer(file, lineterminator="\n").writerows([self._names, *rows])


class Logs:
    """The files a training is followed in."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self._training = Table(folder / "training.csv", step=step)
        self._validation = Table(folder / "validation.csv", step=step)
        self._board_folder = folder / "tensorboard"
        with _writing(self._board_folder):
            self._board = SummaryWriter(str(self._board_folder), purge_step=step + 1)

    def training(self, step: int, losses: Mapping[str, float], pace_: Mapping[str, float]) -> None:
        """Write losses, and how fast it goes."""
        self._training.write(step, {**losses, **pace_})
        with _writing(self._board_folder):
            for name, value in losses.items():
                self._board.add_scalar(f"training/{name}", value, step)
            for name, value in pace_.items():
                self._board.add_scalar(f"pace/{name}", value, step)

    def validation(self, step: int, figures: Mapping[str, float]) -> None:
        """Write what a validation found."""
        self._validation.write(step, figures)
        with _writing(self._board_folder):
            for name, value in figures.items():
                self._board.add_scalar(f"validation/{name}", value, step)
            self._board.flush()

    def sync(self) -> None:
        """Return when the tables have reached the disk; a state without its rows would leave a gap."""
        self._training.sync()
        self._validation.sync()

    def close(self) -> None:
        """Write out what TensorBoard holds back."""
        with _writing(self._board_folder):
            self._board.close()


def read_table(path: Path) -> dict[str, list[float]]:
    """Return the columns of a table by name."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else ())}


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except SkyloomError:
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write '{path}': {error.strerror or error}", "Make room, and go on with --resume"
        ) from error


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("inf")
