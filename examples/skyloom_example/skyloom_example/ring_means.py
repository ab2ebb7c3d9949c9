"""A sequence captioner with weights: its numbers come out of an exported graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom import Profile, SequenceCaptioner
from skyloom.errors import InputError
from skyloom.expect import expect_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skyloom import Bundle, Images


class RingMeans(SequenceCaptioner):
    """Mean surface brightness in rings, for images of the one size that the bundle is for.

    Parameters
    ----------
    bundle
        Written by `skyloom_example.graphs.write_ring_bundle`.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.size = int(bundle.manifest.settings["size"])
        self.radii = np.array(bundle.manifest.settings["radii"], dtype=float)
        self.session = bundle.session("rings")
        self.backend = self.session.backend

    def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
        """Read one profile off each band of each image, up to the first ring without a valid pixel."""
        del seed
        images = expect_images(images)
        if images.shape[2:] != (self.size, self.size):
            raise InputError(
                f"the images have {images.shape[2]}x{images.shape[3]} pixels",
                f"Cut them to the {self.size}x{self.size} pixels that this bundle is for",
            )
        valid = np.ones(images.shape, np.float32) if images.mask is None else ~images.mask
        found = self.session.run(
            {
                "pixels": images.filled(0).reshape(-1, self.size**2),
                "valid": valid.reshape(-1, self.size**2).astype(np.float32),
            }
        )
        keys = [(name, band) for name in images.names for band in images.bands]
        return [
            self._profile(mean, error, count, *key, images.unit)
            for mean, error, count, key in zip(
                found["mean"], found["error"], found["count"], keys, strict=True
            )
        ]

    def _profile(
        self, mean: NDArray[Any], error: NDArray[Any], count: NDArray[Any], name: str, band: str, unit: str
    ) -> Profile:
        """Return the rings (ring,) up to the first one that holds too few pixels for an error."""
        empty = np.flatnonzero(count < 2)
        end = empty[0] if len(empty) else len(mean)
        return Profile(
            axis=self.radii[:end],
            values=mean[:end],
            uncertainty=error[:end],
            axis_unit="pix",
            value_name="flux",
            value_unit=unit,
            name=name,
            band=band,
            stopped="masked" if len(empty) else "edge",
            provenance=self.provenance(),
        )
