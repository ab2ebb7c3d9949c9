"""The Fréchet inception distance: the Fréchet distance of what Inception-v3 sees in two sets of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import InputError
from skyloom.expect import expect_count, expect_images, expect_number
from skyloom_metrics.feature_metrics import Frechet
from skyloom_metrics.features import Extractor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skyloom import Images
    from skyloom.bundle import Bundle

GRAPH = "inception"
_CHUNK = 32  # images that go through the network at a time
_LIMITS = "Give limits=(0, 255) for 8-bit pictures, or those that the images of the model were clipped to"


class FrechetInception(Frechet):
    """The squared Fréchet distance of the features of Inception-v3.

    Pixels are brought to 0 to 1 between `limits` and clipped, without any rounding to 8 bits; the network
    scales images to 299 x 299 itself. Images have three bands, in the order red to blue that the network
    knows, or one, which it then sees three times.

    Parameters
    ----------
    bundle
        What ``skyloom import fid`` made of the published weights.
    limits
        The pixel values that become 0 and 1; those of the bundle where nothing is given.
    resamples
        Number of resamplings behind the interval, and behind the floor where there are few images.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        limits: tuple[float, float] | None = None,
        resamples: int = 10,
    ) -> None:
        settings = bundle.manifest.settings
        self.features, self.components = "inception", 1
        self.resamples = expect_count(resamples, what="resamples", least=2)
        self.extractor = InceptionFeatures(bundle, _limits(limits or settings.get("limits")))
        self.backend = self.extractor.backend


class InceptionFeatures(Extractor):
    """The last pool of Inception-v3.

    Parameters
    ----------
    bundle, limits
        As for `FrechetInception`.
    """

    def __init__(self, bundle: Bundle, limits: tuple[float, float]) -> None:
        self._session = bundle.session(GRAPH)
        self._limits, self.backend = limits, self._session.backend
        self._bands = bundle.manifest.bands
        self._record = {
            "features": "Inception-v3",
            "bundle": bundle.name,
            "extractor_sha256": bundle.manifest.files[bundle.manifest.graphs[GRAPH].path].sha256,
            "weights_sha256": bundle.manifest.settings.get("weights_sha256", ""),
            "preprocessing": f"clipped to {limits[0]:g} to {limits[1]:g}, not rounded",
        }

    def expect(self, images: object, what: str) -> Images:
        """Return images of one or three bands."""
        found = expect_images(images, bands=self._bands or None, what=what)
        if found.shape[1] not in {1, 3}:
            raise InputError(
                f"{what} have {found.shape[1]} bands, allowed are 1 and 3",
                "Choose bands with images.select([...])",
            )
        return found

    def measure(self, images: Images) -> NDArray[np.float64]:
        """Return the features (image, 2048)."""
        low, high = self._limits
        rows = []
        for batch in images.batches(_CHUNK):
            scaled = np.clip((batch.data - np.float32(low)) / np.float32(high - low), 0, 1)
            scaled = np.broadcast_to(scaled, (len(batch), 3, *batch.shape[2:]))
            rows.append(self._session.run({"images": np.ascontiguousarray(scaled)})["features"])
        return np.concatenate(rows).astype(np.float64)

    def describe(self) -> dict[str, Any]:
        """Say which network it was, by its digests, and what was done to the pixels."""
        return dict(self._record)


def _limits(limits: object) -> tuple[float, float]:
    if limits is None:
        raise InputError("the limits of the pixels are not given, nor does the bundle have any", _LIMITS)
    if not isinstance(limits, list | tuple) or len(limits) != 2:
        raise InputError(f"the limits are {limits!r}", _LIMITS)
    low, high = (expect_number(limit, what="a limit") for limit in limits)
    if low >= high:
        raise InputError(f"the limits are {low:g} and {high:g}", _LIMITS)
    return low, high
