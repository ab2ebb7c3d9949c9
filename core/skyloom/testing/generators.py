"""Checks of models that weave fields out of tiles."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.field import Field, Tile
from skyloom.testing.check import TaskChecks, check, checks_in
from skyloom.testing.compare import difference, not_finite
from skyloom.testing.failures import expect, expect_same
from skyloom.testing.inputs import Call
from skyloom.testing.refusals import expect_refusal

if TYPE_CHECKING:
    from skyloom.testing.subject import Subject


def _odd_shape(model: Any) -> tuple[int, int]:
    """Return rows and columns that are no multiple of the tile's."""
    return model.tile_shape[0] + 3, 2 * model.tile_shape[1] - 1


def checks() -> TaskChecks:
    """Return what the task ``field-generator`` adds to the kit."""
    calls = (
        Call(name="tile", run=lambda model, _, seed: model.tile(seed, 1, 2), takes_inputs=False),
        Call(
            name="generate",
            run=lambda model, _, seed: model.generate(_odd_shape(model), seed),
            takes_inputs=False,
        ),
    )
    return TaskChecks(calls=calls, checks=checks_in(__name__))


@check()
def check_tile_is_as_declared(subject: Subject) -> None:
    """A tile has the declared shape, knows its place, and has the bands of all others."""
    model = subject.model
    bands = model.tile(1, 0, 0).bands
    for place in ((0, 0), (1, 2)):
        tile = model.tile(1, *place)
        wanted = (tuple(model.tile_shape), place, bands)
        found = (tile.shape, (tile.row, tile.column), tile.bands) if isinstance(tile, Tile) else type(tile)
        expect(
            wanted == found,
            f"a Tile of (shape, place, bands) {wanted}",
            f"{found}",
            "Return skyloom.Tile(data=..., row=row, column=column, ...) of shape (band, *tile_shape)",
        )


@check()
def check_fields_are_finite(subject: Subject) -> None:
    """Every pixel of a field is a number."""
    where = not_finite(subject.results())
    expect(not where, "finite pixels", f"NaN or infinity in {where}", "Find where it comes from")


@check()
def check_tiles_need_no_order(subject: Subject) -> None:
    """A tile is the same whatever was made before it."""
    forward, backward = subject.make(), subject.make()
    places = [(0, 0), (0, 1), (1, 0), (1, 1)]
    one = {place: forward.tile(3, *place) for place in places}
    other = {place: backward.tile(3, *place) for place in places[::-1]}
    for place in places:
        expect_same(
            difference(one[place], other[place]),
            f"tile {place} to be the same in any order",
            "Draw its random numbers from generator(seed, row, column), and keep no state",
        )


@check()
def check_tiles_differ(subject: Subject) -> None:
    """Tiles at different places are different, transposed and negative places included."""
    places = [(0, 0), (0, 1), (1, 0), (-1, 0), (0, -1)]
    tiles = [subject.model.tile(3, *place).data for place in places]
    for number, place in enumerate(places):
        twins = [places[k] for k in range(number) if np.array_equal(tiles[k], tiles[number])]
        expect(
            not twins,
            "different tiles at different places",
            f"the same at {place} and {twins}",
            "Use both row and column, with their signs, in generator(seed, row, column)",
        )


@check()
def check_field_is_woven_tiles(subject: Subject) -> None:
    """A field is its tiles side by side, cut to the shape asked for, for shapes that are no multiple."""
    model = subject.model
    rows, columns = model.tile_shape
    tiles = [[model.tile(1, row, column).data for column in range(2)] for row in range(2)]
    woven = np.concatenate([np.concatenate(row, axis=2) for row in tiles], axis=1)
    for shape in ((1, 1), (rows, columns), _odd_shape(model)):
        field = model.generate(shape, 1)
        expect(
            isinstance(field, Field) and field.shape == shape,
            f"a Field of {shape} pixels",
            f"{field!r}",
            "Leave generate() as FieldGenerator has it, or return what it returns",
        )
        wrong = difference(woven[:, : shape[0], : shape[1]], field.data)
        expect_same(wrong, f"a field of {shape} pixels that is its tiles", "Weave what tile() returns")


@check()
def check_stream_is_field(subject: Subject) -> None:
    """The file that ``stream`` writes holds the field that ``generate`` returns."""
    from astropy.io import fits

    shape = _odd_shape(subject.model)
    field = subject.model.generate(shape, 1)
    with tempfile.TemporaryDirectory(prefix="skyloom-check-") as folder:
        written = fits.getdata(subject.model.stream(Path(folder, "field.fits"), shape, 1), memmap=False)
    wrong = difference(field.data, np.asarray(written, np.float32))
    expect_same(wrong, "the file to hold the field", "Leave stream() as FieldGenerator has it")


@check()
def check_bad_shape_refused(subject: Subject) -> None:
    """A field without pixels, or of a shape that is no pair of integers, is refused."""
    for shape in ((0, 5), (-1, 5), (2.5, 5), (5,), "5x5"):
        expect_refusal(
            partial(subject.model.generate, shape, 1), ValueError, f"generate of the shape {shape!r}"
        )


@check()
def check_bad_place_refused(subject: Subject) -> None:
    """A tile at a place that is no pair of integers is refused."""
    for place in ((0, 1.5), (1.5, 0), ("a", 0), (0, None)):
        expect_refusal(partial(subject.model.tile, 1, *place), TypeError, f"tile at the place {place!r}")
