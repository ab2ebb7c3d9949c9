"""One pass of the decoder that fits ellipses: from the light along ellipses to better ones, and values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from skyloom_pix2prof.config import Pix2ProfConfig

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


def gradient(level: Tensor, radii: Tensor) -> Tensor:
    """Return the change (b, knots) of the light per pixel from knot to knot."""
    inner = (level[:, 2:] - level[:, :-2]) / (radii[2:] - radii[:-2])
    return torch.cat([inner[:, :1], inner, inner[:, -1:]], 1)


def bounded(bend: Tensor) -> Tensor:
    """Keep the ellipticity below 1 - `THINNEST`, by the same factor in both components."""
    e = torch.sqrt(bend.square().sum(-1, keepdim=True) + 1e-12)
    return bend * ((1 - THINNEST) / e).clamp(max=1)
