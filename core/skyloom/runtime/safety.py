"""Refusing unsafe graphs before any library opens them: standard operators and weights inside, nothing else.

A library would load custom operators by their domain, and read external data from whatever path the
graph names. Both are refused here, wherever they stand: in subgraphs, in functions, in attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.errors import BundleError
from skyloom.runtime.bounds import check_bounds
from skyloom.runtime.graph import MAX_GRAPH_BYTES
from skyloom.runtime.protobuf import BYTES, VARINT, MalformedError, Span, fields
from skyloom.runtime.tensors import interface_of

if TYPE_CHECKING:
    from skyloom.runtime.tensors import Interface

MAX_DEPTH = 64  # three a subgraph: graph, node, attribute
MAX_FIELDS = 3_000_000
STANDARD = (b"", b"ai.onnx")

_DOMAIN, _ENTRY, _LOCATION = "domain", "entry", "location"
# Of each message of onnx.proto, the fields in which something to look at lies.
_LOOK: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 9: "opset", 10: _DOMAIN, 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute", 7: _DOMAIN},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: _ENTRY, 14: _LOCATION},
    "opset": {1: _DOMAIN},
}
_AGAIN = "Do not use it, or export it again"


def check_safe(data: bytes) -> Interface:
    """Return the inputs and outputs of a serialised ONNX model.

    Raises
    ------
    BundleError
        When it is malformed, nested too deeply, uses operators outside the standard, keeps
        weights in other files, or is endless or enormous (`check_bounds`).
    """
    if len(data) > MAX_GRAPH_BYTES:
        raise BundleError(f"a graph has {len(data)} bytes, allowed are {MAX_GRAPH_BYTES}", _AGAIN)
    try:
        _walk(data)
        found = interface_of(data)
        check_bounds(data)
    except (MalformedError, UnicodeDecodeError) as error:
        raise BundleError(f"a graph is not a valid ONNX model: {error}", _AGAIN) from None
    return found


_passed: dict[str, Interface] = {}
_MOST_PASSED = 1000


def check_safe_once(digest: str, data: bytes) -> Interface:
    """Return what `check_safe` does; a graph of this SHA-256 is checked once in a process."""
    found = _passed.get(digest)
    if found is None:
        found = check_safe(data)
        if len(_passed) >= _MOST_PASSED:
            _passed.clear()
        _passed[digest] = found
    return found


def _walk(data: bytes) -> None:
    """Look at every part once, holding no more at a time than one part of each level."""
    levels = [("model", fields(data, 0, len(data)))]
    seen = 0
    while levels:
        kind, left = levels[-1]
        look = _LOOK[kind]
        for field in left:
            seen += 1
            if seen > MAX_FIELDS:
                raise MalformedError(f"it has more than {MAX_FIELDS} parts")
            what = look.get(field.number)
            if what is None:
                continue
            if field.wire != (VARINT if what == _LOCATION else BYTES):
                raise MalformedError(f"field {field.number} of a {kind} is of kind {field.wire}")
            if what in _LOOK:
                if len(levels) == MAX_DEPTH:
                    raise MalformedError(f"it is nested more than {MAX_DEPTH} levels deep")
                levels.append((what, fields(data, field.start, field.end)))
                break
            _check_entry(data, what, field)
        else:
            levels.pop()


def _check_entry(data: bytes, what: str, field: Span) -> None:
    """Refuse a foreign domain, and any sign of external data."""
    if what == _DOMAIN:
        domain = data[field.start : min(field.end, field.start + 80)]
        if domain not in STANDARD:
            raise BundleError(
                f"a graph uses operators of '{domain.decode('utf-8', 'replace')}', "
                "allowed are those of the ONNX standard",
                _AGAIN,
            )
    elif what == _ENTRY or field.value:
        entry = {part.number: part for part in fields(data, field.start, field.end)} if what == _ENTRY else {}
        shown = entry.get(2)
        where = f" ({_text(data, shown)!r})" if shown is not None and shown.wire == BYTES else ""
        raise BundleError(
            f"a graph keeps weights in another file{where}", "Export it with its weights inside"
        )


def _text(data: bytes, field: Span) -> str:
    return data[field.start : min(field.end, field.start + 80)].decode("utf-8", "replace")
