"""A training of a second or less: a line through noise, with dropout, so that every kind of chance counts."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from skyloom.errors import InputError
from skyloom.random import generator
from skyloom_train import LoopSettings, Settings, Task, Trainable

WEIGHTS = np.array([1.0, -2.0, 0.5, 3.0], np.float32)


class ToySettings(Settings):
    """Settings of the toy; `trouble` says what goes wrong, and `at` in which step."""

    width: int = 8
    rate: float = 1e-2
    dropout: float = 0.1
    norm: bool = True
    kind: Literal["sgd", "adam"] = "adam"
    trouble: str = ""
    at: int = 0
    better: Literal["lower", "higher"] = "lower"
    loop: LoopSettings = LoopSettings(
        steps=40, batch_size=4, workers=0, validate_every=10, save_every=10, log_every=1, threads=1, warmup=5
    )


class Lines:
    """Examples of a sum with weights."""

    def __init__(self, settings: ToySettings) -> None:
        self.settings = settings
        if settings.trouble == "no data":
            raise InputError("there are no data", "Give some")

    def batch(self, indices: Sequence[int]) -> Mapping[str, NDArray[np.generic]]:
        """Return x (b, 4), y (b,) and the indices."""
        settings = self.settings
        step = indices[0] // settings.loop.batch_size
        if settings.trouble == "kill" and step == settings.at:
            os.kill(os.getpid(), signal.SIGKILL)
        if settings.trouble == "interrupt" and step == settings.at:
            os.kill(os.getpid(), signal.SIGINT)
        x = np.stack([generator(7, index).standard_normal(4).astype(np.float32) for index in indices])
        y = x @ WEIGHTS
        if settings.trouble == "missing" and step == settings.at:
            raise InputError("an image is missing", "Put it back")
        if settings.trouble == "nan" and step == settings.at:
            y[0] = np.nan
        return {"x": x, "y": y, "index": np.array(indices)}


class ToyTask(Task):
    """Learn the weights."""

    decides = "error"

    def __init__(self, settings: ToySettings) -> None:
        self.settings = settings
        self.better = settings.better  # type: ignore[misc]
        width = settings.width
        norm = nn.BatchNorm1d(width) if settings.norm else nn.Identity()
        self.network = nn.Sequential(
            nn.Linear(4, width), nn.Tanh(), norm, nn.Dropout(settings.dropout), nn.Linear(width, 1)
        )
        self.modules = {"network": self.network}

    def optimisers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return Adam, or plain descent."""
        kind = torch.optim.Adam if self.settings.kind == "adam" else torch.optim.SGD
        return {"network": kind(self.network.parameters(), lr=self.settings.rate)}

    def data(self) -> Lines:
        """Return the data."""
        return Lines(self.settings)

    def loss(self, phase: str, batch: Mapping[str, Tensor], progress: float) -> Mapping[str, Tensor]:
        """Return the squared error."""
        assert phase == "network"
        assert 0 <= progress < 1
        error = self.network(batch["x"])[:, 0] - batch["y"]
        return {"loss": error.square().mean(), "absolute": error.abs().mean()}

    def validate(self, modules: Mapping[str, nn.Module]) -> Mapping[str, float]:
        """Return the mean error on data never trained on."""
        assert not any(module.training for module in modules.values())
        if self.settings.trouble == "silent":
            return {"other": 1.0}
        batch = Lines(self.settings.model_copy(update={"trouble": ""})).batch(range(10_000, 10_064))
        x, y = torch.from_numpy(batch["x"]), torch.from_numpy(batch["y"])
        return {"error": float((modules["network"](x)[:, 0] - y).abs().mean())}

    def network_config(self) -> dict[str, Any]:
        """Return the width."""
        return {"width": self.settings.width}


PRESETS: dict[str, dict[str, Any]] = {"small": {}, "wide": {"width": 32, "loop": {"steps": 30}}}


def trainable() -> Trainable:
    """Return what is trained."""
    return Trainable(settings=ToySettings, task=ToyTask, presets=PRESETS)


def settings(**changes: Any) -> ToySettings:
    """Return settings; keys of the loop may be given as they are."""
    loop = {key: changes.pop(key) for key in list(changes) if key in LoopSettings.model_fields}
    base = ToySettings(**changes)
    return base.model_copy(update={"loop": LoopSettings.model_validate(base.loop.model_dump() | loop)})


def run_in(folder: str, resume: str, **changes: Any) -> None:
    """Train in a folder; what a subprocess calls."""
    from skyloom_train import train

    train(trainable(), settings(**changes), Path(folder), model="toy", task="metric", resume=bool(resume))
