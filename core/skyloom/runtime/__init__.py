"""Running graphs, on the backend that was asked for and on no other."""

from __future__ import annotations

from skyloom.runtime.batches import run_in_batches
from skyloom.runtime.names import AUTO, BACKENDS, PRECISIONS, check_backend, check_precision
from skyloom.runtime.opening import open_session
from skyloom.runtime.session import Session

__all__ = [
    "AUTO",
    "BACKENDS",
    "PRECISIONS",
    "Session",
    "check_backend",
    "check_precision",
    "open_session",
    "run_in_batches",
]
