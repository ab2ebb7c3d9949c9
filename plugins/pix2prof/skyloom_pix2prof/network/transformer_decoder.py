"""A decoder with attention: each step has a query that looks at the feature map of the encoder."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from skyloom_pix2prof.network.decoder import ParallelDecoder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skyloom_pix2prof.config import Pix2ProfConfig
    from skyloom_pix2prof.hyperparameters import LearningSettings
    from skyloom_pix2prof.network.encoder import Encoded


class TransformerDecoder(ParallelDecoder):
    """Cross-attention from one query a step to the cells of the last feature map."""

    def __init__(self, config: Pix2ProfConfig) -> None:
        super().__init__(config)
        self.project = nn.Linear(8 * config.width, config.hidden)
        self.layers = nn.ModuleList(
            CrossAttention(config.hidden, config.heads, config.dropout) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.hidden)
        self.fc = nn.Linear(config.hidden, len(config.channels))
        self.end = nn.Linear(config.hidden, 1)

    def forward(self, encoded: Encoded, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Map encoded images and step numbers (steps,) to values and stop logits (b, steps)."""
        tokens, stops = self.tokens(encoded, steps)
        return self.values(tokens), stops

    @property
    def stop_layer(self) -> nn.Linear:
        """The layer that makes the stop logits."""
        return self.end

    def tokens(self, encoded: Encoded, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Map encoded images and step numbers (steps,) to tokens (b, steps, channels) and stop logits."""
        features, code = encoded.maps[-1], encoded.code
        rows, columns = features.shape[2:]
        y, x = (torch.arange(n, device=code.device, dtype=code.dtype) for n in (rows, columns))
        y, x, half = y - y.mean(), x - x.mean(), self.config.hidden // 2
        places = torch.cat(
            [
                waves(y, half)[:, None].expand(-1, columns, -1),
                waves(x, half)[None].expand(rows, -1, -1),
            ],
            2,
        )
        memory = self.project(features.flatten(2).transpose(1, 2)) + places.flatten(0, 1)
        queries = waves(steps, self.config.hidden) + code[:, None]
        for layer in self.layers:
            queries = layer(queries, memory)
        queries = self.norm(queries)
        tokens = self.fc(queries)
        return F.relu(tokens) if self.config.rectified else tokens, self.end(queries)[..., 0]

    def losses(
        self, encoded: Encoded, batch: Mapping[str, Tensor], learning: LearningSettings, progress: float
    ) -> dict[str, Tensor]:
        """Return the loss of the values and that of the ends, at all steps or some that are drawn."""
        del progress
        values, count = batch["values"], batch["values"].shape[1]
        steps = torch.arange(count)
        if learning.steps is not None and learning.steps < count:
            steps = torch.randperm(count)[: learning.steps].sort().values
        steps = steps.to(values.device)
        tokens, stops = self.tokens(encoded, steps.to(encoded.code.dtype))
        ended = (steps >= batch["lengths"][:, None]).to(stops.dtype)
        found = self.value_loss(tokens, values[:, steps], 1 - ended, learning)
        stopping = F.binary_cross_entropy_with_logits(stops.float(), ended.float())
        return {"loss": found + learning.stop * stopping, "values": found, "stops": stopping}


class CrossAttention(nn.Module):
    """Cross-attention and a feed-forward network, each behind a norm and around a shortcut."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, nn.Dropout(dropout)
        self.norm1, self.norm2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.query, self.key = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.value, self.out = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.feed = nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, hidden))

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        """Map queries (b, steps, hidden), given a memory (b, cells, hidden), to queries."""
        q, k, v = self.query(self.norm1(queries)), self.key(memory), self.value(memory)
        q, k, v = (x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))
        weights = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(q.shape[-1]), -1)
        queries = queries + self.dropout(self.out((weights @ v).transpose(1, 2).flatten(2)))
        return cast("Tensor", queries + self.dropout(self.feed(self.norm2(queries))))


def waves(positions: Tensor, width: int, longest: float = 10_000.0) -> Tensor:
    """Return sines and cosines (position, width) of numbers, with periods from 2 pi to 2 pi `longest`."""
    half = width // 2
    rates = torch.exp(torch.arange(half, device=positions.device) * (-math.log(longest) / max(half - 1, 1)))
    angles = positions[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)
