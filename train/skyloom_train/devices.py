"""What a training computes on, how precisely, and how several processes agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from skyloom_train.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from skyloom_train.settings import LoopSettings, Settings

_PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


def accelerator(settings: Settings) -> Accelerator:
    """Return Accelerate's view of the devices; a second training in one process may set it anew."""
    if AcceleratorState._shared_state and not AcceleratorState().num_processes > 1:
        AcceleratorState._reset_state(reset_partial_state=True)
    cpu = settings.loop.device == "cpu" or not torch.cuda.is_available()
    device = torch.device("cpu" if cpu else "cuda")
    return Accelerator(cpu=cpu, mixed_precision=precision(settings.loop, device))


def precision(loop: LoopSettings, device: torch.device) -> str:
    """Return the precision as Accelerate calls it."""
    if loop.precision == "auto":
        if device.type == "cuda":
            return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        return "bf16" if _has_matrix_units() else "no"
    if loop.precision == "fp16" and device.type == "cpu":
        raise TrainingError("fp16 is asked for, and there is no GPU", "Set loop.precision to bf16 or fp32")
    return _PRECISIONS[loop.precision]


def share_gradients(process: Accelerator, weights: Sequence[Tensor]) -> None:
    """Average the gradients of all processes.

    Done here instead of by a wrapper around the modules, so that a task may call any method of them.
    """
    if process.num_processes == 1:
        return
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    together = torch.cat([gradient.flatten() for gradient in gradients])
    mean = process.reduce(together, reduction="mean")
    for gradient, part in zip(gradients, mean.split([each.numel() for each in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def _has_matrix_units() -> bool:
    """Say whether the processor computes bf16 in matrices (AMX); without them it gains nothing."""
    found = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(found is not None and found())
