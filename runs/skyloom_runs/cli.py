"""The verb ``skyloom profile``: profiles of any number of images, by any captioner."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skyloom.cli import options
from skyloom.cli.output import counted, progress, say, show_json
from skyloom.errors import UnknownNameError, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from skyloom_runs.results import Stored, Summary

TASK = "sequence-captioner"
SHOWN = 20
HINTS = {
    "off-scale": "the flux cannot be right; look at the zero-point, and at what --zero-point says",
    "empty": "the image is constant",
    "masked": "most of what counts is masked",
}
"""What to say of profiles without a step, by their reason."""


def profile(
    images: options.ImagePaths,
    output: Annotated[Path, typer.Option("--output", "-o", help="The table: .ecsv, .parquet or .fits.")],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="A captioner or bundle; by default your only one, or ours."),
    ] = None,
    settings: options.Settings = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of the first images and profiles.")] = None,
    backend: options.Backend = "auto",
    precision: options.Precision = "fp32",
    threads: options.Threads = None,
    processes: options.Processes = 1,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Images to caption at a time; decides the memory alone.")
    ] = 128,
    shard_size: Annotated[
        int, typer.Option(min=1, help="Files to do between two savings of what is done.")
    ] = 64,
    bands: options.Bands = None,
    pattern: options.Pattern = None,
    pixel_scale: options.PixelScale = None,
    zero_point: options.ZeroPoint = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad image.")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew where an earlier run was interrupted.")
    ] = False,
    takeover: Annotated[
        bool, typer.Option("--takeover", help="Go on with a run that seems to be at work elsewhere.")
    ] = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Read profiles off images, into a table.

    A run that was interrupted goes on where it stopped when it is started again. Images that gave no
    profile are listed with the reason in a second table beside it; the status is 1 when there are some.
    """
    from time import perf_counter

    from skyloom import SequenceCaptioner
    from skyloom.figures.style import check_figure
    from skyloom.reading import expand_source
    from skyloom_runs.engine import local_engine
    from skyloom_runs.inputs import without_outputs
    from skyloom_runs.plotting import plot_profiles
    from skyloom_runs.processes import process_engine
    from skyloom_runs.profiling import ProfileJob
    from skyloom_runs.recipe import Recipe
    from skyloom_runs.run import run
    from skyloom_runs.table_result import TableResult

    if plot is not None:
        check_figure(plot, overwrite=overwrite)
    result = TableResult(output, remedy="Write images with and without calibration to one table each")
    recipe, captioner = Recipe.of(
        model or _only_bundle(),
        SequenceCaptioner,
        backend=backend,
        precision=precision,
        threads=threads,
        options=options.parse_assignments(settings),
    )
    job = ProfileJob(
        items=without_outputs(expand_source(images, pattern=pattern), output, result.failures_path(output)),
        recipe=recipe,
        made_by=captioner.provenance(),
        result=result,
        bands=options.parse_bands(bands),
        options=options.given(pixel_scale=pixel_scale, zero_point=zero_point),
        batch_size=batch_size,
        shard_size=shard_size,
        model=captioner if processes == 1 else None,
    )
    field, seconds, start = captioner.field_of_view, 0.0, perf_counter()
    del captioner  # several processes have one each, and nobody needs another

    def draw(parts: Sequence[Stored]) -> None:
        nonlocal seconds
        seconds = perf_counter() - start
        if plot is not None:
            plot_profiles(job, result.rows(parts), plot, field=field, overwrite=overwrite)

    with progress("captioning") as update, _resume_hint(output):
        summary = run(
            job,
            output,
            engine=local_engine if processes == 1 else process_engine(processes),
            strict=strict,
            restart=restart,
            overwrite=overwrite,
            takeover=takeover,
            progress=update,
            when_joined=draw,
        )
    beside = result.failures_path(output) if summary.failures else None
    _report(summary, output, beside, plot, seconds, as_json)
    if summary.failures or summary.counts.kinds.get("empty"):
        raise typer.Exit(1)


def _report(
    summary: Summary, output: Path, beside: Path | None, plot: Path | None, seconds: float, as_json: bool
) -> None:
    """Say what was done."""
    counts = summary.counts
    kinds = {kind: counts.kinds.get(kind, {}) for kind in ("empty", "stopped", "flags")}
    if as_json:
        show_json(
            {
                "output": str(output),
                "failures_table": None if beside is None else str(beside),
                "plot": None if plot is None else str(plot),
                "seconds": round(seconds, 3),
                "files": counts.inputs,
                "images": counts.images,
                "profiles": counts.results,
                **kinds,
                "failures": [failure.model_dump(mode="json") for failure in summary.failures],
            }
        )
        return
    profiles, images = counted(counts.results, "profile"), counted(counts.images, "image")
    say(f"{profiles} of {images} in {output}")
    for what in ("stopped", "flags"):
        ordered = sorted(kinds[what].items(), key=lambda item: (-item[1], item[0]))
        if ordered:
            say(f"{what}: {', '.join(f'{name} {count}' for name, count in ordered)}")
    if plot is not None:
        say(f"The first of them are drawn in {plot}")
    for reason, count in sorted(kinds["empty"].items()):
        why = HINTS.get(reason, "its rows hold the flags")
        say(f"skyloom: {counted(count, 'profile')} without a step, '{reason}': {why}", err=True)
    for failure in summary.failures[:SHOWN]:
        which = "" if failure.name == Path(failure.path).stem else f" ({failure.name})"
        say(f"skyloom: no profile of '{failure.path}'{which}: {failure.reason}", err=True)
    more = len(summary.failures) - SHOWN
    if more > 0:
        say(f"skyloom: and {more} more", err=True)
    if beside is not None:
        failed = counted(len(summary.failures), "failure")
        say(f"skyloom: {failed} in {counts.inputs} files; reasons and remedies are in {beside}", err=True)


@contextmanager
def _resume_hint(output: Path) -> Iterator[None]:
    """Tell somebody who interrupts that nothing is lost, where there is something."""
    try:
        yield
    except KeyboardInterrupt:
        if output.with_name(f".{output.name}.run").exists():
            say("skyloom: what is done is kept: the same command goes on from there", err=True)
        raise


def _only_bundle() -> str:
    """Return the name of the user's only bundle of a captioner, or of the one that a plugin offers."""
    from skyloom import listing

    models = [info for info in listing.models(TASK) if info.ready and not info.problem]
    bundles = [info for info in models if info.kind != "model"]
    own = [info.name for info in bundles if info.kind == "bundle"]
    names = own or [info.name for info in bundles]
    if len(names) == 1:
        return names[0]
    if names:
        raise UnknownNameError(f"there are several bundles, {listed(names)}", "Choose with --model")
    others = [info.name for info in models if info.kind == "model"]
    raise UnknownNameError(
        "there is no bundle of a captioner here yet",
        "Choose another captioner with --model"
        + (f", e.g. {listed(others, last='or')}" if others else "")
        + ", give the path of a bundle, or keep one with 'skyloom add'",
    )
