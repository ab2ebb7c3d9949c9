"""Graphs are looked through before a library opens them."""

from __future__ import annotations

import time
import tracemalloc

import onnx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from skyloom.errors import BundleError
from skyloom.runtime import open_session, safety
from skyloom.runtime.protobuf import MalformedError, fields
from skyloom.runtime.safety import MAX_DEPTH, check_safe
from tests.conftest import double_plus_one
from tests.core.runtime.graphs import constant, forgetful_loop, model

FOREIGN = "com.evil"


def plain(*nodes: onnx.NodeProto, **more: object) -> onnx.ModelProto:
    return model(nodes or [helper.make_node("Neg", ["x"], ["y"])], {"x": ["n"]}, {"y": ["n"]}, (), **more)


def with_foreign_node() -> onnx.ModelProto:
    return plain(helper.make_node("Run", ["x"], ["y"], domain=FOREIGN))


def with_foreign_opset() -> onnx.ModelProto:
    return plain(opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(FOREIGN, 1)])


def foreign_body() -> onnx.GraphProto:
    return helper.make_graph(
        [helper.make_node("Run", [], ["r"], domain=FOREIGN)],
        "body",
        [],
        [helper.make_tensor_value_info("r", TensorProto.FLOAT, [])],
    )


def with_foreign_subgraph() -> onnx.ModelProto:
    body = foreign_body()
    return plain(helper.make_node("If", ["x"], ["y"], then_branch=body, else_branch=body))


def with_foreign_graph_list() -> onnx.ModelProto:
    built = plain()
    built.graph.node[0].attribute.append(
        onnx.AttributeProto(name="bodies", graphs=[foreign_body()], type=onnx.AttributeProto.GRAPHS)
    )
    return built


def with_foreign_function_domain() -> onnx.ModelProto:
    function = helper.make_function(
        FOREIGN, "F", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], [helper.make_opsetid("", 18)]
    )
    return plain(functions=[function])


def with_foreign_function_body() -> onnx.ModelProto:
    inner = helper.make_node("Run", ["a"], ["b"], domain=FOREIGN)
    function = helper.make_function("", "F", ["a"], ["b"], [inner], [helper.make_opsetid("", 18)])
    return plain(functions=[function])


def with_foreign_function_opset() -> onnx.ModelProto:
    inner = helper.make_node("Neg", ["a"], ["b"])
    function = helper.make_function("", "F", ["a"], ["b"], [inner], [helper.make_opsetid(FOREIGN, 18)])
    return plain(functions=[function])


def with_foreign_default_of_a_function() -> onnx.ModelProto:
    function = helper.make_function(
        "", "F", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], [helper.make_opsetid("", 18)]
    )
    function.attribute_proto.append(
        onnx.AttributeProto(name="body", g=foreign_body(), type=onnx.AttributeProto.GRAPH)
    )
    return plain(functions=[function])


def with_foreign_training() -> onnx.ModelProto:
    built = plain()
    built.training_info.append(onnx.TrainingInfoProto(algorithm=foreign_body()))
    return built


@pytest.mark.parametrize(
    "build",
    [
        with_foreign_node,
        with_foreign_opset,
        with_foreign_subgraph,
        with_foreign_graph_list,
        with_foreign_function_domain,
        with_foreign_function_body,
        with_foreign_function_opset,
        with_foreign_default_of_a_function,
        with_foreign_training,
    ],
)
def test_operators_outside_the_standard_are_refused_wherever_they_stand(build: object) -> None:
    data = build().SerializeToString()  # type: ignore[operator]
    with pytest.raises(BundleError, match=r"uses operators of 'com\.evil', allowed are those of the ONNX"):
        open_session(data)


@pytest.mark.parametrize("domain", ["com.microsoft", "ai.onnx.ml", "ai.onnx.evil", " ", "\0"])
def test_only_the_standard_itself_is_allowed(domain: str) -> None:
    with pytest.raises(BundleError, match="uses operators of"):
        check_safe(plain(helper.make_node("Neg", ["x"], ["y"], domain=domain)).SerializeToString())


def test_both_spellings_of_the_standard_are_allowed() -> None:
    data = plain(helper.make_node("Neg", ["x"], ["y"], domain="ai.onnx")).SerializeToString()
    assert tuple(map(tuple, check_safe(data))) == (("x",), ("y",))


def elsewhere(location: str = "/etc/passwd") -> onnx.TensorProto:
    tensor = constant("w", 1)
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.append(onnx.StringStringEntryProto(key="location", value=location))
    return tensor


def as_initializer() -> onnx.ModelProto:
    return model([helper.make_node("Add", ["x", "w"], ["y"])], {"x": ["n"]}, {"y": ["n"]}, [elsewhere()])


def as_attribute() -> onnx.ModelProto:
    return plain(helper.make_node("Constant", [], ["y"], value=elsewhere()))


def as_tensor_list() -> onnx.ModelProto:
    built = plain()
    built.graph.node[0].attribute.append(
        onnx.AttributeProto(name="t", tensors=[elsewhere()], type=onnx.AttributeProto.TENSORS)
    )
    return built


def as_sparse() -> onnx.ModelProto:
    built = plain()
    built.graph.sparse_initializer.append(
        onnx.SparseTensorProto(values=constant("v", 1), indices=elsewhere())
    )
    return built


def as_sparse_attribute() -> onnx.ModelProto:
    built = plain()
    sparse = onnx.SparseTensorProto(values=elsewhere())
    for more in ({"sparse_tensor": sparse}, {"sparse_tensors": [sparse]}):
        built.graph.node[0].attribute.append(onnx.AttributeProto(name="s", **more))
    return built


@pytest.mark.parametrize(
    "build", [as_initializer, as_attribute, as_tensor_list, as_sparse, as_sparse_attribute]
)
def test_weights_in_other_files_are_refused_wherever_they_stand(build: object) -> None:
    data = build().SerializeToString()  # type: ignore[operator]
    with pytest.raises(BundleError, match=r"keeps weights in another file( \('.*'\))?\. Export it with"):
        open_session(data)


@pytest.mark.parametrize("location", ["../outside.bin", "weights.bin", "/etc/passwd"])
def test_the_other_file_is_named(location: str) -> None:
    tensor = elsewhere(location)
    tensor.ClearField("data_location")  # the entry alone is enough
    data = model([], {"x": ["n"]}, {"y": ["n"]}, [tensor]).SerializeToString()
    with pytest.raises(BundleError, match=r"in another file \('" + location.replace(".", r"\.") + r"'\)"):
        check_safe(data)


def test_the_names_are_those_that_onnx_itself_finds() -> None:
    for data in (double_plus_one(), forgetful_loop()):
        graph = onnx.load_from_string(data).graph
        found = check_safe(data)
        assert tuple(found.inputs) == tuple(tensor.name for tensor in graph.input)
        assert tuple(found.outputs) == tuple(tensor.name for tensor in graph.output)


def test_weights_among_the_inputs_are_no_inputs() -> None:
    node = helper.make_node("Add", ["x", "w"], ["y"])
    data = model([node], {"x": ["n"], "w": []}, {"y": ["n"]}, [constant("w", 1)]).SerializeToString()
    assert tuple(check_safe(data).inputs) == ("x",)


def message(number: int, content: bytes) -> bytes:
    """Write a field that holds a message."""
    length, size = len(content), bytearray()
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    return bytes([number << 3 | 2]) + bytes(size) + content


def nested(levels: int) -> bytes:
    graph = b""
    for _ in range(levels):
        graph = message(1, message(5, message(6, graph)))  # graph -> node -> attribute -> graph
    return message(7, graph)


def test_nesting_has_a_limit() -> None:
    check_safe(nested((MAX_DEPTH - 2) // 3))
    with pytest.raises(BundleError, match="nested more than 64 levels deep"):
        check_safe(nested(MAX_DEPTH // 3 + 1))
    with pytest.raises(BundleError, match="nested"):
        check_safe(nested(3000))


def test_the_number_of_parts_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "MAX_FIELDS", 1000)
    with pytest.raises(BundleError, match="more than 1000 parts"):
        check_safe(message(7, message(1, b"") * 1000))


def test_the_size_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "MAX_GRAPH_BYTES", 10)
    with pytest.raises(BundleError, match="bytes, allowed are 10"):
        check_safe(double_plus_one())


def test_a_flood_of_parts_costs_little_time_and_memory() -> None:
    flood = message(7, message(1, b"") * 50_000)
    tracemalloc.start()
    start = time.perf_counter()
    check_safe(flood)
    seconds, (_, peak) = time.perf_counter() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300_000
    assert seconds < 20


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "holds 0 graphs"),
        (message(7, b"") * 2, "holds 2 graphs"),
        (b"\x3a\x7f", "cut short"),
        (b"\x3a", "a number is cut short"),
        (b"\x3a" + b"\xff" * 9 + b"\x01", "cut short"),
        (b"\xff" * 11, "too long"),
        (b"\x00\x00", "there is no field 0"),
        (b"\x3b", "of kind 3"),
        (b"\x38\x01", "field 7 of a model is of kind 0"),
        (b"\x39" + bytes(8), "field 7 of a model is of kind 1"),
        (message(7, message(11, message(1, b"\xff"))), "utf-8"),
        (message(7, b"\x58\x01"), "field 11 of a graph is of kind 0"),
    ],
)
def test_what_is_malformed_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(BundleError, match=f"not a valid ONNX model: .*{what}"):
        check_safe(data)


def test_fields_are_found_where_they_are() -> None:
    data = b"\x08\x96\x01" + b"\x12\x03abc" + b"\x1d\x01\x02\x03\x04" + b"\x21" + bytes(8)
    assert [(f.number, f.wire, data[f.start : f.end], f.value) for f in fields(data, 0, len(data))] == [
        (1, 0, b"\x96\x01", 150),
        (2, 2, b"abc", 0),
        (3, 5, b"\x01\x02\x03\x04", 0),
        (4, 1, bytes(8), 0),
    ]
    with pytest.raises(MalformedError):
        list(fields(data, 0, len(data) - 1))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
@example(b"\x3a\x02\x0a\x00")
def test_no_bytes_can_do_more_than_be_refused(data: bytes) -> None:
    try:
        check_safe(data)
    except BundleError:
        return
    assert data, "what is accepted holds a graph"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_altered_graph_can_do_more_than_be_refused(data: st.DataObject) -> None:
    graph = bytearray(as_initializer().SerializeToString() if data.draw(st.booleans()) else forgetful_loop())
    for _ in range(data.draw(st.integers(1, 4))):
        graph[data.draw(st.integers(0, len(graph) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(graph)))
    for altered in (bytes(graph), bytes(graph[:cut])):
        try:
            check_safe(altered)
        except BundleError:
            continue


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_onnx_finds_foreign_is_refused(data: st.DataObject) -> None:
    """Compare with the parser of the onnx package on graphs whose domains were drawn."""
    domains = data.draw(st.lists(st.sampled_from(["", "ai.onnx", "ai.onn", FOREIGN]), min_size=1, max_size=4))
    nodes = [helper.make_node("Neg", ["x"], [f"y{i}"], domain=name) for i, name in enumerate(domains)]
    built = plain(*nodes)
    foreign = any(node.domain not in ("", "ai.onnx") for node in built.graph.node)
    if foreign:
        with pytest.raises(BundleError):
            check_safe(built.SerializeToString())
    else:
        check_safe(built.SerializeToString())
