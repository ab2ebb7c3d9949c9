"""The hooks through which plugins offer tasks, models and weights.

A plugin is a module (or any object) with functions marked `hookimpl`, registered by its
distribution::

    [project.entry-points."skyloom.plugins.v1"]
    example = "skyloom_example.plugin"

All hooks collect: every plugin may answer every hook, and no answer hides another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from skyloom.specs import ModelSpec, TaskSpec, WeightsSpec

PROJECT = "skyloom"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def skyloom_tasks() -> Iterable[TaskSpec]:
    """Offer tasks that Skyloom does not know.

    Examples
    --------
    ::

        @skyloom.hookimpl
        def skyloom_tasks():
            yield skyloom.TaskSpec(
                name="background-estimator",
                summary="Measure the level of the empty sky",
                interface="skyloom_example.background:BackgroundEstimator",
            )
    """
    raise NotImplementedError


@hookspec
def skyloom_models() -> Iterable[ModelSpec]:
    """Offer models: implementations of a task.

    Examples
    --------
    ::

        @skyloom.hookimpl
        def skyloom_models():
            yield skyloom.ModelSpec(
                name="annuli",
                task="sequence-captioner",
                summary="Median surface brightness in circular annuli",
                factory="skyloom_example.annuli:Annuli",
            )
    """
    raise NotImplementedError


@hookspec
def skyloom_weights() -> Iterable[WeightsSpec]:
    """Offer trained bundles, shipped with the plugin or to be downloaded.

    Examples
    --------
    ::

        @skyloom.hookimpl
        def skyloom_weights():
            yield skyloom.WeightsSpec(
                name="ring-means-64",
                model="ring-means",
                summary="Rings for images of 64x64 pixels",
                package_path="skyloom_example:bundles/ring-means-64",
                licence="CC-BY-4.0",
            )
    """
    raise NotImplementedError
