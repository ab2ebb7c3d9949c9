"""Decoding by the graphs of a bundle: prepared images in, sequences out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from skyloom.runtime import run_in_batches
from skyloom_pix2prof.config import SHAPE

if TYPE_CHECKING:
    from skyloom import Bundle
    from skyloom.runtime import Session
    from skyloom_pix2prof.config import Pix2ProfConfig

ENCODER, DECODER, CAPTIONER = "encoder", "decoder", "captioner"
BATCH = 8
"""Images in every call of a network. More only cost memory; another number, or fewer images than threads,
changes the last digits of the values."""
SLOTS = 48
"""Sequences in every call of a recurrent decoder. A call costs the same however few of them are in use, and
more are hardly faster."""
STRIDE = 16
"""Steps to unroll before sequences that have halted make room for others."""

type_f4 = NDArray[np.float32]


class Sequence(NamedTuple):
    """A sequence as the network predicts it.

    Attributes
    ----------
    values : (step, channel)
        In physical units, with the plateau at which it halted.
    halted
        Whether the stopping rule ended it, and not its greatest length.
    """

    values: type_f4
    halted: bool


class Predictor(Protocol):
    """Predicts one sequence for each prepared image (n, 1, y, x)."""

    @property
    def session(self) -> Session:
        """What runs the network, or its encoder."""
        ...

    def __call__(self, images: type_f4) -> list[Sequence]:
        """Predict them."""
        ...


def open_predictor(bundle: Bundle, config: Pix2ProfConfig) -> Predictor:
    """Open the graphs of a bundle, whose decoder is recurrent or predicts all steps at once."""
    if not config.kind.recurrent:
        return ParallelPredictor(bundle.session(CAPTIONER), config)
    encoder = bundle.session(ENCODER)
    # A precision that only the encoder has, such as int8, is no reason to refuse.
    known = {"auto", *bundle.manifest.precisions(DECODER)}
    execution = bundle.execution
    if execution.precision not in known:
        execution = replace(execution, precision="fp32")
    return RecurrentPredictor(encoder, bundle.session(DECODER, execution), config)


@dataclass(frozen=True)
class ParallelPredictor:
    """A network that predicts all steps at once."""

    session: Session
    config: Pix2ProfConfig

    def __call__(self, images: type_f4) -> list[Sequence]:
        """Predict the sequences of images (n, 1, y, x)."""
        found = run_in_batches(self.session, {"image": images}, size=BATCH)
        rows = zip(with_angles(found["values"], self.config), found["count"], found["halted"], strict=True)
        return [Sequence(values[:count], bool(halted)) for values, count, halted in rows]


def with_angles(values: type_f4, config: Pix2ProfConfig) -> type_f4:
    """Return values (..., channel) with ellipticities and angles, which ellipses predict as vectors."""
    if not config.kind.fits_ellipses or SHAPE[0] not in config.channels:
        return values
    places = [config.channels.index(name) for name in SHAPE]
    cosine, sine = (values[..., place] for place in places)
    clear = values.copy()
    clear[..., places[0]] = np.hypot(cosine, sine)
    clear[..., places[1]] = np.degrees(np.arctan2(sine, cosine)) / 2 % 180
    return clear


@dataclass(frozen=True)
class RecurrentPredictor:
    """An encoder, and a recurrent decoder that is called again and again until all have halted."""

    session: Session
    decoder: Session
    config: Pix2ProfConfig

    def __call__(self, images: type_f4) -> list[Sequence]:
        """Predict the sequences of images (n, 1, y, x)."""
        return self.unroll(run_in_batches(self.session, {"image": images}, size=BATCH)["code"])

    def unroll(self, codes: type_f4) -> list[Sequence]:
        """Predict the sequences of encodings (n, hidden).

        Sequences differ in length. As soon as some have halted, the next ones take their places, so
        that no place is held by a sequence that is complete.
        """
        parts: list[list[type_f4]] = [[] for _ in codes]
        halted = np.zeros(len(codes), bool)
        ticks = np.zeros(min(STRIDE, self.config.max_steps), np.float32)
        carry, places, following = self._start(codes[:0]), np.arange(0), 0
        while following < len(codes) or len(places):
            fresh = np.arange(following, min(following + SLOTS - len(places), len(codes)))
            following += len(fresh)
            started = self._start(codes[fresh])
            carry = {name: np.concatenate([array, started[name]]) for name, array in carry.items()}
            places = np.concatenate([places, fresh])
            found = run_in_batches(self.decoder, carry, size=SLOTS, shared={"ticks": ticks})
            for place, values, new in zip(
                places, found["values"], found["next_count"] - carry["count"], strict=True
            ):
                parts[place].append(values[:new])
            done = found["halted"]
            # the longest sequences have ended, too, though nothing in them was flat
            halted[places[done]] = found["next_count"][done] < self.config.max_steps
            carry = {name: found.get(f"next_{name}", array)[~done] for name, array in carry.items()}
            places = places[~done]
        return [Sequence(np.concatenate(part), bool(end)) for part, end in zip(parts, halted, strict=True)]

    def _start(self, codes: type_f4) -> dict[str, NDArray[Any]]:
        """Return what the decoder starts from, for encodings (n, hidden)."""
        config, count = self.config, len(codes)
        carry: dict[str, NDArray[Any]] = {
            "token": np.zeros((count, len(config.channels)), np.float32),
            "state": np.repeat(codes[:, None], config.layers, axis=1),
            "recent": np.zeros((count, config.halting_window), np.float32),
            "count": np.zeros(count, np.int64),
        }
        return {**carry, "code": codes} if config.kind.reinjects else carry
