"""The decoder of the paper: GRU layers that feed every value back."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from skyloom_pix2prof.network.decoder import Decoder, first_true

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from skyloom_pix2prof.config import Pix2ProfConfig
    from skyloom_pix2prof.hyperparameters import LearningSettings
    from skyloom_pix2prof.network.encoder import Encoded

FLAT_EXTRA = 8
"""Steps that the plateau is longer than the halting rule needs."""
_LENGTH_SCATTER = 0.4
"""Scatter of the logarithm of the lengths of sequences by random weights."""

States = tuple[Tensor, ...]


class RecurrentDecoder(Decoder):
    """A stack of GRU layers that starts from the encoding, and is given the token before each step.

    In training that is the true one (teacher forcing) or its own. With ``decoder="reinject"`` the encoding
    is given to it at each step, too.
    """

    def __init__(self, config: Pix2ProfConfig) -> None:
        super().__init__(config)
        self.channels, self.layers = len(config.channels), config.layers
        inputs = self.channels + config.hidden * config.kind.reinjects
        between = config.dropout if config.layers > 1 else 0.0
        self.gru = nn.GRU(inputs, config.hidden, config.layers, batch_first=True, dropout=between)
        self.fc = nn.Linear(config.hidden, self.channels)

    def forward(self, code: Tensor, tokens: Tensor) -> Tensor:
        """Map the encoding (b, hidden) and the tokens before each step (b, steps, channels) to tokens."""
        if self.config.kind.reinjects:
            tokens = torch.cat([tokens, code[:, None].expand(-1, tokens.shape[1], -1)], 2)
        return self._output(self.gru(tokens, code.expand(self.layers, -1, -1).contiguous())[0])

    def start(self, code: Tensor) -> tuple[Tensor, States]:
        """Return the token before the first step (b, channels), and the state (b, hidden) of each layer."""
        return code.new_zeros(code.shape[0], self.channels), (code,) * self.layers

    def step(self, code: Tensor | None, token: Tensor, states: States) -> tuple[Tensor, States]:
        """Return the next token and the next states: one step of `forward`, without its overhead."""
        x = token
        if self.config.kind.reinjects:
            assert code is not None, "a decoder that reinjects needs the encoding at each step"
            x = torch.cat([token, code], 1)
        new: list[Tensor] = []
        for before, weights in zip(states, self.cells(), strict=True):
            if new and self.training:
                x = F.dropout(x, self.config.dropout)
            x = gru_cell(x, before, *weights)
            new.append(x)
        return self._output(x), tuple(new)

    def unroll(self, code: Tensor, steps: int) -> Tensor:
        """Return the tokens (b, steps, channels) of encodings (b, hidden), each fed back."""
        token, states = self.start(code)
        tokens = []
        for _ in range(steps):
            token, states = self.step(code, token, states)
            tokens.append(token)
        return torch.stack(tokens, 1)

    def predict(self, encoded: Encoded, steps: int) -> tuple[Tensor, Tensor]:
        """Return values (b, steps, channel), and the first step (b,) of the plateau that halts each."""
        config = self.config
        count = min(steps + config.halting_window + FLAT_EXTRA, config.max_steps)
        values = self.values(self.unroll(encoded.code, count))
        spread = values[..., 0].unfold(1, config.halting_window - 1, 1).std(2, correction=0)
        return values[:, :steps], first_true(spread <= config.halting_tolerance).clamp(max=steps)

    def losses(
        self, encoded: Encoded, batch: Mapping[str, Tensor], learning: LearningSettings, progress: float
    ) -> dict[str, Tensor]:
        """Return the loss of the values, given the true values before each step or its own."""
        values, weights = with_plateau(batch["values"], batch["lengths"], self.config, learning.plateau)
        first, last = learning.teacher
        if float(torch.rand(())) < first + (last - first) * progress:
            before = moved_by_one((values - self.offset) / self.scale)
        else:
            before = self.own_tokens(encoded.code.detach(), values.shape[1])
        return {"loss": self.value_loss(self(encoded.code, before.nan_to_num()), values, weights, learning)}

    @torch.no_grad()
    def own_tokens(self, code: Tensor, steps: int) -> Tensor:
        """Return what the decoder is given before each step when it runs freely, (b, steps, channel).

        The gradients come from a second pass over these, in one call of the recurrent layers: as fast as
        teacher forcing, and learning from its own errors all the same.
        """
        mode = self.training
        self.eval()
        tokens = self.unroll(code, steps)
        self.train(mode)
        return moved_by_one(tokens)

    def imitate_training(self, typical: int) -> None:
        """Let sequences rise by some magnitudes into a plateau.

        The last layer leaks: its state falls from the encoding to nothing, each unit at a rate of its own,
        and the values rise to 26. The first unit keeps its state, and sets the rate of the others:
        sequences differ in length by factors.
        """
        hidden = self.config.hidden
        leak = torch.exp(-1 / (typical / 10.0 * torch.linspace(0.4, 1.6, hidden)))
        *_, (w_x, w_h, b_x, b_h) = self.cells()
        for weights in (w_x, w_h, b_x, b_h):
            weights.mul_(1e-3)
        b_x[hidden : 2 * hidden] = torch.logit(leak)
        w_h[hidden : 2 * hidden, 0] = _LENGTH_SCATTER
        b_x[hidden] = 30.0  # sigmoid(30) is 1: the first unit never changes
        self.fc.weight.copy_(-12.0 / hidden * torch.rand_like(self.fc.weight))
        self.fc.weight[:, 0] = 0.0
        self.fc.bias.fill_(26.0)
        self.fc.weight.div_(self.scale[:, None])
        self.fc.bias.sub_(self.offset).div_(self.scale)

    def cells(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yield the weights of each layer: of the input, of the state, and the bias of each."""
        for layer in range(self.layers):
            names = (f"{kind}_{side}_l{layer}" for kind in ("weight", "bias") for side in ("ih", "hh"))
            weights = [cast("Tensor", getattr(self.gru, name)) for name in names]
            yield weights[0], weights[1], weights[2], weights[3]

    def _output(self, state: Tensor) -> Tensor:
        tokens: Tensor = self.fc(F.relu(state))
        return F.relu(tokens) if self.config.rectified else tokens


def gru_cell(x: Tensor, state: Tensor, w_x: Tensor, w_h: Tensor, b_x: Tensor, b_h: Tensor) -> Tensor:
    """Return the next state (b, hidden) of one GRU layer, as `torch.nn.GRU` defines it."""
    reset_x, update_x, new_x = F.linear(x, w_x, b_x).chunk(3, 1)
    reset_h, update_h, new_h = F.linear(state, w_h, b_h).chunk(3, 1)
    new = torch.tanh(new_x + torch.sigmoid(reset_x + reset_h) * new_h)
    return new + torch.sigmoid(update_x + update_h) * (state - new)


def moved_by_one(tokens: Tensor) -> Tensor:
    """Return what comes before each of these tokens (b, steps, channel); 0 before the first."""
    return torch.cat([torch.zeros_like(tokens[:, :1]), tokens[:, :-1]], 1)


def with_plateau(
    values: Tensor, lengths: Tensor, config: Pix2ProfConfig, weight: float
) -> tuple[Tensor, Tensor]:
    """Continue profiles with their last value, until the halting rule has fired.

    Parameters
    ----------
    values : (b, steps, channel)
        Profiles, NaN after their end.
    lengths : (b,)
        Their steps.
    config
        Knows the halting rule.
    weight
        Of a step after the end.

    Returns
    -------
    values : (b, steps, channel)
        As long as the longest profile and its plateau.
    weights : (b, steps)
        1 for a step of the profile, `weight` on the plateau, 0 after it and for a profile of no steps.
    """
    flat = config.halting_window + FLAT_EXTRA
    count = min(int(lengths.max()) + flat, config.max_steps)
    steps = torch.arange(count, device=values.device)
    last = (lengths - 1).clamp(min=0)
    place = torch.minimum(steps, last[:, None])
    extended = values.gather(1, place[..., None].expand(-1, -1, values.shape[2]))
    inside, on_plateau = steps < lengths[:, None], steps < lengths[:, None] + flat
    weights = inside.float() + weight * (on_plateau & ~inside & (lengths[:, None] > 0)).float()
    return extended, weights
