"""How far a training is, how fast it learns then, and what its arithmetic is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from skyloom_train.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from skyloom_train.settings import LoopSettings

    Tensors = list[Tensor] | tuple[Tensor, ...]

_PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


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


def precision(loop: LoopSettings, device: torch.device) -> str:
    """Return the precision as Accelerate calls it."""
    if loop.precision == "auto":
        if device.type == "cuda":
            return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        return "bf16" if _has_matrix_units() else "no"
    if loop.precision == "fp16" and device.type == "cpu":
        raise TrainingError("fp16 is asked for, and there is no GPU", "Set loop.precision to bf16 or fp32")
    return _PRECISIONS[loop.precision]


def averaged(module: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of a module whose weights follow its own as a moving average."""

    def follow(averages: Tensors, values: Tensors, count: Tensor | int) -> None:
        steps = int(count)
        step = get_ema_multi_avg_fn(min(decay, (1 + steps) / (10 + steps)))  # type: ignore[no-untyped-call]
        step(averages, values, steps)

    return AveragedModel(module, multi_avg_fn=follow, use_buffers=True)


def _has_matrix_units() -> bool:
    """Say whether the processor computes bf16 in matrices (AMX); without them it gains nothing."""
    found = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(found is not None and found())
