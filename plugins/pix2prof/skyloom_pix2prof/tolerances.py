"""Tolerances of graphs at lower precision, and the errors of the profiles that they lead to."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from skyloom.bundle import Tolerance
from skyloom_pix2prof.config import SHAPE
from skyloom_pix2prof.mock_images import mock_images
from skyloom_pix2prof.network.recurrent_decoder import RecurrentDecoder
from skyloom_pix2prof.network.stopping import CaptionerGraph, DecoderGraph

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from skyloom_pix2prof.config import Pix2ProfConfig
    from skyloom_pix2prof.network.pix2prof import Pix2Prof

    Run = Callable[[Mapping[str, Any]], dict[str, Any]]
    """Runs a form of a graph: inputs by name to outputs by name."""

ALLOWED = 0.05
"""What a variant may add to the error of a profile, in mag / arcsec2; the method's own is 0.34."""
ALLOWED_PARALLEL = 0.01
"""The same of a parallel decoder; the error of the network that comes with Skyloom is 0.026."""
COMPARED_STEPS = 250
SPOILT = 0.05
"""Share of the profiles that a variant may spoil: change in length, or by `FAR` in the median."""
LENGTHENED = 5
"""Steps by which a profile that is predicted at once may change in length; one arcsec."""
FAR = 0.05
"""Median difference in mag / arcsec2 of a profile that is spoilt."""
OFF = {"surface_brightness": 0.2, "curve_of_growth": 0.2, "ellipticity": 0.05, "position_angle": 5.0}
"""What a single value may be off in a cheaper form, in mag / arcsec2, mag, 1 and degrees: little more than
the error of the network itself where a galaxy is faint. It reveals a wrong file; what profiles are worth is
measured."""
OFF_VECTOR = 0.05
"""The same of an ellipse as a vector, ellipticity times cosine and sine of twice the position angle."""
OFF_CODE = 0.05
"""What an element of an encoding may be off in a cheaper form, of the largest number in an encoding."""
FAINTEST = 26.5
"""Surface brightness beyond which differences say nothing about the network; SDSS loses galaxies there."""


def captioner_tolerances(config: Pix2ProfConfig) -> dict[str, Tolerance]:
    """Return how far the outputs of a cheaper form of the captioner may be off."""
    off = {**OFF, **(dict.fromkeys(SHAPE, OFF_VECTOR) if config.kind.fits_ellipses else {})}
    return {
        "values": Tolerance(atol=tuple(off[name] for name in config.channels), rtol=0.0),
        "count": Tolerance(steps=LENGTHENED),
    }


def captioner_error(network: Pix2Prof) -> Callable[[Run], float]:
    """Return a function that measures how far the profiles by a form of the captioner are off.

    That is the median over galaxies of the median difference in mag / arcsec2, over the steps that both
    predict and that are bright; or, where that is more, the share of spoilt profiles, on a scale on which
    `SPOILT` is what is allowed.
    """

    @functools.cache  # all forms are compared with the same
    def expected() -> list[tuple[NDArray[np.float32], NDArray[np.float32], int]]:
        exact, found = CaptionerGraph(network), []
        for image in mock_images(network.config, 32, seed=21):
            with torch.no_grad():
                values, count, _ = exact(torch.from_numpy(image[None]))
            found.append((image[None], values[0, :, 0].numpy(), int(count[0])))
        return found

    def measure(run: Run) -> float:
        off, lengthened = [], []
        for image, values, count in expected():
            found = run({"image": image})
            both = min(count, int(found["count"][0]))
            bright = values[:both] < FAINTEST
            difference = np.abs(values[:both] - found["values"][0, :both, 0])[bright]
            off.append(float(np.median(difference)) if difference.size else 0.0)
            lengthened.append(abs(count - int(found["count"][0])) > LENGTHENED)
        if not np.isfinite(off).all():
            return math.inf
        spoilt = np.array(lengthened) | (np.array(off) > FAR)
        return max(float(np.median(off)), ALLOWED_PARALLEL * _spoilt(spoilt))

    return measure


def _spoilt(spoilt: NDArray[np.bool_]) -> float:
    """Return the share of profiles that are spoilt, in units of what is allowed."""
    return float(spoilt.mean()) / SPOILT


def encoder_error(network: Pix2Prof) -> Callable[[Run], float]:
    """Return a function that measures how far profiles by a form of the encoder are off, in mag / arcsec2.

    The decoder runs in fp32, as it does with any form of the encoder. A sequence is spoilt where it
    changes in length by more than a quarter of what the stopping rule looks at.
    """

    def measure(run: Run) -> float:
        decoder = network.decoder
        assert isinstance(decoder, RecurrentDecoder)
        images = mock_images(network.config, 20, seed=21)
        steps = min(COMPARED_STEPS, network.config.max_steps)
        with torch.no_grad():
            exact = network.encode(torch.from_numpy(images))
            cheap = np.concatenate([run({"image": image[None]})["code"] for image in images])
            codes = exact, torch.from_numpy(cheap.astype(np.float32))
            off = torch.sub(*(decoder.values(decoder.unroll(code, steps))[..., 0] for code in codes))
        lengths = [_lengths(network, code) for code in codes]
        spoilt = np.abs(lengths[0] - lengths[1]) > network.config.halting_window / 4
        return max(float(off.square().mean().sqrt()), ALLOWED * _spoilt(spoilt))

    return measure


def _lengths(network: Pix2Prof, code: Tensor) -> NDArray[np.int64]:
    """Return how many values the sequences of encodings (b, hidden) have, by the stopping rule."""
    config, count = network.config, len(code)
    more = (code,) if config.kind.reinjects else ()
    with torch.no_grad():
        *_, counts, _ = DecoderGraph(network)(
            torch.zeros(count, len(config.channels)),
            code[:, None].expand(-1, config.layers, -1).contiguous(),
            torch.zeros(count, config.halting_window),
            torch.zeros(count, dtype=torch.int64),
            torch.zeros(config.max_steps),
            *more,
        )
    found: NDArray[np.int64] = counts.numpy()
    return found
