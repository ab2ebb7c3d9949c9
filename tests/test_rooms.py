"""Which package may import which; found by pattern, so that a plugin need not be listed anywhere."""

from __future__ import annotations

import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
PATTERNS = ("*/skyloom*/__init__.py", "plugins/*/skyloom_*/__init__.py")
PACKAGES = {path.parent.name: path.parents[1] for pattern in PATTERNS for path in ROOT.glob(pattern)}
PLUGINS = tuple(sorted(name for name, root in PACKAGES.items() if root.parent.name == "plugins"))

ROOMS: dict[str, set[str]] = {
    "skyloom": set(),
    "skyloom_photometry": {"skyloom"},
    "skyloom_sky": {"skyloom"},
    "skyloom_runs": {"skyloom"},
    "skyloom_export": {"skyloom"},
    "skyloom_train": {"skyloom"},
    "skyloom_serve": {"skyloom", "skyloom_runs"},
    "skyloom_pages": {"skyloom", "skyloom_sky", "skyloom_runs"},
    **{plugin: {"skyloom", "skyloom_photometry"} for plugin in PLUGINS},
}
"""What each package may import of the others."""

TRAINING = {"training": {"skyloom_train", "skyloom_sky"}}
EXPORTING = {"graphs": {"skyloom_export", "skyloom_sky"}, "importing": {"skyloom_export"}}
MORE = TRAINING | EXPORTING
"""What single modules of a plugin may import besides, and the modules that they alone use."""

HEAVY = {"torch", "onnx", "onnxscript"}
HEAVY_MODULES = ("training", "network", "graphs", "importing")
"""The modules of a plugin, or packages, that may import these, with the modules that they alone use."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Return who imports whom, as it stands in the files; imports for types and within functions count."""
    before = list(sys.path)
    sys.path[:0] = [str(root) for root in PACKAGES.values()]
    try:
        return grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)
    finally:
        sys.path[:] = before


def test_every_room_is_known() -> None:
    assert set(PACKAGES) == set(ROOMS)
    assert {"skyloom_pix2prof", "skyloom_metrics", "skyloom_classical"} <= set(PLUGINS)


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_room_imports_only_what_it_may(graph: grimp.ImportGraph, package: str) -> None:
    wrong = [
        f"{module} imports {imported}"
        for module in _modules(graph, package)
        for imported in sorted(graph.find_modules_directly_imported_by(module))
        if (other := imported.partition(".")[0]) in PACKAGES
        and other not in {package, *ROOMS[package]}
        and not _is_for(graph, module, [name for name, more in MORE.items() if other in more])
    ]
    assert not wrong


@pytest.mark.parametrize("package", sorted(set(PACKAGES) - {"skyloom_export", "skyloom_train"}))
def test_running_a_model_needs_neither_torch_nor_onnx(graph: grimp.ImportGraph, package: str) -> None:
    allowed = HEAVY_MODULES if package in PLUGINS else ()
    wrong = [
        f"{module} imports {imported}"
        for module in _modules(graph, package)
        for imported in sorted(graph.find_modules_directly_imported_by(module) & HEAVY)
        if not _is_for(graph, module, allowed)
    ]
    assert not wrong


def test_no_modules_import_each_other_in_a_circle(graph: grimp.ImportGraph) -> None:
    ours = {module for module in graph.modules if module.partition(".")[0] in PACKAGES}
    left = set(ours)
    for neighbours in (graph.find_modules_directly_imported_by, graph.find_modules_that_directly_import):
        while free := [module for module in left if not neighbours(module) & left]:
            left.difference_update(free)
    assert not sorted(left), "each of these is part of a circle, or lies between two"


def _modules(graph: grimp.ImportGraph, package: str) -> list[str]:
    return sorted(module for module in graph.modules if _in(module, package))


def _in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _is_for(graph: grimp.ImportGraph, module: str, names: tuple[str, ...] | list[str]) -> bool:
    """Say whether a module of a plugin has one of these names, or is used by such modules alone."""
    package = module.partition(".")[0]
    if package not in PLUGINS or not names:
        return False
    asked, pending = {module}, [module]
    while pending:
        one = pending.pop()
        if one.split(".")[1:2] and one.split(".")[1] in names:
            continue
        users = {user for user in graph.find_modules_that_directly_import(one) if _in(user, package)}
        if not users:
            return False
        pending += users - asked
        asked |= users
    return True
