"""The verbs for plugins: ``plugins list``, ``check`` and ``doctor``, and ``new-plugin``."""

from __future__ import annotations

import platform
import sys
from collections import Counter
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skyloom.cli.options import AsJson
from skyloom.cli.output import progress, records, say, show_fields, show_json, show_table

if TYPE_CHECKING:
    from skyloom.plugins import PluginRecord
    from skyloom.testing import Report

app = typer.Typer(help="See, check and repair plugins.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_plugins(as_json: AsJson = False) -> None:
    """List plugins and what they offer."""
    from skyloom.plugins import all_plugins

    found = all_plugins().records
    if as_json:
        show_json([_without_detail(record) for record in found])
        return
    rows = [
        (
            record.name,
            record.distribution,
            record.version,
            record.state,
            ", ".join(_offers(record)) or record.reason,
        )
        for record in found
    ]
    show_table(("plugin", "distribution", "version", "state", "offers"), rows, empty="No plugins.")


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A plugin (its distribution), or a model.")],
    as_json: AsJson = False,
) -> None:
    """Run the conformance checks.

    The status is 1 when one fails.
    """
    from skyloom.stdout import printing_to_stderr
    from skyloom.testing import check_plugin

    done = count(1)
    with progress("checking") as update, printing_to_stderr():
        report = check_plugin(name, progress=lambda _: update(next(done), None))
    if as_json:
        show_json(records(report.results))
    else:
        _show_report(report)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def doctor(context: typer.Context, as_json: AsJson = False) -> None:
    """Say what is wrong with plugins and names.

    The status is 1 when something is.
    """
    import os

    from skyloom.cli.verbs import verb_problems
    from skyloom.entry_points import ALLOW_VARIABLE
    from skyloom.home import HOME_VARIABLE, home
    from skyloom.plugins import STRICT_VARIABLE, TIMEOUT_VARIABLE, all_plugins
    from skyloom.registry import everything
    from skyloom.version import version

    names = (HOME_VARIABLE, ALLOW_VARIABLE, STRICT_VARIABLE, TIMEOUT_VARIABLE)
    variables = {name: os.environ.get(name) for name in names}
    os.environ.pop(STRICT_VARIABLE, None)  # here the faults are to be seen
    faulty = all_plugins().faulty()
    problems = [
        *(
            f"{model.task}/{model.name} of {model.plugin}: {model.problem}"
            for model in everything()
            if model.problem
        ),
        *verb_problems(context.obj),
    ]
    if as_json:
        show_json(
            {
                "skyloom": version(),
                "python": platform.python_version(),
                "home": str(home()),
                "environment": variables,
                "plugins": records(all_plugins().records),
                "problems": problems,
            }
        )
    else:
        show_fields(
            [
                ("skyloom", f"{version()}, Python {platform.python_version()} at {sys.executable}"),
                ("home", home()),
                *variables.items(),
                ("plugins", f"{len(all_plugins().records)}, {len(faulty)} with faults"),
            ]
        )
        for record in faulty:
            say()
            say(f"{record.owner} ({record.target}): {record.reason}")
            for line in record.detail.splitlines():
                say(f"    {line}")
        for problem in problems:
            say()
            say(problem)
        if not faulty and not problems:
            say("Nothing is wrong.")
    if faulty or problems:
        raise typer.Exit(1)


def new_plugin(
    name: Annotated[str, typer.Argument(help="What to call it; 'dawn' becomes the package skyloom_dawn.")],
    task: Annotated[str, typer.Option(help="The task its model will do.")],
    folder: Annotated[Path, typer.Option(help="Where to write it.")] = Path(),
) -> None:
    """Write a plugin to start from.

    It is complete: code, tests that run the conformance kit, packaging, README.
    """
    from skyloom.scaffold import new_plugin as write

    path = write(name, task, folder)
    say(f"Wrote {path}. Next:")
    say(f'  pip install -e "{path}"')
    say(f"  skyloom plugins check {path.name}")


def _show_report(report: Report) -> None:
    """Show what did not pass; checks of a model with the same outcome and reason share a row."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for result in report.results:
        if result.outcome != "passed":
            alike.setdefault((result.model, result.outcome, result.message), []).append(result.check)
    rows = [
        (model, checks[0] if len(checks) == 1 else f"{len(checks)} checks", outcome, why)
        for (model, outcome, why), checks in alike.items()
    ]
    if rows:
        show_table(("model", "check", "outcome", "why"), rows, empty="")
    outcomes = Counter(result.outcome for result in report.results)
    counts = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common())
    say(f"{len(report.results)} checks: {counts}." if counts else f"{report.target} offers no model.")


def _offers(record: PluginRecord) -> list[str]:
    return [
        *(f"task {name}" for name in record.tasks),
        *record.models,
        *(f"{name} (weights)" for name in record.weights),
    ]


def _without_detail(record: PluginRecord) -> dict[str, object]:
    return record.model_dump(mode="json", exclude={"detail"})
