"""The tiny bundle, exported once: tracing takes seconds."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from skyloom.bundle import Bundle
from skyloom.testing.cases import cases
from skyloom_pix2prof.config import Pix2ProfConfig
from skyloom_pix2prof.network.pix2prof import Pix2Prof
from skyloom_pix2prof.network.random_weights import random_network
from skyloom_pix2prof.network.recurrent_decoder import RecurrentDecoder

CASES = tuple(cases("pix2prof"))
SPEC = CASES[0].subject.spec
CONFIG = Pix2ProfConfig.model_validate(SPEC.tiny)


def bundle() -> Bundle:
    """Return the bundle that the conformance kit uses."""
    return CASES[0].subject.bundle


def folder() -> Path:
    """Return where it lies."""
    return bundle().path


@cache
def network() -> Pix2Prof:
    """Return the network that was exported."""
    return random_network(CONFIG)


def published(net: Pix2Prof, image: np.ndarray[Any, Any]) -> list[float]:
    """Tell the sequence of one prepared image (y, x) as published: batch 1, a loop over the steps in Python.

    Written from the description of the procedure with the modules of PyTorch, apart from ours.
    """
    config = net.config
    decoder = net.decoder
    assert isinstance(decoder, RecurrentDecoder)
    gru: nn.GRU = decoder.gru
    values: list[float] = []
    with torch.no_grad():
        state = net.encoder(torch.from_numpy(image)[None, None])[None].repeat(config.layers, 1, 1)
        value = torch.zeros(1, 1, 1)
        while len(values) < config.max_steps:
            output, state = gru(value, state)
            value = torch.relu(decoder.fc(torch.relu(output)))
            window = config.halting_window
            flat = len(values) > window and np.std(values[-window:-1]) <= config.halting_tolerance
            values.append(float(value))
            if flat:
                break
    return values
