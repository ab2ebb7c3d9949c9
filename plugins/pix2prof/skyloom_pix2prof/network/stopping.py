"""Networks with their stopping rule inside, as they are exported."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch._higher_order_ops import while_loop

from skyloom_pix2prof.network.decoder import ParallelDecoder
from skyloom_pix2prof.network.recurrent_decoder import RecurrentDecoder

if TYPE_CHECKING:
    from skyloom_pix2prof.network.pix2prof import Pix2Prof

Carry = tuple[Tensor, ...]


class DecoderGraph(nn.Module):
    """A recurrent decoder with its stopping rule, for some steps more.

    Everything about a sequence that is needed to go on with it is an input and an output.
    """

    def __init__(self, network: Pix2Prof) -> None:
        super().__init__()
        assert isinstance(network.decoder, RecurrentDecoder)
        self.config, self.decoder = network.config, network.decoder

    def forward(
        self,
        token: Tensor,
        state: Tensor,
        recent: Tensor,
        count: Tensor,
        ticks: Tensor,
        code: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Go on for as many steps as there are ticks, or until the last sequence halts.

        Parameters
        ----------
        token : (b, channels)
            What the decoder predicted last; 0 at the start.
        state : (b, layers, hidden)
            Its state; the encoding in each layer at the start.
        recent : (b, window)
            The last surface brightnesses, the newest last.
        count : (b,)
            How many values there are.
        ticks : (steps,)
            Only their number counts.
        code : (b, hidden)
            The encoding, where it is fed in again at each step.

        Returns
        -------
        values : (b, steps, channels)
            New values in physical units; of a sequence that has halted, only the first count - (count
            before) belong to it.
        token, state, recent, count
            To go on with.
        halted : bool (b,)
            Whether the sequence is complete.
        """
        values = torch.zeros_like(token)[:, None].expand(-1, ticks.shape[0], -1).clone()
        carry: Carry = (
            torch.zeros((), dtype=torch.int64),
            count < 0,
            values,
            token,
            recent,
            count,
            *(layer.clone() for layer in state.unbind(1)),
        )
        step = functools.partial(self.step, code)
        if torch.compiler.is_exporting():
            carry = while_loop(self.going, step, carry)  # type: ignore[no-untyped-call]
        else:
            while self.going(*carry):
                carry = step(*carry)
        _, halted, values, token, recent, count, *states = carry
        return values, token, torch.stack(states, 1), recent, count, halted

    def going(self, tick: Tensor, halted: Tensor, values: Tensor, *_: Tensor) -> Tensor:
        """Whether there is a step left, and a sequence that needs it."""
        return (tick < values.shape[1]) & ~halted.all()

    def step(
        self,
        code: Tensor | None,
        tick: Tensor,
        halted: Tensor,
        values: Tensor,
        token: Tensor,
        recent: Tensor,
        count: Tensor,
        *states: Tensor,
    ) -> Carry:
        """Append a value to each sequence that has not halted, and see which halt with it."""
        token, states = self.decoder.step(code, token, states)
        value = self.decoder.values(token)
        here = torch.arange(values.shape[1], device=values.device) == tick
        values = torch.where(here[None, :, None], value[:, None], values)
        config = self.config
        older = recent[:, :-1]  # the published rule leaves out the newest of the window
        variance = (older - older.mean(1, keepdim=True)).square().mean(1)
        flat = (count > config.halting_window) & (variance <= config.halting_tolerance**2)
        count = count + (~halted).to(torch.int64)
        halted = halted | flat | (count >= config.max_steps)
        recent = torch.cat([recent[:, 1:], value[:, :1]], 1)
        return tick + 1, halted, values, token, recent, count, *states


class CaptionerGraph(nn.Module):
    """A network that predicts all steps at once: a sequence ends before its first positive stop logit."""

    def __init__(self, network: Pix2Prof) -> None:
        super().__init__()
        assert isinstance(network.decoder, ParallelDecoder)
        self.config, self.encoder, self.decoder = network.config, network.encoder, network.decoder

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map images to values (b, steps, channels), and to their count and whether they halted (b,)."""
        steps = self.config.reach
        numbers = torch.arange(steps, device=image.device)
        values, stops = self.decoder(self.encoder.encode(image), numbers.to(image.dtype))
        count = torch.where(stops > 0, numbers, steps).amin(1)
        return values, count, count < steps
