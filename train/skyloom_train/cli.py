"""The verb ``skyloom train``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from skyloom.cli.output import say, show_json
from skyloom.errors import (
    MissingExtraError,
    NameClashError,
    PluginError,
    UnknownNameError,
    did_you_mean,
    listed,
)

if TYPE_CHECKING:
    from skyloom.specs import ModelSpec
    from skyloom_train.outcome import Outcome
    from skyloom_train.settings import Settings
    from skyloom_train.task import Trainable

_NEEDED = ("torch", "accelerate", "safetensors", "tensorboard")
INTERRUPTED = 130


def train(
    model: Annotated[str, typer.Argument(help="The model to train a network for.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to make; the name of the model by default.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings in TOML or JSON.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", "-O", metavar="NAME=VALUE", help="A setting, e.g. loop.steps=1000 or preset=wide."
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Time that the training may take in all; sets loop.minutes.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in the folder.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Write the settings, and do not train.")] = False,
) -> None:
    """Train a network.

    The best one is kept in the folder 'best' of the output, ready for 'skyloom export'.
    """
    spec, trainable = find(model)
    folder = output or Path(spec.name)
    changes = list(assignments or ())
    if minutes is not None:
        changes.append(f"loop.minutes={minutes}")
    settings = settings_for(trainable, folder, config, changes, resume=resume)
    if show:
        show_json(settings.model_dump(mode="json"))
        return
    outcome = run(spec, trainable, settings, folder, resume=resume)
    figures = ", ".join(f"{name} {value:.4g}" for name, value in outcome.figures.items())
    if outcome.figures:
        say(f"Best at step {outcome.best_step}: {figures}; kept in {outcome.checkpoint}")
    say(f"{outcome.rate:.3g} examples a second, {outcome.waiting:.0%} of the time waiting for data")
    if not outcome.finished:
        say(f"Stopped at step {outcome.step}; go on with --resume", err=True)
        raise typer.Exit(INTERRUPTED)


def find(model: str) -> tuple[ModelSpec, Trainable]:
    """Return a model and what its plugin says of its training."""
    from skyloom.names import import_target
    from skyloom.plugins import plugins
    from skyloom.specs import ModelSpec

    every = plugins().offers(ModelSpec)
    found = [(record, spec) for record, spec in every if spec.name == model]
    trained = [(record, spec) for record, spec in found if spec.training is not None]
    if not found:
        names = [spec.name for _, spec in every if spec.training is not None]
        raise UnknownNameError(f"no model is called {model!r}{plugins().hint()}", did_you_mean(model, names))
    if len(trained) > 1:
        owners = listed(f"{record.owner} ({spec.task})" for record, spec in trained)
        raise NameClashError(f"the model '{model}' is offered by {owners}", "Disable one of the plugins")
    if not trained:
        record, spec = found[0]
        raise PluginError(
            f"the model '{spec.name}' of {record.owner} does not say how it is trained",
            "Set training= in its ModelSpec" if spec.weights == "bundle" else "It works as it is",
        )
    record, spec = trained[0]
    assert spec.training is not None
    missing = [package for package in _NEEDED if importlib.util.find_spec(package) is None]
    if missing:
        raise MissingExtraError(listed(missing).replace("'", ""), "train", "train a network")
    from skyloom_train.task import Trainable

    try:
        declare = import_target(spec.training)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise PluginError(
            f"'{spec.name}' of {record.owner} cannot import '{spec.training}': {error}",
            f"Reinstall {record.distribution}, or report this to its authors",
        ) from error
    trainable = declare()
    if not isinstance(trainable, Trainable):
        raise PluginError(
            f"'{spec.training}' of {record.owner} returned a {type(trainable).__name__}",
            "It should return a skyloom_train.Trainable",
        )
    return spec, trainable


def settings_for(
    trainable: Trainable, folder: Path, config: Path | None, changes: list[str], *, resume: bool
) -> Settings:
    """Return the settings of a new training, or those of the one that is resumed, with changes."""
    from skyloom_train.overrides import choose

    start: dict[str, Any] | None = None
    if resume:
        from skyloom_train.training_folder import stored_settings

        start = stored_settings(folder, trainable.settings).model_dump(mode="json")
    return choose(trainable, file=config, assignments=changes, start=start)


def run(
    spec: ModelSpec, trainable: Trainable, settings: Settings, folder: Path, *, resume: bool = False
) -> Outcome:
    """Train, and show how it goes."""
    from skyloom_train.loop import train as train_in
    from skyloom_train.progress_display import shown

    with shown(sys.stderr.isatty()) as show:
        return train_in(
            trainable, settings, folder, model=spec.name, task=spec.task, resume=resume, show=show
        )
