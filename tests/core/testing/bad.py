"""For every check of the kit, a model that does wrong what the check guards."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from skyloom.bundle.manifest import Manifest
from skyloom.field import Field
from skyloom.names import MANIFEST
from skyloom.profile import Profile
from skyloom.random import generator
from skyloom.specs import ModelSpec
from tests.core.testing import toys
from tests.core.testing.toys import MIDDLE, ROWS, SPREAD, STATIC, WHITE, Middle, Rows, Spread, Static, White

HERE = "tests.core.testing.bad"
BAD: dict[str, ModelSpec] = {}


def bad(check: str, like: ModelSpec, **changed: Any) -> Callable[[type], type]:
    """Enter a class as the bad model for a check."""

    def enter(model: type) -> type:
        BAD[check] = like.model_copy(update={"factory": f"{HERE}:{model.__name__}"} | changed)
        return model

    return enter


def enter(check: str, like: ModelSpec, **changed: Any) -> None:
    """Enter a bad specification for a check."""
    BAD[check] = like.model_copy(update=changed)


# Hygiene

enter("check_task_is_known", ROWS, task="no-such-task")
enter("check_licence_is_stated", ROWS, licence="")
enter("check_targets_resolve", ROWS, factory=f"{HERE}:NoSuchClass")
enter("check_tiny_can_be_made", ROWS, tiny={"no_such_option": 1})
enter("check_expected_failures_exist", ROWS, expected_failures={"check_no_such": "it is not there"})
enter("check_import_is_light", ROWS, factory="tests.core.testing.faulty.heavy:Heavy")
enter("check_import_is_silent", ROWS, factory="tests.core.testing.faulty.loud:Loud")
enter("check_import_changes_nothing", ROWS, factory="tests.core.testing.faulty.meddling:Meddling")


@bad("check_derives_from_interface", ROWS)
class NotACaptioner:
    pass


@bad("check_options_are_keywords", ROWS)
class PositionalOption(Rows):
    def __init__(self, first: int = 0) -> None:
        super().__init__(first=first)


@bad("check_provenance", ROWS)
class Anonymous(Rows):
    def profile(self, *given: Any, **changed: Any) -> Any:
        return super().profile(*given, **changed | {"provenance": None})


class LambdaProfile(Profile):
    def __reduce__(self) -> Any:
        return (lambda: None), ()


@bad("check_results_can_be_pickled", ROWS)
class Unpicklable(Rows):
    def read(self, image: Any) -> list[Any]:
        return [LambdaProfile(**vars(profile)) for profile in super().read(image)]


# Input


@bad("check_result_is_finite", WHITE)
class Poles(White):
    def interpolate(self, *given: Any, **options: Any) -> Any:
        found = super().interpolate(*given, **options)
        return replace(found, data=found.data * np.float32(np.inf))


@bad("check_input_is_not_changed", ROWS)
class Scribbler(Rows):
    def read(self, image: Any) -> list[Any]:
        image.data.base.flags.writeable = True
        image.data.flags.writeable = True
        image.data[...] += 1
        return super().read(image)


@bad("check_batch_size_independent", ROWS)
class BatchNormal(Rows):
    def caption(self, images: Any, *, seed: int = 0) -> list[Any]:
        return super().caption(images.with_data(images.data - images.data.mean(), mask=images.mask))


@bad("check_order_independent", WHITE)
class Numbered(White):
    def noise(self, images: Any, seed: int) -> Any:
        return np.stack([generator(seed, k).standard_normal(images.shape[1:]) for k in range(len(images))])


@bad("check_other_sizes", ROWS)
class OneSize(Rows):
    def read(self, image: Any) -> list[Any]:
        image.data.reshape(2, 16, 16)
        return super().read(image)


@bad("check_unknown_calibration", ROWS)
class Calibrated(Rows):
    def read(self, image: Any) -> list[Any]:
        return [self.profile(image, image.data[0, 0] * image.pixel_scale, "g")]


@bad("check_any_bands", WHITE)
class TwoBands(White):
    def noise(self, images: Any, seed: int) -> Any:
        return super().noise(images, seed) + np.zeros((2, 1, 1))


@bad("check_bands_found_by_name", ROWS)
class FirstBands(Rows):
    def caption(self, images: Any, *, seed: int = 0) -> list[Any]:
        return [profile for image in images for profile in self.read(image)][:2]


@bad("check_masked_pixels_stay_out", ROWS)
class Leaky(Rows):
    def profile(self, image: Any, pixels: Any, band: str, **changed: Any) -> Any:
        return super().profile(image, pixels, band, values=pixels.mean(axis=1)[self.first :])


@bad("check_values_under_mask_do_not_count", ROWS)
class UnderTheMask(Rows):
    def profile(self, image: Any, pixels: Any, band: str, **changed: Any) -> Any:
        return super().profile(image, image.data[0, image.bands.index(band)], band)


# Determinism


@bad("check_same_seed_same_result", STATIC)
class Impulsive(Static):
    def tile(self, seed: int, row: int, column: int) -> Any:
        return self.make(np.random.default_rng().random((1, 8, 6)), seed, row, column)


@bad("check_seeds_leave_no_trace", STATIC)
class Sticky(Static):
    seed = 0

    def tile(self, seed: int, row: int, column: int) -> Any:
        self.seed = max(seed, self.seed)
        return replace(super().tile(self.seed, row, column), provenance=self.provenance(seed))


@bad("check_fresh_instance_same_result", STATIC)
class Individual(Static):
    def __init__(self) -> None:
        self.taste = np.random.default_rng().random()

    def tile(self, seed: int, row: int, column: int) -> Any:
        tile = super().tile(seed, row, column)
        return replace(tile, data=tile.data + self.taste)


@bad("check_other_process_same_result", STATIC)
class Local(Static):
    def tile(self, seed: int, row: int, column: int) -> Any:
        tile = super().tile(seed, row, column)
        return replace(tile, data=tile.data + os.getpid())


@bad("check_seed_matters_as_declared", STATIC)
class Frozen(Static):
    def tile(self, seed: int, row: int, column: int) -> Any:
        return replace(super().tile(0, row, column), provenance=self.provenance(seed))


@bad("check_global_random_state", STATIC)
class Global(Static):
    def tile(self, seed: int, row: int, column: int) -> Any:
        random.random()
        return super().tile(seed, row, column)


# Refusals


@bad("check_bad_seed_refused", STATIC)
class AnySeed(Static):
    def tile(self, seed: int, row: int, column: int) -> Any:
        return super().tile(abs(int(seed)), row, column)


class Trusting(Rows):
    """Takes everything as it comes."""

    def caption(self, images: Any, *, seed: int = 0) -> list[Any]:
        return [profile for image in images for profile in self.read(image)]


enter("check_wrong_type_refused", ROWS, factory=f"{HERE}:Trusting")
enter("check_empty_batch_refused", ROWS, factory=f"{HERE}:Trusting")
enter("check_all_masked_refused", ROWS, factory=f"{HERE}:Trusting")
enter("check_missing_band_refused", ROWS, factory=f"{HERE}:Trusting")


# Bundles


def wrong_golden(path: Path) -> None:
    """Write a bundle whose graph is not its network."""
    toys.tiny_bundle(path)
    with np.load(path / "golden.npz") as arrays:
        golden = dict(arrays)
    golden["scale/outputs/y"] += 1
    np.savez(path / "golden.npz", **golden)
    manifest = json.loads((path / MANIFEST).read_text())
    data = (path / "golden.npz").read_bytes()
    record = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest["files"]["golden.npz"] = record
    (path / MANIFEST).write_text(Manifest.model_validate(manifest).model_dump_json())


def other_model(path: Path) -> None:
    toys.tiny_bundle(path, model="another")


def fixed_batch(path: Path) -> None:
    toys.tiny_bundle(path, axis=4)


enter("check_graphs_match_network", MIDDLE, tiny_bundle=f"{HERE}:wrong_golden")
enter("check_bundle_names_its_model", MIDDLE, tiny_bundle=f"{HERE}:other_model")
enter("check_batch_axis_is_free", MIDDLE, tiny_bundle=f"{HERE}:fixed_batch")


@bad("check_backend_is_honoured", MIDDLE)
class Pretender(Middle):
    def __init__(self, bundle: Any) -> None:
        super().__init__(bundle)
        self.backend = "cuda"


# Captioners


class Altered(Rows):
    """Changes its profiles."""

    def change(self, profile: Any) -> dict[str, Any]:
        raise NotImplementedError

    def read(self, image: Any) -> list[Any]:
        return [replace(profile, **self.change(profile)) for profile in super().read(image)]


@bad("check_one_profile_a_band", ROWS)
class Nameless(Altered):
    def change(self, profile: Any) -> dict[str, Any]:
        return {"band": "r"}


@bad("check_something_is_read", ROWS)
class Blind(Altered):
    def change(self, profile: Any) -> dict[str, Any]:
        return {"axis": [], "values": [], "uncertainty": None}


@bad("check_axis_increases", ROWS)
class Backward(Altered):
    def change(self, profile: Any) -> dict[str, Any]:
        return {"axis": profile.axis[::-1]}


@bad("check_values_are_finite", ROWS)
class Magnitudes(Altered):
    def change(self, profile: Any) -> dict[str, Any]:
        return {"values": np.where(profile.axis > 5, np.nan, profile.values)}


@bad("check_uncertainty_is_not_negative", ROWS)
class Overconfident(Altered):
    def change(self, profile: Any) -> dict[str, Any]:
        return {"uncertainty": -profile.uncertainty}


@bad("check_stop_has_a_reason", ROWS)
class Silent(Altered):
    def change(self, profile: Any) -> dict[str, Any]:
        return {"stopped": ""}


@bad("check_units_are_known", ROWS)
class Mixed(Altered):
    def change(self, profile: Any) -> dict[str, Any]:
        return {"axis_unit": "pix" if profile.band == "g" else "arcsec"}


@bad("check_batch_decides_no_value", ROWS)
class RoundedByBatch(Rows):
    def caption(self, images: Any, *, seed: int = 0) -> list[Any]:
        return [
            replace(profile, values=profile.values * (1 + 1e-15 * (len(images) > 1)))
            for profile in super().caption(images)
        ]


# Generators


@bad("check_tile_is_as_declared", STATIC)
class Oversized(Static):
    def make(self, data: Any, *place: Any, **changed: Any) -> Any:
        return super().make(np.concatenate([data, data], axis=1), *place, **changed)


@bad("check_fields_are_finite", STATIC)
class Dead(Static):
    def make(self, data: Any, *place: Any, **changed: Any) -> Any:
        return super().make(data * np.inf, *place, **changed)


@bad("check_tiles_need_no_order", STATIC)
class Chained(Static):
    made = 0

    def tile(self, seed: int, row: int, column: int) -> Any:
        self.made += 1
        return self.make(generator(seed, self.made).random((1, 8, 6)), seed, row, column)


@bad("check_tiles_differ", STATIC)
class Symmetric(Static):
    def tile(self, seed: int, row: int, column: int) -> Any:
        return self.make(generator(seed, row + column).random((1, 8, 6)), seed, row, column)


@bad("check_field_is_woven_tiles", STATIC)
class Blended(Static):
    def generate(self, shape: Any, seed: int = 0) -> Any:
        field = super().generate(shape, seed)
        return replace(field, data=0.5 * (field.data + np.roll(field.data, 1, axis=1)))


@bad("check_stream_is_field", STATIC)
class Drifting(Static):
    def stream(self, path: Any, shape: Any, seed: int = 0, **options: Any) -> Any:
        return super().stream(path, shape, seed + 1, **options)


@bad("check_bad_shape_refused", STATIC)
class Shapeless(Static):
    def generate(self, shape: Any, seed: int = 0) -> Any:
        return Field(data=np.zeros((1, max(1, int(shape[0])), 5), np.float32), bands=("r",))


@bad("check_bad_place_refused", STATIC)
class Rounded(Static):
    def tile(self, seed: int, row: int, column: int) -> Any:
        return super().tile(seed, int(row), int(column))


# Priors


@bad("check_samples_are_images", WHITE)
class Stingy(White):
    def sample(self, n: int, **options: Any) -> Any:
        return super().sample(n, **options)[:2]


@bad("check_samples_are_numbered", WHITE)
class Unnumbered(White):
    def sample(self, n: int, *, seed: int = 0, steps: Any = None, first: int = 0) -> Any:
        return super().sample(n, seed=seed)


@bad("check_samples_differ", WHITE)
class Monotonous(White):
    def sample(self, n: int, *, seed: int = 0, steps: Any = None, first: int = 0) -> Any:
        found = super().sample(n, seed=seed, first=first)
        return found.with_data(np.zeros(found.shape) + seed)


@bad("check_meaning_is_kept", WHITE)
class Forgetful(White):
    def translate(self, *given: Any, **options: Any) -> Any:
        return replace(super().translate(*given, **options), pixel_scale=None)


@bad("check_inpaint_keeps_known_pixels", WHITE)
class Restless(White):
    def inpaint(self, *given: Any, **options: Any) -> Any:
        found = super().inpaint(*given, **options)
        return found.with_data(found.data * np.float32(1.0001))


@bad("check_inpaint_fills_holes", WHITE)
class Idle(White):
    def inpaint(self, images: Any, mask: Any = None, **options: Any) -> Any:
        super().inpaint(images, mask, **options)
        return images


@bad("check_inpaint_mask_is_default", WHITE)
class OwnMask(White):
    def inpaint(self, images: Any, mask: Any = None, **options: Any) -> Any:
        return super().inpaint(images, None, **options)


@bad("check_translate_nothing", WHITE)
class Jumpy(White):
    def translate(self, images: Any, strength: float = 0.5, **options: Any) -> Any:
        return super().translate(images, 0.1 + 0.9 * strength, **options)


@bad("check_translate_forgets", WHITE)
class Nostalgic(White):
    def translate(self, images: Any, strength: float = 0.5, **options: Any) -> Any:
        return super().translate(images, min(strength, 0.9) if strength == 1 else strength, **options)


@bad("check_translate_strength_refused", WHITE)
class Clipped(White):
    def translate(self, images: Any, strength: float = 0.5, **options: Any) -> Any:
        return super().translate(images, min(max(strength, 0), 1), **options)


@bad("check_interpolate_ends", WHITE)
class Swapped(White):
    def interpolate(self, a: Any, b: Any, weight: float = 0.5, **options: Any) -> Any:
        return super().interpolate(a, b, 1 - weight, **options)


@bad("check_interpolate_pairs", WHITE)
class Unpaired(White):
    def interpolate(self, a: Any, b: Any, weight: float = 0.5, **options: Any) -> Any:
        return super().interpolate(a[: len(b)], b, weight, **options)


@bad("check_sample_count_refused", WHITE)
class Absolute(White):
    def sample(self, n: int, **options: Any) -> Any:
        return super().sample(abs(int(n)), **options)


# Metrics


@bad("check_compares_a_known_kind", SPREAD)
class Pears(Spread):
    compares = "apples"


class Adjusted(Spread):
    """Changes its scores."""

    changed: dict[str, Any] = {}

    def score(self, value: float, one: Any, other: Any, **changed: Any) -> Any:
        return super().score(value, one, other, **self.changed | changed)


@bad("check_score_names_metric", SPREAD)
class Misnamed(Adjusted):
    changed = {"metric": "fid"}


@bad("check_sample_sizes", SPREAD)
class Uncounted(Adjusted):
    changed = {"n_reference": 0}


@bad("check_score_is_a_number", SPREAD)
class Ratio(Spread):
    def score(self, value: float, one: Any, other: Any, **changed: Any) -> Any:
        with np.errstate(divide="ignore"):
            return super().score(float(np.float64(1 + value) / self.spread(one)), one, other)


@bad("check_interval_holds_value", SPREAD)
class Inverted(Adjusted):
    changed = {"interval": (2.0, 1.0)}


@bad("check_same_is_best", SPREAD)
class Offset(Spread):
    def score(self, value: float, *given: Any, **changed: Any) -> Any:
        return super().score(value + 0.1, *given, **changed)


@bad("check_more_noise_is_worse", SPREAD)
class Saturated(Spread):
    def score(self, value: float, *given: Any, **changed: Any) -> Any:
        return super().score(min(value, 1.0), *given, **changed)


@bad("check_order_of_items_is_free", SPREAD)
class HeadOnly(Spread):
    def spread(self, images: Any) -> float:
        return super().spread(images[:5])


@bad("check_zero_points_of_both_sides", SPREAD)
class AnyZeroPoint(Spread):
    def compare(self, reference: Any, candidate: Any, *, seed: int = 0) -> Any:
        return super().compare(reference, replace(candidate, zero_point=None), seed=seed)


@bad("check_bands_of_both_sides", SPREAD)
class AnyBands(Spread):
    def compare(self, reference: Any, candidate: Any, *, seed: int = 0) -> Any:
        return self.score(abs(self.spread(candidate) - self.spread(reference)), reference, candidate)
