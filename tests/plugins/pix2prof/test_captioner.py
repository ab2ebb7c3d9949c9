"""Profiles are those of the published procedure; bad input is refused or flagged, never told about."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from skyloom import Images, Profile
from skyloom.bundle import Bundle
from skyloom.errors import BundleError, InputError, NotFiniteError
from skyloom.execution import Execution
from skyloom.testing.examples import galaxies
from skyloom_pix2prof import decoding
from skyloom_pix2prof.captioner import Pix2ProfCaptioner, symmetries
from skyloom_pix2prof.config import Pix2ProfConfig
from skyloom_pix2prof.decoding import ParallelPredictor, RecurrentPredictor
from skyloom_pix2prof.image_checks import Verdict
from skyloom_pix2prof.preprocessing import prepare
from skyloom_runs.profiling import caption

from . import tiny


def captioner(**options: Any) -> Pix2ProfCaptioner:
    return Pix2ProfCaptioner(replace(tiny.bundle(), execution=Execution("cpu")), **options)


def disc(count: int = 3, size: int = 40, **options: Any) -> Images:
    return galaxies(count, ("r",), (size, size), **options)


def only(images: Images, **options: Any) -> Profile:
    (profile,) = captioner(**options).caption(images)
    return profile


def test_the_published_procedure_gives_the_same_profiles() -> None:
    images = disc(9)
    profiles = captioner().caption(images)
    expected = [tiny.published(tiny.network(), image) for image in prepare(images.data[:, 0], tiny.CONFIG)]
    lengths = [len(values) for values in expected]
    assert len(set(lengths)) > 2
    for profile, values in zip(profiles, expected, strict=True):
        kept = values[: -(tiny.CONFIG.halting_window + 1)]
        np.testing.assert_allclose(profile.values, kept, atol=1e-4)
        np.testing.assert_allclose(profile.axis, 0.2 * np.arange(len(kept)))
        assert np.ptp(values[-tiny.CONFIG.halting_window :]) < 0.1  # what was removed is a plateau
    assert {profile.stopped for profile in profiles} == {"halted"}
    assert (profiles[0].axis_unit, profiles[0].value_unit) == ("arcsec", "mag / arcsec2")


@pytest.mark.parametrize(("slots", "stride"), [(1, 3), (2, 7), (4, 1000), (128, 1)])
def test_sequences_take_turns_without_a_trace(
    slots: int, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few places there are, and however often the graph is called, nothing else comes out."""
    expected = captioner().caption(disc(7))
    monkeypatch.setattr(decoding, "SLOTS", slots)
    monkeypatch.setattr(decoding, "STRIDE", stride)
    for one, other in zip(captioner().caption(disc(7)), expected, strict=True):
        np.testing.assert_allclose(one.values, other.values, atol=1e-5)


class Saying:
    """A session that says what it is told to, step by step, and counts how often it is asked."""

    def __init__(self, sequences: list[list[float]], limit: int) -> None:
        self.sequences, self.limit, self.sizes = sequences, limit, list[int]()

    def run(self, inputs: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        which, count, steps = inputs["state"][:, 0, 0].astype(int), inputs["count"], len(inputs["ticks"])
        self.sizes.append(len(which))
        values = np.zeros((len(which), steps, 1), np.float32)
        after = count.copy()
        for row, number in enumerate(which):
            new = self.sequences[number][count[row] : count[row] + steps]
            values[row, : len(new), 0] = new
            after[row] += len(new)
        halted = np.array([after[row] == len(self.sequences[n]) for row, n in enumerate(which)])
        same = {f"next_{name}": inputs[name] for name in ("token", "state", "recent")}
        return {"values": values, "next_count": after, "halted": halted, **same}


def test_who_has_halted_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "SLOTS", 2)
    monkeypatch.setattr(decoding, "STRIDE", 10)
    sequences = [[float(n)] * length for n, length in enumerate((40, 5, 25, 10, 1))]
    session: Any = Saying(sequences, 40)
    config = Pix2ProfConfig(max_steps=40)
    codes = np.repeat(np.arange(5, dtype=np.float32)[:, None], 512, axis=1)
    told = RecurrentPredictor(session, session, config).unroll(codes)
    assert [one.values[:, 0].tolist() for one in told] == sequences
    assert [one.halted for one in told] == [False, True, True, True, True]  # the first ran to the limit
    assert session.sizes == [2, 2, 2, 2, 2, 1] or sum(session.sizes) == 10


def test_graphs_are_always_called_with_as_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of images: what a row holds may depend on the number of rows."""
    monkeypatch.setattr(decoding, "SLOTS", 4)
    sequences = [[float(n)] * length for n, length in enumerate((40, 5, 25, 10, 1))]
    for count in range(1, 6):
        decoder: Any = Saying(sequences, 40)
        encoder: Any = Encoding()
        images = np.arange(count, dtype=np.float32)[:, None, None, None] * np.ones((1, 1, 8, 8), np.float32)
        found = RecurrentPredictor(encoder, decoder, Pix2ProfConfig(max_steps=41, hidden=8))(images)
        assert [one.values[:, 0].tolist() for one in found] == sequences[:count]
        assert set(decoder.sizes) == {4}
        assert encoder.sizes == [decoding.BATCH]


class Encoding:
    """A session that encodes an image by its first pixel."""

    def __init__(self) -> None:
        self.sizes = list[int]()

    def run(self, inputs: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        self.sizes.append(len(inputs["image"]))
        return {"code": np.repeat(inputs["image"][:, 0, 0, :1], 8, axis=1)}


def test_what_never_halts_keeps_all_its_values() -> None:
    told = decoding.Sequence(np.arange(17, dtype=np.float32)[:, None], halted=False)
    profile = captioner()._profile([told], Verdict())
    assert (len(profile), profile.stopped) == (17, "max-length")


def test_other_channels_become_columns() -> None:
    two = captioner()
    two.config = two.config.model_copy(update={"channels": ("surface_brightness", "ellipticity")})
    values = np.stack([np.linspace(20, 26, 30), np.linspace(0, 0.5, 30)], 1).astype(np.float32)
    profile = two._profile([decoding.Sequence(values, True)], Verdict())
    np.testing.assert_allclose(profile.columns["ellipticity"], values[:19, 1])
    empty = two._profile([], Verdict(refused="masked"))
    assert (len(empty), list(empty.columns)) == (0, ["ellipticity"])


def test_every_band_is_told_by_itself() -> None:
    images = galaxies(2, ("g", "r", "i"), (40, 40))
    together = captioner().caption(images)
    assert [(one.name, one.band) for one in together] == [(n, b) for n in "01" for b in "gri"]
    alone = captioner().caption(images.select(("r",)))
    np.testing.assert_allclose(together[1].values, alone[0].values, atol=1e-5)


def test_flux_units_do_not_matter() -> None:
    """The same sky in nanojansky and in maggies gives the same profile."""
    images = disc(1)
    expected = only(images).values
    for zero_point in (31.4, 0.0):
        factor = 10 ** (0.4 * (zero_point - 22.5))
        other = Images.from_array(images.data * factor, ("r",), pixel_scale=0.4, zero_point=zero_point)
        np.testing.assert_allclose(only(other).values, expected, atol=1e-3)


def test_another_scale_is_resampled_and_flagged() -> None:
    """The same galaxy in pixels half as wide; without noise, which would average out."""
    y, x = np.mgrid[:160, :160] - 79.5

    def image(width: int) -> np.ndarray[Any, Any]:
        fine = np.exp(-0.5 * (x**2 + y**2) / 32**2)
        rows = 160 // width
        return np.asarray(fine.reshape(rows, width, rows, width).sum((1, 3)) / 16)

    coarse = Images.from_array(image(4), ("r",), pixel_scale=0.4, zero_point=22.5)
    fine = Images.from_array(image(2), ("r",), pixel_scale=0.2, zero_point=22.5)
    expected, found = only(coarse), only(fine)
    assert (expected.flags, found.flags) == ((), ("resampled",))
    length = min(len(expected), len(found))
    np.testing.assert_allclose(found.values[:length], expected.values[:length], atol=0.02)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pixel_scale": None}, "no pixel scale"),
        ({"zero_point": None}, "no zero-point"),
        ({"pixel_scale": 0.04}, "the network learned at 0.4"),
        ({"pixel_scale": 4.0}, "the network learned at 0.4"),
        ({"size": 31}, "Give cutouts of 32 pixels"),
        ({"pixel_scale": 0.3}, "Give cutouts of 43 pixels"),
    ],
)
def test_images_that_cannot_be_captioned_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        captioner().caption(disc(1, **changes))


def flagged(images: Images) -> tuple[str, tuple[str, ...], int]:
    profile = only(images)
    return profile.stopped, profile.flags, len(profile)


def changed(**changes: Any) -> Images:
    return replace(disc(1), **changes)


def test_a_flux_scale_that_is_off_is_named() -> None:
    data = disc(1).data
    faint = ("off-scale", ("flux-too-faint", "maggies-as-nanomaggies"), 0)
    assert flagged(changed(data=data * np.float32(1e-9))) == faint
    bright = ("off-scale", ("flux-too-bright", "nanomaggies-as-maggies"), 0)
    assert flagged(changed(data=data * np.float32(1e9))) == bright
    assert flagged(changed(data=data * np.float32(1e25))) == ("off-scale", ("flux-too-bright",), 0)


def test_images_without_a_galaxy_are_flagged() -> None:
    noise = np.random.default_rng(1).normal(0, 0.02, (1, 1, 40, 40)).astype(np.float32)
    assert flagged(changed(data=noise))[1] == ("no-source",)
    assert flagged(changed(data=np.full((1, 1, 40, 40), 0.3, np.float32))) == ("empty", ("constant",), 0)
    assert flagged(changed(data=np.zeros((1, 1, 40, 40), np.float32))) == ("empty", ("constant",), 0)


def test_a_sky_that_was_left_is_flagged() -> None:
    wide = disc(1, size=64)
    for sky in (0.1, -0.1):
        assert flagged(replace(wide, data=wide.data + np.float32(sky)))[1] == ("sky-left",)
    assert flagged(wide)[1] == ()


def test_saturated_and_blank_images_are_flagged() -> None:
    data = disc(1).data
    assert "saturated" in flagged(changed(data=np.minimum(data, np.float32(0.5))))[1]
    star = np.minimum(data, np.float32(0.5))
    star[..., 3:5, 3:5] = 3
    assert "saturated" in flagged(changed(data=star))[1]
    blank = data.copy()
    blank[..., :12] = 0
    assert "zeros" in flagged(changed(data=blank))[1]


def test_masked_pixels_are_filled_and_flagged() -> None:
    images = disc(1)
    mask = np.zeros(images.shape, bool)
    mask[..., 5:9, 5:9] = True
    star = np.where(mask, np.float32(50), images.data)
    filled = only(replace(images, data=star, mask=mask.copy()))
    assert filled.flags == ("masked",)
    shared = min(len(filled), len(only(images)))
    np.testing.assert_allclose(filled.values[:shared], only(images).values[:shared], atol=0.1)
    assert not np.allclose(only(replace(images, data=star)).values[:3], only(images).values[:3], atol=0.1)
    mask[..., 19:21, 19:21] = True
    assert only(replace(images, mask=mask.copy())).flags == ("masked-centre", "masked", "half-masked")
    reach = len(only(images)) * tiny.CONFIG.step / 0.4
    assert 12 < reach < 26  # pixels
    for place, flags in ((0, ()), (12, ("masked",))):
        one = np.zeros_like(mask)
        one[..., place, place] = True
        assert only(replace(images, mask=one)).flags == flags
    mask[..., :, :30] = True
    assert flagged(replace(images, mask=mask)) == ("masked", ("masked",), 0)


def test_uncertainty_is_the_scatter_over_symmetries() -> None:
    images = disc(2)
    config = tiny.CONFIG
    told = [
        [
            np.array(tiny.published(tiny.network(), np.ascontiguousarray(version)))
            for version in symmetries(prepare(image[0], config), 8)
        ]
        for image in images.data
    ]
    for profile, versions in zip(captioner(samples=8).caption(images), told, strict=True):
        length = len(versions[0]) - config.halting_window - 1
        held = [version[np.minimum(np.arange(length), len(version) - 1)] for version in versions]
        assert profile.uncertainty is not None
        np.testing.assert_allclose(profile.uncertainty, np.std(held, axis=0, ddof=1), atol=1e-4)
        np.testing.assert_allclose(profile.values, versions[0][:length], atol=1e-4)
    assert captioner().caption(images)[0].uncertainty is None


@pytest.mark.parametrize(("error", "samples"), [(0.25, 1), (0.25, 8), (1e-9, 8)])
def test_uncertainty_is_the_usual_error_unless_the_scatter_is_larger(error: float, samples: int) -> None:
    images = galaxies(1, ("g",), (36, 36), pixel_scale=0.4)
    usual = captioner(samples=samples)
    usual.config = usual.config.model_copy(update={"errors": ((20.0, 0.0), (30.0, 10 * error))})
    profile = usual.caption(images)[0]
    expected = error * np.clip(profile.values - 20, 0, 10)
    if samples > 1:
        scatter = captioner(samples=samples).caption(images)[0].uncertainty
        assert scatter is not None
        expected = np.maximum(expected, scatter)
    assert profile.uncertainty is not None
    np.testing.assert_allclose(profile.uncertainty, expected, rtol=1e-6)


def test_the_eight_symmetries_differ_and_begin_with_the_image() -> None:
    image = np.arange(9, dtype=np.float32).reshape(3, 3)
    found = symmetries(image, 8)
    assert len({version.tobytes() for version in found}) == 8
    assert found[0] is not None
    np.testing.assert_array_equal(found[0], image)


@pytest.mark.parametrize("samples", [0, 9])
def test_samples_out_of_range(samples: int) -> None:
    with pytest.raises(InputError, match="samples"):
        captioner(samples=samples)


def test_settings_that_make_no_sense_are_refused() -> None:
    good = tiny.bundle()
    manifest = good.manifest.model_copy(update={"settings": {"width": "wide"}})
    with pytest.raises(BundleError, match="at 'width'"):
        Pix2ProfCaptioner(replace(good, manifest=manifest))


@pytest.mark.parametrize("wanted", ["int8", "bf16"])
def test_a_precision_of_the_encoder_alone_leaves_the_decoder_in_fp32(wanted: str) -> None:
    asked: list[tuple[str, Any]] = []

    class Recording:
        execution = Execution(precision=wanted, threads=3)
        manifest = tiny.bundle().manifest

        def session(self, graph: str, execution: Execution | None = None) -> str:
            asked.append((graph, execution))
            return graph

    bundle: Any = Recording()
    decoding.open_predictor(bundle, tiny.CONFIG)
    assert asked == [("encoder", None), ("decoder", Execution(threads=3))]


def test_an_encoder_that_was_not_measured_in_bf16_is_not_run_in_it() -> None:
    with pytest.raises(InputError, match="no 'encoder' in bf16: what that does to its results was not"):
        Pix2ProfCaptioner(replace(tiny.bundle(), execution=Execution("openvino", "bf16")))


def test_a_transformer_tells_all_at_once() -> None:
    class CaptionerGraph:
        def run(self, inputs: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
            count = np.arange(1, len(inputs["image"]) + 1)
            values = np.broadcast_to(np.arange(20.0, 30.0)[:, None], (len(count), 10, 1))
            return {"values": values, "count": count, "halted": count < 10}

    session: Any = CaptionerGraph()
    told = ParallelPredictor(session, Pix2ProfConfig())(np.zeros((11, 1, 8, 8), np.float32))
    assert [len(one.values) for one in told] == [*range(1, 9), 1, 2, 3]
    assert all(one.halted for one in told)


def test_a_bundle_of_a_transformer_is_opened_as_one() -> None:
    class Recording:
        def session(self, graph: str) -> str:
            return graph

    bundle: Any = Recording()
    config = Pix2ProfConfig(decoder="transformer")
    found = decoding.open_predictor(bundle, config)
    assert found == ParallelPredictor("captioner", config)  # type: ignore[arg-type]


def without_numbers(path: Path, graph: str) -> Bundle:
    """Return the tiny bundle with NaN for all weights of one of its graphs, and digests that agree."""
    shutil.copytree(tiny.folder(), path)
    manifest = json.loads((path / "manifest.json").read_text())
    inner = manifest["graphs"][graph]["path"]
    model = onnx.load_from_string((path / inner).read_bytes())
    for weights in model.graph.initializer:
        if weights.data_type == onnx.TensorProto.FLOAT:
            array = onnx.numpy_helper.to_array(weights)
            weights.CopyFrom(onnx.numpy_helper.from_array(np.full_like(array, np.nan), weights.name))
    data = model.SerializeToString()
    (path / inner).write_bytes(data)
    manifest["files"][inner] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (path / "manifest.json").write_text(json.dumps(manifest))
    return Bundle.open(path, Execution("cpu"))


@pytest.mark.parametrize("graph", ["encoder", "decoder"])
def test_of_weights_that_are_no_numbers_every_image_is_refused(tmp_path: Path, graph: str) -> None:
    model = Pix2ProfCaptioner(without_numbers(tmp_path / "nan", graph))
    images = disc(11)
    with pytest.raises(InputError, match=f"no finite numbers of '{images.names[0]}'.*the bundle again"):
        model.caption(images)
    profiles, refused = caption(model, images)
    assert profiles == []
    assert [fault.name for _, fault in refused] == list(images.names)


@pytest.mark.parametrize("samples", [1, 3])
def test_an_image_of_which_nothing_finite_is_made_is_named_and_spoils_no_other(samples: int) -> None:
    model = captioner(samples=samples)
    images = disc(10)
    tell, expected = model.predict, model.caption(images)
    bad = symmetries(prepare(images.data[:, 0], tiny.CONFIG)[7], samples)[-1]

    class Choking:
        @property
        def session(self) -> Any:
            return tell.session

        def __call__(self, prepared: np.ndarray[Any, Any]) -> Any:
            found = [number for number, image in enumerate(prepared) if np.array_equal(image[0], bad)]
            if found:
                raise NotFiniteError("captioner", "values", tuple(found))
            return tell(prepared)

    choking: Any = Choking()
    model.predict = choking
    with pytest.raises(InputError, match=f"no finite numbers of '{images.names[7]}'"):
        model.caption(images)
    profiles, refused = caption(model, images)
    assert [(place, fault.name) for place, fault in refused] == [(7, images.names[7])]
    kept = [profile for number, profile in enumerate(expected) if number != 7]
    assert [profile.name for profile in profiles] == [profile.name for profile in kept]
    for one, other in zip(profiles, kept, strict=True):
        np.testing.assert_allclose(one.values, other.values, atol=1e-5)
