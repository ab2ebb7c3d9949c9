"""The graphs of a network: what ``skyloom export`` makes a bundle of.

A recurrent network becomes two. ``encoder`` maps images to encodings; ``decoder`` unrolls encodings
for a number of steps, or until each galaxy of the batch has halted, and can be called again with
what it returned: whoever runs it can put new galaxies in the place of those that have halted. The
transformer becomes one, ``captioner``.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import nn

from skyloom.bundle import Tolerance
from skyloom.errors import CheckpointError
from skyloom.frozen import first_fault
from skyloom_export import Exportable, GraphDeclaration, PrecisionVariant
from skyloom_pix2prof.config import Pix2ProfConfig
from skyloom_pix2prof.ellipses import EllipseDecoder
from skyloom_pix2prof.judging import (
    ALLOWED,
    ALLOWED_AT_ONCE,
    OFF_CODE,
    damage,
    misread,
    tolerated,
    typical_images,
)
from skyloom_pix2prof.network import Pix2Prof, RecurrentDecoder
from skyloom_pix2prof.stopping import Answering, Unrolling

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from pathlib import Path

    from skyloom_export.declaration import Arrays

ENCODER, DECODER, CAPTIONER = "encoder", "decoder", "captioner"
PARITY = 1e-4
"""What a graph may be off, of the largest number in an encoding."""
PACE = 0.4
"""Scatter of the logarithm of the lengths of fading sequences."""


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
    if not config.recurrent:
        made: tuple[GraphDeclaration, ...] = (_captioner(network, variants=variants),)
    else:
        made = (_encoder(network, variants=variants), _decoder(network))
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
    bf16 = PrecisionVariant(precision="bf16", allowed=ALLOWED, measure=damage(network), tolerances=off)
    return GraphDeclaration(
        name=ENCODER,
        module=network.encoder,
        outputs=("code",),
        **_images(network.config),
        tolerance=Tolerance(atol=PARITY * largest, rtol=PARITY),
        variants=(bf16,) if variants else (),
        extra_passes=("winograd",),
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
    if config.decoder == "reinject":
        inputs["code"] = torch.zeros(2, hidden)
    return GraphDeclaration(
        name=DECODER,
        module=Unrolling(network),
        inputs=inputs,
        outputs=("values", "next_token", "next_state", "next_recent", "next_count", "halted"),
        axes={name: ("batch", *tensor.shape[1:]) for name, tensor in inputs.items() if name != "ticks"}
        | {"ticks": ("steps",)},
        grid=({"batch": 3, "steps": 24}, {"batch": 1, "steps": 7}, {"batch": 9, "steps": 2}),
        units={"values": "mag / arcsec2" if channels == 1 else "", "recent": "mag / arcsec2"},
        sample=functools.partial(_midway, config),
    )


def _captioner(network: Pix2Prof, *, variants: bool) -> GraphDeclaration:
    wrong, off = misread(network), tolerated(network.config)
    # Light spans more than half precision holds, and places on the image need more digits than it has: what
    # finds the ellipses and reads them stays as it is.
    cheaper = (
        PrecisionVariant(
            precision="fp16",
            allowed=ALLOWED_AT_ONCE,
            measure=wrong,
            only=("Conv", "Relu", "MaxPool", "MatMul", "Gemm"),
            tolerances=off,
        ),
        PrecisionVariant(precision="bf16", allowed=ALLOWED_AT_ONCE, measure=wrong, tolerances=off),
    )
    return GraphDeclaration(
        name=CAPTIONER,
        module=Answering(network),
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
    images = typical_images(config, count, seed=int(random.integers(2**31)))
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
        fading(config), variants=False, summary="Random weights, for tests", licence="BSD-3-Clause"
    )
    return export_bundle(
        exportable,
        path,
        name="pix2prof-tiny",
        model="pix2prof",
        task="sequence-captioner",
        plugin="skyloom",
    ).path


def fading(config: Pix2ProfConfig, *, seed: int = 0, typical: int | None = None) -> Pix2Prof:
    """Return a network with random weights that behaves like a trained one.

    The encoder has seen mock galaxies, so that its norms are set and its encodings differ from galaxy
    to galaxy. The last layer of the decoder leaks: its state falls from the encoding to nothing, each
    unit at a pace of its own, and the values rise by some magnitudes to 26, where the stopping rule
    finds them. The first unit keeps its state, and sets the pace of the others: sequences differ in
    length by factors.

    Parameters
    ----------
    config
        What the network is made of.
    seed
        Of the weights.
    typical
        Values after which a sequence should halt, more or less; by default four halting windows.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        network = Pix2Prof(config)
        images = torch.from_numpy(typical_images(config, 16))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the plain mean of what it sees
        network.train().encode(images)
        network.eval()
        code, last = network.encode(images), network.encoder.fc1
        last.bias.sub_(code.mean(0)).div_(code.std(0) + 1e-6).add_(0.5)
        last.weight.div_(code.std(0)[:, None] + 1e-6)
        decoder = network.decoder
        if not isinstance(decoder, RecurrentDecoder):
            teller = decoder.passes[-1] if isinstance(decoder, EllipseDecoder) else decoder
            end = cast("nn.Linear", teller.end)
            end.weight.zero_()
            end.bias.fill_(-1.0)  # it never ends
            return network
        pace = (typical or 4 * config.halting_window) / 10.0
        leak = torch.exp(-1 / (pace * torch.linspace(0.4, 1.6, config.hidden)))
        *_, (w_x, w_h, b_x, b_h) = decoder.cells()
        for weights in (w_x, w_h, b_x, b_h):
            weights.mul_(1e-3)
        update = slice(config.hidden, 2 * config.hidden)
        b_x[update] = torch.logit(leak)
        w_h[update, 0] = PACE
        b_x[config.hidden] = 30.0  # sigmoid(30) is 1: the first unit never changes
        decoder.fc.weight.copy_(-12.0 / config.hidden * torch.rand_like(decoder.fc.weight))
        decoder.fc.weight[:, 0] = 0.0
        decoder.fc.bias.fill_(26.0)
        decoder.fc.weight.div_(network.scale[:, None])
        decoder.fc.bias.sub_(network.offset).div_(network.scale)
        return network
