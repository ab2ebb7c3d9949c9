"""What a graph is declared to be: its file, its inputs and outputs, and how far they may be off."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from skyloom.frozen import Frozen
from skyloom.names import InnerPath, Name

MAX_GRAPH_BYTES = 2**31 - 1  # what Protocol Buffers can hold
BATCH = "batch"  # what an axis is called along which a graph does not mix what it is given


class Tensor(Frozen):
    """An input or output of a graph.

    Attributes
    ----------
    name, dtype
        As in the graph.
    axes
        One entry an axis: a name where its length may vary, a number where it is fixed. The name
        ``batch`` promises that what lies along this axis is treated one by one.
    unit
        Unit in the notation of astropy; empty for a pure number.
    counted_by
        For sequences along the second axis, the output that says how many steps of each count; what
        lies behind them is padding, which may be anything.
    """

    name: str
    dtype: str
    axes: tuple[str | int, ...]
    unit: str = ""
    counted_by: str = ""

    @property
    def batched(self) -> bool:
        """Whether its first axis is the batch."""
        return self.axes[:1] == (BATCH,)


MOST_RELATIVE = 0.05
MOST_STEPS = 16
MOST_FLIPS = 0.05

Off = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Tolerance(Frozen):
    """How far an output may be from what the network makes of the same inputs.

    It should follow from what the output means. No bundle is written, and none passes verification, whose
    tolerances could not tell a wrong file (`skyloom.bundle.tolerance`).

    Attributes
    ----------
    atol, rtol
        Real numbers may be off by ``atol + rtol * |network|``. `atol` is one number, or one for each
        entry along the last axis where these are different quantities.
    steps
        By how many whole numbers may be off, such as the length of a sequence.
    flips
        The share of booleans that may differ.
    """

    atol: Off | tuple[Off, ...] = 1e-5
    rtol: float = Field(default=1e-4, ge=0, le=MOST_RELATIVE)
    steps: int = Field(default=0, ge=0, le=MOST_STEPS)
    flips: float = Field(default=0.0, ge=0, le=MOST_FLIPS)


class Graph(Frozen):
    """One ONNX graph of a bundle.

    Attributes
    ----------
    path
        Where it lies in the bundle.
    inputs, outputs
        Its tensors.
    tolerance
        What was asked of it.
    errors
        The largest absolute difference that was measured, by name of the output.
    precision
        What its heavy operators compute in.
    base
        For a variant in a lower precision, the name of the graph it stands for; it has the tensors
        of that graph and is compared with the golden arrays of that graph.
    passes
        The rewrites that were applied to make it fast, in their order.
    scientific
        What the science tolerates of a variant (``allowed``) and what was found (``measured``); of a
        graph in fp32 the same when OpenVINO runs it in bf16 (``allowed_bf16``, ``measured_bf16``).
    opset
        Version of the standard operators it is written in; 0 where nobody noted it.
    tolerances
        What was asked of single outputs, where that is not `tolerance`.
    tolerances_bf16
        What is asked of single outputs when OpenVINO runs a graph in bf16, where that is something else.
    """

    path: InnerPath
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    tolerance: Tolerance = Tolerance()
    errors: dict[str, float] = {}
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    base: Name | None = None
    passes: tuple[str, ...] = ()
    scientific: dict[str, float] = {}
    opset: int = Field(default=0, ge=0)
    tolerances: dict[str, Tolerance] = {}
    tolerances_bf16: dict[str, Tolerance] = {}

    @property
    def batched(self) -> bool:
        """Whether all inputs and outputs lie along a batch axis, which comes first."""
        tensors = (*self.inputs, *self.outputs)
        complete = bool(self.inputs) and bool(self.outputs)
        return complete and all(tensor.batched for tensor in tensors)

    def tolerance_of(self, output: str) -> Tolerance:
        """Return what was asked of one output."""
        return self.tolerances.get(output, self.tolerance)

    def tolerance_bf16_of(self, output: str) -> Tolerance:
        """Return what is asked of one output in bf16."""
        return self.tolerances_bf16.get(output) or self.tolerance_of(output)

    @property
    def bf16(self) -> bool:
        """Whether the science was measured in bf16, and is good enough."""
        measured, allowed = (self.scientific.get(f"{key}_bf16") for key in ("measured", "allowed"))
        return measured is not None and allowed is not None and measured <= allowed
