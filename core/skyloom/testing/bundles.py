"""Checks of models that run exported graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.bundle.verify import verify
from skyloom.errors import BundleError
from skyloom.execution import Execution
from skyloom.testing.check import check
from skyloom.testing.failures import CheckFailure, expect
from skyloom.testing.subject import has_bundle

if TYPE_CHECKING:
    from skyloom.testing.subject import Subject


@check(has_bundle)
def check_graphs_match_network(subject: Subject) -> None:
    """Every graph of the tiny bundle repeats what the original network made, within its tolerance."""
    manifest = subject.bundle.manifest
    expect(bool(manifest.graphs), "a bundle with graphs", "one without", "Export the network into graphs")
    try:
        verify(subject.bundle.path)
    except BundleError as error:
        raise CheckFailure(
            "graphs that repeat the original network", str(error), "Export the network again"
        ) from error


@check(has_bundle)
def check_bundle_names_its_model(subject: Subject) -> None:
    """The bundle says that it belongs to this model, and under which licence."""
    manifest = subject.bundle.manifest
    wanted = (subject.spec.name, subject.spec.task)
    found = (manifest.model, manifest.task)
    expect(found == wanted, f"model and task {wanted} in the manifest", f"{found}", "Correct the manifest")
    expect(bool(manifest.licence), "a licence in the manifest", "none", "State one in the manifest")


@check(has_bundle)
def check_batch_axis_is_free(subject: Subject) -> None:
    """Every graph has an input with an axis of any length, so that batches can be of any size."""
    for name, graph in subject.bundle.manifest.graphs.items():
        expect(
            any(isinstance(axis, str) for tensor in graph.inputs for axis in tensor.axes),
            f"an input of graph '{name}' to have a named axis",
            f"the axes {[tensor.axes for tensor in graph.inputs]}",
            "Export the graph with a dynamic batch axis",
        )


@check(has_bundle)
def check_backend_is_honoured(subject: Subject) -> None:
    """A model opened on the CPU runs there, and says so."""
    model = subject.make(Execution("cpu"))
    expect(
        model.backend == "cpu",
        "a model opened with backend='cpu' to report 'cpu'",
        f"'{model.backend}'",
        "Open sessions with bundle.session(graph) alone, and set self.backend to what the session reports",
    )
