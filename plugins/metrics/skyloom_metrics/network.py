"""Inception-v3 as the Fréchet inception distance uses it, in the layout of the published weights.

It is the network of Szegedy et al. (2016) with the details of its first release, which the weights were
trained with: average pools leave out the padding, and the last block pools the maximum.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

Size = int | tuple[int, int]

FULL = 32  # channels of the first layer of the published network


class Convolution(nn.Module):
    """A convolution with batch norm."""

    def __init__(self, given: int, made: int, kernel: Size, *, stride: int = 1, padding: Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(given, made, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(made, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, given, y, x) to (b, made, y', x')."""
        return functional.relu(self.bn(self.conv(x)))


class Block(nn.Module):
    """Branches side by side.

    A branch is a list of names of layers, of pools and, in brackets, of layers whose outputs are joined.
    """

    branches: tuple[tuple[str | tuple[str, ...], ...], ...]

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, given, y, x) to all branches along the channels."""
        joined = []
        for branch in self.branches:
            found = [x]
            for step in branch:
                if isinstance(step, tuple):
                    found = [self.get_submodule(name)(found[0]) for name in step]
                elif step in POOLS:
                    found = [POOLS[step](found[0])]
                else:
                    found = [self.get_submodule(step)(found[0])]
            joined += found
        return torch.cat(joined, 1)


def _average(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _largest(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, 3, stride=1, padding=1)


def _halved(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, 3, stride=2)


POOLS = {"average": _average, "largest": _largest, "halved": _halved}


class Wide(Block):
    """5x5 and 3x3 convolutions, at 35x35."""

    branches = (
        ("branch1x1",),
        ("branch5x5_1", "branch5x5_2"),
        ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
        ("average", "branch_pool"),
    )

    def __init__(self, given: int, pooled: int, c: Channels) -> None:
        super().__init__()
        self.branch1x1 = Convolution(given, c(64), 1)
        self.branch5x5_1 = Convolution(given, c(48), 1)
        self.branch5x5_2 = Convolution(c(48), c(64), 5, padding=2)
        self.branch3x3dbl_1 = Convolution(given, c(64), 1)
        self.branch3x3dbl_2 = Convolution(c(64), c(96), 3, padding=1)
        self.branch3x3dbl_3 = Convolution(c(96), c(96), 3, padding=1)
        self.branch_pool = Convolution(given, pooled, 1)
        self.made = 2 * c(64) + c(96) + pooled


class ToMiddle(Block):
    """From 35x35 to 17x17."""

    branches = (("branch3x3",), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"), ("halved",))

    def __init__(self, given: int, c: Channels) -> None:
        super().__init__()
        self.branch3x3 = Convolution(given, c(384), 3, stride=2)
        self.branch3x3dbl_1 = Convolution(given, c(64), 1)
        self.branch3x3dbl_2 = Convolution(c(64), c(96), 3, padding=1)
        self.branch3x3dbl_3 = Convolution(c(96), c(96), 3, stride=2)
        self.made = c(384) + c(96) + given


class Long(Block):
    """Rows and columns of 7, at 17x17."""

    branches = (
        ("branch1x1",),
        ("branch7x7_1", "branch7x7_2", "branch7x7_3"),
        ("branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3", "branch7x7dbl_4", "branch7x7dbl_5"),
        ("average", "branch_pool"),
    )

    def __init__(self, given: int, inner: int, c: Channels) -> None:
        super().__init__()
        row: tuple[Size, Size] = (1, 7), (0, 3)
        column: tuple[Size, Size] = (7, 1), (3, 0)
        self.branch1x1 = Convolution(given, c(192), 1)
        self.branch7x7_1 = Convolution(given, inner, 1)
        self.branch7x7_2 = Convolution(inner, inner, row[0], padding=row[1])
        self.branch7x7_3 = Convolution(inner, c(192), column[0], padding=column[1])
        self.branch7x7dbl_1 = Convolution(given, inner, 1)
        self.branch7x7dbl_2 = Convolution(inner, inner, column[0], padding=column[1])
        self.branch7x7dbl_3 = Convolution(inner, inner, row[0], padding=row[1])
        self.branch7x7dbl_4 = Convolution(inner, inner, column[0], padding=column[1])
        self.branch7x7dbl_5 = Convolution(inner, c(192), row[0], padding=row[1])
        self.branch_pool = Convolution(given, c(192), 1)
        self.made = 4 * c(192)


class ToSmall(Block):
    """From 17x17 to 8x8."""

    branches = (
        ("branch3x3_1", "branch3x3_2"),
        ("branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3", "branch7x7x3_4"),
        ("halved",),
    )

    def __init__(self, given: int, c: Channels) -> None:
        super().__init__()
        self.branch3x3_1 = Convolution(given, c(192), 1)
        self.branch3x3_2 = Convolution(c(192), c(320), 3, stride=2)
        self.branch7x7x3_1 = Convolution(given, c(192), 1)
        self.branch7x7x3_2 = Convolution(c(192), c(192), (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = Convolution(c(192), c(192), (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = Convolution(c(192), c(192), 3, stride=2)
        self.made = c(320) + c(192) + given


class Split(Block):
    """Rows and columns of 3 side by side, at 8x8."""

    def __init__(self, given: int, c: Channels, *, pool: str) -> None:
        super().__init__()
        self.branches = (
            ("branch1x1",),
            ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b")),
            ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")),
            (pool, "branch_pool"),
        )
        self.branch1x1 = Convolution(given, c(320), 1)
        self.branch3x3_1 = Convolution(given, c(384), 1)
        self.branch3x3_2a = Convolution(c(384), c(384), (1, 3), padding=(0, 1))
        self.branch3x3_2b = Convolution(c(384), c(384), (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = Convolution(given, c(448), 1)
        self.branch3x3dbl_2 = Convolution(c(448), c(384), 3, padding=1)
        self.branch3x3dbl_3a = Convolution(c(384), c(384), (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = Convolution(c(384), c(384), (3, 1), padding=(1, 0))
        self.branch_pool = Convolution(given, c(192), 1)
        self.made = c(320) + 4 * c(384) + c(192)


class Channels:
    """Numbers of channels of a network whose first layer has `first` of them instead of 32."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __call__(self, full: int) -> int:
        """Return the number where the published network has `full`."""
        return max(full * self.first // FULL, 1)


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
        c = Channels(first)
        self.size = size
        self.Conv2d_1a_3x3 = Convolution(3, c(32), 3, stride=2)
        self.Conv2d_2a_3x3 = Convolution(c(32), c(32), 3)
        self.Conv2d_2b_3x3 = Convolution(c(32), c(64), 3, padding=1)
        self.Conv2d_3b_1x1 = Convolution(c(64), c(80), 1)
        self.Conv2d_4a_3x3 = Convolution(c(80), c(192), 3)
        self.Mixed_5b = Wide(c(192), c(32), c)
        self.Mixed_5c = Wide(self.Mixed_5b.made, c(64), c)
        self.Mixed_5d = Wide(self.Mixed_5c.made, c(64), c)
        self.Mixed_6a = ToMiddle(self.Mixed_5d.made, c)
        self.Mixed_6b = Long(self.Mixed_6a.made, c(128), c)
        self.Mixed_6c = Long(self.Mixed_6b.made, c(160), c)
        self.Mixed_6d = Long(self.Mixed_6c.made, c(160), c)
        self.Mixed_6e = Long(self.Mixed_6d.made, c(192), c)
        self.Mixed_7a = ToSmall(self.Mixed_6e.made, c)
        self.Mixed_7b = Split(self.Mixed_7a.made, c, pool="average")
        self.Mixed_7c = Split(self.Mixed_7b.made, c, pool="largest")

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
