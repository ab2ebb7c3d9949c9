"""Profiles read off galaxies whose light is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from skyloom import Images, Profile
from skyloom.errors import InputError
from skyloom_classical.isophote import Isophote

ZERO_POINT, SCALE, H, PEAK = 22.5, 0.4, 8.0, 50.0


def disc(
    size: int = 128,
    *,
    ratio: float = 0.6,
    angle: float = 30.0,
    centre: tuple[float, float] = (64.3, 62.6),
    noise: float = 0.0,
    peak: float = PEAK,
    scale: float = H,
) -> NDArray[np.float64]:
    """Draw an exponential disc; `angle` in degrees from +y towards -x, lengths in pixels."""
    y, x = np.mgrid[:size, :size].astype(float)
    x, y = x - centre[0], y - centre[1]
    turn = np.radians(angle + 90)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    light = peak * np.exp(-np.sqrt(along**2 + (across / ratio) ** 2 + 4) / scale)
    return np.asarray(light + noise * np.random.default_rng(5).standard_normal((size, size)))


def magnitudes(axis: NDArray[np.float64], peak: float = PEAK) -> NDArray[np.float64]:
    """Return the true profile at semi-major axes in arcsec."""
    light = peak * np.exp(-np.sqrt((axis / SCALE) ** 2 + 4) / H)
    return np.asarray(ZERO_POINT - 2.5 * np.log10(light / SCALE**2))


def read(pixels: NDArray[np.float64], mask: NDArray[np.bool_] | None = None, **options: object) -> Profile:
    images = Images.from_array(pixels, ["r"], mask=mask, pixel_scale=SCALE, zero_point=ZERO_POINT)
    (profile,) = Isophote(**options).caption(images)  # type: ignore[arg-type]
    return profile


def test_a_disc_without_noise_is_read_to_a_few_hundredths_of_a_magnitude() -> None:
    profile = read(disc())
    error = profile.values - magnitudes(profile.axis)
    assert np.abs(error[profile.axis < 24]).max() < 0.03
    outer = (profile.axis > 3) & (profile.axis < 24)
    assert np.abs(profile.columns["ellipticity"][outer] - 0.4).max() < 0.03
    assert np.abs(profile.columns["position_angle"][outer] - 30).max() < 1
    assert profile.flags == ()
    assert profile.stopped == "edge"


def test_the_curve_of_growth_ends_at_the_light_of_the_disc() -> None:
    profile = read(disc())
    at = int(np.searchsorted(profile.axis, 20.0))
    y, x = np.mgrid[:128, :128].astype(float)
    turn = np.radians(120)
    along = (x - 64.3) * np.cos(turn) + (y - 62.6) * np.sin(turn)
    across = (y - 62.6) * np.cos(turn) - (x - 64.3) * np.sin(turn)
    inside = np.hypot(along, across / 0.6) < profile.axis[at] / SCALE
    truth = ZERO_POINT - 2.5 * np.log10(disc()[inside].sum())
    assert profile.columns["growth"][at] == pytest.approx(truth, abs=0.01)


def test_with_noise_the_profile_stays_within_its_errors() -> None:
    profile = read(disc(noise=0.3))
    assert profile.uncertainty is not None
    assert profile.uncertainty[0] == pytest.approx(profile.uncertainty[1], rel=0.2)  # of one point, but not 0
    pull = (profile.values - magnitudes(profile.axis)) / np.hypot(profile.uncertainty, 0.01)
    assert np.median(np.abs(pull)) < 1.5
    assert profile.stopped == "noise"
    assert len(profile) > 60


@pytest.mark.parametrize("ratio", [1.0, 0.95, 0.4])
def test_any_shape_is_read(ratio: float) -> None:
    profile = read(disc(ratio=ratio, noise=0.05))
    error = (profile.values - magnitudes(profile.axis))[(profile.axis > 1) & (profile.axis < 14)]
    assert np.median(np.abs(error)) < 0.03
    assert np.abs(error).max() < 0.12


def test_a_neighbour_is_left_out_masked_or_found() -> None:
    alone = disc(noise=0.1)
    star = disc(ratio=1.0, centre=(88, 80), peak=80, scale=1.5)
    hidden = star > 0.1
    for options in ({"mask": hidden, "neighbours": "mask"}, {"neighbours": "find"}):
        profile = read(alone + star, **options)
        error = (profile.values - magnitudes(profile.axis))[profile.axis < 16]
        assert np.abs(error).max() < 0.12
    kept = read(alone + star, neighbours="mask")
    assert np.abs((kept.values - magnitudes(kept.axis))[kept.axis < 16]).max() < 1


def test_the_sky_is_subtracted_when_asked_for() -> None:
    profile = read(disc(noise=0.1) + 7.0, sky="estimate")
    error = (profile.values - magnitudes(profile.axis))[profile.axis < 14]
    assert np.abs(error).max() < 0.1
    kept = read(disc(noise=0.1) + 7.0)
    assert (kept.values - magnitudes(kept.axis))[-1] < -1


def test_a_galaxy_lost_in_noise_is_flagged_not_dropped() -> None:
    profile = read(disc(peak=0.02, noise=1.0))
    assert "circular-annuli" in profile.flags or "no-galaxy" in profile.flags
    assert profile.stopped == "noise"


def test_an_empty_image_gives_a_profile_that_says_so() -> None:
    profile = read(np.zeros((40, 40)))
    assert len(profile) == 0
    assert (profile.stopped, profile.flags) == ("noise", ("no-galaxy",))


def test_what_shows_no_galaxy_gives_no_step() -> None:
    assert read(np.full((64, 64), 3.7)).flags == ("no-galaxy",)
    for seed in range(10):
        profile = read(np.random.default_rng(seed).normal(0, 0.3, (128, 128)))
        assert (len(profile), profile.flags) == (0, ("no-galaxy",))


@pytest.mark.parametrize(("factor", "flag"), [(1e-9, "flux-too-faint"), (1e9, "flux-too-bright")])
def test_a_flux_that_no_galaxy_has_is_refused(factor: float, flag: str) -> None:
    profile = read(disc(noise=0.1) * factor)
    assert (len(profile), profile.stopped) == (0, "off-scale")
    assert profile.flags[0] == flag


def test_a_flux_that_hardly_a_galaxy_has_is_flagged() -> None:
    for factor, flags in ((1e-4, ("flux-too-faint",)), (1, ()), (1e4, ("flux-too-bright",))):
        profile = read(disc(noise=0.02) * factor)
        assert (profile.flags, len(profile) > 0) == (flags, True)


def test_a_sky_that_was_left_is_flagged() -> None:
    light = disc(256, noise=0.1, centre=(127, 128))
    assert read(light).flags == ()
    assert read(light + 0.4).flags == ("sky-left",)
    assert read(light + 0.4, sky="estimate").flags == ()


def test_gaps_within_the_profile_are_flagged() -> None:
    light, mask = disc(noise=0.1), np.zeros((128, 128), bool)
    mask[70, 70] = True
    assert read(light, mask).flags == ("masked",)
    mask[:] = False
    mask[1, 1] = True
    assert read(light, mask).flags == ()
    y, x = np.mgrid[:128, :128]
    mask = (np.abs(np.hypot(x - 64, y - 63) - 10) < 3) & (x < 66)
    assert read(light, mask).flags == ("masked", "half-masked")


def test_a_saturated_galaxy_is_flagged() -> None:
    assert "saturated" in read(np.minimum(disc(), 20)).flags


def test_neither_scatter_nor_a_brighter_star_hides_saturation() -> None:
    light = disc(noise=0.01)
    light = np.where(light > 25, 25 + 0.02 * np.random.default_rng(0).standard_normal(light.shape), light)
    light[10:13, 10:13] = 1000
    assert "saturated" in read(light).flags


def test_a_masked_centre_is_flagged() -> None:
    mask = np.zeros((128, 128), bool)
    mask[58:68, 60:70] = True
    profile = read(disc(noise=0.05), mask)
    assert "masked-centre" in profile.flags


def test_a_profile_begins_where_the_mask_ends() -> None:
    mask = np.zeros((128, 128), bool)
    mask[62:64, 63:66] = True
    profile = read(disc(noise=0.05), mask)
    assert len(profile) > 60
    error = (profile.values - magnitudes(profile.axis))[(profile.axis > 2) & (profile.axis < 14)]
    assert np.abs(error).max() < 0.15


def test_shared_geometry_is_that_of_the_best_band() -> None:
    images = Images.from_array(
        np.stack([disc(noise=0.2, peak=1), disc(noise=0.2)]), "gr", pixel_scale=SCALE, zero_point=ZERO_POINT
    )
    shared = Isophote().caption(images)
    each = Isophote(geometry="each").caption(images)
    n = min(len(shared[0]), len(shared[1]))
    assert np.array_equal(shared[0].columns["ellipticity"][:n], shared[1].columns["ellipticity"][:n])
    assert np.array_equal(shared[1].values, each[1].values)
    m = min(len(each[0]), n)
    assert not np.array_equal(each[0].columns["ellipticity"][:m], shared[0].columns["ellipticity"][:m])


def test_steps_are_as_asked_for() -> None:
    linear = read(disc(), step=0.2)
    assert np.allclose(np.diff(linear.axis), 0.2)
    geometric = read(disc(), step=0.2, growth="geometric")
    assert np.allclose(geometric.axis[2:] / geometric.axis[1:-1], 1.2)
    assert np.allclose(geometric.values, magnitudes(geometric.axis), atol=0.05)


def test_without_calibration_the_profile_is_in_the_units_of_the_image() -> None:
    model = Isophote()
    (profile,) = model.caption(Images.from_array(disc().clip(0, 255).astype(np.uint8), unit="adu"))
    assert (profile.axis_unit, profile.value_name, profile.value_unit) == ("pix", "flux", "adu")
    assert profile.values[0] == pytest.approx(disc().max(), abs=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"growth": "cubic"}, "'linear' or 'geometric'"),
        ({"geometry": "none"}, "'shared' or 'each'"),
        ({"sky": "yes"}, "'none' or 'estimate'"),
        ({"neighbours": "no"}, "'find' or 'mask'"),
        ({"min_snr": 0}, "above 0"),
        ({"step": -1}, "above 0"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Isophote(**options)  # type: ignore[arg-type]


def test_steps_too_fine_are_refused() -> None:
    with pytest.raises(InputError, match="Give a larger one"):
        read(disc(), step=1e-6)
