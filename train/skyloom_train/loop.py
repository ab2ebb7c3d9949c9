"""The training loop: steps, validation, checkpoints and resuming."""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate.utils import broadcast
from torch.nn.utils import clip_grad_norm_

from skyloom.checkpoint import CheckpointConfig, write_checkpoint
from skyloom.errors import listed
from skyloom.names import is_name
from skyloom.version import version
from skyloom_train import devices, schedule
from skyloom_train.errors import NotFiniteError, StateError, TrainingError
from skyloom_train.interrupts import on_interrupt
from skyloom_train.outcome import Outcome, Status, Stopwatch
from skyloom_train.records import Logs
from skyloom_train.state import read_state, write_state
from skyloom_train.stream import Numbered, stream
from skyloom_train.training_folder import check_folder, prepare_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from os import PathLike

    from accelerate import Accelerator
    from accelerate.optimizer import AcceleratedOptimizer
    from torch import Tensor, nn

    from skyloom_train.settings import Settings
    from skyloom_train.stream import Batch
    from skyloom_train.task import Task, Trainable

STATE, BEST, LAST = "state.pt", "best", "last"


def train(
    trainable: Trainable,
    settings: Settings,
    folder: str | PathLike[str],
    *,
    model: str,
    task: str,
    resume: bool = False,
    show: Callable[[Status], None] | None = None,
) -> Outcome:
    """Train, or go on with a training.

    Parameters
    ----------
    trainable
        What is trained.
    settings
        How.
    folder
        Where everything is kept: ``settings.json``, the logs ``training.csv``, ``validation.csv`` and
        ``tensorboard``, the state to resume from, and the checkpoints ``best`` and (in the end) ``last``.
    model, task
        Names of the model and its task, for the checkpoint.
    resume
        Go on with the training in the folder. On a processor the losses are the same, bit for bit, as
        if it had never been stopped.
    show
        Called after every row of the log.

    Raises
    ------
    NotFiniteError
        When a loss is NaN or infinite; the last state and the best checkpoint are kept.
    """
    place, process = Path(folder), devices.accelerator(settings)
    check_folder(place, settings, resume=resume)
    run = _Run(trainable, settings, place, process, model=model, task=task, show=show)
    process.wait_for_everyone()
    if process.is_main_process:
        prepare_folder(place, settings)
    return run.run()


class _Run:
    """One process that trains; with several, each has its own batches and they average their gradients."""

    def __init__(
        self,
        trainable: Trainable,
        settings: Settings,
        folder: Path,
        process: Accelerator,
        *,
        model: str,
        task: str,
        show: Callable[[Status], None] | None,
    ) -> None:
        self.settings, self.loop, self.folder, self.show = settings, settings.loop, folder, show
        self.model, self.task_name = model, task
        if self.loop.threads is not None:
            torch.set_num_threads(self.loop.threads)
        self.accelerator, self.device = process, process.device
        torch.manual_seed(self.loop.seed)
        self.task: Task = trainable.task(settings)
        self.data = self.task.data()
        for module in self.task.modules.values():
            module.to(self.device).train()
        self.optimisers: dict[str, AcceleratedOptimizer] = {
            phase: self.accelerator.prepare(optimiser) for phase, optimiser in self.task.optimisers().items()
        }
        self.highest = {
            phase: [group["lr"] for group in optimiser.param_groups]
            for phase, optimiser in self.optimisers.items()
        }
        self.averages = {
            name: schedule.averaged(module, self.loop.average)
            for name, module in (self.task.modules.items() if self.loop.average else ())
        }
        self.step = 0
        self.seconds = 0.0
        self.best: dict[str, Any] = {}
        self.pending: list[tuple[int, dict[str, Tensor | float]]] = []
        self.validated_at = -1
        self.stopping = False
        if (folder / STATE).exists():
            self._restore(read_state(folder / STATE))
        self.clock = Stopwatch(self.seconds)
        self.figures: Mapping[str, float] = self.best.get("figures", {})

    def run(self) -> Outcome:
        """Train to the end, or until an interrupt."""
        main = self.accelerator.is_main_process
        logs = Logs(self.folder, self.step) if main else None
        numbers = range(self.step * self.loop.accumulate, self.loop.steps * self.loop.accumulate)
        source = Numbered(
            self.data,
            self.loop.batch_size,
            process=self.accelerator.process_index,
            processes=self.accelerator.num_processes,
        )
        batches = stream(source, numbers, workers=self.loop.workers, pinned=self.device.type == "cuda")
        with contextlib.closing(batches), contextlib.closing(logs or contextlib.ExitStack()):  # type: ignore[type-var]
            with on_interrupt(self._stop):
                while self._agreed_progress() < 1 and not self.stopping:
                    self._update(batches)
                    if self.step % self.loop.log_every == 0:
                        self._log(logs)
                    if self.step % self.loop.validate_every == 0:
                        self._validate(logs)
                    if self.step % self.loop.save_every == 0:
                        self._save(logs)
            finished = self.done >= 1
            if finished and self.validated_at != self.step:
                self._validate(logs)
            self._save(logs)
        rate, waiting = self._speed()
        if finished and main:
            self._checkpoint(LAST, self.figures)
        return Outcome(
            folder=self.folder,
            step=self.step,
            finished=finished,
            figures=dict(self.best.get("figures", {})),
            best_step=int(self.best.get("step", 0)),
            checkpoint=self.folder / BEST,
            rate=rate,
            waiting=waiting,
        )

    def _update(self, batches: Iterator[Batch]) -> None:
        """Make one step: every phase in turn, on the same batches."""
        loop, process = self.loop, self.accelerator
        asked = time.monotonic()
        parts = [self._to_device(next(batches)) for _ in range(loop.accumulate)]
        self.clock.waited(time.monotonic() - asked)
        # a step draws the same random numbers whether or not the training was stopped before it
        words = np.random.SeedSequence((loop.seed, self.step, process.process_index))
        torch.manual_seed(int(words.generate_state(1, np.uint64)[0]))
        factor = schedule.rate(self.step, self.done, loop)
        self.step += 1
        losses: dict[str, Tensor | float] = {}
        for phase, optimiser in self.optimisers.items():
            for group, highest in zip(optimiser.param_groups, self.highest[phase], strict=True):
                group["lr"] = highest * factor
            optimiser.zero_grad()
            for part in parts:
                with process.autocast():
                    found = self.task.loss(phase, part, self.done)
                process.backward(found["loss"] / loop.accumulate)
                for name, value in found.items():
                    key = name if len(self.optimisers) == 1 else f"{phase} {name}"
                    losses[key] = losses.get(key, 0.0) + value.detach().float() / loop.accumulate
            weights = [w for group in optimiser.param_groups for w in group["params"] if w.grad is not None]
            devices.share_gradients(process, weights)
            process.unscale_gradients(optimiser)
            clip_grad_norm_(weights, math.inf if loop.clip is None else loop.clip)
            optimiser.step()
        for name, average in self.averages.items():
            average.update_parameters(self.task.modules[name])
        self.pending.append((self.step, losses))
        self.clock.stepped(self.step)

    def _to_device(self, batch: Batch) -> Batch:
        return {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}

    def _agreed_progress(self) -> float:
        """Return how much is done; all processes go by the clock, and the interrupts, of the first."""
        self.seconds = self.clock.seconds
        self.done = schedule.progress(self.step, self.seconds, self.loop)
        if self.accelerator.num_processes > 1:
            facts = torch.tensor([self.done, float(self.stopping)], dtype=torch.float64, device=self.device)
            self.done, stopping = broadcast(facts).tolist()
            self.stopping = bool(stopping)
        return self.done

    def _log(self, logs: Logs | None) -> None:
        """Write the mean losses since the last row; NaN is an error."""
        if not self.pending:
            return
        rows = [{name: float(value) for name, value in losses.items()} for _, losses in self.pending]
        for (step, _), row in zip(self.pending, rows, strict=True):
            for name, value in row.items():
                if not math.isfinite(value):
                    raise NotFiniteError(step, name, value, self._what_is_kept())
        means = {name: math.fsum(row[name] for row in rows) / len(rows) for name in rows[0]}
        self.pending = []
        rate, waiting = self._speed()
        if logs is not None:
            learning = next(iter(self.optimisers.values())).param_groups[0]["lr"]
            logs.training(
                self.step,
                means,
                {
                    "learning_rate": learning,
                    "minutes": self.seconds / 60,
                    "rate": rate,
                    "waiting": waiting,
                },
            )
        if self.show is not None and self.accelerator.is_main_process:
            self.show(Status(self.step, self.done, means, self.figures, rate, waiting))

    def _validate(self, logs: Logs | None) -> None:
        """Judge the averaged modules, and keep them where they are the best so far."""
        self._log(logs)
        self.validated_at, began = self.step, time.monotonic()
        if logs is not None:
            modules = self._averaged()
            modes = {name: module.training for name, module in modules.items()}
            with torch.no_grad():
                for module in modules.values():
                    module.eval()
                figures = {name: float(value) for name, value in self.task.validate(modules).items()}
                for name, module in modules.items():
                    module.train(modes[name])
            self._judge(figures)
            logs.validation(self.step, figures)
        self.accelerator.wait_for_everyone()
        self.clock.aside(time.monotonic() - began)

    def _judge(self, figures: dict[str, float]) -> None:
        task = self.task
        if task.decides not in figures:
            raise TrainingError(
                f"{type(task).__name__}.validate returned {listed(figures)}, and '{task.decides}' decides",
                "Return it, or let another figure decide",
            )
        self.figures = figures
        value = figures[task.decides]
        sign = -1 if task.better == "higher" else 1
        best = self.best["figures"][task.decides] if self.best else math.nan
        # no number at all is worse than any
        if not self.best or math.isnan(best) or sign * value < sign * best:
            self.best = {"figures": figures, "step": self.step}
            self._checkpoint(BEST, figures)

    def _checkpoint(self, kind: str, figures: Mapping[str, float]) -> None:
        task, name = self.task, self.folder.resolve().name
        weights = self._averaged()[task.result].state_dict()
        write_checkpoint(
            self.folder / kind,
            CheckpointConfig(
                model=self.model,
                task=self.task_name,
                name=name if is_name(name) else None,
                config=task.network_config(),
                training={
                    "settings": self.settings.model_dump(mode="json"),
                    "step": self.step,
                    "examples": self.step * self._examples_a_step,
                    "minutes": round(self.seconds / 60, 2),
                    "figures": dict(figures),
                    "decided_by": task.decides,
                    "skyloom": version(),
                    "torch": str(torch.__version__),
                },
            ),
            {key: value.cpu().numpy() for key, value in weights.items()},
            overwrite=True,
        )

    def _save(self, logs: Logs | None) -> None:
        self._log(logs)
        if logs is not None:
            scaler = self.accelerator.scaler
            state = {
                "step": self.step,
                "seconds": self.seconds,
                "best": self.best,
                "validated_at": self.validated_at,
                "modules": {name: module.state_dict() for name, module in self.task.modules.items()},
                "averages": {name: average.state_dict() for name, average in self.averages.items()},
                "optimisers": {phase: each.optimizer.state_dict() for phase, each in self.optimisers.items()},
                "scaler": {} if scaler is None else scaler.state_dict(),
            }
            logs.sync()
            write_state(self.folder / STATE, state)
        self.accelerator.wait_for_everyone()

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            for name, module in self.task.modules.items():
                module.load_state_dict(state["modules"][name])
            for name, average in self.averages.items():
                average.load_state_dict(state["averages"][name])
            for phase, optimiser in self.optimisers.items():
                optimiser.optimizer.load_state_dict(state["optimisers"][phase])
            if self.accelerator.scaler is not None and state["scaler"]:
                self.accelerator.scaler.load_state_dict(state["scaler"])
            self.step, self.seconds = int(state["step"]), float(state["seconds"])
            self.best, self.validated_at = dict(state["best"]), int(state["validated_at"])
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise StateError(
                f"'{self.folder / STATE}' does not fit this network: {str(error).splitlines()[0]}",
                "Resume it with the version of the code that it was begun with",
            ) from error

    def _averaged(self) -> dict[str, nn.Module]:
        if not self.averages:
            return dict(self.task.modules)
        return {name: average.module for name, average in self.averages.items()}

    def _speed(self) -> tuple[float, float]:
        """Return examples per second, and the share of the time that was spent waiting for data."""
        return self.clock.speed(self.step, self._examples_a_step)

    @property
    def _examples_a_step(self) -> int:
        processes: int = self.accelerator.num_processes
        return self.loop.batch_size * self.loop.accumulate * processes

    def _stop(self) -> None:
        self.stopping = True

    def _what_is_kept(self) -> str:
        if not self.best:
            return "No network was kept yet"
        return f"The best network so far, of step {self.best['step']}, is kept in '{self.folder / BEST}'"
