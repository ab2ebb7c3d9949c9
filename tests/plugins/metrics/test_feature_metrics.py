"""Metrics of features: kernels against torchmetrics, extractors against plain arithmetic."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torchmetrics.image.kid import poly_mmd

from skyloom import Images
from skyloom.errors import InputError, InputTypeError, MissingFileError
from skyloom.testing.examples import galaxies, with_noise
from skyloom_metrics.feature_metrics import Frechet, KernelInception, MeanDiscrepancy, principal_components
from skyloom_metrics.features import Pixels
from skyloom_metrics.frechet import frechet_distance
from skyloom_metrics.kernels import cubic, discrepancy, gaussian, median_distance, squared_distances


def sample(n: int, d: int = 6, *, shift: float = 0.0, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng([seed, n, d]).normal(size=(n, d)) + shift


@pytest.mark.parametrize(("n", "m"), [(30, 30), (2000, 9), (1500, 1100)])
def test_cubic_kernel_against_torchmetrics(n: int, m: int) -> None:
    if n == m:
        wanted = float(poly_mmd(torch.tensor(sample(n)), torch.tensor(sample(m, shift=0.5, seed=1))))
    else:  # torchmetrics takes samples of one size alone
        one, other = sample(n), sample(m, shift=0.5, seed=1)
        within, beyond = cubic(one, one), cubic(other, other)
        wanted = (within.sum() - np.trace(within)) / (n * (n - 1)) + (beyond.sum() - np.trace(beyond)) / (
            m * (m - 1)
        )
        wanted -= 2 * cubic(one, other).mean()
    assert discrepancy(sample(n), sample(m, shift=0.5, seed=1), cubic)[0] == pytest.approx(wanted, rel=1e-9)


def test_error_is_the_jackknife() -> None:
    one, other = sample(12), sample(9, shift=0.5, seed=1)
    kernel = gaussian(2.0)
    without = [discrepancy(np.delete(one, k, 0), other, kernel)[0] for k in range(12)]
    beyond = [discrepancy(one, np.delete(other, k, 0), kernel)[0] for k in range(9)]
    wanted = np.sqrt(11 * np.var(without) + 8 * np.var(beyond))
    assert discrepancy(one, other, kernel)[1] == pytest.approx(wanted, rel=1e-9)


def test_discrepancy_is_unbiased() -> None:
    """Between samples of one population it is zero on average, and scatters by its error."""
    kernel = gaussian(2.0)
    found = [discrepancy(sample(40, seed=2 * k), sample(25, seed=2 * k + 1), kernel) for k in range(200)]
    values, errors = np.transpose(found)
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(200)
    assert np.mean(errors) == pytest.approx(values.std(), rel=0.6)


def test_gaussian_kernel_of_two_points() -> None:
    """k(x, x') = exp(-1/2) within each side, and exp(-25/2) or so across."""
    one, other = np.array([[0.0], [1.0]]), np.array([[100.0], [101.0]])
    assert discrepancy(one, other, gaussian(1.0))[0] == pytest.approx(2 * np.exp(-0.5), abs=1e-12)
    assert discrepancy(one, other, gaussian(1.0))[1] == 0  # two items tell nothing of their scatter


def test_median_distance() -> None:
    one, other = np.array([[0.0], [1.0]]), np.array([[3.0]])
    assert median_distance(one, other) == 2
    large = sample(5000, 2)
    assert median_distance(large, large) == pytest.approx(np.sqrt(4 * np.log(2)), rel=0.05)


@settings(max_examples=20)
@given(st.integers(1, 10), st.integers(1, 10), st.floats(-1e3, 1e3))
def test_squared_distances(n: int, m: int, shift: float) -> None:
    one, other = sample(n, shift=shift), sample(m, shift=shift, seed=1)
    wanted = np.sum((one[:, None] - other) ** 2, axis=2)
    np.testing.assert_allclose(squared_distances(one, other), wanted, atol=1e-8)


def test_pixels_are_averaged_to_cells() -> None:
    data = np.random.default_rng(1).normal(size=(2, 3, 32, 48))
    found = Pixels().measure(Images.from_array(data, "grz")).reshape(2, 3, 16, 16)
    np.testing.assert_allclose(found, data.reshape(2, 3, 16, 2, 16, 3).mean(axis=(3, 5)), atol=1e-6)
    odd = Images.from_array(np.full((1, 1, 37, 19), 2.5))
    np.testing.assert_allclose(Pixels().measure(odd), 2.5)


def test_components_keep_distances() -> None:
    one, other = sample(40, 10), sample(30, 10, seed=1)
    kept = principal_components(one, other, 10)
    assert kept[2] == pytest.approx(1)
    assert frechet_distance(kept[0], kept[1]) == pytest.approx(frechet_distance(one, other), rel=1e-9)
    fewer = principal_components(one, other, 4)
    assert fewer[0].shape == (40, 4)
    assert np.cov(fewer[0].T) == pytest.approx(np.diag(np.var(fewer[0], axis=0, ddof=1)), abs=1e-9)
    assert principal_components(one[:5], other, 10)[0].shape == (5, 4)


METRICS: list[Any] = [
    Frechet(resamples=5, components=4),
    KernelInception(components=4),
    MeanDiscrepancy(components=4),
]


@pytest.mark.parametrize("metric", METRICS)
def test_batches_and_order_do_not_matter(metric: Any) -> None:
    images = galaxies(40, ("g", "r", "z"))
    other = with_noise(galaxies(30, ("g", "r", "z"), first=100), 0.5)
    whole = metric.compare(images, other)
    streamed = metric.compare(images[::-1].batches(7), other.batches(11))
    assert streamed.value == pytest.approx(whole.value, rel=1e-9)
    assert streamed.interval == pytest.approx(whole.interval, rel=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_one_population_scores_near_the_floor(metric: Any) -> None:
    scores = [
        metric.compare(galaxies(60, first=1000 * k), galaxies(60, first=1000 * k + 500)) for k in range(5)
    ]
    excess = np.array([score.value - score.floor for score in scores])
    noisy = metric.compare(galaxies(60), with_noise(galaxies(60, first=500), 2.0))
    assert abs(excess.mean()) < 0.2 * (noisy.value - noisy.floor)


def test_floor_says_how_it_was_found() -> None:
    images, other = galaxies(40), galaxies(40, first=100)
    closed = Frechet(resamples=20, components=4).compare(images, other)
    drawn = Frechet(resamples=20, components=20).compare(images, other)
    assert closed.method["floor"] == "closed form"
    assert drawn.method["floor"] == "resampling of the reference"
    assert drawn.floor is not None
    assert drawn.floor > 0


def test_too_few_samples_are_noted(tmp_path: Path) -> None:
    wide = write_graph(tmp_path / "wide.onnx")
    score = Frechet(features=wide, resamples=2).compare(galaxies(10), galaxies(8, first=50))
    assert "10 and 8 samples of 8192 features" in score.notes[0]
    assert not Frechet(resamples=2, components=4).compare(galaxies(10), galaxies(8, first=50)).notes


def test_properties_as_features() -> None:
    images = galaxies(40, ("g", "r", "z"))
    score = Frechet(features="properties", resamples=5).compare(images, with_noise(images, 0.05))
    assert score.method["columns"] == ["R_e", "g", "r", "z", "g-r", "r-z"]
    assert score.method["dimensions"] == 6


def write_graph(
    path: Path, *, inputs: int = 1, output: str = "Flatten", kind: int = TensorProto.FLOAT
) -> Path:
    """Write a graph that flattens images, or adds up two inputs."""
    shape = ["n", "c", "h", "w"]
    tensors = [helper.make_tensor_value_info(f"images{k}", TensorProto.FLOAT, shape) for k in range(inputs)]
    nodes = [helper.make_node(output, ["images0"], ["features"])]
    if inputs > 1:
        nodes = [helper.make_node("Add", ["images0", "images1"], ["features"])]
    found = helper.make_tensor_value_info("features", kind, None)
    graph = helper.make_graph(nodes, "features", tensors, [found])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


def test_features_of_a_graph(tmp_path: Path) -> None:
    path = write_graph(tmp_path / "flat.onnx")
    images, other = galaxies(30, size=(3, 2)), with_noise(galaxies(25, size=(3, 2), first=50), 0.5)
    score = Frechet(features=str(path), resamples=3).compare(images, other)
    flat = [side.data.reshape(len(side), -1).astype(float) for side in (images, other)]
    assert score.value == pytest.approx(frechet_distance(*flat), rel=1e-6)
    assert score.method["extractor_sha256"] == sha256(path.read_bytes()).hexdigest()
    with pytest.raises(InputError, match="12 columns, of the candidate 16"):
        Frechet(features=path).compare(images, galaxies(5, size=(2, 4)))


def test_bad_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'pixels', 'properties'"):
        Frechet(features="inception")
    with pytest.raises(MissingFileError, match="no such file"):
        Frechet(features=tmp_path / "none.onnx")
    with pytest.raises(InputError, match="has 2 inputs"):
        Frechet(features=write_graph(tmp_path / "two.onnx", inputs=2))
    shape = Frechet(features=write_graph(tmp_path / "shape.onnx", output="Size", kind=TensorProto.INT64))
    with pytest.raises(InputTypeError, match=r"returns \(\) for 3 images"):
        shape.compare(galaxies(3), galaxies(3))
    with pytest.raises(InputError, match="components"):
        KernelInception(components=0)
    with pytest.raises(InputError, match="width"):
        MeanDiscrepancy(width=-1)
    with pytest.raises(InputError, match="15x15 pixels"):
        Frechet().compare(galaxies(3, size=(15, 15)), galaxies(3))


def test_equal_items_have_no_distance() -> None:
    flat = Images.from_array(np.ones((5, 1, 16, 16)))
    assert MeanDiscrepancy().compare(flat, flat).value == pytest.approx(0, abs=1e-12)
    assert MeanDiscrepancy(width=2.0).compare(flat, flat).method["width_from"] == "option"
    assert Frechet(resamples=2).compare(flat, flat).value == 0
