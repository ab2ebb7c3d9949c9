"""The smallest models that do everything right, one for each task, and one with a bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from skyloom.builtin import CAPTIONER, GENERATOR, METRIC, PRIOR
from skyloom.bundle import Bundle, Graph, Manifest, Tensor, write_bundle
from skyloom.expect import (
    expect_alike,
    expect_count,
    expect_fraction,
    expect_images,
    expect_mask,
    expect_pair,
)
from skyloom.field import Tile
from skyloom.images import Images
from skyloom.interfaces import FieldGenerator, ImagePrior, Metric, SequenceCaptioner
from skyloom.profile import Profile
from skyloom.random import check_seed, generator, normals
from skyloom.score import Score
from skyloom.specs import ModelSpec

HERE = "tests.core.testing.toys"
SIZE = (16, 16)


class Rows(SequenceCaptioner):
    """The mean of each row that has a valid pixel."""

    def __init__(self, *, first: int = 0) -> None:
        self.first = first

    def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
        images = expect_images(images, bands=("g", "r"))
        return [profile for image in images for profile in self.read(image)]

    def read(self, image: Images) -> list[Profile]:
        return [
            self.profile(image, pixels, band)
            for band, pixels in zip(image.bands, image.filled()[0], strict=False)
        ]

    def profile(self, image: Images, pixels: Any, band: str, **changed: Any) -> Profile:
        rows = [k for k in range(self.first, len(pixels)) if np.isfinite(pixels[k]).any()]
        values = [float(np.nanmean(pixels[k])) for k in rows]
        given: dict[str, Any] = {
            "axis": rows,
            "values": values,
            "uncertainty": [0.1] * len(rows),
            "axis_unit": "pix",
            "value_unit": image.unit,
            "name": image.names[0],
            "band": band,
            "stopped": "edge",
            "provenance": self.provenance(),
        }
        return Profile(**given | changed)


class Static(FieldGenerator):
    """White noise."""

    tile_shape = (8, 6)

    def tile(self, seed: int, row: int, column: int) -> Tile:
        return self.make(
            generator(seed, row, column).standard_normal((1, *self.tile_shape)), seed, row, column
        )

    def make(self, data: Any, seed: int, row: int, column: int, **changed: Any) -> Tile:
        given: dict[str, Any] = {
            "bands": ("r",),
            "provenance": self.provenance(seed),
            "row": row,
            "column": column,
        }
        return Tile(data=data, **given | changed)


class White(ImagePrior):
    """A prior for which pixels are independent and standard normal."""

    def noise(self, images: Images, seed: int) -> Any:
        return normals(seed, images.index, images.shape[1:])

    def sample(self, n: int, *, seed: int = 0, steps: int | None = None, first: int = 0) -> Images:
        indices = range(first, first + expect_count(n))
        return Images.from_array(
            normals(seed, indices, (2, *SIZE)), ("g", "r"), first=first, provenance=self.provenance(seed)
        )

    def inpaint(self, images: Images, mask: Any = None, *, seed: int = 0, steps: int | None = None) -> Images:
        images = expect_images(images)
        return images.with_data(
            np.where(expect_mask(mask, images), self.noise(images, seed), images.data),
            provenance=self.provenance(seed),
        )

    def translate(
        self, images: Images, strength: float = 0.5, *, seed: int = 0, steps: int | None = None
    ) -> Images:
        images, strength = expect_images(images), expect_fraction(strength, what="the strength")
        kept = np.sqrt(1 - strength**2) * images.filled(0)
        return images.with_data(kept + strength * self.noise(images, seed), provenance=self.provenance(seed))

    def interpolate(
        self, a: Images, b: Images, weight: float = 0.5, *, seed: int = 0, steps: int | None = None
    ) -> Images:
        a, b = expect_pair(a, b)
        weight = expect_fraction(weight, what="the weight")
        check_seed(seed)
        return a.with_data(
            (1 - weight) * a.filled(0) + weight * b.filled(0), provenance=self.provenance(seed)
        )


class Spread(Metric):
    """The difference in the standard deviation of all pixels."""

    def compare(self, reference: object, candidate: object, *, seed: int = 0) -> Score:
        one = expect_images(reference)
        other = expect_alike(expect_images(candidate), one)
        return self.score(abs(self.spread(other) - self.spread(one)), one, other)

    def spread(self, images: Images) -> float:
        return float(np.nanstd(images.filled()))

    def score(self, value: float, one: Any, other: Any, **changed: Any) -> Score:
        given: dict[str, Any] = {
            "metric": self.origin.model if self.origin else "",
            "value": value,
            "n_reference": len(one),
            "n_candidate": len(other),
            "provenance": self.provenance(),
        }
        return Score(**given | changed)


class FieldSpread(Spread):
    """The same of fields."""

    compares = "fields"

    def compare(self, reference: object, candidate: object, *, seed: int = 0) -> Score:
        assert isinstance(reference, list)
        assert isinstance(candidate, list)
        spreads = [np.mean([field.data.std() for field in fields]) for fields in (reference, candidate)]
        return self.score(float(abs(spreads[0] - spreads[1])), reference, candidate)


class Middle(SequenceCaptioner):
    """The middle of an image, times a weight, through a graph."""

    def __init__(self, bundle: Bundle) -> None:
        self.session = bundle.session("scale", replace(bundle.execution, threads=1))
        self.backend = self.session.backend

    def caption(self, images: Images, *, seed: int = 0) -> list[Profile]:
        images = expect_images(images, min_size=2)
        flat = images.filled(0)[:, :, images.shape[2] // 2, :1]
        scaled = self.session.run({"x": flat.reshape(-1, 1)})["y"]
        keys = [(name, band) for name in images.names for band in images.bands]
        return [self.profile(row, *key) for row, key in zip(scaled, keys, strict=True)]

    def profile(self, row: Any, name: str, band: str) -> Profile:
        return Profile(
            axis=np.arange(float(len(row))), values=row, name=name, band=band, stopped="edge",
            provenance=self.provenance(),
        )  # fmt: skip


def tiny_bundle(path: Path, *, weight: float = 2.0, model: str = "middle", axis: str | int = "item") -> None:
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [axis, 1]) for name in "xy"]
    constant = helper.make_tensor("weight", TensorProto.FLOAT, [1], [weight])
    body = helper.make_graph(
        [helper.make_node("Mul", ["x", "weight"], ["y"])], "scale", ends[:1], ends[1:], [constant]
    )
    graph = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    tensors = [(Tensor(name=name, dtype="float32", axes=(axis, 1)),) for name in "xy"]
    inner = "graphs/scale/1/model.onnx"
    x = np.arange(3 if axis == "item" else axis, dtype=np.float32)[:, None]
    write_bundle(
        path,
        Manifest(
            name=f"{model}-tiny",
            task=CAPTIONER,
            model=model,
            licence="CC0-1.0",
            graphs={"scale": Graph(path=inner, inputs=tensors[0], outputs=tensors[1])},
        ),
        contents={inner: graph.SerializeToString()},
        golden={"scale/inputs/x": x, "scale/outputs/y": np.float32(weight) * x},
    )


def spec(name: str, task: str, target: str, **changed: Any) -> ModelSpec:
    given: dict[str, Any] = {"summary": "A toy", "licence": "BSD-3-Clause", "example_size": SIZE}
    return ModelSpec(name=name, task=task, factory=f"{HERE}:{target}", **given | changed)


ROWS = spec("rows", CAPTIONER, "Rows", bands=("g", "r"), tiny={"first": 2})
STATIC = spec("static", GENERATOR, "Static", stochastic=True)
WHITE = spec("white", PRIOR, "White", stochastic=True)
SPREAD = spec("spread", METRIC, "Spread")
FIELD_SPREAD = spec("field-spread", METRIC, "FieldSpread")
MIDDLE = spec("middle", CAPTIONER, "Middle", weights="bundle", tiny_bundle=f"{HERE}:tiny_bundle")
TOYS = (ROWS, STATIC, WHITE, SPREAD, FIELD_SPREAD, MIDDLE)
