"""A decoder that fits ellipses to the isophotes of the galaxy, and samples the light along each.

It begins with circles in the middle of the image. In each pass it samples points along the ellipses,
weighs them (a star on an ellipse counts little), and moves and reshapes the ellipses by what it finds; the
last pass predicts the profile. What a classical fit does by rules is learned here, and the network only has
to correct the surface brightness along the ellipses.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from skyloom_pix2prof.config import SHAPE
from skyloom_pix2prof.network.decoder import ParallelDecoder
from skyloom_pix2prof.network.ellipse_pass import MARKS, EllipseFit, EllipsePass, circle
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


def sample(maps: Tensor, places: Tensor) -> Tensor:
    """Interpolate maps (b, n, y, x) at places (b, ..., ..., 2), x and y in cells from the upper left edge."""
    rows, columns = maps.shape[2:]
    size = torch.tensor([columns, rows], device=places.device)
    grid = 2 * places / size - 1
    return F.grid_sample(maps, grid, padding_mode="border", align_corners=False)


def bend_of(ellipticity: Tensor, position_angle: Tensor) -> Tensor:
    """Return ellipticities and position angles in degrees as bends (..., 2)."""
    twice = position_angle * (math.pi / 90)
    return torch.stack([ellipticity * twice.cos(), ellipticity * twice.sin()], -1)


def mean_error(found: Tensor, truth: Tensor) -> Tensor:
    """Return the mean absolute error where the truth is known and not NaN; 0 where it is nowhere."""
    known = torch.isfinite(truth)
    return ((found - truth.nan_to_num()).abs() * known).sum() / known.sum().clamp(min=1)
