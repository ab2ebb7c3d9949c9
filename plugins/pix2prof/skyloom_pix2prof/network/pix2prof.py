"""The network: an encoder, and the decoder that its configuration names."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from skyloom.names import import_target
from skyloom_pix2prof.network.encoder import Encoder

if TYPE_CHECKING:
    from skyloom_pix2prof.config import Pix2ProfConfig
    from skyloom_pix2prof.network.decoder import Decoder


class Pix2Prof(nn.Module):
    """Images of one band in, sequences in physical units out.

    Parameters
    ----------
    config
        What it is made of.
    """

    def __init__(self, config: Pix2ProfConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder: Decoder = import_target(config.kind.network)(config)

    def encode(self, images: Tensor) -> Tensor:
        """Map prepared images (b, 1, y, x) to encodings (b, hidden)."""
        return cast("Tensor", self.encoder(images))

    def forward(self, images: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Map prepared images (b, 1, y, x) to values (b, steps, channels) and lengths (b,)."""
        return self.decoder.predict(self.encoder.encode(images), steps)
