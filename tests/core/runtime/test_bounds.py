"""Graphs of which one can see that they never end, or need more memory than any network does."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from skyloom.errors import BundleError
from skyloom.execution import Execution
from skyloom.runtime import open_session
from skyloom.runtime.bounds import MAX_ELEMENTS, MAX_STEPS
from skyloom.runtime.safety import check_safe
from tests.core.runtime.graphs import model

HUGE = 3 * 2**30
Nodes = Sequence[onnx.NodeProto]


def array(name: str, *values: float, dtype: type[np.generic] = np.int64) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, dtype), name)


def scalar(name: str, value: float, dtype: type[np.generic] = np.int64) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value, dtype), name)


def plain(nodes: Nodes, constants: Sequence[onnx.TensorProto] = (), **more: object) -> bytes:
    return bytes(model(nodes, {"x": ["n"]}, {"y": None}, constants, **more).SerializeToString())  # type: ignore[dict-item]


def one(kind: str, inputs: Sequence[str], *constants: onnx.TensorProto, **attributes: Any) -> bytes:
    return plain([helper.make_node(kind, inputs, ["y"], **attributes)], constants)


def node(kind: str, *inputs: str) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, ["y"])


def one_of(then: onnx.GraphProto, otherwise: onnx.GraphProto) -> onnx.NodeProto:
    return helper.make_node("If", ["x"], ["y"], then_branch=then, else_branch=otherwise)


def branch(kind: str, *inputs: str) -> onnx.GraphProto:
    return helper.make_graph(
        [node(kind, *inputs)], "b", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    )


def sparse(n: int) -> onnx.SparseTensorProto:
    values = numpy_helper.from_array(np.ones(1, np.float32), "w")
    return helper.make_sparse_tensor(values, array("i", 0), [n])


def sparse_weight(n: int) -> bytes:
    built = model([node("Neg", "w")], {"x": ["n"]}, {"y": ["n"]})
    built.graph.sparse_initializer.append(sparse(n))
    return bytes(built.SerializeToString())


ENORMOUS: dict[str, Callable[[int], bytes]] = {
    "ConstantOfShape": lambda n: one("ConstantOfShape", ["s"], array("s", n)),
    "ConstantOfShape of several axes": lambda n: one("ConstantOfShape", ["s"], array("s", 1, n // 4, 4)),
    "Expand": lambda n: one("Expand", ["x", "s"], array("s", n, 1)),
    "Tile": lambda n: one("Tile", ["x", "s"], array("s", n)),
    "Range": lambda n: one("Range", ["a", "b", "c"], scalar("a", 0), scalar("b", n), scalar("c", 1)),
    "Range backwards": lambda n: one(
        "Range", ["a", "b", "c"], scalar("a", 2 * n), scalar("b", 0), scalar("c", -2)
    ),
    "Resize by sizes": lambda n: one("Resize", ["x", "", "", "s"], array("s", n)),
    "Resize by scales": lambda n: one("Resize", ["x", "", "s"], array("s", n, dtype=np.float32)),
    "Upsample": lambda n: one("Upsample", ["x", "s"], array("s", n, dtype=np.float32)),
    "Pad": lambda n: one("Pad", ["x", "s"], array("s", n // 2, n // 2)),
    "Pad of old": lambda n: one("Pad", ["x"], pads=[n // 2, n // 2]),
    "RandomNormal": lambda n: one("RandomNormal", [], shape=[n]),
    "HannWindow": lambda n: one("HannWindow", ["s"], scalar("s", n)),
    "OneHot": lambda n: one("OneHot", ["x", "s", "x"], scalar("s", n)),
    "MelWeightMatrix": lambda n: one("MelWeightMatrix", ["s", "t", "u"], scalar("s", 2), scalar("t", n // 2)),
    "a constant made by a node": lambda n: plain(
        [helper.make_node("Constant", [], ["s"], value_ints=[n]), node("ConstantOfShape", "s")]
    ),
    "a tensor made by a node": lambda n: plain(
        [helper.make_node("Constant", [], ["s"], value=array("", n)), node("ConstantOfShape", "s")]
    ),
    "a float made by a node": lambda n: plain(
        [helper.make_node("Constant", [], ["s"], value_floats=[float(n)]), node("Upsample", "x", "s")]
    ),
    "handed on": lambda n: plain(
        [
            helper.make_node("Unsqueeze", ["s", "axis"], ["t"]),
            helper.make_node("Identity", ["t"], ["u"]),
            node("ConstantOfShape", "u"),
        ],
        [scalar("s", n), array("axis", 0)],
    ),
    "numbers not as bytes": lambda n: one(
        "ConstantOfShape", ["s"], helper.make_tensor("s", TensorProto.INT64, [1], [n])
    ),
    "in a branch": lambda n: plain(
        [one_of(branch("ConstantOfShape", "s"), branch("Neg", "x"))], [array("s", n)]
    ),
    "in a function": lambda n: plain(
        [node("Neg", "x")],
        functions=[
            helper.make_function(
                "", "F", [], ["y"],
                [helper.make_node("Constant", [], ["s"], value_ints=[n]), node("ConstantOfShape", "s")],
                [helper.make_opsetid("", 18)],
            )
        ],
    ),
    "a sparse weight": sparse_weight,
    "a sparse constant": lambda n: plain(
        [helper.make_node("Constant", [], ["y"], sparse_value=sparse(n))]
    ),
}  # fmt: skip


@pytest.mark.parametrize("build", ENORMOUS.values(), ids=ENORMOUS)
def test_a_tensor_of_an_absurd_size_is_refused(build: Callable[[int], bytes]) -> None:
    with pytest.raises(BundleError, match=r"makes a tensor of 3.22e\+09 numbers with .*, allowed are"):
        open_session(build(HUGE), Execution("cpu"))


@pytest.mark.parametrize("build", ENORMOUS.values(), ids=ENORMOUS)
def test_a_tensor_of_a_large_size_is_not(build: Callable[[int], bytes]) -> None:
    check_safe(build(MAX_ELEMENTS // 2))


def loop(
    count: onnx.TensorProto | str, start: str, body: Nodes, constants: Sequence[onnx.TensorProto]
) -> bytes:
    """Return a loop whose body makes ``on`` of the condition ``go`` and adds 1 to the value ``v``."""
    infos: list[tuple[str, int, list[int] | None]] = [
        ("i", TensorProto.INT64, []),
        ("go", TensorProto.BOOL, []),
        ("v", TensorProto.FLOAT, None),
    ]
    inner = helper.make_graph(
        [*body, helper.make_node("Add", ["v", "v"], ["w"])],
        "body",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in infos],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, None),
        ],
    )
    name = count if isinstance(count, str) else count.name
    more = [] if isinstance(count, str) else [count]
    return plain([helper.make_node("Loop", [name, start, "x"], ["y"], body=inner)], [*more, *constants])


TRUE, FALSE = scalar("true", 1, np.bool_), scalar("false", 0, np.bool_)
HANDED_ON = [
    helper.make_node("Identity", ["go"], ["between"]),
    helper.make_node("Identity", ["between"], ["on"]),
]
ALWAYS = [helper.make_node("Constant", [], ["on"], value=TRUE)]
NEVER = [helper.make_node("Constant", [], ["on"], value=FALSE)]
FROM_OUTSIDE = [helper.make_node("Identity", ["true"], ["on"])]
COMPUTED = [
    helper.make_node("Less", ["i", "i"], ["on"]),
]
ENDLESS = list(itertools.product(["", "huge"], ["", "true"], [HANDED_ON, ALWAYS, FROM_OUTSIDE]))


@pytest.mark.parametrize(("count", "start", "body"), ENDLESS)
def test_an_endless_loop_is_refused(count: str, start: str, body: Nodes) -> None:
    steps: onnx.TensorProto | str = scalar("huge", 2**62) if count else ""
    with pytest.raises(BundleError, match=r"an endless loop: it has (no number of|\d+) steps"):
        check_safe(loop(steps, start, body, [TRUE]))


@pytest.mark.parametrize(
    ("count", "start", "body"),
    [
        ("", "", COMPUTED),
        ("", "", NEVER),
        ("", "false", HANDED_ON),
        (scalar("few", MAX_STEPS), "", ALWAYS),
        (scalar("huge", 2**62), "true", COMPUTED),
    ],
)
def test_a_loop_that_ends_is_not(count: onnx.TensorProto | str, start: str, body: Nodes) -> None:
    check_safe(loop(count, start, body, [TRUE, FALSE]))


def test_an_endless_loop_inside_a_branch_is_refused() -> None:
    inner = onnx.load_from_string(loop("", "", ALWAYS, [])).graph
    del inner.input[:]
    built = plain([helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)])
    with pytest.raises(BundleError, match="an endless loop"):
        check_safe(built)


def test_a_circle_of_names_is_looked_at_in_little_time() -> None:
    hands = [helper.make_node("Identity", [f"n{i + 1}"], [f"n{i}"]) for i in range(2000)]
    hands += [helper.make_node("Identity", ["n0"], ["n2000"])]
    asks = [helper.make_node("Tile", ["x", f"n{i}"], [f"y{i}"]) for i in range(2000)]
    start = time.perf_counter()
    check_safe(plain([*hands, *asks]))
    assert time.perf_counter() - start < 20
