"""Calling the hooks of one plugin for its specifications, and refusing those that Skyloom could not use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

from skyloom import builtin, hookspecs
from skyloom.errors import PluginError, did_you_mean, listed
from skyloom.specs import ModelSpec, TaskSpec, WeightsSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Spec = TaskSpec | ModelSpec | WeightsSpec
_HOOKS: dict[str, type[Spec]] = {
    "skyloom_tasks": TaskSpec,
    "skyloom_models": ModelSpec,
    "skyloom_weights": WeightsSpec,
}
_MOST = 10_000  # specifications of one hook


class HookManager(pluggy.PluginManager):
    """Looks only at what is marked; inspecting all else in a module takes longer than importing it."""

    def __init__(self) -> None:
        super().__init__(hookspecs.PROJECT)
        self.add_hookspecs(hookspecs)

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        """Return how a function is marked, or nothing where it is not."""
        marked = hasattr(getattr(plugin, name, None), f"{self.project_name}_impl")
        return super().parse_hookimpl_opts(plugin, name) if marked else None


def collect_specs(manager: HookManager, name: str, plugin: object) -> list[Spec]:
    """Register a plugin under a name and return what it offers; all of it or nothing."""
    if manager.is_registered(plugin):
        raise PluginError("another entry point names the same module", "Register it once")
    try:
        manager.register(plugin, name)
        offered = [
            spec for hook, answer in _implementations(manager, plugin) for spec in _checked(hook, answer())
        ]
        _check_unique(offered)
        if plugin is not builtin:
            _check_own_tasks(offered)
    except BaseException:
        if manager.is_registered(plugin):
            manager.unregister(plugin)
        raise
    return offered


def _implementations(
    manager: pluggy.PluginManager, plugin: object
) -> list[tuple[str, Callable[..., object]]]:
    """Return the hooks that a plugin implements; refuse those that Skyloom would never call.

    They are called one by one, not through pluggy's ``hook.name()``, which would let one plugin's
    exception hide what the others answer.
    """
    found = []
    for caller in manager.get_hookcallers(plugin) or []:
        for implementation in caller.get_hookimpls():
            if implementation.plugin is not plugin:
                continue
            if implementation.wrapper or implementation.hookwrapper:
                raise PluginError(
                    f"it wraps the hook '{caller.name}'", "Implement it; there is nothing to wrap"
                )
            if caller.has_spec():
                found.append((caller.name, implementation.function))
            elif not implementation.optionalhook:
                raise PluginError(f"it implements a hook '{caller.name}'", did_you_mean(caller.name, _HOOKS))
    if not found:
        raise PluginError(
            "it implements no hook", f"Mark functions named {listed(_HOOKS)} with @skyloom.hookimpl"
        )
    return found


def _checked(hook: str, answer: object) -> Iterator[Spec]:
    kind = _HOOKS[hook]
    if isinstance(answer, Spec) or not isinstance(answer, Iterable):
        raise PluginError(
            f"its hook {hook} returned a {type(answer).__name__}",
            f"Return a list of {kind.__name__}, or yield them",
        )
    for number, spec in enumerate(answer):
        if number == _MOST:
            raise PluginError(
                f"its hook {hook} offered more than {_MOST} {kind.__name__}",
                "Let what it yields come to an end",
            )
        if not isinstance(spec, kind):
            raise PluginError(
                f"its hook {hook} offered a {type(spec).__name__}", f"Offer objects of {kind.__name__}"
            )
        yield spec


def _check_unique(offered: list[Spec]) -> None:
    """Refuse two tasks, or two things to load, of one name; models of different tasks may share one."""
    seen: set[tuple[type[Spec], str, str]] = set()
    loaded_by_name = {spec.name for spec in offered if isinstance(spec, ModelSpec)}
    for spec in offered:
        key = (type(spec), spec.name, spec.task if isinstance(spec, ModelSpec) else "")
        if key in seen or (isinstance(spec, WeightsSpec) and spec.name in loaded_by_name):
            raise PluginError(f"it offers '{spec.name}' twice", "Give each a name of its own")
        seen.add(key)


def _check_own_tasks(offered: list[Spec]) -> None:
    """Refuse a task of Skyloom's own: if it counted as a clash, none of its models could be used."""
    for spec in offered:
        if isinstance(spec, TaskSpec) and spec.name in builtin.TASKS:
            raise PluginError(f"it offers the task '{spec.name}', which is Skyloom's own", "Rename it")
