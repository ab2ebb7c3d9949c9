"""Many faint sources at once: their catalogue, and their light on an image of any extent."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skyloom_sky import population, sersic
from skyloom_sky.component import Sersic, quadratic_form
from skyloom_sky.drawing import SIZES, add_patch, canvases
from skyloom_sky.galaxy import Galaxy, Texture
from skyloom_sky.stamps import blur, grids, responses
from skyloom_sky.texture import draw_texture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.table import QTable

    from skyloom_sky.population import Background
    from skyloom_sky.survey import Survey

DISC_INDEX, BULGE_INDEX = 1.0, 4.0
_BULGE_RADIUS = 0.3
_FAINTEST = 0.1
_TOLERANCE = 250.0
_CHUNK_VALUES = 200_000
_TEXTURED_PIXELS = 7.0
_ELLIPTICALS = 0.1
_BULGE_SCATTER = 0.1

type_f4 = NDArray[np.float32]
type_f8 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Sources, one an entry of each array.

    Attributes
    ----------
    x, y
        Position in pixels, the middle of the first pixel of the image being (0, 0).
    star
        Whether it is a point.
    magnitudes : float array (source, band)
        Total AB magnitudes.
    bulge_share
        Share of the light in the bulge, a de Vaucouleurs profile, in the reference band; the rest is
        an exponential disc.
    bulge_colour
        How much redder the bulge is than the disc, as `redness`.
    radius
        Half-light radius of the disc, or of the bulge where there is no disc, in arcsec; 0 for stars.
    axis_ratio
        Of the disc, or of the bulge where there is no disc.
    angle
        Position angle in degrees, from +y towards -x.
    texture
        Number from which arms, clumps and dust are drawn; -1 for none.
    """

    x: type_f8
    y: type_f8
    star: NDArray[np.bool_]
    magnitudes: type_f8
    bulge_share: type_f8
    bulge_colour: type_f8
    radius: type_f8
    axis_ratio: type_f8
    angle: type_f8
    texture: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, which: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Catalogue:
        return Catalogue(**{item.name: getattr(self, item.name)[which] for item in fields(self)})

    def moved(self, x: float, y: float) -> Catalogue:
        """Return the catalogue with all positions moved by (x, y) pixels."""
        return replace(self, x=self.x + x, y=self.y + y)

    @classmethod
    def joined(cls, parts: Sequence[Catalogue]) -> Catalogue:
        """Return several catalogues as one."""
        return cls(
            **{
                item.name: np.concatenate([getattr(part, item.name) for part in parts])
                for item in fields(cls)
            }
        )

    def to_table(self, survey: Survey) -> QTable:
        """Return the catalogue as an astropy table with units."""
        from astropy import units
        from astropy.table import QTable

        table = QTable(
            {
                "x": self.x * units.pix,
                "y": self.y * units.pix,
                "kind": np.where(self.star, "star", "galaxy"),
                "half_light_radius": self.radius * units.arcsec,
                "axis_ratio": self.axis_ratio,
                "position_angle": self.angle * units.deg,
                "bulge_share": self.bulge_share,
            }
        )
        for number, band in enumerate(survey.band_names):
            table[f"magnitude_{band}"] = self.magnitudes[:, number] * units.ABmag
        return table


def draw_catalogue(
    background: Background,
    survey: Survey,
    extent: tuple[float, float, float, float],
    random: np.random.Generator,
) -> Catalogue:
    """Draw the galaxies and stars of a rectangle of sky.

    One galaxy in ten is an elliptical; the bulges of the others hold a normally distributed share of
    the light with a dispersion of 0.1 (Miller et al. 2013). The scatter of sizes is chosen: 0.35 in
    the logarithm.

    Parameters
    ----------
    background
        Limits and densities.
    survey
        Bands and pixels.
    extent
        Smallest x, smallest y, width and height in pixels.
    random
        Where the numbers come from.
    """
    x0, y0, width, height = extent
    area = width * height * (survey.pixel_scale / 60) ** 2
    galaxies = population.draw_magnitudes(
        "galaxies", background.magnitude, area * background.galaxies, random
    )
    stars = population.draw_magnitudes("stars", background.magnitude, area * background.stars, random)
    count, total = len(galaxies), len(galaxies) + len(stars)
    star = np.arange(total) >= count
    magnitude = np.concatenate([galaxies, stars])

    elliptical = random.random(total) < _ELLIPTICALS
    disc_ratio = population.draw_axis_ratios(total, random)
    round_ratio = random.uniform(0.5, 1.0, total)
    share = np.minimum(np.abs(random.normal(0, _BULGE_SCATTER, total)) + 0.01, 0.6)
    radius = population.median_half_light_radius(magnitude) * random.lognormal(0, 0.35, total)
    redness = np.where(
        star,
        (random.beta(1.2, 1.5, total) * 1.3 - 0.1) / 0.47,  # g - r of 0.2 to 1.5
        np.where(elliptical, random.uniform(0.7, 1.4, total), random.uniform(-0.4, 0.9, total)),
    )
    textures = random.integers(2**31, size=total)
    textured = ~star & ~elliptical & (radius > _TEXTURED_PIXELS * survey.pixel_scale) & (disc_ratio > 0.25)
    return Catalogue(
        x=x0 + width * random.random(total) - 0.5,
        y=y0 + height * random.random(total) - 0.5,
        star=star,
        magnitudes=magnitude[:, None] + population.colours(redness, survey),
        bulge_share=np.where(star, 0.0, np.where(elliptical, 1.0, share)),
        bulge_colour=np.where(elliptical, 0.0, 0.3),
        radius=np.where(star, 0.0, radius),
        axis_ratio=np.where(star, 1.0, np.where(elliptical, round_ratio, disc_ratio)),
        angle=random.uniform(0, 180, total),
        texture=np.where(textured, textures, -1),
    )


def add_light(catalogue: Catalogue, survey: Survey, image: type_f4, *, largest: int = SIZES[-1]) -> None:
    """Add the light of all sources to an image (band, y, x), without noise.

    Every source has a patch of pixels that depends on the source alone, not on the image: a source is the
    same on every tile that it touches.

    Parameters
    ----------
    catalogue
        The sources.
    survey
        Pixels, bands and blur.
    image : float32 array (band, y, x)
        Flux a pixel; sources beyond its edges reach into it.
    largest
        Largest patch in pixels.
    """
    if not len(catalogue):
        return
    allowed = np.array([size for size in SIZES if size <= largest])
    needed = np.searchsorted(allowed, 2 * reach(catalogue, survey)).clip(max=len(allowed) - 1)
    sizes = allowed[needed]
    x = np.floor(catalogue.x).astype(np.intp) - sizes // 2 + 1
    y = np.floor(catalogue.y).astype(np.intp) - sizes // 2 + 1
    visible = (x < image.shape[2]) & (y < image.shape[1]) & (x + sizes > 0) & (y + sizes > 0)
    for size in np.unique(sizes[visible]):
        chosen = np.flatnonzero(visible & (sizes == size))
        chunk = max(1, int(_CHUNK_VALUES / size**2))
        for start in range(0, len(chosen), chunk):
            rows = chosen[start : start + chunk]
            patches = _patches(catalogue[rows], survey, int(size), x[rows], y[rows])
            for patch, left, bottom in zip(patches, x[rows], y[rows], strict=True):
                add_patch(patch, image, int(left), int(bottom))


def reach(catalogue: Catalogue, survey: Survey) -> type_f8:
    """Return the distance (source,) in pixels beyond which a source is below a tenth of the noise."""
    limits = _FAINTEST * survey.noise() / survey.pixel_scale**2
    contrast = (10 ** (0.4 * (survey.zero_point - catalogue.magnitudes)) / limits).max(axis=1)
    widest = max((band.psf for band in survey.bands), key=lambda psf: psf.noise_area())
    blurred = widest.reach(contrast)
    galaxy = ~catalogue.star
    extended = catalogue[galaxy]
    extent = np.zeros(len(catalogue))
    for index, share, scale in (
        (DISC_INDEX, 1 - extended.bulge_share, 1.0),
        (BULGE_INDEX, extended.bulge_share, np.where(extended.bulge_share == 1, 1.0, _BULGE_RADIUS)),
    ):
        radius = extended.radius * scale
        peak = sersic.central_intensity(index, 1.0) / (radius**2 * extended.axis_ratio)
        exponent = np.log(np.maximum(contrast[galaxy] * share * peak, 1.0)) / sersic.b_of(index)
        extent[galaxy] = np.maximum(extent[galaxy], radius * exponent**index)
    # widths add in squares, for Gaussians exactly
    return np.asarray(np.hypot(blurred, extent) / survey.pixel_scale + 1, np.float64)


def as_galaxy(catalogue: Catalogue, number: int, survey: Survey) -> Galaxy:
    """Return one galaxy of a catalogue as a `Galaxy`, e.g. to measure what is true of it."""
    one = catalogue[np.array([number])]
    fluxes = _fluxes(one, survey)[0]
    disc, bulge = _parts(one, 0)
    kept = [i for i, share in enumerate((1 - one.bulge_share[0], one.bulge_share[0])) if share > 0]
    magnitudes = survey.zero_point - 2.5 * np.log10(fluxes[:, kept])
    return Galaxy(
        tuple((disc, bulge)[i] for i in kept),
        magnitudes,
        (float(one.x[0]), float(one.y[0])),
        texture=_texture(one, 0),
    )


def _fluxes(catalogue: Catalogue, survey: Survey) -> type_f8:
    """Return the flux (source, band, component) of disc (or point) and bulge."""
    total = 10 ** (0.4 * (survey.zero_point - catalogue.magnitudes))
    redder = population.colours(catalogue.bulge_colour, survey) - population.colours(0.0, survey)
    ratio = np.where(
        catalogue.bulge_share < 1, catalogue.bulge_share / np.maximum(1 - catalogue.bulge_share, 1e-9), 0
    )
    bulge = ratio[:, None] * 10 ** (-0.4 * redder)
    share = np.where(catalogue.bulge_share[:, None] == 1, 1.0, bulge / (1 + bulge))
    return np.stack([total * (1 - share), total * share], axis=-1)


def _shapes(catalogue: Catalogue, component: int) -> tuple[type_f8, type_f8]:
    """Return half-light radius and axis ratio (source,) of the discs or of the bulges."""
    if component == 0:
        return catalogue.radius, catalogue.axis_ratio
    alone = catalogue.bulge_share == 1
    return (
        np.where(alone, catalogue.radius, _BULGE_RADIUS * catalogue.radius),
        np.where(alone, catalogue.axis_ratio, 0.4 + 0.6 * catalogue.axis_ratio),
    )


def _parts(catalogue: Catalogue, number: int) -> tuple[Sersic, Sersic]:
    """Return the disc and the bulge of a galaxy."""
    angle = float(catalogue.angle[number])
    (disc, disc_ratio), (bulge, bulge_ratio) = _shapes(catalogue, 0), _shapes(catalogue, 1)
    return (
        Sersic(DISC_INDEX, float(disc[number]), float(disc_ratio[number]), angle),
        Sersic(BULGE_INDEX, float(bulge[number]), float(bulge_ratio[number]), angle),
    )


def _texture(catalogue: Catalogue, number: int) -> Texture | None:
    seed = int(catalogue.texture[number])
    if seed < 0:
        return None
    disc, bulge = _parts(catalogue, number)
    return population.draw_texture_of(
        disc, bulge.half_light_radius, np.random.Generator(np.random.PCG64(seed))
    )


def _patches(
    catalogue: Catalogue, survey: Survey, size: int, x: NDArray[np.intp], y: NDArray[np.intp]
) -> type_f4:
    """Draw sources on patches (source, band, y, x) of one size; (x, y) are their first pixels."""
    boards = canvases(survey, size, tolerance=_TOLERANCE)
    grid = grids(boards, (size,))[0]
    kx, ky = grid.kx / survey.pixel_scale, grid.ky / survey.pixel_scale
    fluxes = _fluxes(catalogue, survey).astype(np.float32)
    light = np.zeros((len(catalogue), len(boards), len(ky), len(kx)), np.float32)
    light[catalogue.star] = fluxes[catalogue.star, :, 0, None, None]
    for component, index in enumerate((DISC_INDEX, BULGE_INDEX)):
        has = np.flatnonzero(~catalogue.star & (fluxes[:, :, component] > 0).any(axis=1))
        if len(has):
            shapes = _squared_wave_numbers(catalogue[has], component, kx, ky)
            shapes = sersic.transform(index).at_squared(shapes)
            light[has] += shapes[:, None] * fluxes[has, :, component, None, None]
    along_y = np.exp(np.complex64(-1j) * np.multiply.outer(catalogue.y - y, grid.ky).astype(np.float32))
    along_x = np.exp(np.complex64(-1j) * np.multiply.outer(catalogue.x - x, grid.kx).astype(np.float32))
    phases = along_y[:, None, :, None], along_x[:, None, None, :]
    patches = grid.invert(light * responses(boards, grid), phases, slice(0, size))
    for number in np.flatnonzero(catalogue.texture >= 0):
        patches[number] += _patch_texture(
            catalogue, int(number), survey, size, (int(x[number]), int(y[number]))
        )
    return patches


def _patch_texture(
    catalogue: Catalogue, number: int, survey: Survey, size: int, first: tuple[int, int]
) -> type_f4:
    galaxy = as_galaxy(catalogue, number, survey).moved(-first[0], -first[1])
    disc = galaxy.fluxes(np.full(len(survey.bands), survey.zero_point))[:, galaxy.reference]
    light = draw_texture(
        galaxy, disc, wavelengths=survey.wavelengths, size=size, pixel_scale=survey.pixel_scale
    )
    return blur(light, canvases(survey, size))


def _squared_wave_numbers(catalogue: Catalogue, component: int, kx: type_f8, ky: type_f8) -> type_f4:
    """Return the squared elliptical wave numbers (source, ky, kx) of one component."""
    radius, ratio = _shapes(catalogue, component)
    forms = quadratic_form(radius, ratio, catalogue.angle)
    xx, xy, yy = (form[:, None].astype(np.float32) for form in forms)
    squared = (2 * xy * ky.astype(np.float32))[:, :, None] * kx.astype(np.float32)
    squared += (xx * (kx**2).astype(np.float32))[:, None, :]
    squared += (yy * (ky**2).astype(np.float32))[:, :, None]
    return np.asarray(squared, np.float32)
