"""The training of Pix2Prof: settings, optimiser and validation; losses belong to the decoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

import skyloom
from skyloom.errors import InputError
from skyloom.profile import Profile
from skyloom_pix2prof.config import Pix2ProfConfig
from skyloom_pix2prof.data import ProfileExamples, validation_set
from skyloom_pix2prof.hyperparameters import PRESETS, LearningSettings
from skyloom_pix2prof.network.pix2prof import Pix2Prof
from skyloom_pix2prof.sources import DataSettings
from skyloom_train import Data, LoopSettings, Settings, Task, Trainable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch.optim import Optimizer


BIN, ENOUGH = 0.5, 50
"""Width in mag / arcsec2 of the bins for which errors are measured, and the steps that one needs."""
ONE_SIGMA = 0.6827

_BATCH = 32
_WIDE = 16
"""Channels from which convolutions are faster with the channels last in memory."""


class Pix2ProfSettings(Settings):
    """Everything a training of Pix2Prof is set with."""

    network: Pix2ProfConfig = Pix2ProfConfig()
    data: DataSettings = DataSettings()
    learning: LearningSettings = LearningSettings()
    loop: LoopSettings = LoopSettings()


class ProfileTask(Task):
    """Train the network to predict the profile of the galaxy in the middle of an image.

    Parameters
    ----------
    settings
        How.
    """

    decides = "deviation"

    def __init__(self, settings: Pix2ProfSettings) -> None:
        self.settings, self.config = settings, settings.network
        self.network = Pix2Prof(settings.network)
        if settings.network.width >= _WIDE:
            self.network.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.modules = {"network": self.network}
        self._truth: tuple[Tensor, list[Profile]] | None = None
        self._metric: skyloom.Metric | None = None
        self._errors = settings.network.errors

    def optimisers(self) -> Mapping[str, Optimizer]:
        """Return Adam for the whole network."""
        learning = self.settings.learning
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
        """Return the losses of the decoder, see `skyloom_pix2prof.network.decoder.Decoder.losses`."""
        del phase
        encoded = self.network.encoder.encode(batch["images"])
        return self.network.decoder.losses(encoded, batch, self.settings.learning, progress)

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
        device = network.decoder.offset.device
        steps = max(len(profile) for profile in truths)
        predicted, ends = [], []
        for part in torch.split(images, _BATCH):
            values, lengths = network(part.to(device), steps)
            predicted.append(values[..., 0].double().cpu())
            ends += lengths.tolist()
        axis = np.arange(steps, dtype=np.float64) * self.config.step
        found = [
            Profile(axis=axis, values=value.numpy(), name=truth.name, band=truth.band)
            for value, truth in zip(torch.cat(predicted), truths, strict=True)
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


def typical_errors(truths: Sequence[Profile], found: Sequence[Profile]) -> tuple[tuple[float, float], ...]:
    """Return what 68% of the deviations stay below, by the surface brightness that was predicted.

    The middles of bins of `BIN` mag / arcsec2 that have `ENOUGH` steps, with the error in each.
    """
    levels, off = [], []
    for truth, profile in zip(truths, found, strict=True):
        both = min(len(truth), len(profile))
        levels.append(profile.values[:both])
        off.append(np.abs(profile.values[:both] - truth.values[:both]))
    predicted, deviations = np.concatenate(levels), np.concatenate(off)
    bins = np.floor(predicted / BIN)
    errors = []
    for number in np.unique(bins[np.isfinite(bins)]):
        inside = deviations[bins == number]
        if len(inside) >= ENOUGH:
            error = float(np.quantile(inside, ONE_SIGMA))
            errors.append((round(float(number + 0.5) * BIN, 3), float(f"{error:.3g}")))
    return tuple(errors)


def trainable() -> Trainable:
    """Return what `skyloom train pix2prof` trains."""
    return Trainable(settings=Pix2ProfSettings, task=ProfileTask, presets=PRESETS)
