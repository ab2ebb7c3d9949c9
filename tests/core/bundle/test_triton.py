"""The model repository for Triton, read by a parser of the rules that Triton documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from skyloom.bundle import Graph, Tensor
from skyloom.bundle.triton import triton_config
from skyloom.errors import BundleError
from tests.core.test_variants import with_variant

# https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html
TYPES = {
    "TYPE_BOOL": "bool",
    "TYPE_UINT8": "uint8",
    "TYPE_UINT16": "uint16",
    "TYPE_UINT32": "uint32",
    "TYPE_UINT64": "uint64",
    "TYPE_INT8": "int8",
    "TYPE_INT16": "int16",
    "TYPE_INT32": "int32",
    "TYPE_INT64": "int64",
    "TYPE_FP16": "float16",
    "TYPE_FP32": "float32",
    "TYPE_FP64": "float64",
}
TOKEN = re.compile(r'\s*("(?:[^"\\\n]|\\.)*"|-?\d+|[A-Za-z_]\w*|[{}\[\]:,])')


def parsed(text: str) -> dict[str, list[Any]]:
    """Read the text format of Protocol Buffers: every field with all of its values."""
    tokens: list[str] = []
    at = 0
    while text[at:].strip():
        found = TOKEN.match(text, at)
        assert found, f"not a token: {text[at : at + 30]!r}"
        tokens.append(found[1])
        at = found.end()

    def scalar(token: str) -> Any:
        if token.startswith('"'):
            return token[1:-1].encode().decode("unicode_escape").encode("latin-1").decode()
        return int(token) if re.fullmatch(r"-?\d+", token) else token

    def message(stop: str) -> dict[str, list[Any]]:
        fields: dict[str, list[Any]] = {}
        while tokens and tokens[0] != stop:
            name = tokens.pop(0)
            assert re.fullmatch(r"[a-z_]+", name), name
            colon = tokens[0] == ":"
            if colon:
                tokens.pop(0)
            token = tokens.pop(0)
            if token == "{":
                fields.setdefault(name, []).append(message("}"))
            elif token == "[":
                values = fields.setdefault(name, [])
                while (token := tokens.pop(0)) != "]":
                    values.append(scalar(token))
                    assert tokens[0] in {",", "]"}
                    if tokens[0] == ",":
                        tokens.pop(0)
                        assert tokens[0] != "]"
            else:
                assert colon, "a scalar needs a colon"
                fields.setdefault(name, []).append(scalar(token))
        assert not stop or tokens.pop(0) == stop
        return fields

    return message("")


def checked(text: str, folder: str) -> dict[str, list[Any]]:
    """Apply the rules for a model configuration and return it."""
    config = parsed(text)
    known = {"name", "backend", "max_batch_size", "dynamic_batching", "input", "output"}
    assert config.keys() <= known
    assert config["name"] == [folder], "the name is that of the folder"
    assert config["backend"] == ["onnxruntime"]
    (most,) = config["max_batch_size"]
    assert most >= 0
    assert "dynamic_batching" not in config or most > 0
    for tensor in (*config["input"], *config["output"]):
        assert tensor.keys() <= {"name", "data_type", "dims", "reshape"}
        assert len(tensor["name"]) == len(tensor["data_type"]) == 1
        assert tensor["name"][0]
        assert tensor["data_type"][0] in TYPES
        dims = tensor["dims"]
        assert dims, "dims must be given"
        assert all(length == -1 or length > 0 for length in dims)
        if "reshape" in tensor:
            (reshape,) = tensor["reshape"]
            product = 1
            for length in dims:
                product *= length
            assert reshape["shape"] == []
            assert product == 1, "a reshape keeps the number of elements"
    return config


def axes_of(tensor: dict[str, list[Any]], most: int) -> list[int]:
    """Return the axes that the graph gets when Triton applies a configuration, with -1 for any length."""
    dims = [] if "reshape" in tensor else tensor["dims"]
    return [-1, *dims] if most > 0 else dims


GRAPHS = {
    "batched": Graph(
        path="p",
        inputs=(
            Tensor(name="images", dtype="float32", axes=("batch", 3, "y", "x")),
            Tensor(name="noise", dtype="float64", axes=("batch",)),
        ),
        outputs=(Tensor(name="steps", dtype="int64", axes=("batch", "steps")),),
    ),
    "one-whole": Graph(
        path="p",
        inputs=(
            Tensor(name="images", dtype="float16", axes=("batch", 3)),
            Tensor(name="step", dtype="int64", axes=()),
        ),
        outputs=(Tensor(name="out", dtype="float32", axes=("batch",)),),
    ),
    "field": Graph(
        path="p",
        inputs=(Tensor(name="noise", dtype="float32", axes=(1, 64, "y", "x")),),
        outputs=(Tensor(name='a "quoted\\name" é\n', dtype="bool", axes=(1, 1)),),
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_configuration_keeps_the_rules_and_means_the_tensors(name: str) -> None:
    graph = GRAPHS[name]
    config = checked(triton_config(name, graph), name)
    (most,) = config["max_batch_size"]
    assert (most > 0) == (name == "batched")
    for described, tensors in ((config["input"], graph.inputs), (config["output"], graph.outputs)):
        assert [tensor["name"][0] for tensor in described] == [tensor.name for tensor in tensors]
        for tensor, declared in zip(described, tensors, strict=True):
            assert TYPES[tensor["data_type"][0]] == declared.dtype
            lengths = [axis if isinstance(axis, int) else -1 for axis in declared.axes]
            assert axes_of(tensor, most) == lengths


def test_a_type_that_triton_lacks_is_an_error() -> None:
    tensor = Tensor(name="z", dtype="complex64", axes=("batch",))
    with pytest.raises(BundleError, match="'z' is of type 'complex64', which Triton does not have"):
        triton_config("g", Graph(path="p", inputs=(tensor,), outputs=(tensor,)))


def test_the_graphs_of_a_bundle_are_a_repository(tmp_path: Path) -> None:
    repository = with_variant(tmp_path / "b") / "graphs"
    folders = sorted(path.name for path in repository.iterdir())
    assert folders == ["affine", "affine-int8"]
    for folder in folders:
        checked((repository / folder / "config.pbtxt").read_text(), folder)
        versions = [path for path in (repository / folder).iterdir() if path.is_dir()]
        assert [path.name for path in versions] == ["1"], "versions are folders named by numbers"
        assert [path.name for path in versions[0].iterdir()] == ["model.onnx"]


def test_the_parser_can_fail() -> None:
    good = triton_config("g", GRAPHS["batched"])
    for bad in (
        good.replace("TYPE_FP32", "FP32"),
        good.replace("dims: [ 3", "dims: [ 0"),
        good.replace("max_batch_size: 256", "max_batch_size: 0"),
        good.replace("}", "", 1),
        good.replace('"g"', '"h"'),
    ):
        assert bad != good
        with pytest.raises((AssertionError, IndexError)):
            checked(bad, "g")
