"""The graphs are the network, for every decoder, and stop where the published rule stops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from skyloom.errors import CheckpointError
from skyloom.execution import Execution
from skyloom.runtime import open_session
from skyloom_export.bundling import make_graph
from skyloom_pix2prof.config import Pix2ProfConfig
from skyloom_pix2prof.graphs import declare, graphs
from skyloom_pix2prof.mock_images import mock_images
from skyloom_pix2prof.network.pix2prof import Pix2Prof
from skyloom_pix2prof.network.random_weights import random_network
from skyloom_pix2prof.network.stopping import CaptionerGraph, DecoderGraph
from skyloom_pix2prof.tolerances import ALLOWED, ALLOWED_PARALLEL, captioner_error

from . import tiny


def config(**changes: Any) -> Pix2ProfConfig:
    return tiny.CONFIG.model_copy(update=changes)


def started(net: Pix2Prof, code: torch.Tensor) -> dict[str, torch.Tensor]:
    settings, count = net.config, len(code)
    return {
        "token": torch.zeros(count, 1),
        "state": code[:, None].expand(-1, settings.layers, -1).contiguous(),
        "recent": torch.zeros(count, settings.halting_window),
        "count": torch.zeros(count, dtype=torch.int64),
        "ticks": torch.zeros(settings.max_steps),
    }


def test_the_loop_ends_where_the_published_rule_ends() -> None:
    net = tiny.network()
    images = mock_images(net.config, 12, seed=8)
    with torch.no_grad():
        code = net.encode(torch.from_numpy(images))
        values, *_, count, halted = DecoderGraph(net)(**started(net, code))
    expected = [tiny.published(net, image[0]) for image in images]
    assert count.tolist() == [len(told) for told in expected]
    assert len(set(count.tolist())) > 4
    assert halted.all()
    for row, told in zip(values[..., 0].numpy(), expected, strict=True):
        np.testing.assert_allclose(row[: len(told)], told, atol=1e-4)
    assert (values[:, int(count.max()) :] == 0).all()  # the batch ended with its last galaxy


@pytest.mark.parametrize(("stem", "passes"), [("3x3", ("winograd",)), ("standard", ()), ("patch", ())])
def test_minimal_filtering_is_for_the_stem_whose_maps_are_wide(stem: str, passes: tuple[str, ...]) -> None:
    encoder, _ = declare(random_network(config(stem=stem)), variants=False).graphs
    assert encoder.extra_passes == passes


def test_a_graph_that_reinjects_is_its_network() -> None:
    net = random_network(config(decoder="reinject", layers=1))
    _, declaration = declare(net, variants=False).graphs
    made = make_graph(declaration)
    assert max(verdict.excess for verdict in made.verdicts) <= 1
    session = open_session(made.data, Execution("cpu", threads=1))
    code = net.encode(torch.from_numpy(mock_images(net.config, 5))).detach()
    inputs = {**started(net, code), "code": code}
    with torch.no_grad():
        expected = dict(zip(declaration.outputs, DecoderGraph(net)(**inputs), strict=True))
    found = session.run({name: tensor.numpy() for name, tensor in inputs.items()})
    np.testing.assert_array_equal(found["next_count"], expected["next_count"])
    np.testing.assert_allclose(found["values"], expected["values"], atol=1e-4)


def test_a_transformer_is_one_graph_that_stops_by_itself() -> None:
    net = random_network(config(decoder="transformer", heads=2, rectified=False))
    (declaration,) = declare(net, variants=False).graphs
    assert (declaration.name, declaration.outputs) == ("captioner", ("values", "count", "halted"))
    images = torch.from_numpy(mock_images(net.config, 3))
    assert not isinstance(net.decoder, str)
    end: Any = net.decoder.end
    with torch.no_grad():
        _, count, halted = CaptionerGraph(net)(images)
        assert (count == net.config.reach).all()
        assert not halted.any()
        torch.manual_seed(1)
        end.weight.normal_()
        values, count, halted = CaptionerGraph(net)(images)
        stops = net.decoder(net.encoder.encode(images), torch.arange(float(net.config.reach)))[1]
    assert values.shape == (3, net.config.reach, 1)
    made = make_graph(declaration)  # traced with the weights that end it
    assert {verdict.output for verdict in made.verdicts if verdict.passed} == set(declaration.outputs)
    found = open_session(made.data, Execution("cpu", threads=1)).run({"image": images.numpy()})
    np.testing.assert_array_equal(found["count"], count)
    np.testing.assert_allclose(found["values"], values, atol=1e-3)
    for length, row, end_found in zip(count.tolist(), stops, halted.tolist(), strict=True):
        positive = np.flatnonzero(row.numpy() > 0)
        assert length == (positive[0] if len(positive) else net.config.reach)
        assert end_found == bool(len(positive))


def test_a_checkpoint_becomes_graphs(tmp_path: Path) -> None:
    net = tiny.network()
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    made = graphs(tiny.CONFIG.model_dump(), tmp_path / "weights.safetensors")
    assert [graph.name for graph in made.graphs] == ["encoder", "decoder"]
    assert made.manifest["pixel_scale"] == 0.4
    assert Pix2ProfConfig.model_validate(made.manifest["settings"]) == tiny.CONFIG
    assert {variant.precision for variant in made.graphs[0].variants} == {"bf16"}
    with pytest.raises(CheckpointError, match="not valid at 'width'"):
        graphs({"width": 0}, tmp_path / "weights.safetensors")
    with pytest.raises(CheckpointError, match="do not fit the configuration"):
        graphs({**tiny.CONFIG.model_dump(), "hidden": 12}, tmp_path / "weights.safetensors")


def test_a_form_of_the_encoder_is_judged_by_the_profiles_it_leads_to() -> None:
    net = tiny.network()
    variant = declare(net).graphs[0].variants[0]

    def encoded(shift: float) -> Any:
        def run(inputs: Any) -> dict[str, Any]:
            with torch.no_grad():
                return {"code": net.encode(torch.from_numpy(inputs["image"])).numpy() + np.float32(shift)}

        return run

    assert variant.measure(encoded(0.0)) < 1e-4
    assert variant.measure(encoded(0.5)) > variant.measure(encoded(0.1)) > 0.01
    assert variant.allowed == 0.05
    working = {"batch": 1, "rows": 32, "columns": 32}
    assert declare(net).graphs[0].grid[0] == working


def test_a_form_of_the_encoder_that_changes_when_sequences_end_is_judged_by_that() -> None:
    net = tiny.network()
    judge = declare(net).graphs[0].variants[0].measure
    with torch.no_grad():
        slow = net.encode(torch.from_numpy(mock_images(net.config, 1))).numpy()

    def exact(inputs: Any) -> dict[str, Any]:
        with torch.no_grad():
            return {"code": net.encode(torch.from_numpy(inputs["image"])).numpy()}

    def lengthened(inputs: Any) -> dict[str, Any]:
        code = exact(inputs)["code"]
        code[:, 0] = slow[:, 0] + 2.0  # the first unit sets the pace of all others
        return {"code": code}

    assert judge(exact) < 1e-4
    assert judge(lengthened) > ALLOWED


def test_a_form_of_the_captioner_is_judged_by_brightness_and_length() -> None:
    net = random_network(config(decoder="transformer", heads=2, rectified=False))
    answering = CaptionerGraph(net)
    judge = captioner_error(net)

    def told(*, fainter: float = 0.0, longer: int = 0, every: int = 1) -> float:
        number = 0

        def run(inputs: Any) -> dict[str, Any]:
            nonlocal number
            number += 1
            hit = number % every == 0
            with torch.no_grad():
                values, count, halted = (one.numpy() for one in answering(torch.from_numpy(inputs["image"])))
            return {"values": values + fainter * hit, "count": count - longer * hit, "halted": halted}

        return judge(run)

    assert told() == 0.0
    assert told(fainter=0.004) == pytest.approx(0.004, rel=0.05)
    assert told(fainter=0.02) > ALLOWED_PARALLEL
    assert told(longer=5) == 0.0
    assert told(longer=6) > ALLOWED_PARALLEL
    assert told(fainter=1.0, every=32) < ALLOWED_PARALLEL < told(fainter=1.0, every=16)  # not by the median
    assert told(fainter=np.nan) == np.inf


def test_mock_galaxies_come_in_the_scale_and_unit_of_the_network() -> None:
    one = mock_images(config(crop=24, floor=0.0, ceiling=1.0, clip_percentile=100.0, pixel_scale=0.396), 4)
    assert one.shape == (4, 1, 24, 24)
    assert (one[:, 0, 11:13, 11:13].mean((1, 2)) > 3 * np.abs(one[:, 0, 0]).mean(1)).all()
    other = mock_images(
        config(crop=24, floor=0.0, ceiling=1.0, clip_percentile=100.0, pixel_scale=0.396, zero_point=25.0), 4
    )
    np.testing.assert_allclose(other, 10 * one, rtol=1e-4, atol=1e-4)
