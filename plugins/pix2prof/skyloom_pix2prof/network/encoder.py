"""The encoder: a ResNet-18 for images of one band.

The names of the layers are those of the published weights, so that these load as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from skyloom_pix2prof.config import Pix2ProfConfig

STAGES = 4
_STEMS = {"standard": (7, 2, 3), "3x3": (3, 1, 1), "patch": (8, 4, 2)}
"""Side, stride and padding of the first convolution."""
FIRST_CELLS = {"standard": (4, 0.0), "3x3": (1, 0.0), "patch": (4, 1.5)}
"""Pixels from one cell of the first stage to the next, and the pixel in which the first is centred."""


class Encoded(NamedTuple):
    """What a decoder knows of images.

    Attributes
    ----------
    images : (b, 1, y, x)
        The prepared images.
    maps
        Feature map (b, n, y, x) of each stage of the encoder.
    code : (b, hidden)
        The encoding.
    """

    images: Tensor
    maps: list[Tensor]
    code: Tensor


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

    def encode(self, images: Tensor) -> Encoded:
        """Return all that a decoder may look at; the last map is (b, 8 * width, y / n, x / n), n 32 or 8."""
        maps = self.maps(images)
        return Encoded(images, maps, self.fc1(maps[-1].mean((2, 3))))

    def forward(self, images: Tensor) -> Tensor:
        """Map (b, 1, y, x) to the encoding (b, hidden)."""
        return self.encode(images).code
