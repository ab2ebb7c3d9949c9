"""The other models against closed forms."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skyloom import Bundle, Execution, Images
from skyloom.bundle.verify import verify
from skyloom.errors import InputError, InputTypeError, SkyloomError
from skyloom_example.annuli import Annuli
from skyloom_example.clipped_median import ClippedMedian
from skyloom_example.confetti import Confetti, add_galaxy
from skyloom_example.eigengalaxies import Eigengalaxies
from skyloom_example.flux_distance import FluxDistance, wasserstein
from skyloom_example.graphs import write_ring_bundle
from skyloom_example.ring_means import RingMeans


@pytest.fixture(scope="module")
def prior() -> Eigengalaxies:
    return Eigengalaxies(size=12, components=4, examples=80, noise=0.05)


# ring-means


def test_bundle_verifies_and_its_rings_are_means(tmp_path: Path) -> None:
    path = write_ring_bundle(tmp_path / "rings", size=20, rings=5)
    assert {verdict.output for verdict in verify(path, Execution("cpu"))} == {"mean", "error", "count"}
    model = RingMeans(Bundle.open(path, Execution("cpu")))
    (profile,) = model.caption(Images.from_array(np.full((20, 20), 3.0)))
    assert profile.values == pytest.approx(3)
    assert profile.uncertainty == pytest.approx(0, abs=1e-6)
    assert profile.axis.tolist() == [1, 3, 5, 7, 9]
    with pytest.raises(InputError, match="21x21 pixels"):
        model.caption(Images.from_array(np.ones((21, 21))))


# confetti


def test_galaxies_across_tiles_are_whole() -> None:
    model = Confetti(tile_size=32, density=300, noise=0)
    field = model.generate((64, 96), seed=4).data[0]
    y, x = np.arange(64)[:, None], np.arange(96)[None, :]
    canvas = np.zeros((64, 96))
    for row in range(-1, 3):
        for column in range(-1, 4):
            for source in model.sources(4, row, column):
                add_galaxy(canvas, y, x, *source, reach=model.reach)
    assert field == pytest.approx(canvas, abs=1e-5 * canvas.max())
    assert canvas.max() > 0


def test_galaxy_has_its_flux() -> None:
    y, x = np.arange(200)[:, None], np.arange(200)[None, :]
    pixels = np.zeros((200, 200))
    add_galaxy(pixels, y, x, 99.3, 100.6, 7.0, 8.0, reach=8.0)
    assert pixels.sum() == pytest.approx(7.0, rel=2e-3)


def test_number_of_galaxies_and_noise() -> None:
    model = Confetti(tile_size=64, density=500, noise=0.1)
    counts = [len(model.sources(1, row, 0)) for row in range(200)]
    expected = 500 * (64 * 0.4 / 60) ** 2
    assert np.mean(counts) == pytest.approx(expected, abs=5 * np.sqrt(expected / 200))
    empty = Confetti(tile_size=64, density=0, noise=0.1).tile(1, 0, 0).data
    assert empty.std() == pytest.approx(0.1, rel=0.05)


def test_galaxies_must_be_smaller_than_tiles() -> None:
    with pytest.raises(InputError, match="scale_length is 5 arcsec in tiles of 32 pixels"):
        Confetti(tile_size=32, scale_length=5)


@pytest.mark.parametrize("place", [("a", 0), (0, 1.5), (None, 0)])
def test_tiles_lie_at_integers(place: tuple[Any, Any]) -> None:
    with pytest.raises(InputTypeError, match="counted in tiles"):
        Confetti().tile(1, *place)


# eigengalaxies


def covariance(prior: Eigengalaxies) -> tuple[np.ndarray, np.ndarray]:
    mean, weights = prior._fit
    return mean, weights @ weights.T + prior.noise**2 * np.eye(len(mean))


def test_samples_have_the_moments_of_the_prior(prior: Eigengalaxies) -> None:
    samples = prior.sample(1500, seed=1).data.reshape(1500, -1).astype(float)
    mean, expected = covariance(prior)
    sigma = np.sqrt(np.diag(expected))
    assert np.abs((samples.mean(axis=0) - mean) / sigma).max() < 5 / np.sqrt(1500)
    assert np.abs((np.cov(samples.T) - expected) / np.outer(sigma, sigma)).max() < 0.15


def test_inpainting_is_the_conditional_gaussian(prior: Eigengalaxies) -> None:
    mean, joint = covariance(prior)
    hole = np.zeros((12, 12), bool)
    hole[4:7, 3:9] = True
    h, k = hole.ravel(), ~hole.ravel()
    image = prior.sample(1, seed=3)
    known = image.data.reshape(-1)[k].astype(float)
    gain = joint[np.ix_(h, k)] @ np.linalg.inv(joint[np.ix_(k, k)])
    centre = mean[h] + gain @ (known - mean[k])
    spread = np.sqrt(np.diag(joint[np.ix_(h, h)] - gain @ joint[np.ix_(k, h)]))
    copies = Images.from_array(np.repeat(image.data, 1000, axis=0), ("r",))
    painted = prior.inpaint(copies, hole, seed=5).data.reshape(1000, -1)[:, h].astype(float)
    assert np.abs((painted.mean(axis=0) - centre) / spread).max() < 5 / np.sqrt(1000)
    assert painted.std(axis=0) == pytest.approx(spread, rel=0.12)


def test_translation_and_interpolation_keep_the_prior(prior: Eigengalaxies) -> None:
    a, b = prior.sample(1000, seed=1), prior.sample(1000, seed=2)
    _, expected = covariance(prior)
    for moved in (prior.translate(a, 0.6, seed=9), prior.interpolate(a, b, 0.3)):
        found = moved.data.reshape(1000, -1).astype(float).var(axis=0)
        assert found == pytest.approx(np.diag(expected), rel=0.25)


# flux-distance


def test_wasserstein_of_shifted_samples_is_the_shift() -> None:
    x = np.random.default_rng(0).normal(size=50)
    assert wasserstein(x, x + 2.5) == pytest.approx(2.5)
    assert wasserstein(np.array([0.0]), np.array([1.0, 3.0])) == pytest.approx(2.0)


def test_score_of_brightened_images_is_the_added_flux() -> None:
    pixels = np.random.default_rng(0).normal(1, 0.3, (40, 2, 8, 8)) + np.arange(40)[:, None, None, None]
    one = Images.from_array(pixels, "gr", unit="nmgy")
    other = one.with_data(one.data + np.array([0.5, 1.5])[:, None, None])
    score = FluxDistance(resamples=50).compare(one, other)
    assert score.parts == pytest.approx({"g": 32, "r": 96}, rel=1e-4)
    assert score.value == pytest.approx(64, rel=1e-4)
    assert score.interval is not None
    assert score.interval[0] < score.interval[1]
    assert (score.n_reference, score.n_candidate, score.unit) == (40, 40, "nmgy")


def test_perfect_candidate_scores_near_the_floor() -> None:
    def draw(seed: int, n: int) -> Images:
        return Images.from_array(np.random.default_rng(seed).normal(size=(n, 1, 1, 1)))

    metric = FluxDistance(resamples=40)
    scores = [metric.compare(draw(seed, 100), draw(seed + 1000, 60)) for seed in range(30)]
    floors = [score.floor for score in scores if score.floor is not None]
    assert np.mean([score.value for score in scores]) == pytest.approx(np.mean(floors), rel=0.25)


# clipped-median


def test_background_under_a_galaxy() -> None:
    random = np.random.default_rng(0)
    pixels = random.normal(5.0, 0.2, (200, 200))
    y, x = np.mgrid[:200, :200] - 100
    pixels += 50 * np.exp(-np.hypot(y, x) / 4)
    (found,) = ClippedMedian().estimate(Images.from_array(pixels, unit="nmgy"))
    assert found.level == pytest.approx(5.0, abs=0.01)
    assert found.scatter == pytest.approx(0.2, rel=0.05)
    assert 0.9 * pixels.size < found.pixels < pixels.size


def test_flat_sky_has_no_scatter() -> None:
    (found,) = ClippedMedian().estimate(Images.from_array(np.full((4, 4), 2.0)))
    assert (found.level, found.scatter, found.pixels) == (2.0, 0.0, 16)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (Annuli, ("step", "min_snr")),
        (ClippedMedian, ("sigmas",)),
        (Confetti, ("tile_size", "density", "scale_length", "noise", "pixel_scale")),
        (Eigengalaxies, ("size", "components", "noise", "examples")),
        (FluxDistance, ("resamples",)),
    ],
)
def test_options_of_a_wrong_type(model: Any, options: tuple[str, ...]) -> None:
    for option in options:
        with pytest.raises(InputTypeError, match=f"{option} is 'a'"):
            model(**{option: "a"})


def test_first_sample_is_a_position(prior: Eigengalaxies) -> None:
    first: Any = "a"
    with pytest.raises(InputTypeError, match="first is 'a'"):
        prior.sample(1, first=first)


def test_errors_are_of_skyloom() -> None:
    for make in (lambda: ClippedMedian(sigmas=0.0), lambda: FluxDistance(resamples=1)):
        with pytest.raises(SkyloomError):
            make()
