"""The network: a ResNet-18 that encodes an image, and a decoder that tells its profile.

The names of the layers are those of the published weights, so that these load as they are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from skyloom_pix2prof.ellipses import EllipseDecoder, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skyloom_pix2prof.config import Pix2ProfConfig

STAGES = 4
_STEMS = {"standard": (7, 2, 3), "3x3": (3, 1, 1), "patch": (8, 4, 2)}
"""Side, stride and padding of the first convolution."""
_FIRST_CELLS = {"standard": (4, 0.0), "3x3": (1, 0.0), "patch": (4, 1.5)}
"""Pixels from one cell of the first stage to the next, and the pixel in which the first is centred."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, inputs, y, x) to (b, outputs, y / stride, x / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class Encoder(nn.Module):
    """ResNet-18 (He et al. 2015) for images of one channel and any size."""

    def __init__(self, config: Pix2ProfConfig) -> None:
        super().__init__()
        width = config.width
        self.reduces = config.stem == "standard"
        side, stride, edge = _STEMS[config.stem]
        self.conv1 = nn.Conv2d(1, width, side, stride, edge, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        widths = [width * 2**stage for stage in range(STAGES)]
        for stage, (inputs, outputs) in enumerate(zip([width, *widths], widths, strict=False)):
            blocks = BasicBlock(inputs, outputs, 2 if stage else 1), BasicBlock(outputs, outputs, 1)
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc1 = nn.Linear(widths[-1], config.hidden)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Map (b, 1, y, x) to the feature map (b, n, y, x) of each stage."""
        x = F.relu(self.bn1(self.conv1(images)))
        if self.reduces:
            x = F.max_pool2d(x, 3, 2, 1)
        found = []
        for stage in range(STAGES):
            x = self.get_submodule(f"layer{stage + 1}")(x)
            found.append(x)
        return found

    def features(self, images: Tensor) -> Tensor:
        """Map (b, 1, y, x) to the feature map (b, 8 * width, y / n, x / n), n 32 (3x3 stem: 8)."""
        return self.maps(images)[-1]

    def code(self, features: Tensor) -> Tensor:
        """Map a feature map to the encoding (b, hidden)."""
        return cast("Tensor", self.fc1(features.mean((2, 3))))

    def forward(self, images: Tensor) -> Tensor:
        """Map (b, 1, y, x) to the encoding (b, hidden)."""
        return self.code(self.features(images))


class RecurrentDecoder(nn.Module):
    """A stack of GRU layers that starts from the encoding and feeds every token back.

    A token is the output of the last layer: what a value is before `offset` and `scale`.
    """

    def __init__(self, config: Pix2ProfConfig) -> None:
        super().__init__()
        self.channels, self.layers, self.dropout = len(config.channels), config.layers, config.dropout
        self.reinjects, self.rectified = config.decoder == "reinject", config.rectified
        inputs = self.channels + config.hidden * self.reinjects
        between = config.dropout if config.layers > 1 else 0.0
        self.gru = nn.GRU(inputs, config.hidden, config.layers, batch_first=True, dropout=between)
        self.fc = nn.Linear(config.hidden, self.channels)

    def forward(self, code: Tensor, tokens: Tensor) -> Tensor:
        """Map the encoding (b, hidden) and the tokens before each step (b, steps, channels) to tokens."""
        if self.reinjects:
            tokens = torch.cat([tokens, code[:, None].expand(-1, tokens.shape[1], -1)], 2)
        return self._read(self.gru(tokens, code.expand(self.layers, -1, -1).contiguous())[0])

    def start(self, code: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the token before the first step (b, channels), and the state (b, hidden) of each layer."""
        return code.new_zeros(code.shape[0], self.channels), (code,) * self.layers

    def step(
        self, code: Tensor | None, token: Tensor, states: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the next token and the next states: one step of `forward`, without its overhead."""
        x = token
        if self.reinjects:
            assert code is not None, "a decoder that reinjects needs the encoding at each step"
            x = torch.cat([token, code], 1)
        new: list[Tensor] = []
        for before, weights in zip(states, self.cells(), strict=True):
            if new and self.training:
                x = F.dropout(x, self.dropout)
            x = gru_cell(x, before, *weights)
            new.append(x)
        return self._read(x), tuple(new)

    def cells(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yield the weights of each layer: of the input, of the state, and the bias of each."""
        for layer in range(self.layers):
            names = (f"{kind}_{side}_l{layer}" for kind in ("weight", "bias") for side in ("ih", "hh"))
            weights = [cast("Tensor", getattr(self.gru, name)) for name in names]
            yield weights[0], weights[1], weights[2], weights[3]

    def _read(self, output: Tensor) -> Tensor:
        tokens: Tensor = self.fc(F.relu(output))
        return F.relu(tokens) if self.rectified else tokens


def gru_cell(x: Tensor, state: Tensor, w_x: Tensor, w_h: Tensor, b_x: Tensor, b_h: Tensor) -> Tensor:
    """Return the next state (b, hidden) of one GRU layer, as `torch.nn.GRU` defines it."""
    reset_x, update_x, new_x = F.linear(x, w_x, b_x).chunk(3, 1)
    reset_h, update_h, new_h = F.linear(state, w_h, b_h).chunk(3, 1)
    new = torch.tanh(new_x + torch.sigmoid(reset_x + reset_h) * new_h)
    return new + torch.sigmoid(update_x + update_h) * (state - new)


class AttendingDecoder(nn.Module):
    """Answers all steps at once: each has a query that looks at the feature map of the encoder."""

    def __init__(self, config: Pix2ProfConfig) -> None:
        super().__init__()
        self.hidden, self.rectified = config.hidden, config.rectified
        self.project = nn.Linear(8 * config.width, config.hidden)
        self.layers = nn.ModuleList(
            AttendingLayer(config.hidden, config.heads, config.dropout) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.hidden)
        self.fc = nn.Linear(config.hidden, len(config.channels))
        self.end = nn.Linear(config.hidden, 1)

    def forward(self, code: Tensor, features: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Map encoding, feature map (b, f, y, x) and step numbers (steps,) to tokens and stop logits.

        Returns
        -------
        tokens : (b, steps, channels)
        stops : (b, steps)
            Positive where the sequence has ended.
        """
        rows, columns = features.shape[2:]
        y, x = (torch.arange(n, device=code.device, dtype=code.dtype) for n in (rows, columns))
        y, x, half = y - y.mean(), x - x.mean(), self.hidden // 2
        places = torch.cat(
            [
                waves(y, half)[:, None].expand(-1, columns, -1),
                waves(x, half)[None].expand(rows, -1, -1),
            ],
            2,
        )
        memory = self.project(features.flatten(2).transpose(1, 2)) + places.flatten(0, 1)
        queries = waves(steps, self.hidden) + code[:, None]
        for layer in self.layers:
            queries = layer(queries, memory)
        queries = self.norm(queries)
        tokens = self.fc(queries)
        return F.relu(tokens) if self.rectified else tokens, self.end(queries)[..., 0]


class AttendingLayer(nn.Module):
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


class Pix2Prof(nn.Module):
    """Images of one band in, sequences out.

    Values are in physical units throughout (mag / arcsec2 for the surface brightness): `offset` and
    `scale` of the configuration are applied here.

    Parameters
    ----------
    config
        What it is made of.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, config: Pix2ProfConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = make_decoder(config)
        self.register_buffer("offset", torch.tensor(config.offset), persistent=False)
        self.register_buffer("scale", torch.tensor(config.scale), persistent=False)

    def encode(self, images: Tensor) -> Tensor:
        """Map prepared images (b, 1, y, x) to encodings (b, hidden)."""
        return cast("Tensor", self.encoder(images))

    def forward(self, images: Tensor, previous: Tensor) -> Tensor:
        """Tell each step from the true values before it (teacher forcing).

        Parameters
        ----------
        images : (b, 1, y, x)
            Prepared images.
        previous : (b, steps, channels)
            The true values moved by one step. The first is the start token and is taken as such
            whatever number it holds. The transformer does not look at them, only at their number.

        Returns
        -------
        (b, steps, channels)
            The values.
        """
        if not isinstance(self.decoder, RecurrentDecoder):
            return self.attend(images, previous.shape[1])[0]
        tokens = (previous - self.offset) / self.scale
        tokens = torch.cat([torch.zeros_like(tokens[:, :1]), tokens[:, 1:]], 1)
        return self.values(self.decoder(self.encode(images), tokens))

    def unroll(self, images: Tensor, steps: int) -> Tensor:
        """Tell `steps` values (b, steps, channels), feeding each back."""
        if not isinstance(self.decoder, RecurrentDecoder):
            return self.attend(images, steps)[0]
        code = self.encode(images)
        token, states = self.decoder.start(code)
        tokens = []
        for _ in range(steps):
            token, states = self.decoder.step(code, token, states)
            tokens.append(token)
        return self.values(torch.stack(tokens, 1))

    def attend(self, images: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Return values (b, steps, channels) and stop logits (b, steps), told all at once.

        A stop logit is positive where the sequence has ended, and is trained on that. Recurrent decoders
        have none. Ellipses tell their shape as the ellipticity times the cosine, and the sine, of twice
        the position angle, in the places of ellipticity and position angle.
        """
        numbers = torch.arange(steps, device=images.device, dtype=images.dtype)
        if isinstance(self.decoder, EllipseDecoder):
            last = self.look(images)[-1]
            known = torch.cat(
                [self._with_shape(self.values(last.tokens), last.bend), last.stops[..., None]], 2
            )
            told = self.decoder.at(numbers, known)
            return told[..., :-1], told[..., -1]
        assert isinstance(self.decoder, AttendingDecoder), "a recurrent decoder has no stop logits"
        features = self.encoder.features(images)
        tokens, stops = self.decoder(self.encoder.code(features), features, numbers)
        return self.values(tokens), stops

    def look(self, images: Tensor) -> list[Reading]:
        """Return what each pass of a decoder that looks along ellipses found."""
        assert isinstance(self.decoder, EllipseDecoder), "only this decoder has passes"
        maps = self.encoder.maps(images)
        found: list[Reading] = self.decoder(images, self.encoder.code(maps[-1]), (maps[0], maps[1]))
        return found

    def _with_shape(self, values: Tensor, bend: Tensor) -> Tensor:
        """Let the ellipses say what their shape is, as numbers that never jump."""
        shape = dict(zip(("ellipticity", "position_angle"), bend.unbind(-1), strict=True))
        columns = [shape.get(name, values[..., at]) for at, name in enumerate(self.config.channels)]
        return torch.stack(columns, -1)

    def values(self, tokens: Tensor) -> Tensor:
        """Return tokens as values in physical units."""
        return self.offset + self.scale * tokens


def make_decoder(config: Pix2ProfConfig) -> AttendingDecoder | EllipseDecoder | RecurrentDecoder:
    """Return the decoder that a configuration names, with new weights."""
    if config.decoder == "transformer":
        return AttendingDecoder(config)
    if config.decoder == "ellipses":
        stride, origin = _FIRST_CELLS[config.stem]
        return EllipseDecoder(config, (config.width, 2 * config.width), stride, origin)
    return RecurrentDecoder(config)
