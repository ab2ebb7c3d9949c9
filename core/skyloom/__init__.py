"""Skyloom: learned models of the sky, behind four tasks that anyone can implement.

Everything public is listed in ``__all__`` and loaded on first use, so that importing
Skyloom costs next to nothing and never pulls in a deep-learning framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skyloom.bundle import Bundle
    from skyloom.execution import Execution
    from skyloom.field import Field, Tile
    from skyloom.hookspecs import hookimpl
    from skyloom.images import Images
    from skyloom.interfaces import FieldGenerator, ImagePrior, Metric, Model, ProfileMetric, SequenceCaptioner
    from skyloom.listing import metrics, models, tasks
    from skyloom.loading import load
    from skyloom.profile import Profile
    from skyloom.profile_deviations import ProfileDeviations
    from skyloom.provenance import Provenance
    from skyloom.score import Score
    from skyloom.specs import ModelSpec, TaskSpec, WeightsSpec
    from skyloom.store import add

_HOME = {
    "Bundle": "bundle",
    "Execution": "execution",
    "Field": "field",
    "FieldGenerator": "interfaces",
    "ImagePrior": "interfaces",
    "Images": "images",
    "Metric": "interfaces",
    "Model": "interfaces",
    "ModelSpec": "specs",
    "Profile": "profile",
    "ProfileDeviations": "profile_deviations",
    "ProfileMetric": "interfaces",
    "Provenance": "provenance",
    "Score": "score",
    "SequenceCaptioner": "interfaces",
    "TaskSpec": "specs",
    "Tile": "field",
    "WeightsSpec": "specs",
    "add": "store",
    "hookimpl": "hookspecs",
    "load": "loading",
    "metrics": "listing",
    "models": "listing",
    "tasks": "listing",
}

__all__ = [
    "Bundle",
    "Execution",
    "Field",
    "FieldGenerator",
    "ImagePrior",
    "Images",
    "Metric",
    "Model",
    "ModelSpec",
    "Profile",
    "ProfileDeviations",
    "ProfileMetric",
    "Provenance",
    "Score",
    "SequenceCaptioner",
    "TaskSpec",
    "Tile",
    "WeightsSpec",
    "__version__",
    "add",
    "hookimpl",
    "load",
    "metrics",
    "models",
    "tasks",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from skyloom.version import version

        value: object = version()
    elif name in _HOME:
        value = getattr(importlib.import_module(f"skyloom.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module 'skyloom' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
