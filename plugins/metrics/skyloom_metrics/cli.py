"""The verb ``skyloom score``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from skyloom.cli.output import AsJson, progress, say, show_fields, show_json, show_table
from skyloom.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from skyloom import Metric, Score
    from skyloom_metrics.inputs import Side


def score(
    metric: Annotated[str, typer.Argument(help="Name of a metric; 'skyloom metrics' lists them.")],
    reference: Annotated[str, typer.Argument(help="What is true: a file, a folder or a glob pattern.")],
    candidate: Annotated[str, typer.Argument(help="What is judged, in the same form.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="An option of the metric, key=value; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resampling.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Draw a figure: .pdf, .svg or .png.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the figure that is there.")] = False,
    bands: Annotated[str | None, typer.Option(help="Bands to read: letters, or names with commas.")] = None,
    pattern: Annotated[
        str | None, typer.Option(help="Files of a folder to take; '*_{band}.fits' for one file a band.")
    ] = None,
    pixel_scale: Annotated[
        float | None, typer.Option(help="Side of a pixel in arcsec, whatever the files say.")
    ] = None,
    zero_point: Annotated[
        float | None, typer.Option(help="AB magnitude of one unit, whatever the files say.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare a candidate with a reference, by any metric.

    Images and fields are read from all formats that Skyloom knows, profiles and catalogues from tables
    (.ecsv, .fits, .csv). Files that cannot be read are left out and named; the status is then 1.
    """
    import skyloom
    from skyloom import Metric
    from skyloom_metrics.inputs import Side

    if plot is not None:
        from skyloom.figures.style import check_figure

        check_figure(plot, overwrite=overwrite)
    name = metric if "/" in metric else f"metric/{metric}"
    model = skyloom.load(name, Metric, **_options(settings or []))
    stated = {
        "bands": _bands(bands),
        "pattern": pattern,
        "pixel_scale": pixel_scale,
        "zero_point": zero_point,
    }
    given = {key: value for key, value in stated.items() if value is not None}
    with progress("reading") as report:
        sides = [Side(path=path, options=given, progress=report) for path in (reference, candidate)]
        found, figure = _judge(model, sides, seed, draw=plot is not None)
    if figure is not None and plot is not None:
        from skyloom.figures.style import save

        save(figure, plot, overwrite=overwrite)
    failures = [failure for side in sides for failure in side.failures]
    if as_json:
        left_out = [{"path": str(failure.path), "reason": failure.reason} for failure in failures]
        show_json(found.model_dump(mode="json") | {"unreadable": left_out})
    else:
        _show(found)
        for failure in failures:
            say(f"skyloom: left out '{failure.path}': {failure.reason}", err=True)
    if failures:
        raise typer.Exit(1)


def _judge(model: Metric, sides: list[Side], seed: int, *, draw: bool) -> tuple[Score, Figure | None]:
    """Compare, and draw what the metric draws, or else the score."""
    one, other = (side.given_to(model) for side in sides)
    if not draw:
        return model.compare(one, other, seed=seed), None
    own = getattr(model, "compare_and_draw", None)
    if own is not None:
        found, figure = own(one, other, seed=seed)
        return found, figure
    from skyloom_metrics.figures.score import draw_score

    found = model.compare(one, other, seed=seed)
    return found, draw_score(found)


def _options(settings: list[str]) -> dict[str, Any]:
    """Return the options of a metric from ``key=value``; values are JSON, or else text."""
    options: dict[str, Any] = {}
    for setting in settings:
        key, sign, text = setting.partition("=")
        key = key.strip().replace("-", "_")
        if not sign or not key.isidentifier():
            raise InputError(f"the setting is '{setting}'", "Write --set key=value")
        if key in options:
            raise InputError(f"the setting '{key}' is given twice", "Give it once")
        try:
            options[key] = json.loads(text)
        except json.JSONDecodeError:
            options[key] = tuple(text.split(",")) if "," in text else text
    return options


def _bands(bands: str | None) -> list[str] | None:
    if bands is None:
        return None
    return bands.split(",") if "," in bands else list(bands)


def _show(found: Score) -> None:
    """Write a score as text."""
    unit = f" {found.unit}" if found.unit else ""
    show_fields(
        [
            (found.metric, f"{found.value:.4g}{unit} ({found.better} is better)"),
            ("68% interval", found.interval and f"{found.interval[0]:.4g} to {found.interval[1]:.4g}"),
            ("floor", "" if found.floor is None else f"{found.floor:.4g}{_verdict(found)}"),
            ("reference", str(found.n_reference)),
            ("candidate", str(found.n_candidate)),
            *((f"left out: {reason}", number) for reason, number in found.excluded.items()),
        ]
    )
    if found.parts:
        say()
        show_table(
            ("part", "value"), [(part, f"{value:.4g}") for part, value in found.parts.items()], empty=""
        )
    for note in found.notes:
        say(f"note: {note}")


def _verdict(found: Score) -> str:
    """Say whether the score can be told from that of a perfect candidate."""
    if found.floor is None or found.interval is None:
        return ""
    low, high = found.interval
    better = low <= found.floor if found.better == "lower" else high >= found.floor
    return ", which the interval reaches" if better else ", which the interval does not reach"
