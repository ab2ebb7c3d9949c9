"""Networks of the sizes and layouts that are timed: three families of published models, random weights."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

Pair = tuple[int, int]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, inputs, y, x)`` to ``(batch, outputs, y / stride, x / stride)``."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet18(nn.Module):
    """An 18-layer residual network with a 3x3 stem that keeps the full size: 71 GFLOP for 256x256 pixels."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        blocks: list[nn.Module] = []
        inputs = width
        for level, outputs in enumerate(widths):
            blocks += [BasicBlock(inputs, outputs, 2 if level else 1), BasicBlock(outputs, outputs, 1)]
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, inputs)

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(batch, 1, y, x)`` to the encoding ``(batch, 8 * width)``."""
        return cast("Tensor", self.head(self.blocks(self.stem(image)).mean((2, 3))))


class Mish(nn.Module):
    """Mish as it is written in the published models."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x tanh(log(1 + exp x))``."""
        return x * torch.tanh(F.softplus(x))


class Block(nn.Module):
    """A 3x3 convolution, group norm and Mish."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1), nn.GroupNorm(8, outputs), Mish()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, inputs, y, x)`` to ``(batch, outputs, y, x)``."""
        return cast("Tensor", self.layers(x))


class Residual(nn.Module):
    """Two blocks with the embedding of the time between them."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(Mish(), nn.Linear(embedding, outputs))
        self.block1, self.block2 = Block(inputs, outputs), Block(outputs, outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Map ``(batch, inputs, y, x)`` to ``(batch, outputs, y, x)``."""
        y = self.block1(x) + self.mlp(time)[:, :, None, None]
        return cast("Tensor", self.block2(y) + self.shortcut(x))


class LinearAttention(nn.Module):
    """Attention whose cost is linear in the number of pixels, with a gate."""

    def __init__(self, channels: int, heads: int = 4, width: int = 32) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.gate = nn.Parameter(torch.full((1,), 0.1))
        self.to_qkv = nn.Conv2d(channels, 3 * heads * width, 1, bias=False)
        self.to_out = nn.Conv2d(heads * width, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, channels, y, x)`` to the same shape."""
        rows, columns = x.shape[-2:]
        qkv = self.to_qkv(x).reshape(-1, 3, self.heads, self.width, rows * columns)
        q, k, v = qkv[:, 0], qkv[:, 1].softmax(-1), qkv[:, 2]
        context = torch.einsum("bhdn,bhen->bhde", k, v)
        y = torch.einsum("bhde,bhdn->bhen", context, q)
        y = y.reshape(-1, self.heads * self.width, rows, columns)
        return x + cast("Tensor", self.gate * self.to_out(y))


class Level(nn.Module):
    """Two residual blocks and attention."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.first = Residual(inputs, outputs, embedding)
        self.second = Residual(outputs, outputs, embedding)
        self.attention = LinearAttention(outputs)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Map ``(batch, inputs, y, x)`` to ``(batch, outputs, y, x)``."""
        return cast("Tensor", self.attention(self.second(self.first(x, time), time)))


class UNet(nn.Module):
    """The network of a diffusion model: 29.8 M parameters, about 140 GFLOP a step of 256x256 pixels."""

    def __init__(self, width: int = 64, bands: int = 3, *, levels: int = 4) -> None:
        super().__init__()
        self.width = width
        widths = [width * 2**level for level in range(levels)]
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), Mish(), nn.Linear(4 * width, width))
        pairs = list(zip([bands, *widths], widths, strict=False))
        self.downs = nn.ModuleList(Level(a, b, width) for a, b in pairs)
        self.shrink = nn.ModuleList(nn.Conv2d(b, b, 3, 2, 1) for _, b in pairs[:-1])
        self.middle = nn.ModuleList([Residual(widths[-1], widths[-1], width) for _ in range(2)])
        self.attention = LinearAttention(widths[-1])
        self.ups = nn.ModuleList(Level(2 * b, a, width) for a, b in reversed(pairs[1:]))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(a, a, 4, 2, 1) for a, _ in reversed(pairs[1:]))
        self.final = nn.Sequential(Block(width, width), nn.Conv2d(width, bands, 1))

    def forward(self, image: Tensor, time: Tensor) -> Tensor:
        """Map ``(batch, bands, y, x)`` and steps ``(batch,)`` to the noise ``(batch, bands, y, x)``."""
        half = self.width // 2
        frequency = torch.exp(torch.arange(half, dtype=torch.float32) * (-math.log(10000) / (half - 1)))
        phase = time[:, None] * frequency
        embedding = self.mlp(torch.cat([phase.sin(), phase.cos()], 1))
        kept: list[Tensor] = []
        x = image
        for index, level in enumerate(self.downs):
            x = level(x, embedding)
            kept.append(x)
            if index < len(self.shrink):
                x = self.shrink[index](x)
        x = self.middle[1](self.attention(self.middle[0](x, embedding)), embedding)
        for level, grow in zip(self.ups, self.grow, strict=True):
            x = grow(level(torch.cat([x, kept.pop()], 1), embedding))
        return cast("Tensor", self.final(x))


class SameTransposed(nn.Module):
    """A transposed convolution whose output is `stride` times its input, as "same" padding has it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, kernel, stride)
        self.excess = max(kernel - stride, 0)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, inputs, y, x)`` to ``(batch, outputs, stride * y, stride * x)``."""
        rows, columns = (size * self.stride for size in x.shape[-2:])
        start = self.excess // 2
        return cast("Tensor", self.conv(x)[:, :, start : start + rows, start : start + columns])


class Generator(nn.Module):
    """A spatial generator: a latent ``(50, h, w)`` becomes a field of 3 bands, 16 times larger."""

    def __init__(self, latent: int = 50, width: int = 256, bands: int = 3) -> None:
        super().__init__()
        widths = [width, width // 2, width // 4, width // 8]
        layers: list[nn.Module] = [SameTransposed(latent, width, 4, 2), nn.ELU()]
        for inputs, outputs in pairwise(widths):
            layers += [SameTransposed(inputs, outputs, 4, 2), nn.ELU()]
            layers += [SameTransposed(outputs, outputs, 4, 1), nn.ELU()] * 2
        layers += [SameTransposed(widths[-1], bands, 3, 1), nn.Sigmoid()]
        self.layers = nn.Sequential(*layers)

    def forward(self, latent: Tensor) -> Tensor:
        """Map ``(batch, latent, h, w)`` to ``(batch, bands, 16 h, 16 w)``."""
        return cast("Tensor", self.layers(latent))
