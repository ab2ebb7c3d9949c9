"""The verb ``skyloom score``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skyloom.cli import options
from skyloom.cli.output import progress, say, show_fields, show_json, show_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from skyloom import Metric, Score
    from skyloom_metrics.inputs import Side


def score(
    metric: Annotated[str, typer.Argument(help="Name of a metric; 'skyloom metrics' lists them.")],
    reference: Annotated[str, typer.Argument(help="What is true: a file, a folder or a glob pattern.")],
    candidate: Annotated[str, typer.Argument(help="What is judged, in the same form.")],
    settings: options.Settings = None,
    seed: options.Seed = 0,
    plot: Annotated[Path | None, typer.Option(help="Draw a figure: .pdf, .svg or .png.")] = None,
    overwrite: options.Overwrite = False,
    bands: options.Bands = None,
    pattern: options.Pattern = None,
    pixel_scale: options.PixelScale = None,
    zero_point: options.ZeroPoint = None,
    as_json: options.AsJson = False,
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
    model = skyloom.load(name, Metric, **options.parse_assignments(settings))
    how = options.given(
        bands=options.parse_bands(bands), pattern=pattern, pixel_scale=pixel_scale, zero_point=zero_point
    )
    with progress("reading") as report:
        sides = [Side(path=path, options=how, progress=report) for path in (reference, candidate)]
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
