"""How wrong profiles may be, and are, when a cheaper form of a graph leads to them."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from skyloom.bundle import Tolerance
from skyloom_pix2prof.network import RecurrentDecoder
from skyloom_pix2prof.preparing import prepare, resample
from skyloom_pix2prof.stopping import Answering, Unrolling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from skyloom_pix2prof.config import Pix2ProfConfig
    from skyloom_pix2prof.network import Pix2Prof

    Run = Callable[[Mapping[str, Any]], dict[str, Any]]
    """Runs a form of a graph: inputs by name to outputs by name."""

ALLOWED = 0.05
"""What a variant may add to the error of a profile, in mag / arcsec2; the method's own is 0.34."""
ALLOWED_AT_ONCE = 0.01
"""The same where all is told at once; the error of the network that comes with Skyloom is 0.026."""
COMPARED_STEPS = 250
SPOILT = 0.05
"""Share of the profiles that a variant may spoil: change in length, or by `FAR` in the median."""
LENGTHENED = 5
"""Steps by which a profile that is told at once may change in length; one arcsec."""
FAR = 0.05
"""Median difference in mag / arcsec2 of a profile that is spoilt."""
OFF = {"surface_brightness": 0.2, "curve_of_growth": 0.2, "ellipticity": 0.05, "position_angle": 5.0}
"""What a single value may be off in a cheaper form, in mag / arcsec2, mag, 1 and degrees: little more than
the error of the network itself where a galaxy is faint. It tells a wrong file; what profiles are worth is
measured."""
OFF_VECTOR = 0.05
"""The same of an ellipse that is told as a vector, ellipticity times cosine and sine of twice the angle."""
OFF_CODE = 0.05
"""What an element of an encoding may be off in a cheaper form, of the largest number in an encoding."""
FAINTEST = 26.5
"""Surface brightness beyond which differences say nothing about the network; SDSS loses galaxies there."""


def tolerated(config: Pix2ProfConfig) -> dict[str, Tolerance]:
    """Return how far the outputs of a cheaper form of the captioner may be off."""
    vector = {"ellipticity": OFF_VECTOR, "position_angle": OFF_VECTOR} if config.decoder == "ellipses" else {}
    off = {**OFF, **vector}
    return {
        "values": Tolerance(atol=tuple(off[name] for name in config.channels), rtol=0.0),
        "count": Tolerance(steps=LENGTHENED),
    }


def misread(network: Pix2Prof) -> Callable[[Run], float]:
    """Return a function that says how far the profiles that a form of the captioner tells are off.

    That is the median over galaxies of the median difference in mag / arcsec2, over the steps that both
    tell and that are bright; or, where that is more, the share of spoilt profiles, on a scale on which
    `SPOILT` is what is allowed.
    """

    @functools.cache  # all forms are compared with the same
    def told() -> list[tuple[NDArray[np.float32], NDArray[np.float32], int]]:
        answering, found = Answering(network), []
        for image in typical_images(network.config, 32, seed=21):
            with torch.no_grad():
                values, count, _ = answering(torch.from_numpy(image[None]))
            found.append((image[None], values[0, :, 0].numpy(), int(count[0])))
        return found

    def measure(run: Run) -> float:
        off, lengthened = [], []
        for image, values, count in told():
            found = run({"image": image})
            both = min(count, int(found["count"][0]))
            bright = values[:both] < FAINTEST
            difference = np.abs(values[:both] - found["values"][0, :both, 0])[bright]
            off.append(float(np.median(difference)) if difference.size else 0.0)
            lengthened.append(abs(count - int(found["count"][0])) > LENGTHENED)
        if not np.isfinite(off).all():
            return math.inf
        spoilt = np.array(lengthened) | (np.array(off) > FAR)
        return max(float(np.median(off)), ALLOWED_AT_ONCE * _spoilt(spoilt))

    return measure


def _spoilt(spoilt: NDArray[np.bool_]) -> float:
    """Return the share of profiles that are spoilt, in units of what is allowed."""
    return float(spoilt.mean()) / SPOILT


def damage(network: Pix2Prof) -> Callable[[Run], float]:
    """Return a function that says how far the profiles by a form of the encoder are off, in mag / arcsec2.

    The decoder runs in fp32, as it does with any form of the encoder. A sequence is spoilt where it
    changes in length by more than a quarter of what the stopping rule looks at.
    """

    def measure(run: Run) -> float:
        decoder = network.decoder
        assert isinstance(decoder, RecurrentDecoder)
        images = typical_images(network.config, 20, seed=21)
        steps = min(COMPARED_STEPS, network.config.max_steps)
        told, counts = [], []
        with torch.no_grad():
            exact = network.encode(torch.from_numpy(images))
            cheap = np.concatenate([run({"image": image[None]})["code"] for image in images])
            for code in (exact, torch.from_numpy(cheap.astype(np.float32))):
                token, states = decoder.start(code)
                values = []
                for _ in range(steps):
                    token, states = decoder.step(code, token, states)
                    values.append(network.values(token)[:, 0])
                told.append(torch.stack(values))
                counts.append(_lengths(network, code))
        spoilt = np.abs(counts[0] - counts[1]) > network.config.halting_window / 4
        return max(float((told[0] - told[1]).square().mean().sqrt()), ALLOWED * _spoilt(spoilt))

    return measure


def _lengths(network: Pix2Prof, code: Tensor) -> NDArray[np.int64]:
    """Return how many values the sequences of encodings (b, hidden) have, by the stopping rule."""
    config, count = network.config, len(code)
    further = (code,) if config.decoder == "reinject" else ()
    with torch.no_grad():
        *_, counts, _ = Unrolling(network)(
            torch.zeros(count, len(config.channels)),
            code[:, None].expand(-1, config.layers, -1).contiguous(),
            torch.zeros(count, config.halting_window),
            torch.zeros(count, dtype=torch.int64),
            torch.zeros(config.max_steps),
            *further,
        )
    found: NDArray[np.int64] = counts.numpy()
    return found


def typical_images(config: Pix2ProfConfig, count: int, *, seed: int = 20) -> NDArray[np.float32]:
    """Return prepared images (image, 1, crop, crop) of mock galaxies."""
    from skyloom_sky.mock import CONFIGS, MockSky

    preset = CONFIGS["sdss"]
    ratio = config.pixel_scale / preset.survey.pixel_scale
    size = math.ceil(config.crop * ratio) + 2
    sky = MockSky(preset.model_copy(update={"size": size}), seed)
    flux = np.float32(10 ** (0.4 * (config.zero_point - preset.survey.zero_point)))
    pixels = np.concatenate([sky.image(index)[0][:1] for index in range(count)])
    return prepare(resample(pixels, ratio) * flux, config)[:, None]
