"""One generator of (model, check) pairs, behind every way of running the kit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skyloom.errors import PluginError, SkyloomError, UnknownNameError, did_you_mean
from skyloom.plugins import PluginRecord, plugins
from skyloom.specs import ModelSpec, TaskSpec
from skyloom.testing import batches, bundles, determinism, images, refusals, results, specification
from skyloom.testing.check import TaskChecks, check, checks_in
from skyloom.testing.failures import expect
from skyloom.testing.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skyloom.testing.check import Check


@check()
def check_expected_failures_exist(subject: Subject) -> None:
    """Every expected failure names a check there is, and gives a reason."""
    known = {one.name for one in checks_for(subject)}
    for name, reason in subject.spec.expected_failures.items():
        expect(
            name in known,
            "every expected failure to name a check of this model",
            f"'{name}'",
            "Correct the name in ModelSpec.expected_failures; docs/conformance.md lists all checks",
        )
        expect(
            len(reason.split()) > 1,
            f"a reason why the model fails {name}",
            f"{reason!r}",
            "Say why, in a sentence",
        )


_MODULES = (specification, results, batches, determinism, refusals, images, bundles)
COMMON = (
    *(one for module in _MODULES for one in checks_in(module.__name__)),
    check_expected_failures_exist,
)


@dataclass(frozen=True)
class Case:
    """One check of one model.

    Attributes
    ----------
    check
        The check.
    subject
        The model it looks at.
    """

    check: Check
    subject: Subject

    @property
    def name(self) -> str:
        """The model and the check, as tests are named."""
        return f"{self.subject.spec.name}-{self.check.name}"

    @property
    def expected_failure(self) -> str:
        """The reason why this is expected to fail, or nothing."""
        return self.subject.spec.expected_failures.get(self.check.name, "")

    def __call__(self) -> None:
        """Run the check; raises `CheckFailure` when something is wrong."""
        self.check(self.subject)


def cases(*targets: str | ModelSpec) -> Iterator[Case]:
    """Yield every check that applies to the models named.

    Parameters
    ----------
    *targets
        Distributions, plugins or models by their name (a model also as ``"task/name"``), or
        specifications, which need not be registered.
    """
    for target in targets:
        found = _named(target) if isinstance(target, str) else [(_owner(target), target)]
        for owner, spec in found:
            try:
                task = TaskChecks.of(spec.task)
            except SkyloomError:
                yield Case(specification.check_task_is_known, Subject(spec, owner))
                continue
            subject = Subject(spec, owner, task.inputs, task.calls)
            yield from (Case(check, subject) for check in checks_for(subject))


def checks_for(subject: Subject) -> list[Check]:
    """Return the checks that apply to a model."""
    own = TaskChecks.of(subject.spec.task).checks
    return [check for check in (*COMMON, *own) if check.when(subject)]


def all_checks() -> dict[str, tuple[Check, ...]]:
    """Return every check of the kit: those of all models under ``""``, the others by their task."""
    found = {"": COMMON}
    for _, spec in plugins().offers(TaskSpec):
        found[spec.name] = TaskChecks.of(spec.name).checks
    return found


def _owner(spec: ModelSpec) -> PluginRecord:
    """Return who offers a specification: the plugin it is registered by, if there is one."""
    owners = [record for record, other in plugins().offers(ModelSpec) if other == spec]
    return owners[0] if owners else PluginRecord(name="unregistered", distribution="unregistered")


def _named(name: str) -> list[tuple[PluginRecord, ModelSpec]]:
    """Return the models of that name, or of the plugin or distribution of that name."""
    found = plugins()
    records = [record for record in found.records if name in {record.name, record.distribution}]
    for record in records:
        if record.state != "ok":
            raise PluginError(f"the plugin '{name}' cannot be checked: {record.reason}", "Repair it first")
    offers = found.offers(ModelSpec)
    matches = [
        (record, spec)
        for record, spec in offers
        if record in records or name in {spec.name, f"{spec.task}/{spec.name}"}
    ]
    if not matches and not records:
        known = {record.distribution for record in found.records} | {spec.name for _, spec in offers}
        raise UnknownNameError(
            f"there is no plugin or model '{name}'{found.hint()}", did_you_mean(name, known)
        )
    return matches
