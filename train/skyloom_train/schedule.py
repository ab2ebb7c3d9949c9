"""Progress of a training, schedule of its learning rate, and moving average of its weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

if TYPE_CHECKING:
    from torch import Tensor, nn

    from skyloom_train.settings import LoopSettings

    Tensors = list[Tensor] | tuple[Tensor, ...]


def progress(step: int, seconds: float, loop: LoopSettings) -> float:
    """Return how much of the training is done, from 0 to 1, by its steps or its time."""
    timed = 0.0 if loop.minutes is None else seconds / 60 / loop.minutes
    return min(max(step / loop.steps, timed), 1.0)


def rate(step: int, done: float, loop: LoopSettings) -> float:
    """Return the factor on the learning rate of a step (from 0) when this much is done."""
    rise = min((step + 1) / (loop.warmup + 1), 1.0)
    if loop.schedule == "constant":
        return rise
    return rise * (loop.last_rate + (1 - loop.last_rate) * (1 + math.cos(math.pi * done)) / 2)


def averaged(module: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of a module whose weights follow its own as a moving average."""

    def follow(averages: Tensors, values: Tensors, count: Tensor | int) -> None:
        steps = int(count)
        step = get_ema_multi_avg_fn(min(decay, (1 + steps) / (10 + steps)))  # type: ignore[no-untyped-call]
        step(averages, values, steps)

    return AveragedModel(module, multi_avg_fn=follow, use_buffers=True)
