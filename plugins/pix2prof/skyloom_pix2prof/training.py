"""How Pix2Prof learns.

A recurrent decoder is given the true values before each step, or its own; the transformer needs neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import skyloom
from skyloom.errors import InputError
from skyloom.profile import Profile
from skyloom_pix2prof.config import Pix2ProfConfig
from skyloom_pix2prof.data import ProfileExamples, validation_set
from skyloom_pix2prof.ellipses import EllipseDecoder, bend_of
from skyloom_pix2prof.network import AttendingDecoder, Pix2Prof, RecurrentDecoder
from skyloom_pix2prof.recipes import PRESETS, LearningSettings
from skyloom_pix2prof.sources import DataSettings
from skyloom_train import Data, LoopSettings, Settings, Task, Trainable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch.optim import Optimizer


FLAT_EXTRA = 8
"""Steps that the plateau is longer than the halting rule needs."""

BIN, ENOUGH = 0.5, 50
"""Width in mag / arcsec2 of the bins for which errors are measured, and the steps that one needs."""
ONE_SIGMA = 0.6827

_AT_ONCE = 32
_WIDE = 16
"""Channels from which convolutions are faster with the channels last in memory."""


class Pix2ProfSettings(Settings):
    """Everything a training of Pix2Prof is set with."""

    network: Pix2ProfConfig = Pix2ProfConfig()
    data: DataSettings = DataSettings()
    learning: LearningSettings = LearningSettings()
    loop: LoopSettings = LoopSettings()


class ProfileTask(Task):
    """Train the network to tell the profile of the galaxy in the middle of an image.

    Parameters
    ----------
    settings
        How.
    """

    decides = "deviation"

    def __init__(self, settings: Pix2ProfSettings) -> None:
        self.settings, self.config, self.learning = settings, settings.network, settings.learning
        self.network = Pix2Prof(settings.network)
        if settings.network.width >= _WIDE:
            self.network.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.modules = {"network": self.network}
        self._truth: tuple[Tensor, list[Profile]] | None = None
        self._metric: skyloom.Metric | None = None
        self._errors = settings.network.errors

    def optimisers(self) -> Mapping[str, Optimizer]:
        """Return Adam for the whole network."""
        learning = self.learning
        return {
            "network": torch.optim.AdamW(
                self.network.parameters(), learning.rate, weight_decay=learning.decay
            )
        }

    def data(self) -> Data:
        """Return simulated examples, or those of a folder."""
        return ProfileExamples(self.config, self.settings.data)

    def network_config(self) -> dict[str, Any]:
        """Return the configuration of the network, with the errors that the latest validation found."""
        return self.config.model_copy(update={"errors": self._errors}).model_dump(mode="json")

    def loss(self, phase: str, batch: Mapping[str, Tensor], progress: float) -> Mapping[str, Tensor]:
        """Return the loss of the values and, for the transformer, that of the ends."""
        del phase
        images, values, lengths = batch["images"], batch["values"], batch["lengths"]
        if isinstance(self.network.decoder, EllipseDecoder):
            return self._looking_loss(self.network.decoder, batch)
        if isinstance(self.network.decoder, AttendingDecoder):
            return self._attending_loss(self.network.decoder, images, values, lengths)
        return self._recurrent_loss(self.network.decoder, images, values, lengths, progress)

    def validate(self, modules: Mapping[str, nn.Module]) -> Mapping[str, float]:
        """Return the median deviation from profiles never trained on, and how well their ends are found.

        Figures
        -------
        deviation
            Median over profiles of the median deviation where the truth is brighter than 26.5 mag /
            arcsec2, by the metric ``profile-deviation``; ``deviation_all`` without that limit.
        length_error
            Median over profiles of the absolute error of the length, in arcsec.
        """
        network = cast("Pix2Prof", modules["network"])
        images, truths = self._validation()
        device = network.offset.device
        steps = max(len(profile) for profile in truths)
        told, ends = [], []
        for first in range(0, len(images), _AT_ONCE):
            values, lengths = tell(network, images[first : first + _AT_ONCE].to(device), steps)
            told.append(values[..., 0].double().cpu())
            ends += lengths.tolist()
        axis = np.arange(steps, dtype=np.float64) * self.config.step
        found = [
            Profile(axis=axis, values=value.numpy(), name=truth.name, band=truth.band)
            for value, truth in zip(torch.cat(told), truths, strict=True)
        ]
        if self._metric is None:
            self._metric = skyloom.load("profile-deviation", skyloom.Metric)
        score = self._metric.compare(truths, found)
        self._errors = typical_errors(truths, found)
        errors = [abs(end - len(truth)) for end, truth in zip(ends, truths, strict=True)]
        return {
            "deviation": score.parts.get("brighter than 26.5", score.value),
            "deviation_all": score.value,
            "length_error": float(np.median(errors)) * self.config.step,
        }

    def _validation(self) -> tuple[Tensor, list[Profile]]:
        if self._truth is None:
            images, profiles = validation_set(self.config, self.settings.data)
            seen = [number for number, profile in enumerate(profiles) if len(profile)]
            if not seen:
                raise InputError(
                    f"none of the {len(profiles)} profiles for validation has a value",
                    "Add more pairs, or set data.cut=false to keep what is lost in the noise",
                )
            self._truth = torch.from_numpy(images[seen]), [profiles[number] for number in seen]
        return self._truth

    def _attending_loss(
        self, decoder: AttendingDecoder, images: Tensor, values: Tensor, lengths: Tensor
    ) -> Mapping[str, Tensor]:
        count, asked = values.shape[1], self.learning.steps
        steps = torch.arange(count)
        if asked is not None and asked < count:
            steps = torch.randperm(count)[:asked].sort().values
        steps = steps.to(images.device)
        features = self.network.encoder.features(images)
        code = self.network.encoder.fc1(features.mean((2, 3)))
        tokens, stops = decoder(code, features, steps.to(code.dtype))
        ended = (steps >= lengths[:, None]).to(stops.dtype)
        found = self._deviation(tokens, values[:, steps], 1 - ended)
        stopping = F.binary_cross_entropy_with_logits(stops.float(), ended.float())
        return {"loss": found + self.learning.stop * stopping, "values": found, "stops": stopping}

    def _looking_loss(self, decoder: EllipseDecoder, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the loss of what each pass tells, and of where its ellipses lie."""
        learning, values = self.learning, batch["values"]
        steps = torch.arange(values.shape[1], device=values.device)
        ended = (steps >= batch["lengths"][:, None]).float()
        true_bend = bend_of(*batch["shapes"].unbind(-1))
        numbers = steps.to(batch["images"].dtype)
        *early, last = self.network.look(batch["images"])
        total = values.new_zeros(())
        for number, reading in enumerate([*early, last]):
            found = self._deviation(decoder.at(numbers, reading.tokens), values, 1 - ended)
            bent = mean_error(decoder.at(numbers, reading.bend), true_bend)
            moved = mean_error(reading.centre, batch["centres"])
            stops = decoder.at(numbers, reading.stops[..., None])[..., 0]
            stopping = F.binary_cross_entropy_with_logits(stops.float(), ended)
            loss = found + learning.stop * stopping + learning.shape * bent + learning.centre * moved
            total = total + loss * (1.0 if number == len(early) else learning.early)
        return {"loss": total, "values": found, "stops": stopping, "bend": bent, "centre": moved}

    def _recurrent_loss(
        self, decoder: RecurrentDecoder, images: Tensor, values: Tensor, lengths: Tensor, progress: float
    ) -> Mapping[str, Tensor]:
        network = self.network
        values, weights = with_plateau(values, lengths, self.config, self.learning.plateau)
        code = network.encode(images)
        first, last = self.learning.teacher
        if float(torch.rand(())) < first + (last - first) * progress:
            truth = (values - network.offset) / network.scale
            tokens = torch.cat([torch.zeros_like(truth[:, :1]), truth[:, :-1]], 1)
        else:
            tokens = own_tokens(decoder, code.detach(), values.shape[1])
        found = self._deviation(decoder(code, tokens.nan_to_num()), values, weights)
        return {"loss": found}

    def _deviation(self, tokens: Tensor, values: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted mean of the loss over the steps that have a value."""
        learning, network = self.learning, self.network
        known = torch.isfinite(values)
        difference = tokens.float() - ((values.nan_to_num() - network.offset) / network.scale)
        if "position_angle" in self.config.channels:
            difference = self._nearest_angle(difference)
        if self.config.decoder == "ellipses":  # these are told by the ellipses, and have a loss of their own
            told = [name not in ("ellipticity", "position_angle") for name in self.config.channels]
            known = known & torch.tensor(told, device=known.device)
        if learning.loss == "huber":
            zero = torch.zeros_like(difference)
            each = F.huber_loss(difference, zero, reduction="none", delta=learning.huber) / learning.huber
        else:
            each = difference.abs() if learning.loss == "l1" else difference.square()
        counted = weights[..., None] * known
        return (each * counted).sum() / counted.sum().clamp(min=1)

    def _nearest_angle(self, difference: Tensor) -> Tensor:
        """Take a position angle and the same turned by 180 degrees as equal."""
        channel = self.config.channels.index("position_angle")
        half_turn = 180 / self.network.scale.expand(difference.shape[-1])[channel]
        turns = (difference[..., channel] / half_turn).round().detach()
        correction = torch.zeros_like(difference)
        correction[..., channel] = turns * half_turn
        return difference - correction


def typical_errors(truths: Sequence[Profile], found: Sequence[Profile]) -> tuple[tuple[float, float], ...]:
    """Return what 68% of the deviations stay below, by the surface brightness that was told.

    The middles of bins of `BIN` mag / arcsec2 that have `ENOUGH` steps, with the error in each.
    """
    told, off = [], []
    for truth, profile in zip(truths, found, strict=True):
        both = min(len(truth), len(profile))
        told.append(profile.values[:both])
        off.append(np.abs(profile.values[:both] - truth.values[:both]))
    levels, deviations = np.concatenate(told), np.concatenate(off)
    bins = np.floor(levels / BIN)
    errors = []
    for number in np.unique(bins[np.isfinite(bins)]):
        inside = deviations[bins == number]
        if len(inside) >= ENOUGH:
            error = float(np.quantile(inside, ONE_SIGMA))
            errors.append((round(float(number + 0.5) * BIN, 3), float(f"{error:.3g}")))
    return tuple(errors)


def mean_error(found: Tensor, truth: Tensor) -> Tensor:
    """Return the mean absolute error where the truth is known and not NaN; 0 where it is nowhere."""
    known = torch.isfinite(truth)
    return ((found - truth.nan_to_num()).abs() * known).sum() / known.sum().clamp(min=1)


def with_plateau(
    values: Tensor, lengths: Tensor, config: Pix2ProfConfig, weight: float
) -> tuple[Tensor, Tensor]:
    """Continue profiles with their last value, until the halting rule has fired.

    Parameters
    ----------
    values : (b, steps, channel)
        Profiles, NaN after their end.
    lengths : (b,)
        Their steps.
    config
        Knows the halting rule.
    weight
        Of a step after the end.

    Returns
    -------
    values : (b, steps, channel)
        As long as the longest profile and its plateau.
    weights : (b, steps)
        1 for a step of the profile, `weight` on the plateau, 0 after it and for a profile of no steps.
    """
    flat = config.halting_window + FLAT_EXTRA
    count = min(int(lengths.max()) + flat, config.max_steps)
    steps = torch.arange(count, device=values.device)
    last = (lengths - 1).clamp(min=0)
    place = torch.minimum(steps, last[:, None])
    extended = values.gather(1, place[..., None].expand(-1, -1, values.shape[2]))
    inside, on_plateau = steps < lengths[:, None], steps < lengths[:, None] + flat
    weights = inside.float() + weight * (on_plateau & ~inside & (lengths[:, None] > 0)).float()
    return extended, weights


@torch.no_grad()
def own_tokens(decoder: RecurrentDecoder, code: Tensor, steps: int) -> Tensor:
    """Return what the decoder is given when it runs freely, (b, steps, channel).

    The gradients come from a second pass over these, in one call of the recurrent layers: as fast as
    teacher forcing, and learning from its own errors all the same.
    """
    mode = decoder.training
    decoder.eval()
    token, states = decoder.start(code)
    tokens = [token]
    for _ in range(steps - 1):
        token, states = decoder.step(code, token, states)
        tokens.append(token)
    decoder.train(mode)
    return torch.stack(tokens, 1)


@torch.no_grad()
def tell(network: Pix2Prof, images: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return values (b, steps, channel) without regard to their end, and where each sequence ends (b,)."""
    config = network.config
    if not isinstance(network.decoder, RecurrentDecoder):
        values, stops = network.attend(images, steps)
        return values, first_true(stops > 0)
    count = min(steps + config.halting_window + FLAT_EXTRA, config.max_steps)
    values = network.unroll(images, count)
    window = config.halting_window - 1
    spread = values[..., 0].unfold(1, window, 1).std(2, correction=0)
    return values[:, :steps], first_true(spread <= config.halting_tolerance).clamp(max=steps)


def first_true(marks: Tensor) -> Tensor:
    """Return the first true step of each row (b, steps), or their number where there is none."""
    return torch.where(marks.any(1), marks.to(torch.uint8).argmax(1), marks.shape[1])


def trainable() -> Trainable:
    """Return what `skyloom train pix2prof` trains."""
    return Trainable(settings=Pix2ProfSettings, task=ProfileTask, presets=PRESETS)
