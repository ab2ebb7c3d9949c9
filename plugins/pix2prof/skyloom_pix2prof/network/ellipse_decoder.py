"""A decoder that fits ellipses to the isophotes of the galaxy, and samples the light along each.

It begins with circles in the middle of the image. In each pass it samples points along the ellipses,
weighs them (a star on an ellipse counts little), and moves and reshapes the ellipses by what it finds; the
last pass predicts the profile. What a classical fit does by rules is learned here, and the network only has
to correct the surface brightness along the ellipses.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from skyloom_pix2prof.config import SHAPE
from skyloom_pix2prof.network.decoder import ParallelDecoder
from skyloom_pix2prof.network.encoder import FIRST_CELLS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skyloom_pix2prof.config import Pix2ProfConfig
    from skyloom_pix2prof.hyperparameters import LearningSettings
    from skyloom_pix2prof.network.encoder import Encoded

CORE = 3.0
"""Radius in pixels inside which ellipses lie evenly; outside, their radii grow by equal factors."""
LEVELS = 4
"""How often the image is halved in size, so that a point on a wide ellipse stands for all pixels around."""
MARKS = 6
"""Features of the encoder at each point."""
TRAITS = 4
"""Features of an ellipse, from those of its points."""
RANKS = (0.08, 0.25, 0.5, 0.75, 0.92)
FAINTEST = 0.01
"""Flux, in units of the softening, below which magnitudes turn linear."""
THINNEST = 0.1
"""Axis ratio that no ellipse falls below."""
_POINT, _KERNEL = 16, 7
_SIGNAL = 0.05
_GENTLE = 0.002
_STEEPEST = 3.0

Shape = tuple[Tensor, Tensor]
"""Centre (b, 2) as x and y in pixels from the middle of the image, and bend (b, knots, 2)."""


class EllipseFit(NamedTuple):
    """What a pass found.

    Attributes
    ----------
    tokens : (b, knots, channels)
        The values before `offset` and `scale`; of the channels of the shape, `bend` counts instead.
    stops : (b, knots)
        Stop logits: positive where the sequence has ended.
    centre : (b, 2)
        x and y in pixels from the middle of the image.
    bend : (b, knots, 2)
        Ellipticity times the cosine and the sine of twice the position angle.
    """

    tokens: Tensor
    stops: Tensor
    centre: Tensor
    bend: Tensor


class EllipseDecoder(ParallelDecoder):
    """Fits ellipses to the isophotes of the galaxy and samples the light along each.

    The ellipticity and position angle that it predicts are those of its ellipses, in their places among the
    channels: the ellipticity times the cosine, and the sine, of twice the position angle, which never jump.
    """

    radii: Tensor

    def __init__(self, config: Pix2ProfConfig) -> None:
        super().__init__(config)
        self.stride, self.origin = FIRST_CELLS[config.stem]
        self.reach = config.crop / 2
        self.marks = nn.ModuleList(nn.Conv2d(config.width * 2**stage, MARKS, 1) for stage in range(2))
        self.passes = nn.ModuleList(EllipsePass(config) for _ in range(config.passes))
        places = torch.linspace(0, 1, config.knots)
        radii = CORE * torch.sinh(places * math.asinh(self.reach / CORE))
        self.register_buffer("radii", radii, persistent=False)
        widest = radii.diff(append=radii[-1:] * 2 - radii[-2:-1])
        levels = torch.log2(widest.clamp(min=1)).floor().clamp(max=LEVELS - 1).long().tolist()
        self.parts = [levels.count(level) for level in range(max(levels) + 1)]

    def forward(self, encoded: Encoded, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Map encoded images and step numbers (steps,) to values and stop logits (b, steps)."""
        last = self.fits(encoded)[-1]
        values = self.values(last.tokens)
        shape = dict(zip(SHAPE, last.bend.unbind(-1), strict=True))
        columns = [shape.get(name, values[..., at]) for at, name in enumerate(self.config.channels)]
        found = self.at(steps, torch.cat([torch.stack(columns, -1), last.stops[..., None]], 2))
        return found[..., :-1], found[..., -1]

    def fits(self, encoded: Encoded) -> list[EllipseFit]:
        """Return what each pass found."""
        levels = [encoded.images]
        for _ in self.parts[1:]:
            levels.append(F.avg_pool2d(levels[-1], 2))
        marks = [layer(found) for layer, found in zip(self.marks, encoded.maps[:2], strict=True)]
        code = encoded.code
        rows, columns = encoded.images.shape[2:]
        middle = torch.tensor([(columns - 1) / 2, (rows - 1) / 2], device=code.device)
        centre = code.new_zeros(code.shape[0], 2)
        bend = code.new_zeros(code.shape[0], self.config.knots, 2)
        fits: list[EllipseFit] = []
        for stage in self.passes:
            points = middle + self._points(centre.detach(), bend.detach())
            light, features = self._light(levels, points), self._marks(marks, points)
            fit = stage(light, features, code, self.radii, (centre, bend))
            centre, bend = fit.centre, fit.bend
            fits.append(fit)
        return fits

    def losses(
        self, encoded: Encoded, batch: Mapping[str, Tensor], learning: LearningSettings, progress: float
    ) -> dict[str, Tensor]:
        """Return the loss of what each pass predicts, and of where its ellipses lie."""
        del progress
        # the shape is that of the ellipses, and has a loss of its own
        of_light = torch.tensor([name not in SHAPE for name in self.config.channels])
        values = torch.where(of_light.to(batch["values"].device), batch["values"], torch.nan)
        steps = torch.arange(values.shape[1], device=values.device)
        ended = (steps >= batch["lengths"][:, None]).float()
        true_bend = bend_of(*batch["shapes"].unbind(-1))
        numbers = steps.to(encoded.images.dtype)
        *early, last = self.fits(encoded)
        total = values.new_zeros(())
        for number, fit in enumerate([*early, last]):
            found = self.value_loss(self.at(numbers, fit.tokens), values, 1 - ended, learning)
            bent = mean_error(self.at(numbers, fit.bend), true_bend)
            moved = mean_error(fit.centre, batch["centres"])
            stops = self.at(numbers, fit.stops[..., None])[..., 0]
            stopping = F.binary_cross_entropy_with_logits(stops.float(), ended)
            loss = found + learning.stop * stopping + learning.shape * bent + learning.centre * moved
            total = total + loss * (1.0 if number == len(early) else learning.early)
        return {"loss": total, "values": found, "stops": stopping, "bend": bent, "centre": moved}

    @property
    def stop_layer(self) -> nn.Linear:
        """The layer that makes the stop logits."""
        return cast("EllipsePass", self.passes[-1]).end

    def at(self, steps: Tensor, knots: Tensor) -> Tensor:
        """Interpolate what is known at the knots (b, knots, n) to step numbers (steps,)."""
        radii = steps * (self.config.step / self.config.pixel_scale)
        span = self.config.knots - 1
        places = torch.asinh(radii / CORE) * (span / math.asinh(self.reach / CORE))
        places = places.clamp(max=span)
        below = places.floor().clamp(max=span - 1)
        share = (places - below)[:, None]
        first = below.long()
        return knots[:, first] * (1 - share) + knots[:, first + 1] * share

    def _points(self, centre: Tensor, bend: Tensor) -> Tensor:
        """Return points along the ellipses (b, knots, angles, 2), x and y from the middle of the image."""
        x, y = circle(self.config.angles, bend.device)
        e1, e2 = bend[..., 0:1], bend[..., 1:2]
        e = torch.sqrt(e1 * e1 + e2 * e2 + 1e-12)
        # a circle, flattened by 1 - e along the minor axis
        across = 0.5 * ((e + e1) * x + e2 * y), 0.5 * (e2 * x + (e - e1) * y)
        around = torch.stack([x - across[0], y - across[1]], -1)
        return centre[:, None, None] + self.radii[:, None, None] * around

    def _light(self, levels: list[Tensor], points: Tensor) -> Tensor:
        """Return the light at pixels (b, knots, angles, 2), each knot from the level of its width."""
        found, first = [], 0
        for number, (level, count) in enumerate(zip(levels, self.parts, strict=True)):
            if count:
                part = points[:, first : first + count]
                found.append(sample(level, (part + 0.5) / 2**number)[:, 0])
                first += count
        return torch.cat(found, 1)

    def _marks(self, marks: list[Tensor], points: Tensor) -> Tensor:
        """Return features of the encoder at pixels (b, knots, angles, 2), as (b, knots, angles, marks)."""
        features = torch.zeros(())
        for number, found in enumerate(marks):
            stride = self.stride * 2**number
            features = features + sample(found, (points - self.origin) / stride + 0.5)
        return features.permute(0, 2, 3, 1)


class EllipsePass(nn.Module):
    """One pass along the ellipses: weigh the points, then move, reshape and measure each ellipse."""

    def __init__(self, config: Pix2ProfConfig) -> None:
        super().__init__()
        self.config, hidden = config, config.hidden
        self.point = nn.Linear(2 + MARKS, _POINT)
        self.weigh = nn.Linear(_POINT, 1 + TRAITS)
        self.code = nn.Linear(hidden, hidden)
        self.begin = nn.Linear(17 + len(RANKS) + TRAITS, hidden)
        self.blocks = nn.ModuleList(AlongBlock(hidden, config.dropout) for _ in range(config.layers))
        self.norm = nn.LayerNorm(hidden)
        self.shape = nn.Linear(hidden, 5)
        self.sky = nn.Linear(hidden, 1)
        self.tokens = nn.Linear(hidden, len(config.channels))
        self.end = nn.Linear(hidden, 1)
        for layer in (self.shape, self.sky, self.tokens, self.end):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self, light: Tensor, features: Tensor, code: Tensor, radii: Tensor, shape: Shape
    ) -> EllipseFit:
        """Map light (b, knots, angles) and features (b, knots, angles, marks) on ellipses to a fit."""
        centre, bend = shape
        ordered = light.sort(2).values
        ranks = [ordered[..., int(rank * light.shape[2])] for rank in RANKS]
        median = ranks[len(RANKS) // 2]
        offset = torch.asinh((light - median[..., None]) / _SIGNAL)
        point = F.gelu(self.point(torch.cat([light[..., None], offset[..., None], features], 3)))
        weighed = self.weigh(point)
        weights = torch.softmax(weighed[..., 0], 2)
        traits = (weights[..., None] * weighed[..., 1:]).sum(2)
        level = (weights * light).sum(2)
        x, y = circle(light.shape[2], light.device)
        uneven = weights * (light - level[..., None])
        waves = [(uneven * wave).sum(2) for wave in (x, y, x * x - y * y, 2 * x * y)]
        slope = gradient(level, radii)
        lever = slope / (slope * slope + _GENTLE**2)
        moves = [torch.asinh(-wave * lever) for wave in waves[:2]]
        bends = [torch.asinh(-wave * lever / (radii + 1)) for wave in waves[2:]]
        knots = torch.cat(
            [
                torch.stack(
                    [
                        level,
                        *(torch.asinh((rank - level) / _SIGNAL) for rank in ranks),
                        torch.asinh((light.mean(2) - level) / _SIGNAL),
                        *(torch.asinh(wave / _SIGNAL) for wave in waves),
                        *moves,
                        *bends,
                        torch.asinh(slope / _SIGNAL),
                        torch.log1p(radii).expand_as(level) / 5,
                        radii.expand_as(level) / radii[-1],
                    ],
                    2,
                ),
                bend,
                centre[:, None].expand(-1, len(radii), -1) / 10,
                traits,
            ],
            2,
        )
        state = self.begin(knots) + self.code(code)[:, None]
        for block in self.blocks:
            state = block(state)
        state = self.norm(state)
        move = self.shape(state)
        share = torch.softmax(move[..., 0:1], 1)
        centre = centre.detach() + 4 * (share * move[..., 1:3]).sum(1)
        bend = bounded(bend.detach() + move[..., 3:5])
        tokens = self.tokens(state)
        brightness = self.brightness(level, self.sky(state)[..., 0]) + tokens[..., 0]
        tokens = torch.cat([brightness[..., None], tokens[..., 1:]], 2)
        return EllipseFit(tokens, self.end(state)[..., 0], centre, bend)

    def brightness(self, level: Tensor, sky: Tensor) -> Tensor:
        """Return stretched light as a token of the surface brightness, after taking off some sky."""
        config = self.config
        span = config.ceiling - config.floor
        soft = config.softening if config.stretch == "asinh" else 1.0
        steep = math.asinh(1 / soft)
        scaled = soft * torch.sinh(level * steep) if config.stretch == "asinh" else level
        flux = config.floor / span + scaled - 0.1 * soft * sky
        faintest = 2 * FAINTEST * config.softening
        depth = torch.asinh(flux / faintest) + math.log(faintest / 2 * span / config.pixel_scale**2)
        value = config.zero_point - 2.5 / math.log(10) * depth
        return (value - config.offset[0]) / config.scale[0]


class AlongBlock(nn.Module):
    """Mixes neighbouring ellipses, then what is known of each, around a shortcut."""

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        self.mix = nn.Conv1d(hidden, hidden, _KERNEL, padding=_KERNEL // 2, groups=hidden)
        self.norm = nn.LayerNorm(hidden)
        self.feed = nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, hidden))
        self.dropout = nn.Dropout(dropout)

    def forward(self, state: Tensor) -> Tensor:
        """Map (b, knots, hidden) to the same."""
        mixed = self.mix(state.transpose(1, 2)).transpose(1, 2)
        return cast("Tensor", state + self.dropout(self.feed(self.norm(mixed))))


def circle(angles: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return x and y (angles,) of points spread evenly around the unit circle."""
    turns = torch.arange(angles, device=device) * (2 * math.pi / angles)
    return turns.cos(), turns.sin()


def sample(maps: Tensor, places: Tensor) -> Tensor:
    """Interpolate maps (b, n, y, x) at places (b, ..., ..., 2), x and y in cells from the upper left edge."""
    rows, columns = maps.shape[2:]
    size = torch.tensor([columns, rows], device=places.device)
    grid = 2 * places / size - 1
    return F.grid_sample(maps, grid, padding_mode="border", align_corners=False)


def gradient(level: Tensor, radii: Tensor) -> Tensor:
    """Return the change (b, knots) of the light per pixel from knot to knot."""
    inner = (level[:, 2:] - level[:, :-2]) / (radii[2:] - radii[:-2])
    return torch.cat([inner[:, :1], inner, inner[:, -1:]], 1)


def bounded(bend: Tensor) -> Tensor:
    """Keep the ellipticity below 1 - `THINNEST`, by the same factor in both components."""
    e = torch.sqrt(bend.square().sum(-1, keepdim=True) + 1e-12)
    return bend * ((1 - THINNEST) / e).clamp(max=1)


def bend_of(ellipticity: Tensor, position_angle: Tensor) -> Tensor:
    """Return ellipticities and position angles in degrees as bends (..., 2)."""
    twice = position_angle * (math.pi / 90)
    return torch.stack([ellipticity * twice.cos(), ellipticity * twice.sin()], -1)


def mean_error(found: Tensor, truth: Tensor) -> Tensor:
    """Return the mean absolute error where the truth is known and not NaN; 0 where it is nowhere."""
    known = torch.isfinite(truth)
    return ((found - truth.nan_to_num()).abs() * known).sum() / known.sum().clamp(min=1)
