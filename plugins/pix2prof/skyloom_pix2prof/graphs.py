"""The graphs of a network: what ``skyloom export`` makes a bundle of.

A recurrent network becomes two. ``encoder`` maps images to encodings; ``decoder`` unrolls encodings
for a number of steps, or until each galaxy of the batch has halted, and can be called again with
what it returned: whoever runs it can put new galaxies in the place of those that have halted. A network
that predicts all steps at once becomes one, ``captioner``.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from skyloom.bundle import Tolerance
from skyloom.errors import CheckpointError
from skyloom.frozen import first_fault
from skyloom_export import Exportable, GraphDeclaration, PrecisionVariant
from skyloom_pix2prof.config import Pix2ProfConfig
from skyloom_pix2prof.decoding import CAPTIONER, DECODER, ENCODER
from skyloom_pix2prof.mock_images import mock_images
from skyloom_pix2prof.network.pix2prof import Pix2Prof
from skyloom_pix2prof.network.random_weights import random_network
from skyloom_pix2prof.network.stopping import CaptionerGraph, DecoderGraph
from skyloom_pix2prof.tolerances import (
    ALLOWED,
    ALLOWED_PARALLEL,
    OFF_CODE,
    captioner_error,
    captioner_tolerances,
    encoder_error,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from pathlib import Path

    from skyloom_export.declaration import Arrays

PARITY = 1e-4
"""What a graph may be off, of the largest number in an encoding."""


def graphs(config: Mapping[str, Any], weights: str | PathLike[str]) -> Exportable:
    """Return the graphs of a trained network, for ``skyloom export``."""
    try:
        settings = Pix2ProfConfig.model_validate(config)
    except ValidationError as error:
        raise CheckpointError(
            f"the configuration of the network is not valid {first_fault(error)}", "Correct its config.json"
        ) from None
    network = Pix2Prof(settings)
    arrays = load_file(weights)
    try:
        network.load_state_dict(arrays)
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights do not fit the configuration: {' '.join(str(error).split())[:300]}",
            "Correct its config.json",
        ) from None
    return declare(network.eval())


def declare(network: Pix2Prof, *, variants: bool = True, **manifest: Any) -> Exportable:
    """Return the graphs of a network.

    Parameters
    ----------
    network
        The network, with its weights.
    variants
        Whether to make cheaper forms, too; of a recurrent network, of the encoder alone.
    **manifest
        Fields of the manifest.
    """
    config = network.config
    described = {
        "pixel_scale": config.pixel_scale,
        "zero_point": (config.zero_point,),
        "unit": "nmgy" if config.zero_point == 22.5 else "",
        "settings": config.model_dump(mode="json"),
    }
    made: tuple[GraphDeclaration, ...]
    if config.kind.recurrent:
        made = (_encoder(network, variants=variants), _decoder(network))
    else:
        made = (_captioner(network, variants=variants),)
    return Exportable(graphs=made, manifest={**described, **manifest})


def _images(config: Pix2ProfConfig) -> dict[str, Any]:
    """Return what graphs that take images have in common."""
    near, far = _near(config), max(config.crop // 2 + 7, 9)
    return {
        "inputs": {"image": torch.zeros(2, 1, 40, 48)},
        "axes": {"image": ("batch", 1, "rows", "columns")},
        "grid": (
            {"batch": 1, "rows": config.crop, "columns": config.crop},  # at work
            {"batch": 2, "rows": near, "columns": near},
            {"batch": 1, "rows": far, "columns": near},
            {"batch": 3, "rows": 33, "columns": 32},
        ),
    }


def _near(config: Pix2ProfConfig) -> int:
    return max(config.crop // 2, 8)


def _encoder(network: Pix2Prof, *, variants: bool) -> GraphDeclaration:
    near = _near(network.config)
    with torch.no_grad():  # an element of an encoding may be near 0, where others are large
        noise = torch.randn(4, 1, near, near, generator=torch.Generator().manual_seed(0))
        largest = float(network.encode(noise).abs().max())
    off = {"code": Tolerance(atol=OFF_CODE * largest, rtol=0.0)}
    bf16 = PrecisionVariant(precision="bf16", allowed=ALLOWED, measure=encoder_error(network), tolerances=off)
    wide = network.config.stem == "3x3"  # the others have maps so small that `winograd` makes them slower
    return GraphDeclaration(
        name=ENCODER,
        module=network.encoder,
        outputs=("code",),
        **_images(network.config),
        tolerance=Tolerance(atol=PARITY * largest, rtol=PARITY),
        variants=(bf16,) if variants else (),
        extra_passes=("winograd",) if wide else (),
    )


def _decoder(network: Pix2Prof) -> GraphDeclaration:
    config = network.config
    channels, hidden, window = len(config.channels), config.hidden, config.halting_window
    inputs = {
        "token": torch.zeros(2, channels),
        "state": torch.zeros(2, config.layers, hidden),
        "recent": torch.zeros(2, window),
        "count": torch.zeros(2, dtype=torch.int64),
        "ticks": torch.zeros(5),
    }
    if config.kind.reinjects:
        inputs["code"] = torch.zeros(2, hidden)
    return GraphDeclaration(
        name=DECODER,
        module=DecoderGraph(network),
        inputs=inputs,
        outputs=("values", "next_token", "next_state", "next_recent", "next_count", "halted"),
        axes={name: ("batch", *tensor.shape[1:]) for name, tensor in inputs.items() if name != "ticks"}
        | {"ticks": ("steps",)},
        grid=({"batch": 3, "steps": 24}, {"batch": 1, "steps": 7}, {"batch": 9, "steps": 2}),
        units={"values": "mag / arcsec2" if channels == 1 else "", "recent": "mag / arcsec2"},
        sample=functools.partial(_midway, config),
    )


def _captioner(network: Pix2Prof, *, variants: bool) -> GraphDeclaration:
    wrong, off = captioner_error(network), captioner_tolerances(network.config)
    # Light spans more than half precision holds, and places on the image need more digits than it has: what
    # finds the ellipses and reads them stays as it is.
    cheaper = (
        PrecisionVariant(
            precision="fp16",
            allowed=ALLOWED_PARALLEL,
            measure=wrong,
            only=("Conv", "Relu", "MaxPool", "MatMul", "Gemm"),
            tolerances=off,
        ),
        PrecisionVariant(precision="bf16", allowed=ALLOWED_PARALLEL, measure=wrong, tolerances=off),
    )
    return GraphDeclaration(
        name=CAPTIONER,
        module=CaptionerGraph(network),
        outputs=("values", "count", "halted"),
        counts={"values": "count"},
        **_images(network.config),
        units={"values": "mag / arcsec2" if len(network.config.channels) == 1 else ""},
        tolerance=Tolerance(atol=1e-4, rtol=1e-4),
        sample=functools.partial(_galaxies, network.config),
        variants=cheaper if variants else (),
    )


def _galaxies(
    config: Pix2ProfConfig, shapes: Mapping[str, tuple[int, ...]], random: np.random.Generator
) -> Arrays:
    """Return mock galaxies, repeated side by side where they are smaller than what is asked for."""
    count, _, rows, columns = shapes["image"]
    images = mock_images(config, count, seed=int(random.integers(2**31)))
    more = max(rows - config.crop, 0), max(columns - config.crop, 0)
    wide = np.pad(images, [(0, 0), (0, 0), (0, more[0]), (0, more[1])], mode="wrap")
    top, left = (wide.shape[2] - rows) // 2, (wide.shape[3] - columns) // 2
    return {"image": np.ascontiguousarray(wide[:, :, top : top + rows, left : left + columns])}


def _midway(
    config: Pix2ProfConfig, shapes: Mapping[str, tuple[int, ...]], random: np.random.Generator
) -> Arrays:
    """Return sequences of which the first halts at once, the second never, and others when they do."""
    made: Arrays = {
        name: (0.5 * random.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()
    }
    batch = shapes["count"][0]
    recent = (20 + random.random(shapes["recent"])).astype(np.float32)
    recent[0] = 24.0
    count = np.zeros(batch, np.int64)
    count[0] = min(config.halting_window + 1, config.max_steps)
    return {**made, "recent": recent, "count": count}


def write_tiny_bundle(path: str | PathLike[str], **changes: Any) -> Path:
    """Write a bundle of a network with random weights, whose profiles fade into a plateau and halt."""
    from skyloom_export import export_bundle

    config = Pix2ProfConfig.model_validate(changes)
    exportable = declare(
        random_network(config), variants=False, summary="Random weights, for tests", licence="BSD-3-Clause"
    )
    return export_bundle(
        exportable,
        path,
        name="pix2prof-tiny",
        model="pix2prof",
        task="sequence-captioner",
        plugin="skyloom",
    ).path
