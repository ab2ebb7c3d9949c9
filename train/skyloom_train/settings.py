"""How a training is set: what every plugin's settings have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from skyloom.frozen import Frozen


class LoopSettings(Frozen):
    """How the loop runs.

    Attributes
    ----------
    seed
        Decides the first weights, the data and all that is random; the same one gives the same losses.
    batch_size
        Examples in a batch of one process.
    accumulate
        Batches whose gradients are added up for one step.
    steps
        Updates of the weights in all.
    minutes
        Time that the training may take in all, over all resumptions. The schedule of the learning rate
        is stretched over whatever ends first, this time or the steps.
    warmup
        Steps over which the learning rate rises linearly.
    schedule
        What follows: ``"cosine"`` falls to `last_rate` at the end, ``"constant"`` stays.
    last_rate
        Learning rate at the end, as a share of the highest.
    clip
        Largest norm of the gradients of a phase; longer ones are scaled down. None for no limit.
    average
        Decay per step of the exponential moving average of the weights, which is what is validated and
        kept; 0 for none. It begins lower, so that the first weights are forgotten soon.
    precision
        Of the arithmetic; ``"auto"`` is bf16 (fp16 where there is none) on a GPU, and on a processor
        bf16 where it has matrix units for it, else fp32.
    device
        ``"auto"`` is a GPU where there is one.
    threads
        Threads of PyTorch on the processor; None leaves it as it is.
    workers
        Processes that prepare batches ahead of the network; 0 prepares them in between. The batches
        are the same for any number.
    validate_every
        Steps between two validations; one more is made at the end.
    save_every
        Steps between two saves of the state that a resumption starts from.
    log_every
        Steps whose losses are averaged into one row of the log; a row is also written before each
        validation and save.
    """

    seed: int = Field(default=0, ge=0)
    batch_size: int = Field(default=16, ge=1)
    accumulate: int = Field(default=1, ge=1)
    steps: int = Field(default=10_000, ge=1)
    minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    warmup: int = Field(default=100, ge=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    last_rate: float = Field(default=0.02, ge=0, le=1)
    clip: float | None = Field(default=1.0, gt=0)
    average: float = Field(default=0.999, ge=0, lt=1)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    device: Literal["auto", "cpu"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    workers: int = Field(default=1, ge=0)
    validate_every: int = Field(default=500, ge=1)
    save_every: int = Field(default=500, ge=1)
    log_every: int = Field(default=10, ge=1)


class Settings(Frozen):
    """Everything a training is set with; plugins add their own fields.

    Attributes
    ----------
    loop
        How the loop runs.
    """

    loop: LoopSettings = LoopSettings()


MAY_CHANGE = (
    "loop.minutes",
    "loop.threads",
    "loop.workers",
    "loop.validate_every",
    "loop.save_every",
    "loop.log_every",
)
"""Settings that a resumption may change."""
