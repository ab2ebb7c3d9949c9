"""What a worker needs to load exactly the model that a run was planned with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import JsonValue

from skyloom.errors import BundleError
from skyloom.frozen import Frozen
from skyloom.machine import cores

if TYPE_CHECKING:
    from collections.abc import Callable

    from skyloom.interfaces import Model

MOST_THREADS = 8
"""Threads for one operator where nothing else is asked for; more round otherwise (see docs/running.md)."""

_M = TypeVar("_M", bound="Model")


class Recipe(Frozen):
    """How a model is loaded. It pickles, a loaded model need not.

    Attributes
    ----------
    name
        As for `skyloom.load`; the path of a bundle is absolute.
    digest
        SHA-256 of the manifest of the bundle, and so of every file in it; empty for a model without
        weights.
    backend, precision, threads, options
        As for `skyloom.load`.
    """

    name: str
    digest: str = ""
    backend: str = "auto"
    precision: str = "fp32"
    threads: int | None = None
    options: dict[str, JsonValue] = {}

    @classmethod
    def of(
        cls, name: str | os.PathLike[str], interface: Callable[..., _M], /, **asked: Any
    ) -> tuple[Recipe, _M]:
        """Load a model, and return the recipe for loading it again beside it.

        Parameters
        ----------
        name, interface
            As for `skyloom.load`.
        **asked
            The other attributes.
        """
        first = cls(name=_absolute(name), **asked)
        model = first.load(interface)
        recipe = first.model_copy(update={"digest": _digest_of(model)})
        if recipe._threads(None) != first.threads:
            model = recipe.load(interface)
        return recipe, model

    def load(self, interface: Callable[..., _M], *, threads: int | None = None) -> _M:
        """Load the model.

        Parameters
        ----------
        interface
            As for `skyloom.load`.
        threads
            Threads for one operator of a network, where the recipe says nothing.

        Raises
        ------
        BundleError
            When the bundle is another one than the recipe was made with.
        """
        from skyloom import load

        model = load(
            self.name,
            interface,
            backend=self.backend,
            precision=self.precision,
            threads=self._threads(threads),
            **self.options,
        )
        found = _digest_of(model)
        if self.digest and found != self.digest:
            raise BundleError(
                f"the bundle '{self.name}' has the digest {found[:12]}, the run was planned with "
                f"{self.digest[:12]}",
                "Put back the bundle of before, or begin anew with --restart",
            )
        return model

    def _threads(self, otherwise: int | None) -> int | None:
        """Return the threads to load with; a model without weights has none.

        How many are used must not decide a value, and up to `MOST_THREADS` it does not.
        """
        if self.threads is not None or not self.digest:
            return self.threads
        if otherwise is None and cores() <= MOST_THREADS:
            return None
        return min(otherwise or cores(), MOST_THREADS)


def _digest_of(model: Model) -> str:
    return "" if model.origin is None else model.origin.digest


def _absolute(name: str | os.PathLike[str]) -> str:
    """Return a name that means the same in another process: a path becomes absolute."""
    from skyloom.errors import SkyloomError
    from skyloom.files import exists
    from skyloom.registry import find

    if isinstance(name, os.PathLike):
        return str(Path(name).absolute())
    try:
        find(name)
    except SkyloomError:
        return str(Path(name).absolute()) if exists(name) else name
    return name
