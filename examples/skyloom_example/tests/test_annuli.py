"""Profiles of images whose profile is known."""

import numpy as np
import pytest

from skyloom import Images
from skyloom.errors import InputError
from skyloom_example.annuli import Annuli, radius_from_centre

SIZE, LENGTH, NOISE = 101, 12.0, 0.01


def disc(seed: int = 0, length: float = LENGTH, **meaning: object) -> Images:
    """Return an exponential disc with a central brightness of 1 and noise."""
    noise = np.random.default_rng(seed).normal(0, NOISE, (SIZE, SIZE))
    pixels = np.exp(-radius_from_centre(SIZE, SIZE) / length) + noise
    return Images.from_array(pixels, ("r",), **meaning)  # type: ignore[arg-type]


def test_exponential_disc_is_a_straight_line_in_magnitudes() -> None:
    (profile,) = Annuli(step=2.0).caption(disc(pixel_scale=0.5, zero_point=25.0))
    expected = 25 + 2.5 * np.log10(0.5**2) + 2.5 / np.log(10) * profile.axis / (0.5 * LENGTH)
    assert profile.uncertainty is not None
    bright = profile.axis < 3 * 0.5 * LENGTH
    assert np.abs(profile.values - expected)[bright] == pytest.approx(0, abs=0.06)
    assert (profile.axis_unit, profile.value_unit) == ("arcsec", "mag / arcsec2")
    assert profile.axis[:2].tolist() == [0.5, 1.5]


def test_uncertainty_is_the_scatter_of_repetitions() -> None:
    profiles = [Annuli(step=4.0).caption(disc(seed))[0] for seed in range(60)]
    fluxes = np.array([profile.values[5:8] for profile in profiles])
    claimed = np.array([profile.uncertainty[5:8] for profile in profiles if profile.uncertainty is not None])
    # The gradient within an annulus adds to the scatter of its pixels, so the claim is conservative.
    assert (fluxes.std(axis=0) < claimed.mean(axis=0)).all()
    assert (fluxes.std(axis=0) > 0.1 * claimed.mean(axis=0)).all()


def test_ends_in_noise_where_it_should() -> None:
    (profile,) = Annuli(step=2.0, min_snr=5.0).caption(disc(length=5.0))
    assert profile.stopped == "noise"
    assert profile.uncertainty is not None
    assert (profile.values >= 5 * profile.uncertainty).all()
    last = 5 * np.log(1 / (5 * NOISE * 1.25 / np.sqrt(2 * np.pi * 30 * 2)))  # where 5 sigma is the disc
    assert profile.axis[-1] == pytest.approx(last, abs=4)


def test_ends_at_the_edge_and_at_a_mask() -> None:
    flat = np.ones((20, 20))
    (profile,) = Annuli().caption(Images.from_array(flat))
    assert (profile.stopped, profile.axis[-1], profile.axis_unit) == ("edge", 9.5, "pix")
    radius = radius_from_centre(20, 20)
    (profile,) = Annuli().caption(Images.from_array(flat, mask=(radius > 5) & (radius < 8)))
    assert (profile.stopped, profile.axis[-1]) == ("masked", 4.5)


@pytest.mark.parametrize("options", [{"step": 0.0}, {"step": float("nan")}, {"min_snr": -1.0}])
def test_bad_options(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(options))} is"):
        Annuli(**options)
