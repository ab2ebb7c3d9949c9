"""Inception-v3 as the Fréchet inception distance uses it, in the layout of the published weights.

It is the network of Szegedy et al. (2016) with the details of its first release, which the weights were
trained with: average pools leave out the padding, and the last block pools the maximum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

Size = int | tuple[int, int]
Channels = Callable[[int], int]
"""The number of channels where the published network has so many."""

FULL = 32  # channels of the first layer of the published network
ROW, COLUMN = (1, 7), (7, 1)


class Convolution(nn.Module):
    """A convolution with batch norm."""

    def __init__(self, given: int, made: int, kernel: Size, *, stride: int = 1, padding: Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(given, made, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(made, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, given, y, x) to (b, made, y', x')."""
        return functional.relu(self.bn(self.conv(x)))


class Layer(NamedTuple):
    """A convolution of a block; without a stride it keeps the size of the image."""

    made: int
    kernel: Size
    stride: int = 1

    def after(self, given: int) -> Convolution:
        """Return it for so many channels."""
        rows, columns = self.kernel if isinstance(self.kernel, tuple) else (self.kernel, self.kernel)
        padding = (rows // 2, columns // 2) if self.stride == 1 else 0
        return Convolution(given, self.made, self.kernel, stride=self.stride, padding=padding)


class Block(nn.Module):
    """Branches side by side.

    A branch is a list of layers, which are numbered where there are several, of names of pools, and of lists
    of two layers whose outputs are joined.
    """

    def __init__(self, given: int, **branches: Sequence[Layer | str | list[Layer]]) -> None:
        super().__init__()
        self.branches: list[list[str | list[str]]] = []
        self.made = 0
        for branch, steps in branches.items():
            channels, names = given, list[str | list[str]]()
            several = sum(not isinstance(step, str) for step in steps) > 1
            for step in steps:
                if isinstance(step, str):
                    names.append(step)
                    continue
                layers = step if isinstance(step, list) else [step]
                name = f"{branch}_{len(names) + 1}" if several else branch
                names.append([name] if len(layers) == 1 else [f"{name}a", f"{name}b"])
                for own, layer in zip(names[-1], layers, strict=True):
                    self.add_module(own, layer.after(channels))
                channels = sum(layer.made for layer in layers)
            self.branches.append(names)
            self.made += channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, given, y, x) to all branches along the channels."""
        joined = []
        for branch in self.branches:
            found = [x]
            for step in branch:
                layers = [POOLS[step]] if isinstance(step, str) else map(self.get_submodule, step)
                found = [layer(found[0]) for layer in layers]
            joined += found
        return torch.cat(joined, 1)


def _average(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _largest(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, 3, stride=1, padding=1)


def _halved(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, 3, stride=2)


POOLS = {"average": _average, "largest": _largest, "halved": _halved}


def wide(given: int, pooled: int, c: Channels) -> Block:
    """Return 5x5 and 3x3 convolutions, at 35x35."""
    return Block(
        given,
        branch1x1=[Layer(c(64), 1)],
        branch5x5=[Layer(c(48), 1), Layer(c(64), 5)],
        branch3x3dbl=[Layer(c(64), 1), Layer(c(96), 3), Layer(c(96), 3)],
        branch_pool=["average", Layer(pooled, 1)],
    )


def to_middle(given: int, c: Channels) -> Block:
    """Return what leads from 35x35 to 17x17."""
    return Block(
        given,
        branch3x3=[Layer(c(384), 3, stride=2)],
        branch3x3dbl=[Layer(c(64), 1), Layer(c(96), 3), Layer(c(96), 3, stride=2)],
        branch_pool=["halved"],
    )


def long(given: int, inner: int, c: Channels) -> Block:
    """Return rows and columns of 7, at 17x17."""
    first, row, column = Layer(inner, 1), Layer(inner, ROW), Layer(inner, COLUMN)
    return Block(
        given,
        branch1x1=[Layer(c(192), 1)],
        branch7x7=[first, row, Layer(c(192), COLUMN)],
        branch7x7dbl=[first, column, row, column, Layer(c(192), ROW)],
        branch_pool=["average", Layer(c(192), 1)],
    )


def to_small(given: int, c: Channels) -> Block:
    """Return what leads from 17x17 to 8x8."""
    first, last = Layer(c(192), 1), Layer(c(192), 3, stride=2)
    return Block(
        given,
        branch3x3=[first, Layer(c(320), 3, stride=2)],
        branch7x7x3=[first, Layer(c(192), ROW), Layer(c(192), COLUMN), last],
        branch_pool=["halved"],
    )


def split(given: int, c: Channels, *, pool: str) -> Block:
    """Return rows and columns of 3 side by side, at 8x8."""
    both = [Layer(c(384), (1, 3)), Layer(c(384), (3, 1))]
    return Block(
        given,
        branch1x1=[Layer(c(320), 1)],
        branch3x3=[Layer(c(384), 1), both],
        branch3x3dbl=[Layer(c(448), 1), Layer(c(384), 3), both],
        branch_pool=[pool, Layer(c(192), 1)],
    )


class Inception(nn.Module):
    """Inception-v3 to its last pool.

    Parameters
    ----------
    first
        Channels of the first layer, which all others are in proportion to; 32 as published.
    size
        Rows and columns that images are brought to.
    """

    def __init__(self, *, first: int = FULL, size: int = 299) -> None:
        super().__init__()

        def c(full: int) -> int:
            """Return the number of channels where the published network has `full`."""
            return max(full * first // FULL, 1)

        self.size = size
        self.Conv2d_1a_3x3 = Convolution(3, c(32), 3, stride=2)
        self.Conv2d_2a_3x3 = Convolution(c(32), c(32), 3)
        self.Conv2d_2b_3x3 = Convolution(c(32), c(64), 3, padding=1)
        self.Conv2d_3b_1x1 = Convolution(c(64), c(80), 1)
        self.Conv2d_4a_3x3 = Convolution(c(80), c(192), 3)
        self.Mixed_5b = wide(c(192), c(32), c)
        self.Mixed_5c = wide(self.Mixed_5b.made, c(64), c)
        self.Mixed_5d = wide(self.Mixed_5c.made, c(64), c)
        self.Mixed_6a = to_middle(self.Mixed_5d.made, c)
        self.Mixed_6b = long(self.Mixed_6a.made, c(128), c)
        self.Mixed_6c = long(self.Mixed_6b.made, c(160), c)
        self.Mixed_6d = long(self.Mixed_6c.made, c(160), c)
        self.Mixed_6e = long(self.Mixed_6d.made, c(192), c)
        self.Mixed_7a = to_small(self.Mixed_6e.made, c)
        self.Mixed_7b = split(self.Mixed_7a.made, c, pool="average")
        self.Mixed_7c = split(self.Mixed_7b.made, c, pool="largest")

    def forward(self, images: Tensor) -> Tensor:
        """Map images (b, 3, y, x), of values from 0 to 1, to features (b, 64 * first)."""
        x = functional.interpolate(images, (self.size, self.size), mode="bilinear", align_corners=False)
        x = 2 * x - 1
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(_halved(x)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(_halved(x))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        features: Tensor = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean((2, 3))
        return features
