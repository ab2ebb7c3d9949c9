"""Importing and using a model in a process of its own."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from skyloom.testing.failures import CheckFailure

if TYPE_CHECKING:
    from skyloom.plugins import PluginRecord
    from skyloom.specs import ModelSpec

TIMEOUT = 120
"""Seconds that the other process may take."""


@dataclass(kw_only=True)
class OtherProcess:
    """What happened in the other process.

    Attributes
    ----------
    heavy_plugin, heavy_class
        Heavy modules that were loaded by importing the module of the plugin, and the class.
    printed
        What either import wrote to standard output or standard error.
    disturbed
        Global state that either import changed, in words.
    results
        What each call returned, pickled; see `Subject.results`.
    error
        The traceback that ended it, or nothing.
    """

    heavy_plugin: tuple[str, ...] = ()
    heavy_class: tuple[str, ...] = ()
    printed: str = ""
    disturbed: tuple[str, ...] = ()
    results: dict[str, bytes] = field(default_factory=dict)
    error: str = ""


def run_in_other_process(spec: ModelSpec, owner: PluginRecord, bundle: Path | None) -> OtherProcess:
    """Import and use a model, opened from `bundle` if it has weights, in another process."""
    with tempfile.TemporaryDirectory(prefix="skyloom-check-") as folder:
        asked, answered = Path(folder, "asked"), Path(folder, "answered")
        asked.write_bytes(pickle.dumps((spec, owner, bundle)))
        command = [sys.executable, "-m", "skyloom.testing.worker", str(asked), str(answered)]
        search_path = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109
        try:
            done = subprocess.run(  # noqa: S603 - our own module
                command,
                env=os.environ | {"PYTHONPATH": search_path},
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CheckFailure(
                f"a tiny model that is made and used within {TIMEOUT} s",
                "one that takes longer",
                "Make the options in ModelSpec.tiny smaller",
            ) from error
        if not answered.exists():
            last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise CheckFailure(
                "a model that can be imported in a fresh process", last, "Import it in a new Python"
            )
        found: OtherProcess = pickle.loads(answered.read_bytes())  # noqa: S301 - our own process wrote it
        return found
