"""Finding plugins, and keeping each one's faults away from all others.

A plugin that cannot be imported, registered or asked is recorded with the reason, reported once and
left out; everything else works.
"""

from __future__ import annotations

import math
import os
import re
import threading
import traceback
import warnings
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import ValidationError

from skyloom import builtin
from skyloom.entry_points import (
    ALLOW_VARIABLE,
    all_entries,
    allow_list,
    allows,
    distribution_of,
    is_allowed,
    normal,
    read_entries,
)
from skyloom.errors import InputError, PluginError, SkyloomError, listed
from skyloom.frozen import Frozen, first_fault
from skyloom.hookcalls import HookManager, Spec, collect_specs
from skyloom.specs import ModelSpec, TaskSpec, WeightsSpec
from skyloom.stdout import printing_to_stderr
from skyloom.timelimit import within
from skyloom.version import version

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import EntryPoint

API = 1
GROUP = f"skyloom.plugins.v{API}"
STRICT_VARIABLE = "SKYLOOM_PLUGINS_STRICT"
TIMEOUT_VARIABLE = "SKYLOOM_PLUGIN_TIMEOUT"
_SECONDS = 60.0  # for specifications alone it takes none; somebody's cluster may read them from a slow disk
_NOT_ALLOWED = f"it is not named in {ALLOW_VARIABLE}"
_used: ContextVar[str] = ContextVar("skyloom_plugin_in_use", default="")

_S = TypeVar("_S", TaskSpec, ModelSpec, WeightsSpec)


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
    read_entries.cache_clear()
    all_plugins.cache_clear()
    plugins.cache_clear()


@cache
def all_plugins() -> Plugins:
    """Do the same and report nothing: for those who want to see the faults."""
    if owner := _used.get():
        raise PluginError(
            f"'{owner}' asks for plugins while it is imported or asked itself",
            "Ask in a function called later",
        )
    manager = HookManager()
    core = PluginRecord(name="core", distribution="skyloom", version=version(), target="skyloom.builtin")
    core, offered = _recorded(core, collect_specs(manager, "skyloom:core", builtin))
    records = [core, *_damaged()]
    offers = [(core, spec) for spec in offered]
    seconds = _time_limit()
    with printing_to_stderr():
        for entry in all_entries():
            if entry.group != GROUP and not _later(entry.group):
                continue
            record, offered = _unusable(entry), []
            if record.state == "ok":
                record, offered = _use_within(seconds, manager, record, entry)
            records.append(record)
            offers += [(record, spec) for spec in offered]
    return Plugins(records, offers)


def _damaged() -> list[PluginRecord]:
    """Return a record for each distribution of which nobody can say whether it has plugins."""
    return [
        PluginRecord(
            name=name, distribution=name, version=number, state="broken", reason=f"{reason}: Reinstall it"
        )
        if allows(name)
        else PluginRecord(name=name, distribution=name, version=number, state="disabled", reason=_NOT_ALLOWED)
        for name, number, reason in read_entries().damaged
    ]


def _unusable(entry: EntryPoint) -> PluginRecord:
    """Return the record of a plugin, with the reason if it is not to be used at all."""
    name, number = distribution_of(entry)
    record = PluginRecord(name=entry.name, distribution=name, version=number, target=entry.value)
    if entry.group != GROUP:
        reason = f"it is written for the plugin interface {entry.group}, this Skyloom speaks {GROUP}"
        return record.model_copy(update={"state": "too-new", "reason": f"{reason}: upgrade skyloom"})
    if not is_allowed(entry):
        return record.model_copy(update={"state": "disabled", "reason": _NOT_ALLOWED})
    return record


def _time_limit() -> float:
    """Return the seconds that a plugin may take."""
    text = os.environ.get(TIMEOUT_VARIABLE, "").strip()
    try:
        seconds = float(text or _SECONDS)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise InputError(f"{TIMEOUT_VARIABLE} is '{text}'", "Give seconds, or 0 for as long as it takes")
    return seconds or math.inf


def _use_within(
    seconds: float, manager: HookManager, record: PluginRecord, entry: EntryPoint
) -> tuple[PluginRecord, list[Spec]]:
    try:
        return within(seconds, lambda: _use(manager, record, entry))
    except TimeoutError as error:
        reason = (
            f"importing and asking it took longer than {seconds:g} s: Set {TIMEOUT_VARIABLE} to allow more"
        )
        detail = "".join(traceback.format_exception(error))
        return record.model_copy(update={"state": "broken", "reason": reason, "detail": detail}), []


def _use(manager: HookManager, record: PluginRecord, entry: EntryPoint) -> tuple[PluginRecord, list[Spec]]:
    """Import one plugin and collect what it offers."""
    token = _used.set(record.owner)
    what = "importing it"
    try:
        plugin = entry.load()
        what = "asking it what it offers"
        return _recorded(record, collect_specs(manager, f"{record.distribution}:{record.name}", plugin))
    except BaseException as error:  # noqa: BLE001 - SystemExit, too, must stay the plugin's own affair
        _raise_if_of_user(error)
        return _broken(record, f"{what} failed", error), []
    finally:
        _used.reset(token)


def _recorded(record: PluginRecord, offered: list[Spec]) -> tuple[PluginRecord, list[Spec]]:
    names = {
        key: tuple(spec.name for spec in offered if isinstance(spec, kind))
        for key, kind in (("tasks", TaskSpec), ("models", ModelSpec), ("weights", WeightsSpec))
    }
    return record.model_copy(update=names), offered


def _raise_if_of_user(error: BaseException) -> None:
    """Let an interrupt end the program. Python raises those of the user in the main thread alone."""
    if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
        raise error


def _later(group: str) -> bool:
    match = re.fullmatch(r"skyloom\.plugins\.v(\d+)", group)
    return match is not None and int(match[1]) > API


def _broken(record: PluginRecord, what: str, error: BaseException) -> PluginRecord:
    if isinstance(error, SkyloomError):
        reason = f"{error.problem}: {error.remedy}" if error.remedy else error.problem
    elif isinstance(error, ValidationError):
        reason = f"it offers an invalid {error.title}: {first_fault(error)}"
    else:
        try:
            text = " ".join(str(error).split())
        except BaseException:  # noqa: BLE001 - an exception of a plugin may have faults of its own
            text = ""
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
