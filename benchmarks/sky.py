"""The mock sky against GalSim, and against the pace of a training loop.

GalSim is used as its authors do: its default accuracy, Fourier drawing, one thread; its tables for each
Sérsic index are built before the clock starts, as ours are.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.harness import Row, interleave
from skyloom_sky.component import Sersic
from skyloom_sky.mock import CONFIGS, MockSky
from skyloom_sky.psf import Moffat
from skyloom_sky.stamps import Canvas, draw

SIZE, SCALE, FLUX = 256, 0.262, 1000.0
INDICES = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)
GALAXIES_A_SECOND = 50.0


def _galaxies(count: int, largest: float) -> list[tuple[Sersic, tuple[float, float]]]:
    random = np.random.default_rng(1)
    return [
        (
            Sersic(
                INDICES[number % len(INDICES)],
                float(np.exp(random.uniform(np.log(0.5), np.log(largest)))),
                float(random.uniform(0.1, 1.0)),
                float(random.uniform(0, 180)),
            ),
            (float(random.uniform(-1, 1)), float(random.uniform(-1, 1))),
        )
        for number in range(count)
    ]


def _ours(part: Sersic, offset: tuple[float, float], canvas: Canvas) -> Any:
    middle = (SIZE - 1) / 2
    centre = (middle + offset[0], middle + offset[1])
    return draw([part], np.array([[FLUX]]), canvases=[canvas], centre=centre)[0]


def _galsim(part: Sersic, offset: tuple[float, float], psf: Any) -> Any:
    import galsim

    light = galsim.Sersic(part.n, half_light_radius=part.half_light_radius * part.axis_ratio**0.5, flux=FLUX)
    light = light.shear(q=part.axis_ratio, beta=(part.angle + 90) * galsim.degrees)
    both = galsim.Convolve(light, psf)
    return both.drawImage(nx=SIZE, ny=SIZE, scale=SCALE, offset=offset, dtype=np.float32).array


def _stamps(name: str, largest: float, quick: bool) -> Row:
    """Draw the same Sérsic profiles behind a Moffat function with both."""
    import galsim

    psf = galsim.Moffat(beta=3.5, fwhm=1.2)
    canvas = Canvas(SIZE, SCALE, Moffat(fwhm=1.2, beta=3.5))
    galaxies = _galaxies(18 if quick else 63, largest)
    worst = 0.0
    for part, offset in galaxies:  # builds the tables of both, and compares
        ours, theirs = _ours(part, offset, canvas), _galsim(part, offset, psf)
        worst = max(worst, float(np.abs(ours - theirs).max() / theirs.max()))
    best = interleave(
        {
            "ours": lambda: [_ours(part, offset, canvas) for part, offset in galaxies],
            "galsim": lambda: [_galsim(part, offset, psf) for part, offset in galaxies],
        },
        2 if quick else 5,
    )
    return Row(
        case=name,
        baseline="GalSim",
        ours_s=best["ours"] / len(galaxies),
        baseline_s=best["galsim"] / len(galaxies),
        error=worst,
        unit="s/stamp",
        goal=2.0,
    )


def _images(preset: str, quick: bool) -> Row:
    """Draw full images: arms, neighbours, stars, noise and all."""
    sky = MockSky(CONFIGS[preset], seed=1)
    count = 10 if quick else 40
    best = np.full(count, np.inf)
    for _ in range(2 if quick else 4):
        for index in range(count):
            start = time.process_time()
            sky.image(index)
            best[index] = min(best[index], time.process_time() - start)
    return Row(
        case=f"images-{preset}",
        baseline=f"{GALAXIES_A_SECOND:g} a second",
        ours_s=float(best.mean()),
        baseline_s=1 / GALAXIES_A_SECOND,
        unit="CPU s/image",
        goal=1.0,
    )


CASES = {
    "stamps": lambda quick: _stamps("stamps", 10.0, quick),
    "stamps-small": lambda quick: _stamps("stamps-small", 2.0, quick),
    "images-desi": lambda quick: _images("desi", quick),
    "images-sdss": lambda quick: _images("sdss", quick),
}
