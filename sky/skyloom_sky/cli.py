"""The verb ``sky``: mock galaxies and fields with a known truth."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from skyloom.cli.options import Overwrite, Processes, Seed
from skyloom.cli.output import progress, say

app = typer.Typer(
    help="Mock galaxies and fields whose truth is known.", no_args_is_help=True, rich_markup_mode=None
)

if TYPE_CHECKING:
    from skyloom.frozen import Frozen

Kind = TypeVar("Kind", bound="Frozen")


class Form(StrEnum):
    """How images are written."""

    fits = "fits"
    zarr = "zarr"


Preset = Annotated[str, typer.Option(help="Preset: sdss, desi or xdf; or a JSON file.")]


@app.command()
def galaxies(
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of galaxies.")] = 100,
    preset: Preset = "desi",
    seed: Seed = 0,
    form: Annotated[Form, typer.Option("--format", help="Format of the images.")] = Form.fits,
    sheet: Annotated[bool, typer.Option("--sheet", help="Write a contact sheet, too.")] = False,
    processes: Processes = 1,
    overwrite: Overwrite = False,
) -> None:
    """Write images of galaxies with profiles and a table of what is true of them."""
    from skyloom_sky.mock import MockConfig, MockSky
    from skyloom_sky.writing import write_galaxies

    sky = MockSky(_config(preset, MockConfig), seed)
    with progress("drawing") as update:
        write_galaxies(
            sky,
            folder,
            count=count,
            form=form.value,
            sheet=sheet,
            processes=processes,
            overwrite=overwrite,
            progress=lambda done: update(done, count),
        )
    say(f"{count} galaxies in {folder}")


@app.command()
def field(
    path: Annotated[Path, typer.Argument(help="FITS file to write; the catalogue goes beside it.")],
    size: Annotated[tuple[int, int], typer.Option(help="Rows and columns.")] = (2048, 2048),
    preset: Preset = "xdf",
    seed: Seed = 0,
    sheet: Annotated[Path | None, typer.Option(help="PNG to write of the field, too.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a field of any size with the catalogue of its sources."""
    from skyloom_sky.fields import FieldConfig, MockField
    from skyloom_sky.writing import write_field

    sky = MockField(_config(preset, FieldConfig))
    with progress("weaving") as update:
        write_field(sky, path, size, seed=seed, sheet=sheet, overwrite=overwrite, progress=update)
    say(f"a field of {size[0]}x{size[1]} pixels in {path}")


def _config(preset: str, kind: type[Kind]) -> str | Kind:
    """Return the name of a preset, or the configuration in a JSON file."""
    if not preset.endswith(".json"):
        return preset
    from pydantic import ValidationError

    from skyloom.errors import InputError
    from skyloom.frozen import first_fault

    remedy = "Start from the config.json of a run"
    try:
        return kind.model_validate_json(Path(preset).read_text(encoding="utf-8"))
    except ValidationError as error:
        raise InputError(f"'{preset}' is not a configuration, {first_fault(error)}", remedy) from None
    except UnicodeDecodeError:
        raise InputError(f"'{preset}' is not a configuration, it is not text", remedy) from None
    except OSError as error:
        raise InputError(f"'{preset}' cannot be read: {error.strerror}", remedy) from None
