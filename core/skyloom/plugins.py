"""Finding plugins, and keeping each one's faults away from all others.

A plugin that cannot be imported, registered or asked is recorded with the reason, reported once and
left out; everything else works.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeVar

import pluggy
from pydantic import ValidationError

from skyloom import builtin, hookspecs
from skyloom.entries import ALLOW_VARIABLE, all_entries, allow_list, distribution_of, is_allowed, normal
from skyloom.errors import PluginError, SkyloomError, did_you_mean, listed
from skyloom.frozen import Frozen, first_fault
from skyloom.specs import ModelSpec, TaskSpec, WeightsSpec
from skyloom.version import version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from importlib.metadata import EntryPoint

API = 1
GROUP = f"skyloom.plugins.v{API}"
STRICT_VARIABLE = "SKYLOOM_PLUGINS_STRICT"

Spec = TaskSpec | ModelSpec | WeightsSpec
_S = TypeVar("_S", TaskSpec, ModelSpec, WeightsSpec)
_HOOKS: dict[str, type[Spec]] = {
    "skyloom_tasks": TaskSpec,
    "skyloom_models": ModelSpec,
    "skyloom_weights": WeightsSpec,
}


class PluginWarning(UserWarning):
    """A plugin was left out."""


class PluginRecord(Frozen):
    """What became of one installed plugin.

    Attributes
    ----------
    name, distribution, version
        Name of the entry point, and the distribution that registers it.
    target
        The module the entry point names.
    state
        ``"ok"``; ``"broken"``: could not be used; ``"disabled"``: not on the allow-list;
        ``"too-new"``: written for a later Skyloom.
    reason
        Why it is not ``"ok"``, in one line.
    detail
        The traceback behind the reason, where there is one.
    tasks, models, weights
        The names of what it offers.
    """

    name: str
    distribution: str
    version: str = ""
    target: str = ""
    state: Literal["ok", "broken", "disabled", "too-new"] = "ok"
    reason: str = ""
    detail: str = ""
    tasks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()

    @property
    def owner(self) -> str:
        """The distribution and its version, as people write them."""
        return f"{self.distribution} {self.version}".strip()


class Plugins:
    """All plugins, and what the usable ones offer.

    Attributes
    ----------
    records
        One record for each installed plugin, broken ones included.
    """

    def __init__(self, records: Iterable[PluginRecord], offers: Iterable[tuple[PluginRecord, Spec]]) -> None:
        self.records = tuple(records)
        self._offers = tuple(offers)

    def offers(self, kind: type[_S]) -> list[tuple[PluginRecord, _S]]:
        """Return every specification of a kind, with the plugin that offers it."""
        return [(record, spec) for record, spec in self._offers if isinstance(spec, kind)]

    def faulty(self) -> list[PluginRecord]:
        """Return the plugins that are broken or too new."""
        return [record for record in self.records if record.state in {"broken", "too-new"}]

    def clashes(self) -> list[str]:
        """Say which names are offered more than once, and by whom."""
        owners: dict[tuple[str, str], list[str]] = {}
        for record, spec in self._offers:
            for task in self._tasks_of(spec):
                owners.setdefault((task, spec.name), []).append(record.owner)
        return [
            f"the {task} '{name}' is offered by {listed(rivals)}"
            for (task, name), rivals in owners.items()
            if len(rivals) > 1
        ]

    def _tasks_of(self, spec: Spec) -> set[str]:
        """Return the tasks under which a specification takes a name; ``"task"`` for that of a task."""
        if isinstance(spec, TaskSpec):
            return {"task"}
        if isinstance(spec, ModelSpec):
            return {spec.task}
        return {model.task for _, model in self.offers(ModelSpec) if model.name == spec.model}

    def hint(self) -> str:
        """Return a clause that tells of faulty plugins, to end an error about a missing name."""
        owners = sorted({record.distribution for record in self.faulty()})
        if not owners:
            return ""
        be = "is" if len(owners) == 1 else "are"
        return f" ({listed(owners)} {be} installed but cannot be used: see 'skyloom plugins doctor')"


class _Manager(pluggy.PluginManager):
    """Looks only at what is marked; inspecting all else in a module takes longer than importing it."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        marked = hasattr(getattr(plugin, name, None), f"{self.project_name}_impl")
        return super().parse_hookimpl_opts(plugin, name) if marked else None


@cache
def plugins() -> Plugins:
    """Import all allowed plugins once and collect what they offer.

    Faulty ones are reported by one `PluginWarning`, or raised as `PluginError` where the
    environment variable ``SKYLOOM_PLUGINS_STRICT`` is set to 1.
    """
    found = all_plugins()
    _report(found)
    return found


def refresh() -> None:
    """Forget what was found, so that plugins installed since are seen."""
    all_entries.cache_clear()
    all_plugins.cache_clear()
    plugins.cache_clear()


@cache
def all_plugins() -> Plugins:
    """Do the same and report nothing: for those who want to see the faults."""
    manager = _Manager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    records: list[PluginRecord] = []
    offers: list[tuple[PluginRecord, Spec]] = []
    core = PluginRecord(name="core", distribution="skyloom", version=version(), target="skyloom.builtin")
    for record, plugin in _import_all(core):
        if record.state == "ok":
            record, offered = _ask(manager, record, plugin)  # noqa: PLW2901
            offers += [(record, spec) for spec in offered]
        records.append(record)
    return Plugins(records, offers)


def _import_all(core: PluginRecord) -> Iterator[tuple[PluginRecord, object]]:
    yield core, builtin
    for entry in all_entries():
        if entry.group != GROUP and not _later(entry.group):
            continue
        record = _identify(entry)
        if entry.group != GROUP:
            reason = f"it is written for the plugin interface {entry.group}, this Skyloom speaks {GROUP}"
            yield record.model_copy(update={"state": "too-new", "reason": f"{reason}: upgrade skyloom"}), None
        elif not is_allowed(entry):
            reason = f"it is not named in {ALLOW_VARIABLE}"
            yield record.model_copy(update={"state": "disabled", "reason": reason}), None
        else:
            try:
                with _quiet():
                    plugin = entry.load()
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - SystemExit, too, must stay the plugin's own affair
                yield _broken(record, "importing it failed", error), None
            else:
                yield record, plugin


def _later(group: str) -> bool:
    match = re.fullmatch(r"skyloom\.plugins\.v(\d+)", group)
    return match is not None and int(match[1]) > API


def _identify(entry: EntryPoint) -> PluginRecord:
    name, number = distribution_of(entry)
    return PluginRecord(name=entry.name, distribution=name, version=number, target=entry.value)


def _ask(
    manager: pluggy.PluginManager, record: PluginRecord, plugin: object
) -> tuple[PluginRecord, list[Spec]]:
    """Register one plugin and collect what it offers; all of it or nothing."""
    try:
        if manager.is_registered(plugin):
            raise PluginError("another entry point names the same module", "Register it once")
        manager.register(plugin, f"{record.distribution}:{record.name}")
        with _quiet():
            offered = [
                spec
                for hook, answer in _implementations(manager, plugin)
                for spec in _checked(hook, answer())
            ]
        _check_unique(offered)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is this plugin's fault alone
        if manager.get_name(plugin) == f"{record.distribution}:{record.name}":
            manager.unregister(plugin)
        return _broken(record, "asking it what it offers failed", error), []
    return record.model_copy(
        update={
            key: tuple(spec.name for spec in offered if isinstance(spec, kind))
            for key, kind in (("tasks", TaskSpec), ("models", ModelSpec), ("weights", WeightsSpec))
        }
    ), offered


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
    for spec in answer:
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


def _quiet() -> contextlib.AbstractContextManager[object]:
    """Send what a plugin prints to the standard error output: the standard output is for results."""
    return contextlib.redirect_stdout(sys.stderr)


def _broken(record: PluginRecord, what: str, error: BaseException) -> PluginRecord:
    if isinstance(error, SkyloomError):
        reason = f"{error.problem}: {error.remedy}" if error.remedy else error.problem
    elif isinstance(error, ValidationError):
        reason = f"it offers an invalid {error.title}: {first_fault(error)}"
    else:
        text = " ".join(str(error).split())
        reason = f"{what}: {type(error).__name__}{text and ': '}{text}"
    detail = "".join(traceback.format_exception(error))
    return record.model_copy(update={"state": "broken", "reason": reason, "detail": detail})


def _report(found: Plugins) -> None:
    faults = [f"{record.owner}: {record.reason}" for record in found.faulty()]
    allowed = allow_list() or set()
    known = {normal(name) for record in found.records for name in (record.distribution, record.name)}
    faults += [f"{ALLOW_VARIABLE} names '{name}', which is not installed" for name in sorted(allowed - known)]
    if strict():
        faults += found.clashes()
        if faults:
            raise PluginError("; ".join(faults), f"Repair or uninstall it, or unset {STRICT_VARIABLE}")
    if faults:
        warnings.warn(
            f"some plugins are not as they should be: {'; '.join(faults)}", PluginWarning, stacklevel=4
        )


def strict() -> bool:
    """Say whether a faulty plugin is an error in this process."""
    return os.environ.get(STRICT_VARIABLE, "").strip().lower() in {"1", "true", "yes", "on"}
