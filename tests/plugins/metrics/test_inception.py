"""The inception distance: the network against the published layout, and its bundle against the network."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skyloom import Images
from skyloom.bundle import Bundle
from skyloom.errors import CheckpointError, InputError
from skyloom.testing.examples import galaxies, with_noise
from skyloom_export import export_bundle
from skyloom_metrics.frechet import frechet_distance
from skyloom_metrics.graphs import write_tiny_bundle
from skyloom_metrics.importing import published, read
from skyloom_metrics.inception import FrechetInception
from skyloom_metrics.network import Inception

BANDS = ("g", "r", "z")

# The layers of the published file with the shapes of their weights, as its keys give them.
SOME = {
    "Conv2d_1a_3x3": (32, 3, 3, 3),
    "Conv2d_4a_3x3": (192, 80, 3, 3),
    "Mixed_5b.branch5x5_2": (64, 48, 5, 5),
    "Mixed_5b.branch_pool": (32, 192, 1, 1),
    "Mixed_5d.branch1x1": (64, 288, 1, 1),
    "Mixed_6a.branch3x3": (384, 288, 3, 3),
    "Mixed_6b.branch7x7_2": (128, 128, 1, 7),
    "Mixed_6c.branch7x7dbl_5": (192, 160, 1, 7),
    "Mixed_6e.branch_pool": (192, 768, 1, 1),
    "Mixed_7a.branch7x7x3_4": (192, 192, 3, 3),
    "Mixed_7b.branch1x1": (320, 1280, 1, 1),
    "Mixed_7c.branch3x3dbl_3b": (384, 384, 3, 1),
    "Mixed_7c.branch_pool": (192, 2048, 1, 1),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write random weights in the published layout, narrower: with classifier, without counters."""
    torch.manual_seed(1)
    made = Inception(first=1)
    for layer in made.modules():
        if isinstance(layer, torch.nn.Conv2d):  # or the light of the image is lost on the way
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    state = {k: v for k, v in made.state_dict().items() if "num_batches" not in k}
    path = tmp_path_factory.mktemp("weights") / "pt_inception.pth"
    torch.save({**state, "fc.weight": torch.zeros(1008, 64), "fc.bias": torch.zeros(1008)}, path)
    return path


@pytest.fixture(scope="module")
def bundle(weights: Path) -> Bundle:
    """Convert these weights, as ``skyloom import`` does; it takes a while."""
    path = weights.with_name("fid")
    return Bundle.open(export_bundle(published(weights), path, name="fid", model="fid", task="metric").path)


@pytest.fixture(scope="module")
def network(weights: Path) -> Inception:
    state = torch.load(weights, weights_only=True)
    made = Inception(first=1)
    made.load_state_dict({k: v for k, v in state.items() if not k.startswith("fc.")}, strict=False)
    return made.eval()


def test_layers_are_the_published_ones() -> None:
    with torch.device("meta"):
        state = Inception().state_dict()
    for name, shape in SOME.items():
        assert tuple(state[f"{name}.conv.weight"].shape) == shape
        assert state[f"{name}.bn.running_var"].shape == shape[:1]
    convolutions = [name for name in state if name.endswith("conv.weight")]
    assert len(convolutions) == 94
    assert sum(v.numel() for k, v in state.items() if k.endswith(("weight", "bias"))) == 21_785_568


def test_pools_differ_from_the_later_release() -> None:
    """At the edge the mean is over the pixels there are; the last block pools the maximum."""
    with torch.no_grad():
        network: Any = Inception(first=1).eval()  # its branches are found by name
        ones = torch.ones(1, network.Mixed_5b.branch1x1.conv.in_channels, 5, 5)
        pooled = network.Mixed_5b.branch_pool(ones)
        whole = network.Mixed_5b(ones)[:, -pooled.shape[1] :]
        assert torch.allclose(whole, pooled)
        x = torch.randn(1, network.Mixed_7c.branch1x1.conv.in_channels, 4, 4)
        wanted = network.Mixed_7c.branch_pool(torch.nn.functional.max_pool2d(x, 3, 1, 1))
        assert torch.allclose(network.Mixed_7c(x)[:, -wanted.shape[1] :], wanted)


def test_score_is_the_distance_of_the_features(bundle: Bundle, network: Inception) -> None:
    metric = FrechetInception(bundle, limits=(-0.5, 2.0), resamples=2)
    images, other = galaxies(8, BANDS, (32, 32)), with_noise(galaxies(7, BANDS, (32, 32), first=50), 0.5)
    score = metric.compare(images, other)
    with torch.no_grad():
        rows = [
            network(torch.from_numpy(np.clip((side.data + 0.5) / 2.5, 0, 1))).numpy().astype(float)
            for side in (images, other)
        ]
    assert score.value == pytest.approx(frechet_distance(*rows), rel=1e-3)
    assert score.method["dimensions"] == 64
    assert len(score.method["extractor_sha256"]) == 64
    assert "clipped to -0.5 to 2, not rounded" in score.method["preprocessing"]
    assert "8 and 7 samples of 64 features" in score.notes[0]


def test_features_of_pictures(bundle: Bundle, network: Inception, weights: Path) -> None:
    metric = FrechetInception(bundle, limits=(0, 255), resamples=2)
    pictures = Images.from_array(np.random.default_rng(1).integers(0, 256, (3, 3, 40, 40)))
    with torch.no_grad():
        wanted = network(torch.from_numpy(pictures.data / 255)).numpy()
    np.testing.assert_allclose(metric.measure(pictures), wanted, atol=1e-4, rtol=1e-3)
    assert metric.measure(pictures.select(["band0"])).shape == (3, 64)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert metric.extractor.describe()["weights_sha256"] == digest
    with pytest.raises(InputError, match="2 bands, allowed are 1 and 3"):
        metric.compare(pictures.select(["band0", "band1"]), pictures)


def test_tiny_bundle_has_limits_of_its_own(tmp_path: Path) -> None:
    tiny = Bundle.open(write_tiny_bundle(tmp_path / "tiny", features=5))
    assert FrechetInception(tiny).measure(galaxies(3, BANDS)).shape == (3, 5)


def test_other_files_are_refused(weights: Path, tmp_path: Path) -> None:
    state: dict[str, Any] = dict(torch.load(weights, weights_only=True))
    name = "Mixed_6a.branch3x3.conv.weight"

    def refused(content: object, message: str) -> None:
        path = tmp_path / "bad.pth"
        torch.save(content, path)
        with pytest.raises(CheckpointError, match=message):
            published(path)

    refused({k: v for k, v in state.items() if k != name}, "lacks weights 'Mixed_6a")
    refused({**state, "head.weight": torch.zeros(1)}, "unknown weights 'head.weight'")
    refused({**state, name: torch.zeros(1, 2, 3, 3)}, r"has shape \(1, 2, 3, 3\)")
    refused({**state, name: torch.full_like(state[name], torch.nan)}, "numbers that are none")
    refused({"a": torch.zeros(1)}, "no weights 'Conv2d_1a_3x3")
    refused({**state, "epoch": 7}, "does not hold weights by name")
    refused([1, 2], "holds a list, not a dictionary")
    (tmp_path / "code.pth").write_bytes(pickle.dumps(print))
    with pytest.raises(CheckpointError, match="holds more than numbers"):
        read(tmp_path / "code.pth")
    (tmp_path / "cut.pth").write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="cut short"):
        read(tmp_path / "cut.pth")


@pytest.mark.parametrize("limits", [(1, 1), (0,), "0-255", (0, np.inf)])
def test_limits_that_make_no_sense(bundle: Bundle, limits: Any) -> None:
    with pytest.raises(InputError, match="limit"):
        FrechetInception(bundle, limits=limits)


def test_limits_must_be_given(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="limits of the pixels are not given"):
        FrechetInception(bundle)
