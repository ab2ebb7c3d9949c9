"""Running graphs, on the backend that was asked for and on no other."""

from __future__ import annotations

from skyloom.execution import BACKENDS, PRECISIONS, Execution
from skyloom.runtime.batches import run_in_batches
from skyloom.runtime.session import Session, open_session

__all__ = ["BACKENDS", "PRECISIONS", "Execution", "Session", "open_session", "run_in_batches"]
