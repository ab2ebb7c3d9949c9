"""What each part of Pix2Prof is worth: short trainings of equal cost, each with one thing changed.

``python -m benchmarks.ablation -o FOLDER [--minutes 3] [--case SUBSTRING]`` trains them one after the
other on one thread, and tests each on the same galaxies, on which nothing was trained or chosen. Each
makes as many steps as take the given time of a processor, by the time that its first steps take, so that
what else runs on the machine does not matter. What is in the folder already is not done again. The table
is written to ``ablation.md`` and ``ablation.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any, cast

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

import skyloom
from skyloom import Metric, Profile
from skyloom.checkpoint import Checkpoint, read_weights
from skyloom.files import complete
from skyloom_pix2prof.config import Pix2ProfConfig
from skyloom_pix2prof.data import DataSettings, validation_set
from skyloom_pix2prof.network import Pix2Prof
from skyloom_pix2prof.training import tell, trainable
from skyloom_train.choosing import choose
from skyloom_train.loop import train

SEED = 3_000_000
"""Of the galaxies for the test; trainings and validations have other seeds."""
GALAXIES = 60
TIMED = 4
FAILED = 0.5
"""Median deviation in mag / arcsec2 of a profile that counts as a failure."""

_ALONE = 'network.channels=["surface_brightness"]', "network.offset=[23.0]", "network.scale=[2.0]"
_RECURRENT = *_ALONE, "network.layers=2", "network.hidden=128"

CASES: dict[str, tuple[str, ...]] = {
    "as shipped": (),
    "decoder: transformer": (
        *_ALONE,
        "network.decoder=transformer",
        "network.hidden=128",
        "network.layers=2",
        "network.heads=4",
        "learning.rate=0.003",
        "learning.huber=0.15",
        "learning.steps=48",
    ),
    "decoder: GRU": (*_RECURRENT, "network.decoder=gru", "learning.huber=0.15"),
    "decoder: GRU, re-injecting": (*_RECURRENT, "network.decoder=reinject", "learning.huber=0.15"),
    "stem: 3x3": ("network.stem=3x3",),
    "stem: patch": ("network.stem=patch",),
    "half the width": ("network.width=8", "network.hidden=48"),
    "one look, at circles": ("network.passes=1",),
    "30 galaxies": ("data.galaxies=30",),
    "300 galaxies": ("data.galaxies=300",),
    "no neighbours in training": ("data.neighbours=false",),
}
"""What is changed in each training."""


def main() -> int:
    """Train and test them all, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for trainings and results")
    parser.add_argument("--minutes", type=float, default=3.0, help="processor time of each")
    parser.add_argument("--case", default="", help="only the cases whose name holds this")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    tests = {
        "crowded": validation_set(Pix2ProfConfig.model_validate(_seen()), _test(neighbours=True)),
        "alone": validation_set(Pix2ProfConfig.model_validate(_seen()), _test(neighbours=False)),
    }
    rows: dict[str, dict[str, float]] = {}
    for number, (name, changes) in enumerate(CASES.items()):
        if arguments.case not in name:
            continue
        folder = arguments.output / f"{number:02d}"
        result = folder / "result.json"
        if not result.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a training that was interrupted
            trained = _train(folder, changes, arguments.minutes)
            result.write_text(json.dumps(trained | _judge(folder, tests)))
        rows[name] = json.loads(result.read_text())
        _write(arguments.output, rows, arguments.minutes)
    sys.stdout.write((arguments.output / "ablation.md").read_text())
    return 0


def _settings(changes: tuple[str, ...], steps: int = 1) -> Any:
    loop = (f"loop.steps={steps}", "loop.validate_every=1000000", "loop.save_every=50")
    return choose(trainable(), file=None, assignments=[*changes, *loop], start=None)


def _seen() -> dict[str, Any]:
    """Return the configuration as shipped; all cases see images prepared alike."""
    network: Pix2ProfConfig = _settings(()).network
    return network.model_dump()


def _test(*, neighbours: bool) -> DataSettings:
    return DataSettings(validation_seed=SEED, validation_galaxies=GALAXIES, neighbours=neighbours)


def _seconds(changes: tuple[str, ...]) -> float:
    """Return the processor time of a step, the least of several; data come from another process."""
    settings = _settings(changes)
    torch.set_num_threads(1)
    task = trainable().task(settings)
    batch = task.data().batch(range(settings.loop.batch_size))
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in batch.items()}
    (optimiser,) = task.optimisers().values()
    seconds = []
    for _ in range(TIMED):
        began = time.process_time()
        optimiser.zero_grad()
        task.loss("network", tensors, 0.5)["loss"].backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        seconds.append(time.process_time() - began)
    return min(seconds)


def _train(folder: Path, changes: tuple[str, ...], minutes: float) -> dict[str, float]:
    each = _seconds(changes)
    settings = _settings(changes, max(round(60 * minutes / each), 1))
    outcome = train(trainable(), settings, folder, model="pix2prof", task="sequence-captioner")
    size = settings.loop.batch_size
    return {"examples": float(outcome.step * size), "rate": size / each}


def _judge(folder: Path, tests: dict[str, tuple[Any, list[Profile]]]) -> dict[str, float]:
    """Return the deviation on each test set, and the share of failures."""
    checkpoint = Checkpoint.open(folder / "last")
    network = Pix2Prof(Pix2ProfConfig.model_validate(checkpoint.config.config)).eval()
    weights = read_weights(checkpoint.weights)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    metric = cast("Metric", skyloom.load("profile-deviation"))
    found: dict[str, float] = {}
    for name, (images, truths) in tests.items():
        told = _told(network, images, truths)
        medians = np.array(
            [
                np.median(np.abs(one.values[: len(truth)] - truth.values)[bright])
                for one, truth in zip(told, truths, strict=True)
                if (bright := truth.values < 26.5).any()
            ]
        )
        found[name] = metric.compare(truths, told).parts["brighter than 26.5"]
        found[f"{name}, failed"] = float((medians > FAILED).mean())
    return found


def _told(network: Pix2Prof, images: Any, truths: list[Profile]) -> list[Profile]:
    steps = max(len(truth) for truth in truths)
    axis = np.arange(steps, dtype=np.float64) * network.config.step
    parts = (torch.from_numpy(images[start : start + 32]) for start in range(0, len(images), 32))
    values = torch.cat([tell(network, part, steps)[0][..., 0] for part in parts]).double().numpy()
    return [
        Profile(axis=axis, values=value, name=truth.name, band=truth.band)
        for value, truth in zip(values, truths, strict=True)
    ]


def _write(folder: Path, rows: dict[str, dict[str, float]], minutes: float) -> None:
    lines = [
        f"Each trained for {minutes:g} minutes of one core. The median deviation is in mag / arcsec2, where",
        f"the truth is brighter than 26.5, of {3 * GALAXIES} profiles; failures are those off by more than",
        f"{FAILED} in the median.",
        "",
        "| | images seen | images/s | deviation | failures | without neighbours |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {row['examples']:,.0f} | {row['rate']:.1f} | {row['crowded']:.3f} "
        f"| {row['crowded, failed']:.1%} | {row['alone']:.3f} |"
        for name, row in rows.items()
    ]
    for name, text in (
        ("ablation.md", "\n".join(lines) + "\n"),
        ("ablation.json", json.dumps(rows, indent=1)),
    ):
        with complete(folder / name, overwrite=True) as part:
            part.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
