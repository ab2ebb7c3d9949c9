"""Profiles of any number of images, by any captioner, as rows of a table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom import SequenceCaptioner
from skyloom.errors import InputError
from skyloom.profile import column_unit, profiles_from_table, table_meta
from skyloom_runs.failures import RefusedError, attempt
from skyloom_runs.image_job import ImageJob
from skyloom_runs.job import Outcome
from skyloom_runs.names import escaped
from skyloom_runs.results import Counts
from skyloom_runs.table_result import NAME, PATH
from skyloom_runs.tables import Column, Schema

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from skyloom import Images, Profile
    from skyloom_runs.image_job import Process
    from skyloom_runs.tables import Block


@dataclass(frozen=True, kw_only=True)
class ProfileJob(ImageJob[SequenceCaptioner]):
    """Reads profiles."""

    interface, verb = SequenceCaptioner, "profile"

    def process(self, *, threads: int | None = None) -> Process:
        """Load the captioner."""
        captioner = self.load(threads=threads)
        given = ", ".join(f"{what} {value}" for what, value in self.options.items())
        meta = {"given": given} if given else {}
        return lambda images: profiled(captioner, images, meta)


def profiled(captioner: SequenceCaptioner, images: Images, meta: Mapping[str, str]) -> Outcome:
    """Return the profiles of images as rows of a table."""
    found, refused = _read(captioner, images)
    products = []
    for _, some in groupby(found, lambda one: _columns(one[0])):
        profiles, paths = zip(*some, strict=True)
        products.append(((_schema(profiles, meta), _block(profiles, paths)), _counts(profiles)))
    return Outcome(products, refused)


def caption(
    captioner: SequenceCaptioner, images: Images
) -> tuple[list[Profile], list[tuple[int, RefusedError]]]:
    """Caption images; where they are refused, one by one, so that one does not spoil the others.

    Returns
    -------
    The profiles, and the place of each image without one, with the reason.
    """
    found, refused = _read(captioner, images)
    return [profile for profile, _ in found], refused


def _read(
    captioner: SequenceCaptioner, images: Images
) -> tuple[list[tuple[Profile, str]], list[tuple[int, RefusedError]]]:
    """Return the profiles of images, each with the path of its image, and the images without one."""
    found, refused = attempt(partial(_captioned, captioner), images, refusal=_refused, fault=_fault)
    return [pair for pairs in found for pair in pairs], refused


def _captioned(captioner: SequenceCaptioner, images: Images) -> list[tuple[Profile, str]]:
    """Caption images; a profile belongs to the image and band of its place."""
    profiles = captioner.caption(images)
    paths = images.paths or ("",) * len(images)
    keys = [
        (name, band, escaped(path))
        for name, path in zip(images.names, paths, strict=True)
        for band in images.bands
    ]
    if len(profiles) != len(keys):
        raise InputError(
            f"the model gave {len(profiles)} profiles of {len(keys)} bands",
            "Report it to the authors of the model",
        )
    return [
        (_called(profile, name, band), path)
        for profile, (name, band, path) in zip(profiles, keys, strict=True)
    ]


def _called(profile: Profile, name: str, band: str) -> Profile:
    """Return a profile with the name of its image and band, whatever the model calls it."""
    return profile if (profile.name, profile.band) == (name, band) else replace(profile, name=name, band=band)


def _fault(pairs: Sequence[tuple[Profile, str]]) -> str:
    finite = all(np.isfinite(profile.values).all() for profile, _ in pairs)
    return "" if finite else "the model gave values that are not finite"


def _refused(images: Images, reason: str, remedy: str) -> RefusedError:
    path = images.paths[0] if images.paths else images.names[0]
    return RefusedError(path, images.names[0], reason, remedy)


def _columns(profile: Profile) -> tuple[object, ...]:
    """Return what profiles must have in common to be rows of one block."""
    named = (profile.axis_name, profile.axis_unit, profile.value_name, profile.value_unit)
    return (*named, *profile.columns)


def _schema(profiles: Sequence[Profile], meta: Mapping[str, str]) -> Schema:
    """Return the columns of a table of profiles that are alike."""
    first = profiles[0]
    units = {
        first.axis_name: first.axis_unit,
        first.value_name: first.value_unit,
        f"{first.value_name}_error": first.value_unit,
        **{name: column_unit(name, first.value_unit) for name in first.columns},
    }
    numbers = [Column(name=name, unit=unit) for name, unit in units.items()]
    texts = {name: Column(name=name, kind="text") for name in (NAME, PATH, "band", "stopped", "flags")}
    return Schema(
        columns=(texts[NAME], texts[PATH], texts["band"], *numbers, texts["stopped"], texts["flags"]),
        subject=f"{first.value_name} over {first.axis_name}",
        meta={**table_meta(profiles), **meta},
    )


def _block(profiles: Sequence[Profile], paths: Sequence[str]) -> Block:
    """Return the rows of profiles that are alike: one a step, and one of NaN where there is no step."""
    first = profiles[0]
    lengths = [max(len(profile), 1) for profile in profiles]

    def repeated(texts: Sequence[str]) -> NDArray[Any]:
        return np.repeat(np.array(texts, object), lengths)

    def joined(arrays: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64]:
        pairs = zip(arrays, lengths, strict=True)
        return np.concatenate(
            [np.full(length, np.nan) if array is None or not len(array) else array for array, length in pairs]
        )

    return {
        NAME: repeated([profile.name for profile in profiles]),
        PATH: repeated(paths),
        "band": repeated([profile.band for profile in profiles]),
        first.axis_name: joined([profile.axis for profile in profiles]),
        first.value_name: joined([profile.values for profile in profiles]),
        f"{first.value_name}_error": joined([profile.uncertainty for profile in profiles]),
        **{name: joined([profile.columns[name] for profile in profiles]) for name in first.columns},
        "stopped": repeated([escaped(profile.stopped) for profile in profiles]),
        "flags": repeated([escaped(",".join(profile.flags)) for profile in profiles]),
    }


def first_profiles(rows: Iterable[tuple[Schema, Block]], count: int) -> dict[str, list[Profile]]:
    """Return the profiles of the first images of a table, by the names of the images.

    Parameters
    ----------
    rows
        The rows of the table in their order, with their columns; no more are taken than are needed.
    count
        How many images.
    """
    found: dict[str, list[Profile]] = {}
    for schema, group in groupby(rows, lambda pair: pair[0]):
        blocks: list[Block] = []
        names: dict[str, None] = {}
        for _, block in group:
            blocks.append(block)
            names |= dict.fromkeys(block[NAME].tolist())
            if len(found) + len(names) > count:  # the last image that is wanted is complete
                break
        wanted = set(list(names)[: count - len(found)])
        for profile in _profiles(schema, blocks, wanted):
            found.setdefault(profile.name, []).append(profile)
        if len(found) >= count:
            break
    return found


def _profiles(schema: Schema, blocks: Sequence[Block], names: Container[str]) -> list[Profile]:
    """Return the profiles in rows of a table that are of images with some names."""
    from astropy.table import QTable
    from astropy.units import Unit

    table = QTable(meta=schema.meta)
    kept = np.array([name in names for block in blocks for name in block[NAME]])
    for column in schema.columns:
        values = np.concatenate([block[column.name] for block in blocks])[kept]
        table[column.name] = values * Unit(column.unit) if column.unit else values
    return profiles_from_table(table)


def _counts(profiles: Sequence[Profile]) -> Counts:
    """Count profiles: those of at least one step, and of which kind all of them are."""
    kinds = {
        "stopped": Counter(profile.stopped for profile in profiles),
        "empty": Counter(profile.stopped for profile in profiles if not len(profile)),
        "flags": Counter(flag for profile in profiles for flag in profile.flags),
    }
    return Counts(
        results=sum(len(profile) > 0 for profile in profiles),
        kinds={kind: dict(counter) for kind, counter in kinds.items() if counter},
    )
