"""Every error Skyloom raises on purpose.

Each one says what came and what is allowed (``problem``) and what to do next (``remedy``), and
subclasses the builtin error that a caller would expect. The command line prints them as one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SUGGESTIONS = 3
_SHOWN = 5


class SkyloomError(Exception):
    """The base of all errors of Skyloom.

    Parameters
    ----------
    problem
        What came, and what is allowed instead; a sentence without its full stop.
    remedy
        What the reader can do about it; a sentence without its full stop, or a question.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        stop = "" if remedy.endswith("?") else "."
        super().__init__(f"{problem}. {remedy}{stop}" if remedy else f"{problem}.")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.problem, self.remedy)


class InputError(SkyloomError, ValueError):
    """An argument has a value that is not allowed."""


class InputTypeError(SkyloomError, TypeError):
    """An argument is of a type that is not allowed."""


class NotFiniteError(InputError, ArithmeticError):
    """A graph gives NaN or infinity, of some inputs or of all.

    Parameters
    ----------
    graph, output
        Which output of which graph.
    items
        Which items of the batch, from 0; none where the output has no batch axis.
    """

    def __init__(self, graph: str, output: str, items: tuple[int, ...] = ()) -> None:
        self.graph, self.output, self.items = graph, output, items
        shown = ", ".join(map(str, items[:_SHOWN])) + (", ..." if len(items) > _SHOWN else "")
        where = f" for the {'item' if len(items) == 1 else 'items'} {shown} of the batch" if items else ""
        whose = f" of the graph '{graph}'" if graph else ""
        super().__init__(
            f"the output '{output}'{whose} is not finite{where}",
            "Look at what was given; where nothing gives finite numbers, get the bundle again",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.graph, self.output, self.items)


class OutOfRangeError(SkyloomError, IndexError):
    """There is no item of that number."""


class TooLargeError(InputError, MemoryError):
    """What is asked for does not fit into memory."""


class UnknownNameError(SkyloomError, LookupError):
    """No task, model, weights, plugin or band has that name."""


class NameClashError(SkyloomError, LookupError):
    """A name stands for more than one thing."""


class PluginError(SkyloomError, RuntimeError):
    """A plugin could not be imported, registered or asked."""


class SpecError(SkyloomError, ValueError):
    """A task, model or weights specification is not valid."""


class BundleError(SkyloomError, ValueError):
    """A bundle is malformed, incomplete, or was altered after it was written."""


class CheckpointError(SkyloomError, ValueError):
    """A trained network on disk is malformed, incomplete, or in a form that is not read."""


class BackendError(SkyloomError, RuntimeError):
    """A backend was asked for that this machine cannot run."""


class OutOfMemoryError(BackendError, MemoryError):
    """The memory does not hold even one of the inputs at a time."""


class OutOfTimeError(BackendError, TimeoutError):
    """A graph took longer than is allowed."""


class MissingWeightsError(SkyloomError, FileNotFoundError):
    """Weights have to be fetched and converted by hand first."""


class DownloadError(SkyloomError, OSError):
    """A file could not be downloaded, or is not the file that was expected."""


class WorkerError(SkyloomError, RuntimeError):
    """A process that shared the work ended before it was done."""


class OutputError(SkyloomError, OSError):
    """An output cannot be written."""


class MissingExtraError(SkyloomError, ImportError):
    """An optional dependency is not installed.

    Parameters
    ----------
    package
        The distribution that is missing.
    extra
        The extra of Skyloom that brings it.
    purpose
        What it is needed for, as the end of "... is needed to".
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package, self.extra, self.purpose = package, extra, purpose
        super().__init__(
            f"the package '{package}' is needed to {purpose} and is not installed",
            f'Install it with: pip install "skyloom[{extra}]"',
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.package, self.extra, self.purpose)


class ImageReadError(SkyloomError, OSError):
    """A file cannot be read as an image.

    Parameters
    ----------
    path
        The file.
    reason
        Why not: truncated, empty, wrong number of bands, ...
    remedy
        What to do about it.
    transient
        Whether the operating system failed and not the file: an I/O error, a stale handle, too many open
        files, ... To read it again, later or on another machine, may work.
    """

    def __init__(self, path: Path | str, reason: str, remedy: str = "", *, transient: bool = False) -> None:
        self.path, self.reason, self.transient = path, reason, transient
        super().__init__(f"cannot read '{path}': {reason}", remedy)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.reason, self.remedy), {"transient": self.transient}


class MissingFileError(ImageReadError, FileNotFoundError):
    """There is no such file, or nothing fits a pattern."""


class SkippedFilesWarning(UserWarning):
    """Some files could not be read as images and were left out, as was asked for."""


class ContradictionWarning(UserWarning):
    """What was given contradicts what files say of themselves; what was given counts."""


def listed(names: Iterable[str], *, last: str = "and", none: str = "none") -> str:
    """Write names as people do: ``'a', 'b' and 'c'``."""
    quoted = [f"'{name}'" for name in names]
    if not quoted:
        return none
    return f" {last} ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def near(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that `name` may have been meant to be, the nearest first."""
    from difflib import get_close_matches

    by_folded = {candidate.casefold(): candidate for candidate in known}
    return [by_folded[match] for match in get_close_matches(name.casefold(), by_folded, _SUGGESTIONS, 0.6)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "Did you mean ...?", or the list of what there is where nothing comes near."""
    known = sorted(known)
    nearest = near(name, known)
    if nearest:
        return f"Did you mean {' or '.join(repr(match) for match in nearest)}?"
    return f"Known: {listed(known)}" if known else "There is none yet"
