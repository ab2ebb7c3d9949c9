"""What can be wrong between a network and its bundle; each refusal has a type of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.errors import SkyloomError

if TYPE_CHECKING:
    from collections.abc import Mapping


class ExportError(SkyloomError, ValueError):
    """A network cannot be exported."""


class DeclarationError(ExportError):
    """A graph declaration contradicts itself or its module."""


class TraceError(ExportError):
    """PyTorch cannot turn a module into a graph."""


class LintError(ExportError):
    """A graph is not fit for a bundle."""


class FrozenAxisError(LintError):
    """An axis that should vary has a fixed length in the graph."""


class UndeclaredAxisError(LintError):
    """An axis of the graph varies and was not declared."""


class ForeignDomainError(LintError):
    """A graph uses operators beyond the ONNX standard."""


class GruError(LintError):
    """A GRU node lacks ``linear_before_reset``, and so computes something else than PyTorch does."""


class EmbeddedPathError(LintError):
    """A graph carries paths or stack traces of the machine that made it."""


class ToleranceError(ExportError):
    """An output of a graph is too far from what the network computes.

    Parameters
    ----------
    graph, output
        Which output of which graph.
    sizes
        Lengths of the named axes at which it was compared.
    error
        Largest absolute difference.
    allowed
        What the tolerance allows where the difference is worst.
    """

    def __init__(
        self, graph: str, output: str, sizes: Mapping[str, int], error: float, allowed: float
    ) -> None:
        self.graph, self.output, self.sizes = graph, output, dict(sizes)
        self.error, self.allowed = error, allowed
        where = ", ".join(f"{axis} {length}" for axis, length in sizes.items())
        super().__init__(
            f"output '{output}' of graph '{graph}' differs from the network by {error:.3g} at {where}, "
            f"allowed is {allowed:.3g}",
            "Nothing was written; export with skip= of single passes to find the cause, "
            "or declare a wider tolerance",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.graph, self.output, self.sizes, self.error, self.allowed)
