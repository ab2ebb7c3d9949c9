"""Bands, scale, zero-point and unit of headers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_area
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from skyloom import Images
from skyloom.reading.fits_keywords import metadata_from_keywords, split_bands
from skyloom.reading.metadata import canonical_unit

small = st.floats(-1e-3, 1e-3).filter(lambda value: abs(value) > 1e-7)


@given(st.tuples(small, small, small, small))
def test_scale_of_a_cd_matrix_agrees_with_astropy(matrix: Any) -> None:
    assume(abs(matrix[0] * matrix[3] - matrix[1] * matrix[2]) > 1e-12)
    header = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0}
    header |= dict(zip(("CD1_1", "CD1_2", "CD2_1", "CD2_2"), matrix, strict=True))
    expected = np.sqrt(proj_plane_pixel_area(WCS(header))) * 3600
    assert metadata_from_keywords(header, 1).pixel_scale == pytest.approx(expected, rel=6e-9)


@given(st.tuples(small, small), st.floats(-3, 3))
def test_scale_of_steps_and_rotation_agrees_with_astropy(steps: Any, angle: Any) -> None:
    header = {"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR", "CDELT1": steps[0], "CDELT2": steps[1]}
    header |= {
        "PC1_1": np.cos(angle),
        "PC1_2": -np.sin(angle),
        "PC2_1": np.sin(angle),
        "PC2_2": np.cos(angle),
    }
    header = {key: value if isinstance(value, str) else float(value) for key, value in header.items()}
    expected = np.sqrt(proj_plane_pixel_area(WCS(header))) * 3600
    assert metadata_from_keywords(header, 1).pixel_scale == pytest.approx(expected, rel=6e-9)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"CTYPE1": "RA---TAN", "CDELT1": -0.5, "CDELT2": 0.5, "CUNIT1": "arcsec", "CUNIT2": "arcsec"}, 0.5),
        ({"CTYPE1": "LINEAR", "CDELT1": 1.0, "CDELT2": 1.0}, None),
        ({"CDELT1": 1.0, "CDELT2": 1.0}, None),
        ({"CTYPE1": "RA---TAN", "CD1_1": 0.0, "CD2_2": 0.0, "PIXSCALE": 0.3}, 0.3),
        ({"SECPIX": -0.4}, 0.4),
        ({"PIXSCALE": -0.4, "SECPIX": 0.3}, 0.3),
        ({"PIXSCALE": float("nan")}, None),
        ({"PIXSCALE": "0.3"}, None),
        ({"PIXSCALE": 10**400}, None),
        ({}, None),
    ],
)
def test_scales_that_are_stated_or_not_there(header: Any, expected: Any) -> None:
    assert metadata_from_keywords(header, 1).pixel_scale == (
        None if expected is None else pytest.approx(expected, rel=1e-8)
    )


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"PIXSCALE": -0.4}, "PIXSCALE = -0.4"),
        ({"PIXSCALE": 0}, "PIXSCALE = 0"),
        ({"PIXSCALE": -0.4, "SECPIX": 0}, "PIXSCALE = -0.4"),
        ({"PIXSCALE": float("inf")}, "PIXSCALE = inf"),
        ({"PIXSCALE": 1e300}, "PIXSCALE = 1e+300"),
        ({"PIXSCALE": 1e-300}, "PIXSCALE = 1e-300"),
        ({"PIXSCALE": "0.3"}, "PIXSCALE = '0.3'"),
        ({"CTYPE1": "RA---TAN", "CDELT1": 1e200, "CDELT2": 1e90}, "of the coordinates = "),
    ],
)
def test_scales_that_cannot_be_are_left_out_with_a_note(header: Any, said: str) -> None:
    found = metadata_from_keywords(header, 1)
    assert found.pixel_scale is None
    assert found.scale_note.startswith(f"the pixel scale {said}")
    assert found.scale_note.endswith(" is not one in arcsec and is left out")


def test_the_notes_of_scale_and_unit_are_those_of_what_counts(tmp_path: Path) -> None:
    hdu = fits.PrimaryHDU(np.ones((4, 4)))
    hdu.header.update({"PIXSCALE": -0.4, "BUNIT": "furlong"})
    hdu.writeto(tmp_path / "a.fits")
    noted, values = {}, {"unit": "nmgy", "pixel_scale": 0.4}
    for stated in ((), ("unit",), ("pixel_scale",), ("unit", "pixel_scale")):
        stream = Images.stream(tmp_path / "a.fits", None, **{what: values[what] for what in stated})  # type: ignore[arg-type]
        (images,) = stream
        assert images.pixel_scale == (0.4 if "pixel_scale" in stated else None)
        noted[stated] = list(stream.notes)
    scale = "the pixel scale PIXSCALE = -0.4 is not one in arcsec and is left out"
    unit = "the unit 'furlong' is not one that astropy knows and is left out"
    assert noted == {
        (): [f"{unit}; {scale}"],
        ("unit",): [scale],
        ("pixel_scale",): [unit],
        ("unit", "pixel_scale"): [],
    }


@pytest.mark.parametrize(
    ("header", "depth", "expected"),
    [
        ({"BAND0": "g", "BAND1": "r"}, 2, ("g", "r")),
        ({"BAND1": "g", "BAND2": "r"}, 2, ("g", "r")),
        ({"FILTER0": "F606W", "FILTER1": "F814W"}, 2, ("F606W", "F814W")),
        ({"BAND0": "g"}, 2, None),
        ({"BANDS": "grz"}, 3, ("g", "r", "z")),
        ({"BANDS": "g, r;z"}, 3, ("g", "r", "z")),
        ({"BANDS": "grz"}, 2, None),
        ({"BANDS": "ggz"}, 3, None),
        ({"FILTER": "r SDSS"}, 1, ("r SDSS",)),
        ({"BAND": " "}, 1, None),
    ],
)
def test_bands(header: Any, depth: Any, expected: Any) -> None:
    assert metadata_from_keywords(header, depth).bands == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"MAGZP0": 22.5, "MAGZP1": 23}, (22.5, 23.0)),
        ({"MAGZP0": 22.5}, None),
        ({"MAGZPT": 25}, (25.0, 25.0)),
        ({"ZP": 27.0, "BUNIT": "nmgy"}, (27.0, 27.0)),
        ({"BUNIT": "nanomaggies"}, (22.5, 22.5)),
        ({"BUNIT": "adu"}, None),
        ({"MAGZP": True}, None),
    ],
)
def test_zero_points(header: Any, expected: Any) -> None:
    assert metadata_from_keywords(header, 2).zero_point == expected


@pytest.mark.parametrize("text", ["nJy", "Jy", "uJy", "MJy", "10^-9 mgy", "nanomaggy"])
def test_a_flux_density_implies_its_zero_point(text: str) -> None:
    unit, zero_point, note = canonical_unit(text)
    flux = (1 * units.Unit(unit)).to(units.Jy, units.zero_point_flux(3631 * units.Jy))
    assert zero_point == pytest.approx(flux.to_value(units.ABmag), abs=2e-4)  # 3631 Jy is rounded
    assert not note


@pytest.mark.parametrize("text", ["furlongs per fortnight", "a/b/c", "counts per bogus", "(", "1/0"])
def test_an_unknown_unit_is_noted(text: str) -> None:
    unit, zero_point, note = canonical_unit(text)
    assert (unit, zero_point) == ("", None)
    assert text in note


@settings(max_examples=25, deadline=None)  # astropy takes its time to say what else may have been meant
@given(st.text(max_size=12))
def test_any_text_is_a_unit_or_a_note(text: str) -> None:
    unit, _, note = canonical_unit(text.strip())
    assert not text.strip() or bool(unit) != bool(note)


@given(st.text(max_size=12), st.integers(1, 5))
def test_split_bands_gives_as_many_names_as_planes(text: str, depth: Any) -> None:
    names = split_bands(text, depth)
    assert names is None or len(set(names)) == depth
