"""Each pass leaves what a graph computes alone, whatever the shapes and attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from skyloom.errors import InputError
from skyloom_export.passes import PASSES, rewrite
from skyloom_export.passes.contractions import matrix_product
from skyloom_export.passes.winograd import rewrite_winograd, transforms
from skyloom_export.tracing import parse

from .conftest import run

Arrays = dict[str, np.ndarray[Any, Any]]
few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def graph(
    nodes: list[Any],
    inputs: dict[str, tuple[int | str, ...]],
    constants: Arrays,
    output: tuple[int | str, ...] | None = None,
    between: dict[str, tuple[int | str, ...]] | None = None,
    opset: int = 20,
) -> ir.Model:
    """Build a graph with the output ``y``."""

    def info(name: str, shape: tuple[int | str, ...] | None) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    made = helper.make_graph(
        nodes,
        "test",
        [info(name, shape) for name, shape in inputs.items()],
        [info("y", output)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
        value_info=[info(name, shape) for name, shape in (between or {}).items()],
    )
    imports = [helper.make_opsetid("", opset)]
    return parse(helper.make_model(made, opset_imports=imports, ir_version=10).SerializeToString())


def only(model: ir.Model, name: str) -> tuple[str, ...]:
    """Apply a single pass."""
    return rewrite(model, skip=[step.name for step in PASSES if step.name != name], extra=[name])


def kinds(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def check(model: ir.Model, name: str, inputs: Arrays, *, rtol: float = 2e-6, applies: bool = True) -> None:
    """Compare what a graph computes before and after a pass, relative to the largest value."""
    before = run(model, inputs)["y"]
    assert only(model, name) == ((name,) if applies else ())
    after = run(model, inputs)["y"]
    assert after.shape == before.shape
    assert after.dtype == before.dtype
    scale = float(np.abs(before).max(initial=0)) or 1.0
    np.testing.assert_allclose(after, before, rtol=0, atol=rtol * scale)


@st.composite
def transposed(draw: st.DrawFn) -> tuple[ir.Model, Arrays]:
    """Draw a transposed convolution of any kernel, stride, padding, output padding and grouping."""
    stride = draw(st.integers(1, 4))
    kernel = [draw(st.integers(1, 5)), draw(st.integers(1, 5))]
    dilation = draw(st.integers(1, 2)) if stride == 1 else 1
    reach = [dilation * (k - 1) for k in kernel]
    pads = [draw(st.integers(0, r)) for r in (*reach, *reach)]
    extra = [draw(st.integers(0, stride - 1)) for _ in kernel]  # onnxruntime runs no more
    groups = draw(st.integers(1, 2))
    inputs, outputs = groups * draw(st.integers(1, 3)), draw(st.integers(1, 3))
    size = [draw(st.integers(1, 6)), draw(st.integers(1, 6))]
    for axis in range(2):
        full = (size[axis] - 1) * stride + reach[axis] + 1 + extra[axis]
        assume(full - pads[axis] - pads[axis + 2] >= 1)
    random = np.random.default_rng(draw(seeds))
    constants = {"w": random.standard_normal((inputs, outputs, *kernel), dtype=np.float32)}
    names = ["x", "w"]
    if draw(st.booleans()):
        constants["b"] = random.standard_normal(groups * outputs, dtype=np.float32)
        names.append("b")
    node = helper.make_node(
        "ConvTranspose", names, ["y"], strides=[stride] * 2, pads=pads, group=groups,
        output_padding=extra, dilations=[dilation] * 2,
    )  # fmt: skip
    x = random.standard_normal((2, inputs, *size), dtype=np.float32)
    return graph([node], {"x": ("batch", inputs, "rows", "columns")}, constants), {"x": x}


@few
@given(transposed())
def test_transposed_convolutions(drawn: tuple[ir.Model, Arrays]) -> None:
    model, inputs = drawn
    before = run(model, inputs)["y"]
    applied = only(model, "transposed-convolution")
    assert ("ConvTranspose" in kinds(model)) == (not applied)
    after = run(model, inputs)["y"]
    assert after.shape == before.shape
    np.testing.assert_allclose(after, before, atol=2e-6 * max(float(np.abs(before).max()), 1.0), rtol=0)


@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (3, 2), (4, 1), (2, 2), (5, 3)])
def test_a_crop_as_same_padding_makes_it_becomes_padding(kernel: int, stride: int) -> None:
    random = np.random.default_rng(kernel)
    whole, cut = f"{stride}*rows + {kernel - stride}", f"{stride}*rows"
    excess = kernel - stride
    constants = {
        "w": random.standard_normal((3, 2, kernel, kernel), dtype=np.float32),
        "starts": np.asarray([excess // 2]),
        "two": np.asarray([2]),
        "stride": np.asarray([stride]),
    }
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["t"], strides=[stride, stride]),
        helper.make_node("Shape", ["x"], ["n"], start=2, end=3),
        helper.make_node("Mul", ["n", "stride"], ["m"]),
        helper.make_node("Add", ["m", "starts"], ["ends"]),
        helper.make_node("Slice", ["t", "starts", "ends", "two"], ["y"]),
    ]
    wide: tuple[int | str, ...] = ("batch", 2, whole, f"{stride}*columns + {excess}")
    model = graph(
        nodes, {"x": ("batch", 3, "rows", "columns")}, constants, (*wide[:2], cut, wide[3]), {"t": wide}
    )
    check(model, "transposed-convolution", {"x": random.standard_normal((2, 3, 5, 4), dtype=np.float32)})
    assert "ConvTranspose" not in kinds(model)
    if stride == 1:
        assert kinds(model) == ["Conv"]


@pytest.mark.parametrize(
    ("attributes", "axes"),
    [
        pytest.param({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, 2, id="padding computed at run time"),
        pytest.param({"output_shape": [11, 11], "strides": [2, 2]}, 2, id="a size that is asked for"),
        pytest.param({"strides": [1, 2]}, 2, id="two strides"),
        pytest.param({"strides": [2, 2], "dilations": [2, 2]}, 2, id="dilated and strided"),
        pytest.param({"pads": [3, 3, 3, 3]}, 2, id="more padding than kernel"),
        pytest.param({"strides": [2, 2], "pads": [4, 4, 4, 4]}, 2, id="more padding than kernel, strided"),
        pytest.param({"strides": [2]}, 1, id="one axis"),
    ],
)
def test_transposed_convolutions_that_must_stay(attributes: dict[str, Any], axes: int) -> None:
    random = np.random.default_rng(0)
    constants = {"w": random.standard_normal((2, 3, *[3] * axes), dtype=np.float32)}
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], **attributes)
    model = graph([node], {"x": ("batch", 2, *[7] * axes)}, constants)
    x = random.standard_normal((1, 2, *[7] * axes), dtype=np.float32)
    check(model, "transposed-convolution", {"x": x}, applies=False)


@pytest.mark.parametrize(
    ("starts", "steps", "whole", "uses"),
    [
        pytest.param(1, 2, "rows + 3", 1, id="every other row"),
        pytest.param(-4, 1, "rows + 3", 1, id="counted from the end"),
        pytest.param(1, 1, "unknown", 1, id="a length that is not known"),
        pytest.param(1, 1, None, 1, id="no length"),
        pytest.param(1, 1, "rows + 3", 2, id="used twice"),
    ],
)
def test_crops_that_are_no_padding_stay(starts: int, steps: int, whole: str | None, uses: int) -> None:
    random = np.random.default_rng(1)
    constants = {
        "w": random.standard_normal((2, 2, 4, 1), dtype=np.float32),
        "starts": np.asarray([starts]),
        "ends": np.asarray([np.iinfo(np.int64).max]),
        "axes": np.asarray([2]),
        "steps": np.asarray([steps]),
    }
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["t"]),
        helper.make_node("Slice", ["t", "starts", "ends", "axes", "steps"], ["s"]),
        helper.make_node("Add" if uses == 1 else "Concat", ["s", "s" if uses == 1 else "t"], ["y"]),
    ]
    if uses > 1:
        nodes[-1].attribute.append(helper.make_attribute("axis", 2))
    between: dict[str, Any] = {"s": ("batch", 2, "rows", 5)}
    if whole is not None:
        between["t"] = ("batch", 2, whole, 5)
    model = graph(nodes, {"x": ("batch", 2, "rows", 5)}, constants, None, between)
    check(model, "transposed-convolution", {"x": random.standard_normal((2, 2, 6, 5), dtype=np.float32)})
    assert "Slice" in kinds(model)


MISH = {
    "softplus": [("Softplus", ["x"], ["s"]), ("Tanh", ["s"], ["t"]), ("Mul", ["x", "t"], ["y"])],
    "thresholded": [
        ("Softplus", ["x"], ["p"]),
        ("Greater", ["x", "twenty"], ["g"]),
        ("Where", ["g", "x", "p"], ["s"]),
        ("Tanh", ["s"], ["t"]),
        ("Mul", ["t", "x"], ["y"]),
    ],
    "logarithm": [
        ("Exp", ["x"], ["e"]),
        ("Add", ["one", "e"], ["a"]),
        ("Log", ["a"], ["s"]),
        ("Tanh", ["s"], ["t"]),
        ("Mul", ["x", "t"], ["y"]),
    ],
    "operator": [("Mish", ["x"], ["y"])],
}


@pytest.mark.parametrize("form", MISH)
def test_mish_agrees_with_a_closed_form_for_every_size_of_number(form: str) -> None:
    x = np.concatenate([np.linspace(-100, 80, 4001), [0.0, -0.0, 1e4, 1e30, -80, 88, 89]]).astype(np.float32)
    constants = {"twenty": np.float32(20), "one": np.float32(1)}
    nodes = [helper.make_node(kind, inputs, outputs) for kind, inputs, outputs in MISH[form]]
    model = graph(nodes, {"x": ("batch",)}, {k: np.asarray(v) for k, v in constants.items()})
    assert only(model, "mish") == ("mish",)
    assert not {"Tanh", "Softplus", "Mish"} & set(kinds(model))
    exact = x.astype(np.float64) * np.tanh(np.logaddexp(0, x.astype(np.float64)))
    computed = run(model, {"x": x})["y"]
    np.testing.assert_allclose(computed, exact, rtol=3e-7, atol=3e-6)


def test_mish_with_a_low_threshold_is_another_function_and_stays() -> None:
    nodes = [helper.make_node(kind, inputs, outputs) for kind, inputs, outputs in MISH["thresholded"]]
    model = graph(nodes, {"x": ("batch",)}, {"twenty": np.asarray(np.float32(2))})
    check(model, "mish", {"x": np.linspace(-5, 5, 50, dtype=np.float32)}, applies=False)


@pytest.mark.parametrize(
    "equation",
    ["bhdn,bhen->bhde", "bhde,bhdn->bhen", "bij,bjk->bik", "bij,bkj->bki", "bji,bjk->bik", "ab,bc->ca"],
)
def test_einsum(equation: str) -> None:
    random = np.random.default_rng(0)
    sizes = dict(zip("abcdehijkn", range(2, 12), strict=True))
    left, right = equation.split("->")[0].split(",")
    inputs = {
        name: random.standard_normal([sizes[axis] for axis in term], dtype=np.float32)
        for name, term in (("x", left), ("z", right))
    }
    shapes: dict[str, tuple[int | str, ...]] = {name: array.shape for name, array in inputs.items()}
    model = graph([helper.make_node("Einsum", ["x", "z"], ["y"], equation=equation)], shapes, {})
    check(model, "einsum", inputs)
    assert "MatMul" in kinds(model)


@pytest.mark.parametrize(
    "equation", ["bij,bij->bij", "bij,bjk->bijk", "ii,ij->ij", "bij,cjk->bik", "...ij,jk->ik"]
)
def test_what_is_no_matrix_product_is_left_alone(equation: str) -> None:
    assert matrix_product(equation) is None


@few
@given(
    bias=st.booleans(), parts=st.integers(2, 3), heads=st.integers(1, 2), kernel=st.sampled_from([1, 3]),
    seed=seeds,
)  # fmt: skip
def test_split(bias: bool, parts: int, heads: int, kernel: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    width, channels = 3, 4
    outputs = parts * heads * width
    constants = {
        "w": random.standard_normal((outputs, channels, kernel, kernel), dtype=np.float32),
        "shape": np.asarray([0, parts, heads, width, -1]),
        **{f"i{part}": np.asarray(part) for part in range(parts)},
    }
    if bias:
        constants["b"] = random.standard_normal(outputs, dtype=np.float32)
    pads = [kernel // 2] * 4
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"] if bias else ["x", "w"], ["c"], pads=pads),
        helper.make_node("Reshape", ["c", "shape"], ["r"]),
        *(helper.make_node("Gather", ["r", f"i{part}"], [f"g{part}"], axis=1) for part in range(parts)),
        helper.make_node("Concat", [f"g{part}" for part in range(parts)], ["y"], axis=2),
    ]
    between: dict[str, tuple[int | str, ...]] = {
        "c": ("batch", outputs, "rows", "columns"),
        "r": ("batch", parts, heads, width, "rows*columns"),
    }
    model = graph(nodes, {"x": ("batch", channels, "rows", "columns")}, constants, None, between)
    check(model, "split", {"x": random.standard_normal((2, channels, 4, 5), dtype=np.float32)})
    assert "Gather" not in kinds(model)


def linear_attention(
    channels: int, heads: int, widths: tuple[int, int], outputs: int, *, bias: bool,
    biased_queries: bool = False, columns: str = "columns", after: Sequence[Sequence[str]] = (),
    seed: int = 0,
) -> ir.Model:  # fmt: skip
    """Build linear attention with keys of its own; `columns` is what its output says of their number.

    At most two nodes come `after` it; the first makes ``o1`` from ``o``, unless it is the last.
    """
    random = np.random.default_rng(seed)
    depth, width = widths
    constants = {
        "wq": random.standard_normal((heads * depth, channels, 1, 1), dtype=np.float32),
        "wk": random.standard_normal((heads * depth, channels, 1, 1), dtype=np.float32),
        "wv": random.standard_normal((heads * width, channels, 1, 1), dtype=np.float32),
        "wo": random.standard_normal((outputs, heads * width, 1, 1), dtype=np.float32),
        "bo": random.standard_normal(outputs, dtype=np.float32),
        "bq": random.standard_normal(heads * depth, dtype=np.float32),
        "by_depth": np.asarray([0, heads, depth, -1]),
        "by_width": np.asarray([0, heads, width, -1]),
        "first": np.asarray([0, heads * width]),
    }
    constants["gate"] = np.asarray([0.1], np.float32)
    steps = [*("o", "o1")[: len(after)], "y"]
    nodes = [
        helper.make_node("Conv", ["x", "wq", "bq"] if biased_queries else ["x", "wq"], ["cq"]),
        helper.make_node("Reshape", ["cq", "by_depth"], ["q"]),
        helper.make_node("Conv", ["x", "wk"], ["ck"]),
        helper.make_node("Reshape", ["ck", "by_depth"], ["rk"]),
        helper.make_node("Softmax", ["rk"], ["k"], axis=-1),
        helper.make_node("Conv", ["x", "wv"], ["cv"]),
        helper.make_node("Reshape", ["cv", "by_width"], ["v"]),
        helper.make_node("Transpose", ["v"], ["vt"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["k", "vt"], ["context"]),
        helper.make_node("Transpose", ["context"], ["turned"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["turned", "q"], ["each"]),
        helper.make_node("Shape", ["x"], ["size"], start=2, end=4),
        helper.make_node("Concat", ["first", "size"], ["target"], axis=0),
        helper.make_node("Reshape", ["each", "target"], ["merged"]),
        helper.make_node("Conv", ["merged", "wo", "bo"] if bias else ["merged", "wo"], [steps[0]]),
        *(helper.make_node(kind, pair, [to]) for (kind, *pair), to in zip(after, steps[1:], strict=True)),
    ]
    pixels = "rows*columns"
    between: dict[str, tuple[int | str, ...]] = {
        "q": ("batch", heads, depth, pixels),
        "k": ("batch", heads, depth, pixels),
        "v": ("batch", heads, width, pixels),
        "merged": ("batch", heads * width, "rows", columns),
    }
    return graph(nodes, {"x": ("batch", channels, "rows", "columns")}, constants, None, between)


@few
@given(
    channels=st.integers(1, 4), heads=st.integers(1, 3), outputs=st.integers(1, 3),
    widths=st.tuples(st.integers(1, 4), st.integers(1, 4)), bias=st.booleans(), seed=seeds,
    batch=st.integers(1, 3), size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
)  # fmt: skip
def test_attention(
    channels: int, heads: int, widths: tuple[int, int], outputs: int, bias: bool, seed: int, batch: int,
    size: tuple[int, int],
) -> None:  # fmt: skip
    model = linear_attention(channels, heads, widths, outputs, bias=bias, seed=seed)
    x = np.random.default_rng(seed).standard_normal((batch, channels, *size), dtype=np.float32)
    depth, width = widths
    saved = heads * (2 * depth * width + channels * width + width * outputs) - channels * outputs
    check(model, "attention", {"x": x}, rtol=2e-5, applies=saved > 0)
    assert kinds(model).count("Conv") == (1 if saved > 0 else 4)  # that of the keys is left


@pytest.mark.parametrize(
    ("after", "left"),
    [
        ([("Mul", "gate", "o"), ("Add", "x", "o1")], ["Add"]),
        ([("Mul", "o", "gate"), ("Add", "o1", "x")], ["Add"]),
        ([("Add", "o", "x")], ["Add"]),  # of the identity to the small matrix
        ([("Mul", "o", "o")], ["Mul"]),  # no multiple
        ([("Mul", "o", "gate"), ("Add", "o", "o1")], ["Mul", "Add"]),  # used twice
        ([("Add", "o", "x"), ("Mul", "o1", "gate")], ["Add", "Mul"]),
    ],
)
def test_attention_with_what_follows_it(after: list[tuple[str, str, str]], left: list[str]) -> None:
    model = linear_attention(3, 2, (4, 4), 3, bias=False, after=after)
    x = {"x": np.random.default_rng(0).standard_normal((2, 3, 4, 5), dtype=np.float32)}
    check(model, "attention", x, rtol=2e-5)
    assert [kind for kind in kinds(model) if kind in {"Mul", "Add"}] == left


@pytest.mark.parametrize(
    ("outputs", "changes"),
    [
        pytest.param(500, {}, id="more multiplications"),
        pytest.param(4, {"biased_queries": True}, id="queries with a bias"),
        pytest.param(4, {"columns": "others"}, id="other positions"),
    ],
)
def test_attention_that_must_stay(outputs: int, changes: dict[str, Any]) -> None:
    model = linear_attention(8, 1, (2, 2), outputs, bias=True, **changes)
    x = {"x": np.random.default_rng(0).standard_normal((2, 8, 3, 4), dtype=np.float32)}
    check(model, "attention", x, applies=False)


@few
@given(
    inputs=st.integers(1, 9), outputs=st.integers(1, 9), bias=st.booleans(), seed=seeds,
    batch=st.integers(1, 3), size=st.tuples(st.integers(1, 11), st.integers(1, 11)),
)  # fmt: skip
def test_winograd(
    inputs: int, outputs: int, bias: bool, seed: int, batch: int, size: tuple[int, int]
) -> None:
    random = np.random.default_rng(seed)
    constants = {"w": random.standard_normal((outputs, inputs, 3, 3), dtype=np.float32)}
    if bias:
        constants["b"] = random.standard_normal(outputs, dtype=np.float32)
    node = helper.make_node("Conv", ["x", "w", "b"] if bias else ["x", "w"], ["y"], pads=[1] * 4)
    model = graph([node], {"x": ("batch", inputs, "rows", "columns")}, constants)
    x = {"x": random.standard_normal((batch, inputs, *size), dtype=np.float32)}
    before = run(model, x)["y"]
    assert rewrite_winograd(model, wide=1) == 1
    after = run(model, x)["y"]
    assert after.shape == before.shape
    np.testing.assert_allclose(after, before, rtol=0, atol=2e-5 * float(np.abs(before).max()))


def test_the_transforms_of_winograd_are_a_convolution() -> None:
    out, kernel, into = transforms()
    random = np.random.default_rng(0)
    g, d = random.standard_normal(3), random.standard_normal(6)
    np.testing.assert_allclose(out @ ((kernel @ g) * (into @ d)), np.correlate(d, g, "valid"), atol=1e-13)


def test_a_pass_that_does_not_exist_is_an_error() -> None:
    model = graph([helper.make_node("Relu", ["x"], ["y"])], {"x": ("batch",)}, {})
    with pytest.raises(InputError, match=r"there is no pass 'mash'.*'mish'"):
        rewrite(model, skip=["mash"])


def test_passes_for_one_backend_must_be_asked_for() -> None:
    assert [step.name for step in PASSES if not step.everywhere] == ["attention", "winograd"]
