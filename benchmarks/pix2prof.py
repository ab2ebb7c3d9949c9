"""Galaxies a second: bundles of Pix2Prof against the procedure as published, one thread each.

The published procedure is the network with the 3x3 stem in eager PyTorch, one image at a time, with a
loop over the steps in Python. Weights are random, but the decoder fades such that sequences halt as
those of a trained network do, after 110 to 650 steps, 340 on average (`fading`).
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from benchmarks.harness import Row, interleave
from benchmarks.runtime import lacks_bf16
from skyloom import Images, Profile
from skyloom.bundle import Bundle
from skyloom.execution import Execution
from skyloom.reading import expand_source
from skyloom_export import export_bundle
from skyloom_export.errors import ExportError
from skyloom_pix2prof.captioner import Pix2ProfCaptioner
from skyloom_pix2prof.config import Pix2ProfConfig
from skyloom_pix2prof.graphs import declare
from skyloom_pix2prof.network.pix2prof import Pix2Prof
from skyloom_pix2prof.network.random_weights import random_network
from skyloom_pix2prof.network.recurrent_decoder import RecurrentDecoder
from skyloom_pix2prof.preprocessing import prepare
from skyloom_runs.profiling import ProfileJob
from skyloom_runs.run import run
from skyloom_runs.table_result import TableResult
from skyloom_sky.mock import CONFIGS, MockSky

Stem = Literal["3x3", "standard"]

PARITY = 1e-3  # mag / arcsec2
GOALS = {
    ("3x3", "onnxruntime-fp32"): 2.3,
    ("3x3", "openvino-bf16"): 14.0,
    ("standard", "onnxruntime-fp32"): 24.0,
    ("standard", "openvino-bf16"): 80.0,
}
KEPT = 0.85
"""Share of the pace of the bare model that is left from files to table."""
COMPARED = 2
PUBLISHED_TRAINING = 0.4
"""Galaxies a second that the paper trained with."""


def configured(stem: Stem, quick: bool) -> Pix2ProfConfig:
    """Return the published configuration with one of the stems; a small one for quick runs."""
    small = {"width": 8, "hidden": 64, "crop": 64, "halting_window": 20} if quick else {}
    return Pix2ProfConfig.model_validate({"stem": stem, **small})


@cache
def network(stem: Stem, quick: bool) -> Pix2Prof:
    """Return a network with random weights that behaves like a trained one."""
    return random_network(configured(stem, quick))


@cache
def bundle(stem: Stem, quick: bool) -> Bundle:
    """Return its bundle, with an encoder in bf16 however good that is: the rows say how good."""
    exportable = declare(network(stem, quick), licence="BSD-3-Clause")
    folder = tempfile.mkdtemp(prefix="skyloom-benchmark-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder, "timed")
    export_bundle(
        exportable,
        path,
        name="timed",
        model="pix2prof",
        task="sequence-captioner",
        plugin="skyloom",
        precisions=(),
    )
    opened = Bundle.open(path)
    graphs = opened.manifest.graphs
    hint = {"scientific": {"allowed_bf16": 1.0, "measured_bf16": 0.0}}
    hinted = {**graphs, "encoder": graphs["encoder"].model_copy(update=hint)}
    return replace(opened, manifest=opened.manifest.model_copy(update={"graphs": hinted}))


@cache
def galaxies(count: int, quick: bool) -> Images:
    """Return mock SDSS galaxies in one band."""
    size = 64 if quick else 256
    sky = MockSky(CONFIGS["sdss"].model_copy(update={"size": size}), seed=9)
    pixels = np.stack([sky.image(index)[0][:1] for index in range(count)])
    survey = sky.config.survey
    return Images.from_array(
        pixels, ["g"], pixel_scale=survey.pixel_scale, zero_point=survey.zero_point, unit="nmgy"
    )


def published(net: Pix2Prof, pixels: np.ndarray[Any, Any]) -> list[float]:
    """Tell the profile of one image (y, x) as published, plateau included."""
    config, decoder = net.config, net.decoder
    assert isinstance(decoder, RecurrentDecoder)
    gru: nn.GRU = decoder.gru
    clipped = np.clip(pixels, None, np.percentile(pixels, config.clip_percentile))
    scaled = (clipped - config.floor) / (config.ceiling - config.floor)
    top, left = ((length - config.crop) // 2 for length in scaled.shape)
    image = scaled[top : top + config.crop, left : left + config.crop].astype(np.float32)
    values: list[float] = []
    with torch.no_grad():
        code = net.encoder(torch.from_numpy(image)[None, None])
        state, value = code[None].repeat(config.layers, 1, 1), torch.zeros(1, 1, 1)
        while len(values) < config.max_steps:
            output, state = gru(value, state)
            value = torch.relu(decoder.fc(torch.relu(output)))
            window = values[-config.halting_window :]
            flat = len(values) > config.halting_window and np.std(window[:-1]) <= config.halting_tolerance
            values.append(value.item())
            if flat:
                break
    return values


def captioner(stem: Stem, how: str, quick: bool) -> Pix2ProfCaptioner:
    """Open a bundle in one form, on one thread."""
    library, precision = how.split("-")
    execution = Execution("cpu" if library == "onnxruntime" else library, precision, threads=1)
    return Pix2ProfCaptioner(replace(bundle(stem, quick), execution=execution))


def difference(profiles: list[Profile], net: Pix2Prof, images: Images, *, exact: bool) -> float:
    """Return how far profiles are from those of the published procedure, in mag / arcsec2.

    Parameters
    ----------
    profiles, images
        What was told of what.
    net
        The network.
    exact
        Whether the largest difference counts, and another length is an error; else the median counts.
    """
    off = []
    for profile, pixels in zip(profiles[:COMPARED], images.data[:, 0], strict=False):
        values = np.array(published(net, pixels))
        if len(values) < net.config.max_steps:  # it halted, and the captioner removes the plateau
            values = values[: -(net.config.halting_window + 1)]
        if exact and len(values) != len(profile):
            raise ExportError(f"a profile has {len(profile)} values where {len(values)} are expected")
        shared = min(len(values), len(profile))
        off.append(np.abs(profile.values[:shared] - values[:shared]))
    every = np.concatenate(off)
    return float(every.max() if exact else np.median(every))


def pace(stem: Stem, how: str, quick: bool) -> Row:
    """Time a bundle against the published procedure, each in seconds a galaxy."""
    torch.set_num_threads(1)
    count = 6 if quick else {"3x3": 8, "standard": 96}[stem]
    images, original = galaxies(count, quick), network("3x3", quick)
    told = captioner(stem, how, quick)
    exact = how.endswith("fp32")
    error = difference(told.caption(images), network(stem, quick), images, exact=exact)
    if exact and error > PARITY:
        raise ExportError(f"profiles differ from PyTorch by {error:.2g} mag / arcsec2")
    few = images.data[:2, 0]

    def baseline() -> None:
        for pixels in few:
            published(original, pixels)

    best = interleave({"ours": lambda: told.caption(images), "baseline": baseline}, 1 if quick else 3)
    # What is promised of OpenVINO in low precision rests on matrix instructions (AMX).
    imitated = how.startswith("openvino") and not exact and lacks_bf16()
    return Row(
        case=f"{stem}/{how}",
        baseline=f"as published, torch eager{'; no AMX here' if imitated else ''}",
        ours_s=best["ours"] / count,
        baseline_s=best["baseline"] / len(few),
        error=error,
        unit="s/galaxy",
        goal=None if quick or imitated else GOALS.get((stem, how)),
    )


def files_to_table(quick: bool) -> Row:
    """Time FITS files to an ECSV table against the network alone, on images prepared in memory."""
    count = 12 if quick else 256
    batch = 6 if quick else 128
    images, told = galaxies(count, quick), captioner("standard", "onnxruntime-fp32", quick)
    with tempfile.TemporaryDirectory() as folder:
        for image in images:
            image.to_fits(Path(folder, f"{int(image.index[0]):05d}.fits"))
        items = expand_source(folder)
        table = Path(folder, "profiles.ecsv")

        def ours() -> None:
            job = ProfileJob.of("standard", told, TableResult(table), items=items, batch_size=batch)
            run(job, table, overwrite=True)

        prepared = np.stack([prepare(pixels, told.config) for pixels in images.data[:, 0]])[:, None]

        def bare() -> None:
            for start in range(0, count, batch):
                told.predict(prepared[start : start + batch])

        best = interleave({"ours": ours, "bare": bare}, 1 if quick else 3)
    return Row(
        case="files-to-table",
        baseline="the network alone, images prepared in memory",
        ours_s=best["ours"] / count,
        baseline_s=best["bare"] / count,
        unit="s/galaxy",
        goal=None if quick else KEPT,
    )


FORMS = ("onnxruntime-fp32", "openvino-fp32", "openvino-bf16")
STEMS: tuple[Stem, ...] = ("3x3", "standard")


def training(preset: str, quick: bool) -> Row:
    """Train with the standard stem on all cores, simulation of the galaxies included.

    ``ellipses`` is what learns fastest on a processor; ``published`` has the network of the paper, with
    batches instead of single images. The paper trained 500 images in 20 minutes on a V100.
    """
    from skyloom.machine import cores
    from skyloom_pix2prof.training import trainable
    from skyloom_train import train
    from skyloom_train.overrides import choose

    steps = 2 if quick else {"published": 2, "ellipses": 30}[preset]
    settings = choose(
        trainable(),
        assignments=[
            f"preset={preset}",
            "network.stem=standard",
            *(
                ["network.width=8", "network.hidden=32", "network.crop=64", "network.max_steps=100"]
                if quick
                else []
            ),
            "data.validation_galaxies=1",
            f"loop.batch_size={4 if quick else 12}",
            f"loop.steps={steps}",
            f"loop.threads={cores() if preset == 'published' else max(cores() - 1, 1)}",
        ],
    )
    folder, threads = Path(tempfile.mkdtemp()), torch.get_num_threads()
    try:
        outcome = train(trainable(), settings, folder / "run", model="pix2prof", task="sequence-captioner")
    finally:
        torch.set_num_threads(threads)
        shutil.rmtree(folder)
    return Row(
        case=f"training/{preset}",
        baseline="published, 500 galaxies in 20 minutes on a V100",
        ours_s=1 / outcome.rate,
        baseline_s=1 / PUBLISHED_TRAINING,
        unit="s a galaxy",
        goal=10.0,
    )


CASES: dict[str, Callable[[bool], Row]] = {
    **{f"training/{preset}": partial(training, preset) for preset in ("published", "ellipses")},
    **{f"{stem}/{how}": partial(pace, stem, how) for stem in STEMS for how in FORMS},
    "files-to-table": files_to_table,
}
