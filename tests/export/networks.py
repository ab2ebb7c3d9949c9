"""Tiny networks with every feature that the exporter has to deal with."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch._higher_order_ops import scan, while_loop
from torch.nn import functional as F


class Encoder(nn.Module):
    """Convolutions with batch norm, a shortcut and a mean over all positions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(2, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 4)

    def forward(self, image: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(image)))
        x = F.relu(self.bn2(self.conv2(x)) + x[:, :, ::2, ::2])
        code: Tensor = self.head(x.mean((2, 3)))
        return code


class Mixed(nn.Module):
    """Group norm, Mish, attention, and transposed convolutions with crops."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(4, 8)
        self.to_qkv = nn.Conv2d(8, 24, 1, bias=False)
        self.up = nn.ConvTranspose2d(8, 6, 4, 2)
        self.flat = nn.ConvTranspose2d(6, 3, 4, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.norm(self.conv(image))
        x = x * torch.tanh(F.softplus(x))
        rows, columns = x.shape[-2:]
        qkv = self.to_qkv(x).reshape(-1, 3, 2, 4, rows * columns)
        q, k, v = qkv[:, 0], qkv[:, 1].softmax(-1), qkv[:, 2]
        context = torch.einsum("bhdn,bhen->bhde", k, v)
        x = x + torch.einsum("bhde,bhdn->bhen", context, q).reshape(-1, 8, rows, columns)
        x = F.elu(self.up(x)[:, :, 1 : 1 + 2 * rows, 1 : 1 + 2 * columns])
        return torch.sigmoid(self.flat(x)[:, :, 1 : 1 + 2 * rows, 1 : 1 + 2 * columns])


class Decoder(nn.Module):
    """A recurrent decoder that feeds its values back, for a fixed number of steps."""

    def __init__(self, hidden: int = 6, steps: int = 7) -> None:
        super().__init__()
        self.cell, self.head, self.steps = nn.GRUCell(1, hidden), nn.Linear(hidden, 1), steps

    def forward(self, code: Tensor) -> Tensor:
        start = (code, torch.zeros_like(code[:, :1]))
        if torch.compiler.is_exporting():
            ticks = torch.zeros(self.steps, 1, 1)
            values: Tensor = scan(self.step, start, ticks)[1]
            return values[..., 0].transpose(0, 1)
        carry, found = start, []
        for _ in range(self.steps):
            carry, value = self.step(carry, torch.zeros(1, 1))
            found.append(value)
        return torch.cat(found, 1)

    def step(self, carry: tuple[Tensor, Tensor], tick: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        state = self.cell(carry[1], carry[0])
        value = F.relu(self.head(F.relu(state))) + 0 * tick
        return (state, value), value.clone()


class Halting(nn.Module):
    """A recurrent decoder that stops, inside the graph, when its values stop changing."""

    def __init__(self, hidden: int = 6, limit: int = 20) -> None:
        super().__init__()
        self.cell, self.head, self.limit = nn.GRUCell(1, hidden), nn.Linear(hidden, 1), limit

    def forward(self, code: Tensor) -> tuple[Tensor, Tensor]:
        carry = (torch.zeros((), dtype=torch.int64), code, torch.zeros_like(code[:, :1]), torch.ones(()))
        if torch.compiler.is_exporting():
            carry = while_loop(self.going, self.step, carry)  # type: ignore[no-untyped-call]
        else:
            while self.going(*carry):
                carry = self.step(*carry)
        count, _, value, _ = carry
        return value, count + torch.zeros_like(code[:, 0], dtype=torch.int64)

    def going(self, count: Tensor, state: Tensor, value: Tensor, change: Tensor) -> Tensor:
        return (count < self.limit) & (change > 1e-2)

    def step(
        self, count: Tensor, state: Tensor, value: Tensor, change: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        state = self.cell(value, state)
        new = self.head(state)
        return count + 1, state, new, (new - value).abs().max()
