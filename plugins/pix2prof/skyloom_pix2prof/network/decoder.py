"""What the network, its training and its export ask of a decoder, whatever its kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skyloom_pix2prof.config import Pix2ProfConfig
    from skyloom_pix2prof.hyperparameters import LearningSettings
    from skyloom_pix2prof.network.encoder import Encoded


class Decoder(nn.Module, ABC):
    """Predicts the sequence of an encoded image.

    A token is the output of the last layer: what a value is before `offset` and `scale` are applied. Values
    are in physical units, mag / arcsec2 for the surface brightness.

    Parameters
    ----------
    config
        What the network is made of.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, config: Pix2ProfConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("offset", torch.tensor(config.offset), persistent=False)
        self.register_buffer("scale", torch.tensor(config.scale), persistent=False)

    @abstractmethod
    def predict(self, encoded: Encoded, steps: int) -> tuple[Tensor, Tensor]:
        """Return values (b, steps, channel) without regard to their end, and the length (b,) of each."""

    @abstractmethod
    def losses(
        self, encoded: Encoded, batch: Mapping[str, Tensor], learning: LearningSettings, progress: float
    ) -> dict[str, Tensor]:
        """Return losses by name, ``"loss"`` being their weighted sum.

        Parameters
        ----------
        encoded
            The images of a batch.
        batch
            See `skyloom_pix2prof.data.ProfileExamples.batch`.
        learning
            Kind and weights of the losses.
        progress
            How much of the training is done, from 0 to 1.
        """

    @abstractmethod
    def imitate_training(self, typical: int) -> None:
        """Change random weights such that sequences end as those of a trained decoder do.

        Parameters
        ----------
        typical
            Values after which a sequence should halt, more or less, where halting can be brought about.
        """

    def values(self, tokens: Tensor) -> Tensor:
        """Return tokens as values in physical units."""
        return self.offset + self.scale * tokens

    def value_loss(
        self, tokens: Tensor, values: Tensor, weights: Tensor, learning: LearningSettings
    ) -> Tensor:
        """Return the mean loss of tokens (b, steps, channel) over the steps that have a value.

        Parameters
        ----------
        tokens
            What was predicted.
        values : (b, steps, channel)
            What is true, NaN where it is not known.
        weights : (b, steps)
            Of each step.
        learning
            Names the loss.
        """
        known = torch.isfinite(values)
        difference = tokens.float() - ((values.nan_to_num() - self.offset) / self.scale)
        if "position_angle" in self.config.channels:
            difference = self._nearest_angle(difference)
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
        half_turn = 180 / self.scale.expand(difference.shape[-1])[channel]
        turns = (difference[..., channel] / half_turn).round().detach()
        correction = torch.zeros_like(difference)
        correction[..., channel] = turns * half_turn
        return difference - correction


class ParallelDecoder(Decoder):
    """Predicts all steps at once, each with a stop logit: positive where the sequence has ended."""

    @abstractmethod
    def forward(self, encoded: Encoded, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Map encoded images and step numbers (steps,) to values and stop logits (b, steps)."""

    def predict(self, encoded: Encoded, steps: int) -> tuple[Tensor, Tensor]:
        """Return values (b, steps, channel), and the first step (b,) with a positive stop logit."""
        images = encoded.images
        values, stops = self(encoded, torch.arange(steps, device=images.device, dtype=images.dtype))
        return values, first_true(stops > 0)

    def imitate_training(self, typical: int) -> None:
        """Let sequences never end: logits of random weights would end them at once."""
        del typical
        nn.init.zeros_(self.stop_layer.weight)
        nn.init.constant_(self.stop_layer.bias, -1.0)

    @property
    @abstractmethod
    def stop_layer(self) -> nn.Linear:
        """The layer that makes the stop logits."""


def first_true(marks: Tensor) -> Tensor:
    """Return the first true step of each row (b, steps), or their number where there is none."""
    return torch.where(marks.any(1), marks.to(torch.uint8).argmax(1), marks.shape[1])
