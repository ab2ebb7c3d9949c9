"""Hyperparameters of the training, and presets that work; imports no PyTorch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from skyloom.frozen import Frozen


class LearningSettings(Frozen):
    """How the network learns from an example.

    Attributes
    ----------
    rate
        Highest learning rate of Adam.
    decay
        Decay of the weights per step and learning rate (AdamW).
    loss
        Of the values: ``"mse"`` (equation 2.2), ``"huber"``, or ``"l1"``; in units of the network's
        `scale`, so that channels of different units count alike.
    huber
        Deviation, in those units, at which the Huber loss turns from quadratic to linear.
    teacher
        Probability that a recurrent decoder is given the true values before each step for a whole
        batch, at the beginning and at the end of the training; otherwise it is given its own.
    plateau
        Weight of a step after the end of a profile, where a recurrent decoder is to repeat its last
        value until the halting rule fires; a step of the profile has weight 1.
    stop
        Weight of the stop logits.
    shape, centre
        Weight of the ellipses, where a decoder fits some: of their ellipticity, and of the place
        of their centre in pixels.
    early
        Weight of each pass of such a decoder before the last.
    steps
        Steps of each profile that the transformer is trained on, drawn anew for each batch; None for all.
    """

    rate: float = Field(default=2e-4, gt=0, allow_inf_nan=False)
    decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    loss: Literal["mse", "huber", "l1"] = "mse"
    huber: float = Field(default=0.15, gt=0, allow_inf_nan=False)
    teacher: tuple[float, float] = (0.4, 0.4)
    plateau: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    stop: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    shape: float = Field(default=10.0, ge=0, allow_inf_nan=False)
    centre: float = Field(default=0.3, ge=0, allow_inf_nan=False)
    early: float = Field(default=0.3, ge=0, allow_inf_nan=False)
    steps: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _are_probabilities(self) -> LearningSettings:
        if not all(0 <= share <= 1 for share in self.teacher):
            raise ValueError(f"teacher is {self.teacher}, which are not two probabilities")
        return self


_SDSS_LIKE = {
    "floor": 0.0,
    "ceiling": 20.0,
    "stretch": "asinh",
    "softening": 0.0025,
    "clip_percentile": 99.99,
}

PRESETS: dict[str, dict[str, Any]] = {
    "ellipses": {
        "network": {
            **_SDSS_LIKE,
            "clip_percentile": 100.0,
            "width": 16,
            "hidden": 96,
            "layers": 3,
            "dropout": 0.0,
            "decoder": "ellipses",
            "channels": ["surface_brightness", "ellipticity", "position_angle"],
            "offset": [23.0, 0.0, 0.0],
            "scale": [2.0, 1.0, 180.0],
            "rectified": False,
        },
        "data": {"wobble": 4.0, "margin": 10, "flips": True, "validation_galaxies": 64},
        "learning": {"rate": 2e-3, "loss": "huber", "huber": 0.02},
        "loop": {"batch_size": 24, "steps": 6000, "threads": 1, "average": 0.998, "validate_every": 250},
    },
    "transformer": {
        "network": {
            **_SDSS_LIKE,
            "stem": "patch",
            "width": 16,
            "hidden": 128,
            "layers": 2,
            "heads": 4,
            "dropout": 0.0,
            "decoder": "transformer",
            "offset": [23.0],
            "scale": [2.0],
            "rectified": False,
        },
        "data": {"wobble": 3.0, "margin": 8, "flips": True},
        "learning": {"rate": 3e-3, "loss": "huber", "steps": 48},
        "loop": {"batch_size": 24, "steps": 6000, "threads": 1, "average": 0.995, "validate_every": 250},
    },
    "published": {
        "network": {"floor": 0.0, "ceiling": 20.0},
        "data": {},
        "learning": {"rate": 2e-4, "loss": "mse", "teacher": [0.4, 0.4]},
        "loop": {"batch_size": 1, "steps": 100_000, "average": 0.0, "schedule": "constant", "warmup": 0},
    },
}
"""The first is the default: within an hour on two cores of a processor it is better than ellipse fits."""
