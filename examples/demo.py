"""What ``make demo`` shows: tasks, models, one result of each task, and a plugin being checked."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import skyloom
from skyloom.cli import main as run
from skyloom_example.graphs import write_ring_bundle

SEED = 7
FOLDER = Path("demo")


def show(command: str) -> None:
    """Run a command as a user would, and show it."""
    print(f"\n$ skyloom {command}")
    status = run(command.split())
    if status:
        sys.exit(status)


def galaxies(count: int = 20, size: int = 64, pixel_scale: float = 0.4) -> skyloom.Images:
    """Draw noisy exponential discs of known scale length (1.6 arcsec) and central brightness."""
    offset = np.arange(size) - (size - 1) / 2
    radius = np.hypot(*np.meshgrid(offset, offset)) * pixel_scale
    noise = np.random.default_rng(SEED).normal(0, 0.1, (count, 1, size, size))
    return skyloom.Images.from_array(
        100 * np.exp(-radius / 1.6) + noise, ["r"], pixel_scale=pixel_scale, zero_point=22.5, unit="nmgy"
    )


def main() -> None:
    """Show what there is, use it, and check it."""
    FOLDER.mkdir(exist_ok=True)
    os.environ["SKYLOOM_HOME"] = str(FOLDER / "home")
    print("Skyloom knows tasks; plugins bring models for them.")
    show("tasks")
    show("models")

    print("\nReading surface-brightness profiles off 20 simulated discs:")
    images = galaxies()
    start = time.perf_counter()
    profiles = skyloom.load("annuli").caption(images)
    seconds = time.perf_counter() - start
    slopes = [np.polyfit(profile.axis[2:20], profile.values[2:20], 1)[0] for profile in profiles]
    lengths = 2.5 / np.log(10) / np.array(slopes)
    print(f"  {profiles[0]}")
    print(f"  scale length {np.mean(lengths):.3f} +- {np.std(lengths):.3f} arcsec, drawn with 1.6 arcsec")
    print(f"  {len(profiles) / seconds:.0f} profiles a second")

    print("\nWeaving a mock field, tile by tile:")
    field = skyloom.load("confetti").generate((512, 512), seed=SEED)
    print(f"  {field} -> {field.to_fits(FOLDER / 'field.fits', overwrite=True)}")

    print("\nCutting a satellite trail out of 200 sampled galaxies, and repairing it:")
    prior = skyloom.load("eigengalaxies")
    sampled = prior.sample(200, seed=SEED)
    trail = np.eye(sampled.shape[-1], dtype=bool)
    repaired = prior.inpaint(sampled, trail, seed=SEED)
    print(f"  {skyloom.load('flux-distance').compare(sampled, repaired)}")

    print("\nKeeping a trained bundle, checking it against its original network, and running it by name:")
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        bundle = write_ring_bundle(Path(folder) / "rings", size=64, rings=20)
        show(f"add {bundle.as_posix()} --name rings --force")
    show("verify rings")
    print(f"\n  {skyloom.load('rings').caption(images)[0]}")

    print("\nChecking the plugin that brought these models:")
    show("plugins check skyloom-example")


if __name__ == "__main__":
    main()
