"""The network is what the paper and the published weights say it is."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from skyloom_pix2prof.config import Pix2ProfConfig
from skyloom_pix2prof.hyperparameters import LearningSettings
from skyloom_pix2prof.network.pix2prof import Pix2Prof
from skyloom_pix2prof.network.recurrent_decoder import RecurrentDecoder, moved_by_one

TINY = {"width": 4, "hidden": 16, "layers": 2, "heads": 2}
CHANNELS = ("surface_brightness", "ellipticity")


def network(**changes: object) -> Pix2Prof:
    torch.manual_seed(5)
    return Pix2Prof(Pix2ProfConfig.model_validate({**TINY, **changes})).eval()


def images(count: int = 3, rows: int = 40, columns: int = 33) -> Tensor:
    return torch.randn(count, 1, rows, columns, generator=torch.Generator().manual_seed(1))


def test_the_published_layout_with_its_sizes() -> None:
    with torch.device("meta"):
        found = {
            name: tuple(value.shape)
            for name, value in Pix2Prof(Pix2ProfConfig(stem="3x3")).state_dict().items()
        }
    expected = {
        "encoder.conv1.weight": (64, 1, 3, 3),
        "encoder.bn1.running_mean": (64,),
        "encoder.layer2.0.shortcut.0.weight": (128, 64, 1, 1),
        "encoder.layer4.0.shortcut.1.running_var": (512,),
        "encoder.layer4.1.conv2.weight": (512, 512, 3, 3),
        "encoder.fc1.weight": (512, 512),
        "encoder.fc1.bias": (512,),
        "decoder.gru.weight_ih_l0": (1536, 1),
        "decoder.gru.weight_hh_l2": (1536, 512),
        "decoder.gru.bias_ih_l1": (1536,),
        "decoder.fc.weight": (1, 512),
        "decoder.fc.bias": (1,),
    }
    assert {name: found.get(name) for name in expected} == expected
    assert "encoder.layer1.0.shortcut.0.weight" not in found
    # conv1; bn1; 4 stages of 4 batch norms and convolutions, 3 projections; fc1; GRU; fc
    convolutions = 576 + 4 * 36_864 + 36_864 * (2 + 3 * 4) + 36_864 * (8 + 3 * 16) + 36_864 * (32 + 3 * 64)
    projections = 64 * 128 + 128 * 256 + 256 * 512
    norms = 2 * (64 * 5 + 128 * 5 + 256 * 5 + 512 * 5)
    gru = 1536 * (1 + 512 + 2) + 2 * 1536 * (512 + 512 + 2)
    numbers = sum(
        torch.Size(shape).numel()
        for name, shape in found.items()
        if "running" not in name and "num_batches" not in name
    )
    assert numbers == convolutions + projections + norms + 512 * 513 + gru + 513


@pytest.mark.parametrize(("stem", "reduction"), [("standard", 32), ("3x3", 8)])
def test_any_size_of_image(stem: str, reduction: int) -> None:
    net = network(stem=stem)
    for rows, columns in ((64, 96), (33, 40), (8, 8)):
        features = net.encoder.maps(images(2, rows, columns))[-1]
        assert features.shape == (2, 32, -(-rows // reduction), -(-columns // reduction))
        assert net.encode(images(2, rows, columns)).shape == (2, 16)


def unrolled(net: Pix2Prof, given: Tensor, steps: int) -> Tensor:
    assert isinstance(net.decoder, RecurrentDecoder)
    return net.decoder.values(net.decoder.unroll(net.encode(given), steps))


@pytest.mark.parametrize("decoder", ["gru", "reinject"])
@pytest.mark.parametrize("channels", [CHANNELS[:1], CHANNELS])
def test_teacher_forcing_with_its_own_values_is_unrolling(decoder: str, channels: tuple[str, ...]) -> None:
    net = network(decoder=decoder, channels=channels, offset=(24.0,), scale=(2.0,), rectified=False)
    assert isinstance(net.decoder, RecurrentDecoder)
    with torch.no_grad():
        code = net.encode(images())
        free = net.decoder.unroll(code, 12)
        forced = net.decoder(code, moved_by_one(free))
    assert free.shape == (3, 12, len(channels))
    assert free.std() > 0
    torch.testing.assert_close(forced, free, rtol=0, atol=5e-6)
    torch.testing.assert_close(net(images(), 12)[0], 24 + 2 * free)


def test_the_published_step_by_the_modules_of_torch() -> None:
    """The encoding is the first state of all layers; the start token is 0; each value is fed back."""
    net = network()
    assert isinstance(net.decoder, RecurrentDecoder)
    gru, fc = net.decoder.gru, net.decoder.fc
    with torch.no_grad():
        fc.bias.add_(0.3)  # ReLU would hide everything below
        state = net.encode(images())[None].repeat(2, 1, 1)
        value, expected = torch.zeros(3, 1, 1), []
        for _ in range(9):
            output, state = gru(value, state)
            value = torch.relu(fc(torch.relu(output)))
            expected.append(value)
        assert float(torch.cat(expected).std()) > 0
        torch.testing.assert_close(unrolled(net, images(), 9), torch.cat(expected, 1), rtol=0, atol=1e-6)


def test_reinjection_reaches_every_step() -> None:
    """A GRU that keeps nothing of its past still knows the encoding when it is fed in again."""
    spread = {}
    for decoder in ("gru", "reinject"):
        net = network(decoder=decoder, rectified=False)
        with torch.no_grad():
            for layer in range(2):
                getattr(net.decoder.gru, f"bias_ih_l{layer}")[16:32] = -30.0  # the update gate: forget all
            spread[decoder] = float(unrolled(net, images(), 20)[:, -1].std())
    assert spread["gru"] < 1e-6 < spread["reinject"]


@pytest.mark.parametrize("decoder", ["gru", "reinject", "transformer"])
def test_every_weight_learns(decoder: str) -> None:
    net = network(decoder=decoder, rectified=False).train()
    batch = {"values": torch.rand(3, 6, 1), "lengths": torch.tensor([6, 3, 1])}
    net.decoder.losses(net.encoder.encode(images()), batch, LearningSettings(), 0.0)["loss"].backward()  # type: ignore[no-untyped-call]
    assert [name for name, value in net.named_parameters() if value.grad is None] == []


def test_dropout_acts_while_unrolling_in_training() -> None:
    net = network(rectified=False, dropout=0.5)
    for module in net.modules():
        module.training = isinstance(module, type(net.decoder))  # batch norm would change, too
    with torch.no_grad():
        assert not torch.equal(unrolled(net, images(), 5), unrolled(net, images(), 5))
        net.eval()
        assert torch.equal(unrolled(net, images(), 5), unrolled(net, images(), 5))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"channels": ["ellipticity"]}, "begin with 'surface_brightness'"),
        ({"floor": 30}, "above the floor"),
        ({"offset": [1, 2, 3]}, "offset must be one number"),
        ({"scale": [0]}, "constant"),
        ({"decoder": "transformer", "hidden": 18}, "divisible"),
        ({"decoder": "lstm"}, "known are gru, reinject, transformer, ellipses"),
        ({"colour": "red"}, "Extra inputs"),
        ({"pixel_scale": 0}, "greater than 0"),
        ({"pixel_scale": 1e308}, "less than or equal to"),
        ({"step": 1e-308}, "greater than 0"),
        ({"zero_point": 1e308}, "less than or equal to"),
        ({"floor": -1e308}, "greater than or equal to"),
        ({"softening": 1e-308}, "greater than 0"),
        ({"halting_window": 10**12}, "less than or equal to"),
        ({"scale": [1e308]}, "less than or equal to"),
        ({"errors": [[20, 1e308]]}, "less than or equal to"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Pix2ProfConfig.model_validate(changes)
