"""The captioner: images of any band, scale and flux unit in, profiles with units out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from skyloom import Profile, SequenceCaptioner
from skyloom.errors import BundleError, InputError, NotFiniteError
from skyloom.expect import expect_count, expect_images
from skyloom.frozen import first_fault
from skyloom.random import check_seed
from skyloom_photometry import judge_gaps
from skyloom_pix2prof.config import SHAPE, Pix2ProfConfig
from skyloom_pix2prof.decoding import Sequence, open_predictor
from skyloom_pix2prof.image_checks import Verdict, check_light, check_mask, check_source
from skyloom_pix2prof.preprocessing import SMALLEST, clip_level, ellipses_within, fill, pad, prepare, resample

if TYPE_CHECKING:
    from skyloom import Bundle, Images

SAME_SCALE = 0.01
COARSEST, FINEST = 3.0, 8.0
"""How much larger or smaller pixels may be than in training: summing small ones loses nothing."""
SYMMETRIES = 8
PADDED = "framed"

type_f4 = NDArray[np.float32]


class Pix2ProfCaptioner(SequenceCaptioner):
    """Predicts the surface-brightness profile of the galaxy in the centre of each image, band by band.

    Pixel scale and zero-point of the images must be known: images of another scale than in training
    are resampled (flag ``resampled``), fluxes converted. A network that fits ellipses takes images
    smaller than its crop (flag ``framed``), and predicts the profile up to their edge.

    Parameters
    ----------
    bundle
        The trained network.
    samples
        From 2 to 8, each image is also shown turned and mirrored, in as many of the 8 symmetries of the
        square. Where the scatter of the predictions is larger than the usual error, it is the
        uncertainty.

    Notes
    -----
    The uncertainty is what 68% of the deviations stayed below where the network predicted this surface
    brightness of galaxies that it was not trained on, but whose images were alike. A bundle that was not
    validated, such as an imported one, does not know it.

    ``stopped`` is ``"halted"`` where the stopping rule found the plateau (which is removed),
    ``"max-length"`` where it did not, ``"edge"`` where a small image ended first; and with no step at
    all ``"masked"``, ``"empty"`` or ``"off-scale"`` where the image is not one to caption.
    """

    def __init__(self, bundle: Bundle, *, samples: int = 1) -> None:
        samples = expect_count(samples, what="samples")
        if samples > SYMMETRIES:
            raise InputError(f"samples is {samples}", f"Give a number from 1 to {SYMMETRIES}")
        try:
            self.config = Pix2ProfConfig.model_validate(bundle.manifest.settings)
        except ValidationError as error:
            raise BundleError(
                f"the settings of the bundle '{bundle.name}' are not valid {first_fault(error)}",
                "Get the bundle again from its author",
            ) from None
        self.samples = samples
        self.field_of_view = self.config.crop * self.config.pixel_scale
        self.predict = open_predictor(bundle, self.config)
        self.backend = self.predict.session.backend

    def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
        """Read one profile off each band of each image; nothing in it is random."""
        check_seed(seed)
        images = expect_images(images, pixel_scale=True, zero_point=True)
        ratio = self._ratio(images)
        keys = [(name, band) for name in images.names for band in images.bands]
        prepared: list[type_f4] = []
        verdicts: list[Verdict] = []
        for plane in range(len(keys)):
            image, verdict = self._prepare(images, divmod(plane, len(images.bands)), ratio)
            verdicts.append(verdict)
            if image is not None:
                prepared += symmetries(image, self.samples)
        names = [name for (name, _), verdict in zip(keys, verdicts, strict=True) if not verdict.refused]
        sequences = iter(self._predict(np.stack(prepared)[:, None], names) if prepared else [])
        provenance = self.provenance()
        profiles = []
        for plane, ((name, band), verdict) in enumerate(zip(keys, verdicts, strict=True)):
            versions = [] if verdict.refused else [next(sequences) for _ in range(self.samples)]
            profile = self._profile(versions, verdict, name=name, band=band, provenance=provenance)
            if PADDED in verdict.flags:
                profile = _cut(profile, images)
            mask = _mask(images, divmod(plane, len(images.bands)))
            if mask is not None:
                gaps = judge_gaps(profile, mask, pixel_scale=images.pixel_scale)
                profile = replace(profile, flags=tuple(dict.fromkeys((*profile.flags, *gaps))))
            profiles.append(profile)
        return profiles

    def _predict(self, prepared: type_f4, names: list[str]) -> list[Sequence]:
        """Run the network on prepared images (n, 1, y, x), `samples` of each of these names."""
        try:
            return self.predict(prepared)
        except NotFiniteError as error:
            for number, name in enumerate(names):
                own = prepared[number * self.samples : (number + 1) * self.samples]
                if len(names) == 1 or not self._is_finite(own):
                    raise InputError(
                        f"the network makes no finite numbers of '{name}'", error.remedy
                    ) from error
            raise

    def _is_finite(self, prepared: type_f4) -> bool:
        try:
            self.predict(prepared)
        except NotFiniteError:
            return False
        return True

    def _ratio(self, images: Images) -> float:
        """Return the pixel scale of training in pixels of the images; 1 where they are as good as equal."""
        assert images.pixel_scale is not None
        wanted, size = self.config.pixel_scale, self.config.crop
        ratio = wanted / images.pixel_scale
        if abs(ratio - 1) <= SAME_SCALE:
            ratio = 1.0
        if not 1 / COARSEST <= ratio <= FINEST:
            raise InputError(
                f"the images have {images.pixel_scale:g} arcsec/px, the network learned at {wanted:g}",
                f"Give images of {wanted / FINEST:.2g} to {wanted * COARSEST:.2g} arcsec/px",
            )
        least = int(np.ceil(SMALLEST * size)) if self.config.kind.fits_ellipses else size
        if int(min(images.shape[2:]) / ratio + 1e-6) < least:
            shape = f"{images.shape[2]}x{images.shape[3]} pixels of {images.pixel_scale:g} arcsec"
            raise InputError(
                f"the images have {shape}, and the network looks at {size * wanted:.4g} arcsec a side",
                f"Give cutouts of {int(np.ceil(least * ratio))} pixels or more a side",
            )
        return ratio

    def _prepare(
        self, images: Images, place: tuple[int, int], ratio: float
    ) -> tuple[type_f4 | None, Verdict]:
        """Return what the network is to see of one band of one image (y, x), if anything."""
        assert images.zero_point is not None
        assert images.pixel_scale is not None
        pixels: type_f4 = images.data[place]
        zero_point = images.zero_point[place[1]]
        flags: list[str] = []
        mask = _mask(images, place)
        if mask is not None:
            masked = check_mask(mask, int(np.ceil(self.config.crop * ratio)))
            if masked.refused:
                return None, masked
            flags += masked.flags
        light = check_light(
            pixels, None if mask is None else ~mask, pixel_scale=images.pixel_scale, zero_point=zero_point
        )
        if light.refused:
            return None, Verdict((*flags, *light.flags), light.refused)
        if mask is not None:
            pixels = fill(pixels, mask)
        if ratio != 1:
            pixels = resample(pixels, ratio)
            flags.append("resampled")
        pixels = pixels * np.float32(10 ** (0.4 * (self.config.zero_point - zero_point)))
        scene = check_source(pixels, self.config)
        if scene.refused:
            return None, Verdict((*flags, *scene.flags), scene.refused)
        level = clip_level(pixels, self.config)
        if min(pixels.shape) < self.config.crop:
            pixels = pad(pixels, self.config.crop)
            flags.append(PADDED)
        return prepare(pixels, self.config, level=level), Verdict((*flags, *light.flags, *scene.flags))

    def _error(self, values: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return the usual error of what the network predicts, if it was measured."""
        if not self.config.errors:
            return None
        levels, errors = np.transpose(self.config.errors)
        usual: NDArray[np.float64] = np.interp(values, levels, errors)
        return usual

    def _profile(self, versions: list[Sequence], verdict: Verdict, **labels: Any) -> Profile:
        """Return what the network predicted of an image, first as it is and then turned, as a profile."""
        config = self.config
        first = versions[0] if versions else Sequence(np.empty((0, len(config.channels)), np.float32), False)
        values, stopped = first.values.astype(float), verdict.refused
        if not stopped:
            stopped = "halted" if first.halted else "max-length"
        if first.halted and config.kind.recurrent:
            values = values[: -(config.halting_window + 1)]
        uncertainty = self._error(values[:, 0])
        each = [one.values[:, 0] for one in versions if len(one.values)]
        if len(each) > 1:
            scatter = np.std([_held(one, len(values)) for one in each], axis=0, ddof=1)
            uncertainty = scatter if uncertainty is None else np.maximum(uncertainty, scatter)
        return Profile(
            axis=config.step * np.arange(len(values), dtype=float),
            values=values[:, 0],
            uncertainty=uncertainty,
            columns={name: values[:, number] for number, name in enumerate(config.channels) if number},
            stopped=stopped,
            flags=verdict.flags,
            **labels,
        )


def _mask(images: Images, place: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Return the mask (y, x) of a band of an image, if a pixel of it is masked."""
    return None if images.mask is None or not images.mask[place].any() else images.mask[place]


def _cut(profile: Profile, images: Images) -> Profile:
    """Return a profile up to the edge of the image."""
    assert images.pixel_scale is not None
    height, width = (length * images.pixel_scale for length in images.shape[2:])
    known = (profile.columns.get(name, np.zeros(len(profile))) for name in SHAPE)
    kept = ellipses_within(profile.axis, *known, height=height, width=width)
    return profile if kept == len(profile) else replace(profile.first(kept), stopped="edge")


def _held(values: type_f4, length: int) -> NDArray[np.float64]:
    """Return the first values of a sequence; one that is shorter stays at its last value."""
    return values[np.minimum(np.arange(length), len(values) - 1)].astype(float)


def symmetries(image: type_f4, count: int) -> list[type_f4]:
    """Return the first `count` of the 8 symmetries of a square image (y, x); the first is itself."""
    every = [np.rot90(one, turns) for one in (image, image.T) for turns in range(4)]
    return every[:count]
