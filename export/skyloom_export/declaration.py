"""What a plugin says of the graphs of its network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from skyloom.bundle import Tolerance
from skyloom.errors import listed
from skyloom_export.errors import DeclarationError

if TYPE_CHECKING:
    import torch

Arrays = dict[str, NDArray[np.generic]]
Run = Callable[[Mapping[str, NDArray[np.generic]]], Arrays]
"""Runs a graph: inputs by name to outputs by name."""

Axes = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class PrecisionVariant:
    """A cheaper form of a graph, judged by what the science needs rather than by its digits.

    Attributes
    ----------
    precision
        ``"fp16"`` is a graph of its own, for graphics cards; ``"bf16"`` is a hint to OpenVINO.
    allowed
        The largest value of `measure` that is accepted.
    measure
        Called with a function that runs the variant; returns how wrong its science is.
    keep
        Kinds of operators that stay in fp32, e.g. ``("Gemm",)``.
    only
        The kinds of operators that do not, e.g. ``("Conv",)``; all others where nothing is given. Not for
        bf16, in which OpenVINO decides.
    tolerances
        How far each output may be from the network, by its name and from what it means; one that is not
        named has the tolerance of the graph. They tell a wrong file; `allowed` judges the science.
    """

    precision: Literal["fp16", "bf16"]
    allowed: float
    measure: Callable[[Run], float]
    keep: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)


def standard_normal(
    shapes: Mapping[str, tuple[int, ...]], generator: np.random.Generator
) -> dict[str, NDArray[np.generic]]:
    """Draw an input of standard normal numbers for each shape."""
    return {name: generator.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}


@dataclass(frozen=True, kw_only=True)
class GraphDeclaration:
    """One graph of a network: what to trace, how it may vary, and how exact it must be.

    Attributes
    ----------
    name
        Name of the graph in the bundle.
    module
        The network, with its trained weights.
    inputs
        Example inputs by name, in the order of the arguments of ``forward``. No named axis may have
        length 1 in them: tracing would freeze it.
    outputs
        Names of the outputs.
    axes
        For each input its axes: a name where the length may vary, a number where it is fixed. The
        first is the batch axis, and has a name.
    grid
        Lengths of the named axes at which the graph is compared with the network; other lengths
        than those of the example. The first should be the size at work: its arrays are always the golden
        ones of the bundle, those of the others while they are small.
    units
        Units of inputs and outputs, in the notation of astropy.
    tolerance
        How far the graph may be from the network, from what its outputs mean.
    tolerances
        The same for single outputs, where it is something else.
    counts
        For an output that holds sequences, the output that says how many of their steps count; what lies
        behind them is padding.
    sample
        Called with shapes by name and a random generator; returns inputs to compare with.
    variants
        The precisions to offer besides fp32.
    extra_passes
        Passes to apply that are not for every backend, e.g. ``("winograd",)``. Variants are made
        from the graph without them.
    """

    name: str
    module: torch.nn.Module
    inputs: Mapping[str, torch.Tensor]
    outputs: tuple[str, ...]
    axes: Mapping[str, Axes]
    grid: tuple[Mapping[str, int], ...]
    units: Mapping[str, str] = field(default_factory=dict)
    tolerance: Tolerance = field(default_factory=Tolerance)
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)
    counts: Mapping[str, str] = field(default_factory=dict)
    sample: Callable[[Mapping[str, tuple[int, ...]], np.random.Generator], Arrays] = standard_normal
    variants: tuple[PrecisionVariant, ...] = ()
    extra_passes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a declaration that contradicts itself."""
        if set(self.axes) != set(self.inputs):
            raise DeclarationError(
                f"graph '{self.name}' has inputs {sorted(self.inputs)} and axes of {sorted(self.axes)}",
                "Give the axes of each input",
            )
        for name, tensor in self.inputs.items():
            self._check_example(name, tuple(tensor.shape))
        names = self.named_axes()
        for sizes in self.grid:
            if set(sizes) != set(names):
                raise DeclarationError(
                    f"the grid of graph '{self.name}' has lengths of {sorted(sizes)}, "
                    f"named axes are {sorted(names)}",
                    "Give the length of each named axis",
                )
        if not any(dict(sizes) != names for sizes in self.grid):
            raise DeclarationError(
                f"graph '{self.name}' would be compared at the traced sizes alone",
                "Give a grid with other lengths",
            )
        named = {
            *self.tolerances,
            *self.counts,
            *self.counts.values(),
            *(output for variant in self.variants for output in variant.tolerances),
        }
        unknown = sorted(named - set(self.outputs))
        if unknown:
            raise DeclarationError(
                f"graph '{self.name}' has no outputs {listed(unknown)}, and a tolerance or counts of them",
                f"Its outputs are {listed(self.outputs)}",
            )

    def tolerance_of(self, output: str) -> Tolerance:
        """Return how far one output may be from the network."""
        return self.tolerances.get(output, self.tolerance)

    def named_axes(self) -> dict[str, int]:
        """Return the named axes with their lengths in the example."""
        return {
            axis: length
            for name, tensor in self.inputs.items()
            for axis, length in zip(self.axes[name], tensor.shape, strict=True)
            if isinstance(axis, str)
        }

    def shapes(self, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """Return the shape of each input for these lengths of the named axes."""
        return {
            name: tuple(sizes[axis] if isinstance(axis, str) else axis for axis in axes)
            for name, axes in self.axes.items()
        }

    def _check_example(self, name: str, shape: tuple[int, ...]) -> None:
        axes = self.axes[name]
        fits = len(axes) == len(shape) and all(
            isinstance(axis, str) or axis == length for axis, length in zip(axes, shape, strict=True)
        )
        if not fits or not axes or not isinstance(axes[0], str):
            raise DeclarationError(
                f"input '{name}' of graph '{self.name}' has shape {shape} and axes {axes}",
                "Give a name or the length for each axis, and a name for the first",
            )
        for axis, length in zip(axes, shape, strict=True):
            if isinstance(axis, str) and length == 1:
                raise DeclarationError(
                    f"axis '{axis}' of input '{name}' of graph '{self.name}' has length 1 in the example",
                    "Give an example of length 2 or more: tracing freezes an axis of length 1",
                )


@dataclass(frozen=True, kw_only=True)
class Exportable:
    """What the function behind `ModelSpec.graphs` returns.

    Attributes
    ----------
    graphs
        The graphs of the network.
    manifest
        Fields of the manifest that the plugin knows: ``bands``, ``settings``, ``training``,
        ``licence``, ... The exporter adds name, task, model, plugin and graphs.
    contents
        Further files of the bundle by path.
    """

    graphs: tuple[GraphDeclaration, ...]
    manifest: Mapping[str, Any] = field(default_factory=dict)
    contents: Mapping[str, bytes] = field(default_factory=dict)
