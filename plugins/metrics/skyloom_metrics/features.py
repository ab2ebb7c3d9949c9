"""What images are turned into before two sets of them are compared: rows of numbers, one an image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.checked import checked_path
from skyloom.digest import sha256
from skyloom.errors import InputError, InputTypeError, MissingFileError
from skyloom.execution import Execution
from skyloom.expect import expect_images
from skyloom_metrics.sgd import SyntheticGalaxyDistance

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

    from skyloom import Images

CELLS = 16  # rows and columns that the pixels of an image are averaged to


class Extractor(ABC):
    """Turns images into features."""

    def expect(self, images: object, what: str) -> Images:
        """Return images that features can be made of, or say what is wrong with them."""
        return expect_images(images, what=what)

    @abstractmethod
    def measure(self, images: Images) -> NDArray[np.float64]:
        """Return features (image, feature)."""

    def reasons(self) -> tuple[str, ...]:
        """Say for each feature why an image can lack it; a network can overflow."""
        return ("no finite features",)

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what belongs into the record of a score."""


def extractor(features: str | PathLike[str]) -> Extractor:
    """Return the extractor that an option names: pixels, properties, or a graph in a file."""
    if features == "pixels":
        return Pixels()
    if features == "properties":
        return Properties()
    if not isinstance(features, str) or features.endswith(".onnx"):
        return GraphFeatures(features)
    raise InputError(
        f"the features are {features!r}", "Give 'pixels', 'properties', or the path of an .onnx file"
    )


class Pixels(Extractor):
    """The pixels of each band, averaged to cells.

    Parameters
    ----------
    cells
        Rows and columns of cells.
    """

    def __init__(self, cells: int = CELLS) -> None:
        self.cells = cells

    def expect(self, images: object, what: str) -> Images:
        """Return images of as many pixels as there are cells, or more."""
        return expect_images(images, min_size=self.cells, what=what)

    def measure(self, images: Images) -> NDArray[np.float64]:
        """Return the mean of each cell, (image, band * cell)."""
        data = images.data.astype(np.float64)
        for axis in (2, 3):
            edges = np.arange(self.cells + 1) * data.shape[axis] // self.cells
            sums = np.add.reduceat(data, edges[:-1], axis=axis)
            data = sums / np.diff(edges).reshape((-1, 1) if axis == 2 else (-1,))
        return data.reshape(len(data), -1)

    def reasons(self) -> tuple[str, ...]:
        """Say what every image has."""
        return ("no finite pixels",)

    def describe(self) -> dict[str, Any]:
        """Name them."""
        return {"features": "pixels", "cells": f"{self.cells}x{self.cells} a band"}


class Properties(SyntheticGalaxyDistance, Extractor):
    """The properties of the synthetic galaxy distance: size, magnitudes and colours."""

    def __init__(self) -> None:
        super().__init__(radius="half-light")

    def describe(self) -> dict[str, Any]:
        """Name them."""
        return {"features": "properties", "columns": list(self.columns)}


class GraphFeatures(Extractor):
    """The first output of an ONNX graph whose one input is images (image, band, y, x), of any shape it takes.

    Parameters
    ----------
    path
        The file; its SHA-256 becomes part of the score.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        from skyloom.runtime.safety import check_safe
        from skyloom.runtime.session import open_session

        place = checked_path(path, what="the features")
        if not place.is_file():
            raise MissingFileError(place, "there is no such file", "Give the path of an .onnx file")
        graph = place.read_bytes()
        tensors = check_safe(graph)
        if len(tensors.inputs) != 1:
            raise InputError(
                f"the graph '{place.name}' has {len(tensors.inputs)} inputs",
                "Give one that takes images alone",
            )
        self._name = place.name
        self._input, self._output = next(iter(tensors.inputs)), next(iter(tensors.outputs))
        self._digest = sha256(graph)
        self._session = open_session(graph, Execution("cpu"))

    def measure(self, images: Images) -> NDArray[np.float64]:
        """Return the output of the graph as rows."""
        found = self._session.run({self._input: images.data})[self._output]
        if found.ndim < 2 or len(found) != len(images):
            raise InputTypeError(
                f"the graph '{self._name}' returns {found.shape} for {len(images)} images",
                "Give one whose first output is features (image, ...)",
            )
        return found.reshape(len(found), -1).astype(np.float64)

    def describe(self) -> dict[str, Any]:
        """Name the graph, and say which one it was."""
        return {"features": self._name, "extractor_sha256": self._digest, "preprocessing": "none"}
