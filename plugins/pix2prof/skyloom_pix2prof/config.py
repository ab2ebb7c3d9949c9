"""What a Pix2Prof network is, and what it expects of images; imports no PyTorch."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from skyloom.frozen import Frozen

Channel = Literal["surface_brightness", "ellipticity", "position_angle", "curve_of_growth"]
# Far beyond what any survey or network has, and near enough for products of them to stay numbers.
Arcsec = Annotated[float, Field(gt=1e-6, le=1e6)]
Magnitude = Annotated[float, Field(ge=-1000, le=1000)]
Flux = Annotated[float, Field(ge=-1e15, le=1e15)]
Factor = Annotated[float, Field(ge=-1e6, le=1e6)]


class DecoderKind(NamedTuple):
    """A kind of decoder, for what runs, trains or exports a network with it.

    Attributes
    ----------
    network
        ``"module:class"`` of a `skyloom_pix2prof.network.decoder.Decoder`.
    recurrent
        Whether it predicts one value after the other, and halts by its own values.
    reinjects
        Whether it is given the encoding with each value.
    attends
        Whether it has heads of attention.
    fits_ellipses
        Whether it predicts shapes as those of ellipses, which it learns from the shapes of isophotes, and
        may be given images smaller than what it was trained on.
    """

    network: str
    recurrent: bool = False
    reinjects: bool = False
    attends: bool = False
    fits_ellipses: bool = False


_NETWORKS = "skyloom_pix2prof.network"
_RECURRENT = f"{_NETWORKS}.recurrent_decoder:RecurrentDecoder"
DECODERS = {
    "gru": DecoderKind(_RECURRENT, recurrent=True),
    "reinject": DecoderKind(_RECURRENT, recurrent=True, reinjects=True),
    "transformer": DecoderKind(f"{_NETWORKS}.transformer_decoder:TransformerDecoder", attends=True),
    "ellipses": DecoderKind(f"{_NETWORKS}.ellipse_decoder:EllipseDecoder", fits_ellipses=True),
}
"""The decoders by name; another one is an entry here, and its class."""
SHAPE = "ellipticity", "position_angle"
"""Channels that say what an ellipse is like."""


def _known(decoder: str) -> str:
    if decoder not in DECODERS:
        raise ValueError(f"known are {', '.join(DECODERS)}")
    return decoder


class Pix2ProfConfig(Frozen):
    """The configuration of a network; the defaults are those of the published one, but for the stem.

    Attributes
    ----------
    stem
        How the encoder begins: ``"standard"`` (7x7 convolution of stride 2 and max-pool, as the paper
        says) or ``"3x3"`` (one 3x3 convolution that keeps the full size, as the published weights have
        it, at 14 times the cost), or ``"patch"`` (one 8x8 convolution of stride 4: the resolution of
        the standard stem at a tenth of its cost).
    width
        Channels of the first stage; the fourth has 8 times as many.
    hidden
        Length of the encoding, and width of the decoder.
    layers
        Layers of the decoder.
    heads
        Heads of attention; for the transformer alone, and a divisor of `hidden`.
    dropout
        Probability of dropout between the layers of the decoder, in training.
    decoder
        ``"gru"``: the encoding is the first hidden state, and every value is fed back. ``"reinject"``:
        the encoding is fed in with each value, too, so that it cannot be forgotten. ``"transformer"``:
        all steps at once, one query each, with attention to the feature map of the encoder.
        ``"ellipses"``: all at once, too, sampled along ellipses that the network fits to the galaxy.
    knots, angles, passes
        Ellipses, points on each, and passes over them; for this decoder alone.
    channels
        What is predicted at each step; the surface brightness comes first.
    crop
        Rows and columns of the central part of the image that the network sees.
    pixel_scale
        Side of a pixel in arcsec, in training.
    zero_point
        AB magnitude of one unit of flux, in training; 22.5 for nanomaggies.
    clip_percentile
        Pixels of the whole image brighter than this percentile are set to it.
    floor, ceiling
        Flux that becomes 0 and 1, A and B of equation 2.1.
    stretch
        ``"linear"`` is equation 2.1; ``"asinh"`` compresses the bright end.
    softening
        Where, between floor (0) and ceiling (1), the asinh turns from linear to logarithmic.
    step
        Arcsec between two values.
    max_steps
        Values that a sequence has at most; one that is predicted all at once never leaves the image.
    halting_window, halting_tolerance
        A sequence ends when its last values (as many as the window, without the newest) have a
        standard deviation of the tolerance or less; in mag / arcsec2.
    offset, scale
        Value of a channel for an output of the last layer of 0, and its change for 1; one number each,
        or one a channel.
    rectified
        Whether the last layer ends in a ReLU, as the published one does.
    errors
        Surface brightnesses in their order, and how far from the truth 68% of the predictions there are at
        most, of galaxies that were not trained on; measured whenever a training validates.
    """

    stem: Literal["standard", "3x3", "patch"] = "standard"
    width: int = Field(default=64, ge=1, le=1024)
    hidden: int = Field(default=512, ge=1, le=8192)
    layers: int = Field(default=3, ge=1, le=32)
    heads: int = Field(default=8, ge=1, le=64)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    decoder: Annotated[str, AfterValidator(_known)] = "gru"
    knots: int = Field(default=56, ge=8, le=1024)
    angles: int = Field(default=48, ge=8, le=1024)
    passes: int = Field(default=3, ge=1, le=16)
    channels: tuple[Channel, ...] = Field(default=("surface_brightness",), min_length=1)
    crop: int = Field(default=256, ge=8, le=8192)
    pixel_scale: Arcsec = 0.396
    zero_point: Magnitude = 22.5
    clip_percentile: float = Field(default=99.9, gt=0, le=100)
    floor: Flux = 2.0
    ceiling: Flux = 30.0
    stretch: Literal["linear", "asinh"] = "linear"
    softening: float = Field(default=0.01, gt=1e-12, le=1e12)
    step: Arcsec = 0.2
    max_steps: int = Field(default=1024, ge=1, le=100_000)
    halting_window: int = Field(default=100, ge=3, le=100_000)
    halting_tolerance: float = Field(default=0.01, ge=0, le=1000)
    offset: tuple[Factor, ...] = (0.0,)
    scale: tuple[Factor, ...] = (1.0,)
    rectified: bool = True
    errors: tuple[tuple[Magnitude, Magnitude], ...] = Field(default=(), max_length=10_000)

    @property
    def reach(self) -> int:
        """Values to the edge of the image, or `max_steps` where these are fewer."""
        return min(self.max_steps, int(self.crop / 2 * self.pixel_scale / self.step) + 1)

    @property
    def kind(self) -> DecoderKind:
        """What its decoder is like."""
        return DECODERS[self.decoder]

    @model_validator(mode="after")
    def _agree(self) -> Pix2ProfConfig:
        """Refuse a configuration that contradicts itself."""
        if self.channels[0] != "surface_brightness" or len(set(self.channels)) != len(self.channels):
            raise ValueError("channels must begin with 'surface_brightness' and name none twice")
        if not self.ceiling > self.floor:
            raise ValueError(f"the ceiling {self.ceiling} must lie above the floor {self.floor}")
        for what in ("offset", "scale"):
            if len(getattr(self, what)) not in {1, len(self.channels)}:
                raise ValueError(
                    f"{what} must be one number, or one for each of {len(self.channels)} channels"
                )
        levels = [level for level, _ in self.errors]
        if any(later <= level for level, later in pairwise(levels)):
            raise ValueError(f"the surface brightnesses of errors are {levels}, which do not increase")
        if 0.0 in self.scale:
            raise ValueError("a scale of 0 would make a channel constant")
        if self.kind.fits_ellipses and len({*SHAPE} & {*self.channels}) == 1:
            raise ValueError("ellipses tell their ellipticity and position_angle together, or neither")
        if self.kind.attends and (self.hidden % self.heads or self.hidden % 4):
            raise ValueError(f"hidden {self.hidden} must be divisible by 4 and by the {self.heads} heads")
        return self
