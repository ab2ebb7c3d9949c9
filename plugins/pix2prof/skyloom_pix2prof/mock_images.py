"""Images of mock galaxies, scaled and stretched for a network: to calibrate, compare and trace its graphs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from skyloom_pix2prof.preprocessing import prepare, resample
from skyloom_sky.mock import CONFIGS, MockSky

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skyloom_pix2prof.config import Pix2ProfConfig


def mock_images(config: Pix2ProfConfig, count: int, *, seed: int = 20) -> NDArray[np.float32]:
    """Return prepared images (image, 1, crop, crop) of mock galaxies."""
    preset = CONFIGS["sdss"]
    ratio = config.pixel_scale / preset.survey.pixel_scale
    size = math.ceil(config.crop * ratio) + 2
    sky = MockSky(preset.model_copy(update={"size": size}), seed)
    flux = np.float32(10 ** (0.4 * (config.zero_point - preset.survey.zero_point)))
    pixels = np.concatenate([sky.image(index)[0][:1] for index in range(count)])
    return prepare(resample(pixels, ratio) * flux, config)[:, None]
