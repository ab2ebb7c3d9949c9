"""What each part of Pix2Prof is worth: short trainings of equal cost, each with one thing changed.

``python -m benchmarks.ablation -o FOLDER [--minutes 3] [--case SUBSTRING]`` trains them one after the
other on one thread, and tests each on the same galaxies, on which nothing was trained or chosen. Each
makes as many steps as take the given time of a processor, by the time that its first steps take, so that
what else runs on the machine does not matter. What is in the folder already is not done again. The table
is written to ``ablation.csv``, which ``skyloom report --table`` puts into its page.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import sys
import time
import warnings
from pathlib import Path
from typing import Any, cast

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from safetensors.numpy import load_file
from scipy.ndimage import map_coordinates

import skyloom
from skyloom import Metric, Profile
from skyloom.checkpoint import Checkpoint
from skyloom.files import complete
from skyloom_pix2prof.config import Pix2ProfConfig
from skyloom_pix2prof.data import validation_set
from skyloom_pix2prof.network.pix2prof import Pix2Prof
from skyloom_pix2prof.sources import DataSettings
from skyloom_pix2prof.training import trainable
from skyloom_sky.mock import CONFIGS, MockSky
from skyloom_train.loop import train
from skyloom_train.overrides import choose

SEED = 3_000_000
"""Of the galaxies for the test; trainings and validations have other seeds."""
GALAXIES = 60
TIMED = 4
BRIGHT = 26.5
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
    "twice the width": ("network.width=32", "network.hidden=192"),
    "half the learning rate": ("learning.rate=0.001",),
    "twice the learning rate": ("learning.rate=0.004",),
    "constant learning rate": ("loop.schedule=constant",),
    "average of weights over 100 steps": ("loop.average=0.99",),
    "no average of weights": ("loop.average=0.0",),
}
"""What is changed in each training."""

KNOWN = "no network: mean light along the true ellipses"
"""What ellipses alone can reach: other sources masked by the truth, and the light of near radii averaged."""

HEADINGS = "", "images seen", "images/s", "deviation", "failures", "without neighbours"

_ROUND = np.linspace(0, 2 * np.pi, 96, endpoint=False)
_NEAR = 0.1
"""Radii averaged, to both sides, as a share of the radius."""


def main() -> int:
    """Train and test them all, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for trainings and results")
    parser.add_argument("--minutes", type=float, default=3.0, help="processor time of each")
    parser.add_argument("--case", default="", help="only the cases whose name holds this")
    arguments = parser.parse_args()
    if not any(arguments.case in name for name in CASES):
        parser.error(f"no case holds {arguments.case!r}; there is {', '.join(CASES)}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    tests = {
        "crowded": validation_set(Pix2ProfConfig.model_validate(_seen()), _test(neighbours=True)),
        "alone": validation_set(Pix2ProfConfig.model_validate(_seen()), _test(neighbours=False)),
    }
    rows = {KNOWN: _known(arguments.output / "known.json")}
    for number, (name, changes) in enumerate(CASES.items()):
        folder = arguments.output / f"{number:02d}"
        result, made_by = folder / "result.json", [arguments.minutes, *changes]
        done = json.loads(result.read_text()) if result.exists() else {}
        if done.get("made by") != made_by:
            if arguments.case not in name:
                continue
            shutil.rmtree(folder, ignore_errors=True)  # of a training that was interrupted, or was another
            done = {"made by": made_by, **_train(folder, changes, arguments.minutes), **_judge(folder, tests)}
            result.write_text(json.dumps(done))
        rows[name] = done
        _write(arguments.output, rows, arguments.minutes)
    sys.stdout.write((arguments.output / "ablation.csv").read_text())
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
    weights = load_file(checkpoint.weights)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    metric = cast("Metric", skyloom.load("profile-deviation"))
    found: dict[str, float] = {}
    for name, (images, truths) in tests.items():
        told = _told(network, images, truths)
        medians = np.array(
            [
                np.median(np.abs(one.values[: len(truth)] - truth.values)[bright])
                for one, truth in zip(told, truths, strict=True)
                if (bright := truth.values < BRIGHT).any()
            ]
        )
        found[name] = metric.compare(truths, told).parts["brighter than 26.5"]
        found[f"{name}, failed"] = float((medians > FAILED).mean())
    return found


def _known(result: Path) -> dict[str, float]:
    """Return what would be found by somebody who knew every ellipse and every neighbour."""
    if result.exists():
        return cast("dict[str, float]", json.loads(result.read_text()))
    found: dict[str, float] = {}
    for name, background in (("crowded", {}), ("alone", {"galaxies": 0.0, "stars": 0.0})):
        sdss = CONFIGS["sdss"]
        changed = {"background": sdss.background.model_copy(update=background)}
        sky = MockSky(sdss.model_copy(update=changed), SEED)
        every = np.array([_off(sky, number) for number in range(GALAXIES)]).ravel()
        medians = every[np.isfinite(every)]
        found[name] = float(np.median(medians))
        found[f"{name}, failed"] = float((medians > FAILED).mean())
    result.write_text(json.dumps(found))
    return found


def _off(sky: MockSky, number: int) -> list[float]:
    """Return the deviation of the mean light along the true ellipses, in each band of a galaxy."""
    batch = sky.batch([number])
    image, (truth,) = batch.images, batch.truths
    survey = sky.config.survey
    deviations = []
    for band, profile in enumerate(batch.pairs(survey).profiles[0]):
        radii = profile.axis / survey.pixel_scale
        minor = radii * (1 - np.nan_to_num(profile.columns["ellipticity"]))
        turn = np.radians(np.nan_to_num(profile.columns["position_angle"]))[:, None]
        along, across = radii[:, None] * np.cos(_ROUND), minor[:, None] * np.sin(_ROUND)
        x = truth.centre[0] - along * np.sin(turn) - across * np.cos(turn)
        y = truth.centre[1] + along * np.cos(turn) - across * np.sin(turn)
        light = map_coordinates(image.data[0, band], [y, x], order=1, mode="nearest")
        if image.mask is not None:
            hidden = map_coordinates(image.mask[0, band].astype(float), [y, x], order=1, mode="nearest")
            light = np.where(hidden > 0, np.nan, light)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # nothing is left of some ellipses
            means = np.nanmean(light, axis=1)
            wide = (_NEAR * np.arange(len(means))).astype(int)
            smooth = [np.nanmean(means[max(at - reach, 0) : at + reach + 1]) for at, reach in enumerate(wide)]
        flux = np.maximum(smooth, 1e-6) / survey.pixel_scale**2
        off = np.abs(survey.zero_point - 2.5 * np.log10(flux) - profile.values)
        bright = profile.values < BRIGHT
        deviations.append(float(np.nanmedian(off[bright])) if bright.any() else np.nan)
    return deviations


def _told(network: Pix2Prof, images: Any, truths: list[Profile]) -> list[Profile]:
    steps = max(len(truth) for truth in truths)
    axis = np.arange(steps, dtype=np.float64) * network.config.step
    parts = (torch.from_numpy(images[start : start + 32]) for start in range(0, len(images), 32))
    values = torch.cat([network(part, steps)[0][..., 0] for part in parts]).double().numpy()
    return [
        Profile(axis=axis, values=value, name=truth.name, band=truth.band)
        for value, truth in zip(values, truths, strict=True)
    ]


def _write(folder: Path, rows: dict[str, dict[str, float]], minutes: float) -> None:
    with complete(folder / "ablation.csv", overwrite=True) as part, part.open("w", newline="") as file:
        file.write(
            f"# Each trained for {minutes:g} minutes of one core, and tested on {3 * GALAXIES} profiles.\n"
            f"# The deviation is the median in mag / arcsec2 where the truth is brighter than {BRIGHT};\n"
            f"# failures are the profiles off by more than {FAILED} in the median.\n"
        )
        writer = csv.writer(file)
        writer.writerow(HEADINGS)
        for name, row in rows.items():
            trained = [f"{row['examples']:.0f}", f"{row['rate']:.1f}"] if "examples" in row else ["–", "–"]
            failed = f"{row['crowded, failed']:.1%}"
            writer.writerow([name, *trained, f"{row['crowded']:.3f}", failed, f"{row['alone']:.3f}"])


if __name__ == "__main__":
    sys.exit(main())
