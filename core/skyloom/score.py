"""What a metric says, with what is needed to believe it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from skyloom.frozen import Frozen
from skyloom.provenance import Provenance

if TYPE_CHECKING:
    from astropy.table import QTable


def _not_nan(value: float) -> float:
    if math.isnan(value):
        raise ValueError("a score is a number; exclude what cannot be measured, and count it in 'excluded'")
    return value


Number = Annotated[float, AfterValidator(_not_nan)]


class Score(Frozen):
    """One number that compares a candidate with a reference.

    Attributes
    ----------
    metric
        Name of the metric.
    value
        The score.
    unit
        Its unit in the notation of astropy; empty for a pure number.
    better
        ``"lower"`` or ``"higher"``.
    parts
        The terms it is made of, or the same score per band, radius, ...
    floor
        What a perfect candidate would score with these sample sizes; None where it is not known.
    interval
        Lower and upper end of the 68% interval of `value`; None where it is not known.
    n_reference, n_candidate
        Sizes of the two samples that were compared.
    excluded
        Reason to number of items that were left out.
    method
        How it was computed: settings, preprocessing, hash of a feature extractor.
    notes
        What a careful reader should know, in sentences.
    provenance
        What made it.
    """

    metric: str
    value: Number
    unit: str = ""
    better: str = Field(default="lower", pattern="^(lower|higher)$")
    parts: dict[str, Number] = {}
    floor: Number | None = None
    interval: tuple[Number, Number] | None = None
    n_reference: int = Field(ge=0)
    n_candidate: int = Field(ge=0)
    excluded: dict[str, int] = {}
    method: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    provenance: Provenance | None = None

    def __str__(self) -> str:
        text = f"{self.metric} = {self.value:.4g}{self.unit and ' '}{self.unit}"
        if self.interval is not None:
            text += f" ({self.interval[0]:.4g} to {self.interval[1]:.4g})"
        if self.floor is not None:
            text += f", floor {self.floor:.4g}"
        return f"{text}, {self.n_candidate} against {self.n_reference}"

    def to_table(self) -> QTable:
        """Return one row for the score and one for each of its parts."""
        from astropy.table import QTable

        names = [self.metric, *(f"{self.metric}/{part}" for part in self.parts)]
        table = QTable({"score": names, "value": [self.value, *self.parts.values()]})
        table["value"].unit = self.unit or None
        table.meta.update(self.model_dump(mode="json", exclude={"value", "parts", "provenance"}))
        if self.provenance is not None:
            table.meta.update(self.provenance.header())
        return table
