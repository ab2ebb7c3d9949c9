"""Networks with random weights whose sequences end like those of a trained one, for tests and benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from skyloom_pix2prof.mock_images import mock_images
from skyloom_pix2prof.network.pix2prof import Pix2Prof

if TYPE_CHECKING:
    from skyloom_pix2prof.config import Pix2ProfConfig


def random_network(config: Pix2ProfConfig, *, seed: int = 0, typical: int | None = None) -> Pix2Prof:
    """Return a network with random weights that behaves like a trained one.

    The encoder has seen mock galaxies, so that its norms are set and its encodings differ from galaxy
    to galaxy; the decoder ends its sequences, see `Decoder.imitate_training`.

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
        images = torch.from_numpy(mock_images(config, 16))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the plain mean of what it sees
        network.train().encode(images)
        network.eval()
        code, last = network.encode(images), network.encoder.fc1
        last.bias.sub_(code.mean(0)).div_(code.std(0) + 1e-6).add_(0.5)
        last.weight.div_(code.std(0)[:, None] + 1e-6)
        network.decoder.imitate_training(typical or 4 * config.halting_window)
        return network
