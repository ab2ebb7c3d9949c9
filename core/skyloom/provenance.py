"""Where a result comes from: enough to make it again."""

from __future__ import annotations

from pydantic import Field

from skyloom.frozen import Frozen
from skyloom.version import version


class Provenance(Frozen):
    """What made a result.

    Attributes
    ----------
    model, task
        The model that made it and the task it did.
    plugin
        The distribution that offers the model, with its version, e.g. ``"skyloom 0.1.0"``.
    weights
        The bundle that was run, or nothing for a model without weights.
    digest
        SHA-256 of the manifest of the bundle, and so of all that is in it; empty for a model without weights.
    seed
        The seed of the call; nothing for a model without randomness.
    backend
        What ran the networks, as reported by the runtime; ``"numpy"`` where there is no network.
    skyloom
        The version of Skyloom.
    """

    model: str
    task: str
    plugin: str = ""
    weights: str = ""
    digest: str = ""
    seed: int | None = None
    backend: str = "numpy"
    skyloom: str = Field(default_factory=version)

    def header(self) -> dict[str, str]:
        """Return the record as FITS cards (keyword to value)."""
        cards = {
            "SKYMODEL": self.model,
            "SKYTASK": self.task,
            "SKYPLUG": self.plugin,
            "SKYWGHTS": self.weights,
            "SKYDIGST": self.digest,
            "SKYSEED": "" if self.seed is None else str(self.seed),
            "SKYBACK": self.backend,
            "SKYLOOM": self.skyloom,
        }
        return {keyword: value for keyword, value in cards.items() if value}
