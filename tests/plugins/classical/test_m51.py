"""The ellipse-fit table of M51 that comes with photutils' data, made by the task `ellipse` of IRAF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from skyloom import Images
from skyloom_classical.isophote import Isophote

FOLDER = Path(__file__).parents[4] / "shared" / "data" / "m51_isophotes"


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the real data are not beside the project")
def test_m51_is_read_as_iraf_reads_it() -> None:
    table = fits.getdata(FOLDER / "M51_table.fits")
    axis, light = np.array(table["SMA"], float), np.array(table["INTENS"], float)
    (profile,) = Isophote(neighbours="mask").caption(Images.open(FOLDER / "M51.fits"))
    assert (profile.axis_unit, profile.value_name) == ("pix", "flux")
    both = (axis > 2) & (axis < profile.axis[-1])
    difference = np.abs(2.5 * np.log10(np.interp(axis[both], profile.axis, profile.values) / light[both]))
    assert np.median(difference) < 0.04
    assert difference.max() < 0.3  # in the arms, where ellipses mean least
