"""A decoder that fits ellipses: where it samples the image, what it finds there, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from skyloom.execution import Execution
from skyloom.runtime import open_session
from skyloom_export.bundling import make_graph
from skyloom_pix2prof.config import Pix2ProfConfig
from skyloom_pix2prof.decoding import with_angles
from skyloom_pix2prof.graphs import declare
from skyloom_pix2prof.mock_images import mock_images
from skyloom_pix2prof.network import ellipse_decoder, ellipse_pass
from skyloom_pix2prof.network.ellipse_decoder import EllipseDecoder, bend_of
from skyloom_pix2prof.network.ellipse_pass import EllipsePass
from skyloom_pix2prof.network.pix2prof import Pix2Prof
from skyloom_pix2prof.network.random_weights import random_network
from skyloom_pix2prof.network.stopping import CaptionerGraph

SMALL = {
    "width": 4, "hidden": 16, "layers": 1, "decoder": "ellipses", "crop": 96, "knots": 24, "angles": 24,
    "floor": 0.0, "ceiling": 20.0, "stretch": "asinh", "softening": 0.0025, "max_steps": 95,
    "offset": (23.0,), "scale": (2.0,), "rectified": False, "dropout": 0.0,
}  # fmt: skip
SHAPED = {
    "channels": ("surface_brightness", "ellipticity", "position_angle"),
    "offset": (23.0, 0.0, 0.0),
    "scale": (2.0, 1.0, 180.0),
}


def network(**changes: object) -> Pix2Prof:
    torch.manual_seed(3)
    return Pix2Prof(Pix2ProfConfig.model_validate({**SMALL, **changes})).eval()


def decoder(net: Pix2Prof) -> EllipseDecoder:
    assert isinstance(net.decoder, EllipseDecoder)
    return net.decoder


def a_pass(net: Pix2Prof, number: int) -> EllipsePass:
    found = decoder(net).passes[number]
    assert isinstance(found, EllipsePass)
    return found


def unsettle(looking: torch.nn.Module) -> None:
    """Let a pass say something, as a trained one does."""
    assert isinstance(looking, EllipsePass)
    for layer in (looking.shape, looking.tokens, looking.sky, looking.end):
        layer.weight.normal_(std=0.1)


def disc(net: Pix2Prof, *, scale: float = 12.0, x: float = 0.0, y: float = 0.0) -> Tensor:
    """Return a prepared image of a face-on exponential disc of 1 nmgy a pixel in its middle."""
    config = net.config
    rows, columns = np.mgrid[: config.crop, : config.crop] - (config.crop - 1) / 2
    light = np.exp(-np.hypot(columns - x, rows - y) / scale) / (config.ceiling * config.softening)
    image = np.arcsinh(light) / np.arcsinh(1 / config.softening)
    return torch.from_numpy(image.astype(np.float32))[None, None]


def test_points_lie_on_the_ellipse() -> None:
    """Position angles run from +y towards -x; the radius of an ellipse is its semi-major axis."""
    net = network()
    ellipticity, angle, centre = 0.6, 25.0, torch.tensor([[1.5, -2.0]])
    bend = bend_of(torch.full((1, 24), ellipticity), torch.full((1, 24), angle))
    points = decoder(net)._points(centre, bend) - centre
    turn = np.radians(angle)
    along = -np.sin(turn) * points[..., 0] + np.cos(turn) * points[..., 1]
    across = np.cos(turn) * points[..., 0] + np.sin(turn) * points[..., 1]
    radius = torch.hypot(along, across / (1 - ellipticity))
    torch.testing.assert_close(radius, decoder(net).radii[:, None].expand(24, 24)[None], rtol=1e-4, atol=1e-4)


def test_light_is_read_where_the_points_are() -> None:
    """A plane is interpolated exactly, at every level that holds all pixels around a point."""
    net = network()
    rows, columns = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    image = (2 * (columns - 47.5) + 0.5 * (rows - 47.5))[None, None]
    levels = [image]
    for _ in decoder(net).parts[1:]:
        levels.append(torch.nn.functional.avg_pool2d(levels[-1], 2))
    assert len(levels) > 1
    points = 0.8 * decoder(net)._points(torch.zeros(1, 2), torch.zeros(1, 24, 2))
    found = decoder(net)._light(levels, points + 47.5)
    torch.testing.assert_close(found, 2 * points[..., 0] + 0.5 * points[..., 1], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("stem", ["standard", "3x3", "patch"])
@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize("size", [96, 101])
def test_marks_are_read_from_the_cell_that_sees_the_point(stem: str, stage: int, size: int) -> None:
    """What a cell in the middle of a map sees is centred on the place that the decoder gives it."""
    net = network(stem=stem, crop=size).double()
    image = torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(0)).double()
    image.requires_grad_()
    for module in net.encoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.ones_(module.weight)
    maps = net.encoder.maps(image + 100)  # nothing is clipped by the ReLU
    cells = maps[stage].shape[-1]
    row, column = cells // 2, cells // 2 - 1
    (seen,) = torch.autograd.grad(maps[stage][0, 0, row, column], image)
    y, x = torch.meshgrid(torch.arange(float(size)), torch.arange(float(size)), indexing="ij")
    weights = seen[0, 0] / seen.sum()
    centre = torch.stack([(weights * x).sum(), (weights * y).sum()])
    places = torch.meshgrid(torch.arange(float(cells)), torch.arange(float(cells)), indexing="ij")
    marks = [torch.zeros(1, 2, *found.shape[2:]) for found in maps[:2]]
    marks[stage] = torch.stack([places[1], places[0]])[None]
    told = decoder(net)._marks(marks, centre.float()[None, None, None])
    # which of its cells the pooling of the standard stem takes is left to chance
    near = torch.tensor([column, row], dtype=torch.float32)
    torch.testing.assert_close(told[0, 0, 0], near, rtol=0, atol=0.2 if stem == "standard" else 0.01)


def test_an_untrained_network_reads_the_mean_around_circles() -> None:
    net = network()
    with torch.no_grad():
        told, _ = net(disc(net), 95)
    radius = np.arange(95) * 0.2
    truth = 22.5 + 2.5 * np.log10(0.396**2) + 2.5 / np.log(10) * radius / 0.396 / 12
    assert np.abs(told[0, 1:90, 0].numpy() - truth[1:90]).max() < 0.03


def test_sky_is_taken_off_before_the_logarithm() -> None:
    net = network()
    looking = a_pass(net, 0)
    level = torch.asinh(torch.tensor([[400.0]])) / np.arcsinh(400)  # 20 nmgy
    step = 0.1 * 0.0025 * 20  # nmgy for a sky of 1
    for sky in (0.0, 800.0):
        value = 23 + 2 * looking.brightness(level, torch.tensor([[sky]]))
        assert value.item() == pytest.approx(22.5 - 2.5 * np.log10((20 - sky * step) / 0.396**2), abs=1e-3)
    assert torch.isfinite(looking.brightness(-level, torch.tensor([[1e4]])))


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (3.0, -2.0)])
def test_waves_point_to_the_centre(x: float, y: float) -> None:
    """What the passes are given to move by: light that is brighter on one side of a circle."""
    net = network()
    points = decoder(net)._points(torch.zeros(1, 2), torch.zeros(1, 24, 2))
    levels = [disc(net, x=x, y=y)]
    for _ in decoder(net).parts[1:]:
        levels.append(torch.nn.functional.avg_pool2d(levels[-1], 2))
    light = decoder(net)._light(levels, points + 47.5)
    around = ellipse_pass.circle(24, torch.device("cpu"))
    uneven = light - light.mean(2, keepdim=True)
    slope = ellipse_pass.gradient(light.mean(2), decoder(net).radii)
    for wave, shift in zip(around, (x, y), strict=True):
        moves = -2 * (uneven * wave).mean(2) / slope
        np.testing.assert_allclose(moves[0, 14:-2], shift, atol=0.15 * max(abs(x), abs(y)) + 0.01)


def test_steps_between_knots() -> None:
    net = network()
    places = torch.asinh(decoder(net).radii / ellipse_decoder.CORE)
    steps = torch.arange(95.0)
    found = decoder(net).at(steps, places[None, :, None])[0, :, 0]
    torch.testing.assert_close(
        found, torch.asinh(steps * 0.2 / 0.396 / ellipse_decoder.CORE), rtol=0, atol=1e-5
    )
    beyond = decoder(net).at(torch.tensor([1e4]), places[None, :, None])
    torch.testing.assert_close(beyond[0, 0, 0], places[-1])


def test_ellipses_are_never_lines() -> None:
    bent = ellipse_pass.bounded(torch.tensor([[3.0, -4.0], [0.3, 0.0], [0.0, 0.0]]))
    torch.testing.assert_close(bent, torch.tensor([[0.54, -0.72], [0.3, 0.0], [0.0, 0.0]]))


def test_the_ellipses_say_their_shape() -> None:
    net = network(**SHAPED)
    last = a_pass(net, -1)
    with torch.no_grad():
        last.shape.bias[3:] = bend_of(torch.tensor(0.4), torch.tensor(160.0))
        told = net(disc(net), 30)[0].numpy()
    assert with_angles(told, net.config)[0, :, 1:] == pytest.approx(np.tile([0.4, 160.0], (30, 1)), abs=1e-3)
    plain = network()
    assert with_angles(told, plain.config) is told


def test_half_a_shape_is_refused() -> None:
    with pytest.raises(ValidationError, match="tell their ellipticity and position_angle together"):
        network(channels=("surface_brightness", "ellipticity"))


@pytest.mark.parametrize("stem", ["standard", "3x3", "patch"])
def test_every_weight_learns(stem: str) -> None:
    net = network(stem=stem, **SHAPED).train()
    with torch.no_grad():
        for looking in decoder(net).passes:
            unsettle(looking)
    images = torch.rand(2, 1, 96, 96, generator=torch.Generator().manual_seed(2))
    found = decoder(net).fits(net.encoder.encode(images))
    total = torch.zeros(())
    for one in found:
        total = total + one.tokens.square().sum() + one.stops.sum() + one.centre.sum() + one.bend.sum()
    total.backward()  # type: ignore[no-untyped-call]
    lost = [name for name, value in net.named_parameters() if value.grad is None or not value.grad.any()]
    assert lost == []


def test_what_it_tells_is_one_graph() -> None:
    net = random_network(Pix2ProfConfig.model_validate({**SMALL, **SHAPED, "passes": 2}))
    (declaration,) = declare(net).graphs
    assert (declaration.name, declaration.outputs) == ("captioner", ("values", "count", "halted"))
    images = torch.from_numpy(mock_images(net.config, 3))
    with torch.no_grad():
        for looking in decoder(net).passes:
            unsettle(looking)
        steps = torch.arange(float(net.config.reach))
        peaks = net.decoder(net.encoder.encode(images), steps)[1].amax(1).sort().values
        a_pass(net, -1).end.bias.add_(-peaks[:2].mean())  # some end, and some do not
        values, count, _ = CaptionerGraph(net)(images)
    assert len(set(count.tolist())) > 1
    made = make_graph(declaration)
    assert [report.precision for report in made.reports] == ["fp16", "bf16"]
    for report in made.reports:  # each is there, or says why not
        kept = f"captioner-{report.precision}" in made.variants
        if report.precision == "bf16":
            kept = "tolerance_bf16/count" in made.entry.scientific
        assert kept == report.passed
        assert kept or report.note or report.measured > report.allowed
    assert "captioner-fp16" in made.variants
    assert {verdict.output for verdict in made.verdicts} == set(declaration.outputs)
    assert all(verdict.excess <= 1 for verdict in made.verdicts)
    found = open_session(made.data, Execution("cpu", threads=1)).run({"image": images.numpy()})
    np.testing.assert_array_equal(found["count"], count)
    np.testing.assert_allclose(found["values"], values, atol=1e-3)
