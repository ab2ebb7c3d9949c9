"""Source extraction against SEP on the whole image, and against the truth of mock fields."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sep
from numpy.typing import NDArray
from scipy.spatial import KDTree

from skyloom import Field, Images
from skyloom.errors import InputError, InputTypeError
from skyloom_metrics import detection, extraction
from skyloom_metrics.detection import Extraction
from skyloom_metrics.extraction import extract
from skyloom_metrics.mosaic import Mosaic, expect_mosaic, mosaics
from skyloom_metrics.source_counts import SourceCounts
from skyloom_sky.fields import MockField

DATA = Path(__file__).parents[4] / "shared/data"


@pytest.fixture(scope="module")
def field() -> Field:
    return MockField("desi").generate((900, 1000), seed=1)


def noise(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def spots(places: list[tuple[int, int]], shape: tuple[int, int], *, bands: int = 1) -> Field:
    """Return noise of one with round Gaussian sources of flux 4000 at (row, column)."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    light = sum(
        np.exp(-0.5 * ((y - row) ** 2 + (x - column) ** 2) / 4) / (8 * np.pi) for row, column in places
    )
    data = 4000 * np.asarray(light) + noise((bands, *shape))
    return Field(
        data=data, bands=tuple("grizy"[:bands]), pixel_scale=0.5, zero_point=(25.0,) * bands, unit="nmgy"
    )


def peaks(mosaic: Mosaic, **settings: Any) -> set[tuple[int, int]]:
    sources = extract(mosaic, Extraction(**settings)).sources
    return set(zip(sources.x_peak.tolist(), sources.y_peak.tolist(), strict=True))


def test_one_tile_is_sep_itself(field: Field) -> None:
    mean = np.ascontiguousarray(field.data.mean(axis=0))
    background = sep.Background(mean)
    objects = sep.extract(mean - background, 5.0, err=background.rms(), minarea=5)
    found = extract(expect_mosaic(field), Extraction()).sources
    assert len(found) == len(objects) > 100
    order = np.lexsort((objects["xpeak"], objects["ypeak"]))
    assert np.allclose(found.x, objects["x"][order], atol=1e-3)
    assert np.allclose(found.a, objects["a"][order], rtol=1e-3)


@pytest.mark.parametrize("tile", [256, 384])
def test_tiles_find_what_the_whole_field_has(field: Field, tile: int) -> None:
    mosaic = expect_mosaic(field)
    whole, tiled = (extract(mosaic, Extraction(tile=size, overlap=256)) for size in (4096, tile))
    assert len(whole.sources) == len(tiled.sources)
    assert np.array_equal(whole.sources.x_peak, tiled.sources.x_peak)
    assert np.array_equal(whole.sources.y_peak, tiled.sources.y_peak)
    assert whole.area == tiled.area == 900 * 1000
    ratio = tiled.sources.flux / whole.sources.flux
    assert np.median(np.abs(ratio - 1)) < 1e-3


def test_a_source_at_a_seam_is_counted_once() -> None:
    places = [(255, 255), (256, 100), (100, 256), (257, 400), (254, 330), (255, 200)]
    found = extract(expect_mosaic(spots(places, (512, 512))), Extraction(tile=256, overlap=64)).sources
    tree = KDTree(np.stack([found.y, found.x], axis=1))
    near = [len(tree.query_ball_point(place, 2.0)) for place in places]
    assert near == [1] * len(places)


def test_a_duplicate_across_tiles_is_dropped_and_a_lone_one_kept() -> None:
    """Two tiles may place the brightest pixel of one source on different sides of the seam."""
    (one,) = (extract(expect_mosaic(spots([(64, 64)], (128, 128))), Extraction()).sources,)
    cells = [(slice(0, 128), slice(0, 65)), (slice(0, 128), slice(65, 128))]
    beyond = one.moved(1, 0)  # the right tile sees it one pixel further right
    assert len(extraction._once([one, beyond], cells)) == 1
    assert (
        len(extraction._once([one[np.zeros(len(one), bool)], one], cells)) == 1
    )  # a source that its own tile missed


def test_bright_sources_of_a_mock_field_are_complete_and_unbiased(field: Field) -> None:
    table = SourceCounts().catalogue(field)
    truth = field.catalogue
    assert truth is not None
    true = np.stack([truth[f"magnitude_{band}"].value for band in field.bands], axis=1)
    x, y = truth["x"].value, truth["y"].value
    rows, columns = field.shape
    inside = (x > 20) & (y > 20) & (x < columns - 20) & (y < rows - 20)
    bright = inside & (true[:, 1] < 21)
    distance: Any
    distance, nearest = KDTree(np.stack([table["x"].value, table["y"].value], axis=1)).query(
        np.stack([x, y], axis=1)[bright]
    )
    assert bright.sum() > 20
    assert (distance < 2).mean() > 0.9
    for number, band in enumerate(field.bands):
        measured = table[f"magnitude_{band}"].unmasked.value[nearest]
        bias = np.median((measured - true[bright][:, number])[distance < 2])
        assert 0 <= bias < 0.1  # Kron apertures of 2.5 radii hold some 95% of the light


def test_flux_of_a_gaussian_is_exact_and_its_size_right() -> None:
    table = SourceCounts().catalogue(spots([(60, 70)], (128, 128), bands=2))
    assert len(table) == 1
    assert table["x"].value[0] == pytest.approx(70, abs=0.05)
    assert table["flux_g"].value[0] == pytest.approx(4000, rel=0.03)
    assert table["magnitude_r"].unmasked.value[0] == pytest.approx(25 - 2.5 * np.log10(4000), abs=0.03)
    assert table["half_light_radius"].unmasked.value[0] == pytest.approx(0.5 * 1.1774 * 2, rel=0.05)


def test_every_source_must_reach_the_threshold_in_enough_pixels() -> None:
    data = noise((1, 128, 128))
    data[0, 40, 40:44] = 40.0  # four pixels, and in the corners of the image nothing
    lone = expect_mosaic(Field(data=data, bands=("g",)))
    assert not peaks(lone, smoothing=0)
    assert len(peaks(lone, smoothing=0, min_pixels=4)) == 1
    assert not peaks(lone, smoothing=0, min_pixels=4, threshold=60)


def test_limits_of_sep_are_raised_and_put_back() -> None:
    kept = sep.get_extract_pixstack(), sep.get_sub_object_limit()
    data = noise((1, 512, 512))
    data[0, 20:200, 20:200] += 50 + 5 * noise((180, 180), 1)
    mosaic = expect_mosaic(Field(data=data, bands=("g",)))
    sep.set_extract_pixstack(1000)
    sep.set_sub_object_limit(2)
    try:
        assert len(extract(mosaic, Extraction(mesh=1024)).sources) > 0
        assert (sep.get_extract_pixstack(), sep.get_sub_object_limit()) == (1000, 2)
    finally:
        sep.set_extract_pixstack(kept[0])
        sep.set_sub_object_limit(kept[1])


def test_what_cannot_be_deblended_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "_MOST_SUB_OBJECTS", 2)
    kept = sep.get_sub_object_limit()
    data = noise((1, 512, 512))
    data[0, 20:200, 20:200] += 200 + 30 * noise((180, 180), 1)
    sep.set_sub_object_limit(2)
    try:
        found = extract(expect_mosaic(Field(data=data, bands=("g",))), Extraction(mesh=1024, smoothing=0))
    finally:
        sep.set_sub_object_limit(kept)
    assert len(found.sources) == 1
    assert found.notes == ("too many sources overlap to be told apart, and count as one",)


def test_other_errors_of_sep_come_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(sep, "extract", broken)
    with pytest.raises(RuntimeError, match="something else"):
        extract(expect_mosaic(spots([], (64, 64))), Extraction())


def test_pixels_without_value_hold_no_source_and_do_not_count() -> None:
    seen = spots([(30, 30), (90, 90)], (128, 128))
    data = seen.data.copy()
    data[0, 80:100, 80:100] = np.nan
    data[0, 0, 0] = np.inf
    found = extract(expect_mosaic(Field(data=data, bands=("g",))), Extraction())
    assert len(found.sources) == 1
    assert found.area == 128 * 128 - 401


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_a_field_of_one_value_has_no_source(value: float) -> None:
    found = extract(expect_mosaic(Field(data=np.full((2, 64, 80), value), bands=("g", "r"))), Extraction())
    assert len(found.sources) == 0
    assert found.area == (0 if np.isnan(value) else 64 * 80)


def test_a_field_without_noise_is_told_of() -> None:
    data = np.zeros((1, 200, 200), np.float32)
    data[0, 50:56, 50:56] = 1.0
    found = extract(expect_mosaic(Field(data=data, bands=("g",))), Extraction())
    assert len(found.sources) == 1
    assert "no noise" in found.notes[0]


def test_any_byte_order_and_type_will_do() -> None:
    plain = spots([(30, 30), (70, 90)], (128, 128))
    others = [plain.data.astype(">f4"), plain.data.astype("f8"), plain.data[:, ::-1][:, ::-1]]
    wanted = peaks(expect_mosaic(plain))
    assert len(wanted) == 2
    for other in others:
        field = Field(data=other, bands=("g",))
        object.__setattr__(field, "data", other)  # as a memory-mapped field would be
        assert peaks(expect_mosaic(field)) == wanted
    whole: Any = (plain.data * 10).astype(np.int16)
    assert len(peaks(expect_mosaic(Field(data=whole, bands=("g",))))) == 2


def test_a_file_gives_what_memory_gives(field: Field, tmp_path: Path) -> None:
    path = replace(field, catalogue=None).to_fits(tmp_path / "field.fits")
    on_disk = expect_mosaic(path)
    assert (on_disk.bands, on_disk.shape, on_disk.unit) == (field.bands, field.shape, field.unit)
    assert on_disk.zero_point == field.zero_point
    assert on_disk.pixel_scale == field.pixel_scale
    here = extract(expect_mosaic(field), Extraction(tile=512, overlap=256)).sources
    there = extract(on_disk, Extraction(tile=512, overlap=256)).sources
    assert np.array_equal(here.flux, there.flux)


def test_bands_in_files_of_their_own_are_one_field(field: Field, tmp_path: Path) -> None:
    paths = {}
    for number, band in enumerate(field.bands):
        one = Field(data=field.data[number : number + 1], bands=(band,), zero_point=(22.5,))
        paths[band] = one.to_fits(tmp_path / f"{band}.fits")
    (joined,) = mosaics(paths)
    assert joined.bands == field.bands
    assert joined.zero_point == (22.5,) * 3
    assert peaks(joined) == peaks(expect_mosaic(field))
    small = Field(data=noise((1, 10, 10)), bands=("z",)).to_fits(tmp_path / "small.fits")
    with pytest.raises(InputError, match=r"'z'.*10x10"):
        list(mosaics(paths | {"z": small}))
    with pytest.raises(InputError, match="no band"):
        list(mosaics({}))


def test_other_files_and_flat_images_are_fields_too(tmp_path: Path) -> None:
    data = spots([(30, 30)], (64, 64)).data
    np.save(tmp_path / "field.npy", data)
    assert len(peaks(expect_mosaic(tmp_path / "field.npy"))) == 1
    from astropy.io import fits

    fits.PrimaryHDU(data[0]).writeto(tmp_path / "flat.fits")
    flat = expect_mosaic(tmp_path / "flat.fits")
    assert flat.bands == ("band0",)
    assert peaks(flat) == peaks(expect_mosaic(tmp_path / "field.npy"))
    fits.HDUList([fits.PrimaryHDU(data[0]), fits.ImageHDU(data[0], name="r")]).writeto(tmp_path / "two.fits")
    assert expect_mosaic(tmp_path / "two.fits").shape == (64, 64)  # as the reader understands it
    (tmp_path / "broken.fits").write_bytes(b"SIMPLE")
    with pytest.raises(OSError, match=r"broken\.fits"):
        list(mosaics(tmp_path / "broken.fits"))


def test_images_are_fields_with_their_masks() -> None:
    field = spots([(30, 30)], (64, 64))
    mask = np.zeros((64, 64), bool)
    mask[20:40, 20:40] = True
    images = Images.from_array(np.stack([field.data, field.data]), ["g"])
    assert len(list(mosaics(images))) == 2
    assert not peaks(expect_mosaic(images[0].with_data(images[0].data, mask=mask)))
    with pytest.raises(InputError, match="2 fields"):
        expect_mosaic(images)


@pytest.mark.parametrize("given", [np.zeros((4, 4)), 3, None, b"abc"])
def test_what_is_no_field_is_refused(given: object) -> None:
    with pytest.raises(InputTypeError, match="Field"):
        list(mosaics(given))


def test_bands_that_are_not_there_are_named() -> None:
    with pytest.raises(InputError, match="'z'"):
        expect_mosaic(spots([], (32, 32))).select(["z"])


def test_progress_counts_tiles() -> None:
    seen: list[tuple[int, int]] = []
    extract(
        expect_mosaic(spots([], (300, 200))),
        Extraction(tile=256, overlap=64),
        progress=lambda *at: seen.append(at),
    )
    assert seen == [(1, 2), (2, 2)]


def test_the_real_field_has_its_sources() -> None:
    folder = DATA / "field_gama_gri"
    if not folder.exists():
        pytest.skip("the shared field is not on this machine")
    table = SourceCounts().catalogue({band: folder / f"{band}.fits" for band in "gri"})
    assert 1200 < len(table) < 2500  # its authors speak of about 1,400 by another definition
    colour = (table["magnitude_g"] - table["magnitude_i"]).unmasked[~table["magnitude_g"].mask]
    assert 0 < np.median(colour.value) < 2
