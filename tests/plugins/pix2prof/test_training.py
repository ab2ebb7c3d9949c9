"""How Pix2Prof learns: losses against their closed forms, and a training that learns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from skyloom import Profile
from skyloom.errors import InputError
from skyloom_pix2prof.config import Pix2ProfConfig
from skyloom_pix2prof.hyperparameters import PRESETS, LearningSettings
from skyloom_pix2prof.network.decoder import first_true
from skyloom_pix2prof.network.pix2prof import Pix2Prof
from skyloom_pix2prof.network.recurrent_decoder import (
    FLAT_EXTRA,
    RecurrentDecoder,
    with_plateau,
)
from skyloom_pix2prof.network.transformer_decoder import TransformerDecoder
from skyloom_pix2prof.sources import source
from skyloom_pix2prof.training import Pix2ProfSettings, ProfileTask, trainable, typical_errors
from skyloom_train import train
from skyloom_train.overrides import choose
from skyloom_train.records import read_table

TINY = {
    "crop": 32, "width": 2, "hidden": 8, "layers": 2, "heads": 2, "floor": 0.0, "ceiling": 2.0,
    "dropout": 0.0, "offset": (23.0,), "scale": (2.0,), "rectified": False,
    "halting_window": 10, "max_steps": 60,
}  # fmt: skip


def settings(
    decoder: str = "gru", *, network: dict[str, object] | None = None, **learning: object
) -> Pix2ProfSettings:
    return Pix2ProfSettings.model_validate(
        {
            "network": {**TINY, "decoder": decoder, **(network or {})},
            "data": {"margin": 2, "wobble": 1.0, "validation_galaxies": 2},
            "learning": learning,
            "loop": {
                "batch_size": 3,
                "steps": 4,
                "workers": 0,
                "validate_every": 2,
                "save_every": 2,
                "threads": 1,
            },
        }
    )


def batch(steps: int = 12, channels: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    values = 23 + 2 * torch.randn(3, steps, channels, generator=generator)
    lengths = torch.tensor([steps, 7, 4])
    values[torch.arange(steps) >= lengths[:, None]] = torch.nan
    return {"images": torch.randn(3, 1, 32, 32, generator=generator), "values": values, "lengths": lengths}


def test_a_plateau_continues_each_profile_with_its_last_value() -> None:
    config = Pix2ProfConfig.model_validate(TINY)
    given = batch()
    values, weights = with_plateau(given["values"], given["lengths"], config, 0.25)
    flat = config.halting_window + FLAT_EXTRA
    assert values.shape == (3, 12 + flat, 1)
    for row, length in enumerate(given["lengths"].tolist()):
        assert torch.equal(values[row, :length], given["values"][row, :length])
        assert (values[row, length:] == given["values"][row, length - 1]).all()
        assert weights[row].tolist() == [1.0] * length + [0.25] * flat + [0.0] * (12 - length)
        # long enough for the rule, as the captioner applies it
        tail = values[row, : length + flat, 0].numpy()
        assert tail[-config.halting_window :].std() <= config.halting_tolerance


def test_a_profile_of_no_steps_weighs_nothing() -> None:
    config = Pix2ProfConfig.model_validate(TINY)
    values = torch.full((2, 5, 1), torch.nan)
    values[0] = 20.0
    _, weights = with_plateau(values, torch.tensor([5, 0]), config, 0.1)
    assert weights[1].sum() == 0


def test_teacher_forcing_gives_the_true_values_before_each_step() -> None:
    task = ProfileTask(settings(teacher=(1.0, 1.0), plateau=0.5))
    given = batch()
    found = task.loss("network", given, 0.5)["loss"]
    values, weights = with_plateau(given["values"], given["lengths"], task.config, 0.5)
    task.network.train()
    decoder = task.network.decoder
    assert isinstance(decoder, RecurrentDecoder)
    before = torch.cat([torch.zeros(3, 1, 1), (values[:, :-1] - 23) / 2], 1)
    told = decoder.values(decoder(task.network.encode(given["images"]), before))
    expected = (((told - values) / 2) ** 2 * weights[..., None]).sum() / weights.sum()
    assert torch.isclose(found, expected, rtol=1e-5)


def test_without_a_teacher_it_is_given_its_own_values() -> None:
    task = ProfileTask(settings(teacher=(0.0, 0.0), loss="l1"))
    task.network.eval()
    given = batch()
    found = task.loss("network", given, 0.0)["loss"]
    values, weights = with_plateau(given["values"], given["lengths"], task.config, 0.1)
    decoder = task.network.decoder
    assert isinstance(decoder, RecurrentDecoder)
    code = task.network.encode(given["images"])
    free = decoder.values(decoder.unroll(code, values.shape[1]))
    expected = ((free - values).abs() / 2 * weights[..., None]).sum() / weights.sum()
    assert torch.isclose(found, expected, rtol=1e-4)
    tokens = decoder.own_tokens(code, 5)
    assert torch.allclose(tokens[:, 1:] * 2 + 23, free[:, :4], atol=1e-5)
    assert not tokens.requires_grad
    assert (tokens[:, 0] == 0).all()


def test_the_teacher_leaves_as_the_training_goes_on() -> None:
    task = ProfileTask(settings(teacher=(1.0, 0.0)))
    task.network.eval()
    given = batch()
    forced, free = (
        float(_with(task, teacher).loss("network", given, 0.0)["loss"].detach())
        for teacher in ((1.0, 1.0), (0.0, 0.0))
    )
    assert forced != free
    for progress, share in ((0.0, 1.0), (0.5, 0.5), (1.0, 0.0)):
        torch.manual_seed(3)
        drawn = [float(task.loss("network", given, progress)["loss"].detach()) for _ in range(40)]
        assert abs(np.mean(np.isclose(drawn, forced)) - share) < 0.2


def _with(task: ProfileTask, teacher: tuple[float, float]) -> ProfileTask:
    other = ProfileTask(task.settings.model_copy(update={"learning": LearningSettings(teacher=teacher)}))
    other.network.load_state_dict(task.network.state_dict())
    other.network.eval()
    return other


@pytest.mark.parametrize("loss", ["mse", "l1", "huber"])
def test_the_transformer_learns_values_and_ends(loss: str) -> None:
    task = ProfileTask(settings("transformer", loss=loss, huber=0.2, stop=0.3))
    given = batch()
    task.network.eval()
    found = task.loss("network", given, 0.0)
    told, stops = task.network.decoder(task.network.encoder.encode(given["images"]), torch.arange(12.0))
    inside = torch.arange(12) < given["lengths"][:, None]
    difference = ((told[..., 0] - given["values"][..., 0]) / 2)[inside]
    each = {
        "mse": difference.square(),
        "l1": difference.abs(),
        "huber": torch.where(difference.abs() < 0.2, difference.square() / 0.4, difference.abs() - 0.1),
    }[loss]
    ends = F.binary_cross_entropy_with_logits(stops, (~inside).float())
    assert torch.isclose(found["values"], each.mean(), rtol=1e-5)
    assert torch.isclose(found["loss"], each.mean() + 0.3 * ends, rtol=1e-5)


def test_the_transformer_may_be_asked_for_some_steps_alone() -> None:
    task = ProfileTask(settings("transformer", steps=4))
    task.network.eval()
    given = batch()
    with torch.no_grad():
        losses = {float(task.loss("network", given, 0.0)["loss"]) for _ in range(5)}
    assert len(losses) > 1
    every = ProfileTask(settings("transformer"))
    every.network.load_state_dict(task.network.state_dict())
    every.network.eval()
    torch.manual_seed(0)
    with torch.no_grad():
        mean = np.mean([float(task.loss("network", given, 0.0)["stops"]) for _ in range(200)])
        assert np.isclose(mean, float(every.loss("network", given, 0.0)["stops"]), rtol=0.02)


def test_nothing_known_is_nothing_lost() -> None:
    task = ProfileTask(settings("transformer"))
    given = batch()
    given["values"][:] = torch.nan
    loss = task.loss("network", given, 0.0)
    assert loss["values"] == 0
    loss["loss"].backward()  # type: ignore[no-untyped-call]
    gradients = [weight.grad for weight in task.network.parameters() if weight.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_a_position_angle_is_the_same_after_half_a_turn() -> None:
    network: dict[str, object] = {
        "channels": ("surface_brightness", "position_angle"),
        "offset": (23.0, 90.0),
        "scale": (2.0, 45.0),
    }
    task = ProfileTask(settings("transformer", network=network))
    given = batch(channels=2)
    task.network.eval()
    turned = {**given, "values": given["values"] + torch.tensor([0.0, 180.0])}
    assert torch.isclose(task.loss("", given, 0)["loss"], task.loss("", turned, 0)["loss"], rtol=1e-4)
    other = {**given, "values": given["values"] + torch.tensor([0.0, 90.0])}
    assert not torch.isclose(task.loss("", given, 0)["loss"], task.loss("", other, 0)["loss"], rtol=1e-2)


def test_the_first_true_step_of_each_row() -> None:
    marks = torch.tensor([[False, True, True], [False, False, False], [True, False, False]])
    assert first_true(marks).tolist() == [1, 3, 0]


def test_a_recurrent_sequence_ends_where_its_plateau_begins() -> None:
    """With weights that let the decoder repeat one value, it has no profile at all."""
    config = Pix2ProfConfig.model_validate(TINY)
    network = Pix2Prof(config).eval()
    for weight in network.decoder.parameters():
        torch.nn.init.zeros_(weight)
    values, lengths = network(torch.zeros(2, 1, 32, 32), 15)
    assert values.shape == (2, 15, 1)
    assert (values == 23).all()
    assert lengths.tolist() == [0, 0]
    restless = Pix2Prof(config.model_copy(update={"halting_tolerance": 0.0})).eval()
    assert restless(torch.randn(2, 1, 32, 32), 15)[1].tolist() == [15, 15]


def test_the_transformer_ends_at_its_first_positive_logit() -> None:
    network = Pix2Prof(Pix2ProfConfig.model_validate(TINY | {"decoder": "transformer"})).eval()
    assert isinstance(network.decoder, TransformerDecoder)
    torch.nn.init.zeros_(network.decoder.end.weight)
    for bias, length in ((1.0, 0), (-1.0, 9)):
        torch.nn.init.constant_(network.decoder.end.bias, bias)
        assert network(torch.zeros(2, 1, 32, 32), 9)[1].tolist() == [length, length]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("decoder", ["gru", "reinject", "transformer", "ellipses"])
def test_every_decoder_trains(decoder: str, tmp_path: Path) -> None:
    outcome = train(
        trainable(), settings(decoder), tmp_path / "run", model="pix2prof", task="sequence-captioner"
    )
    assert outcome.finished
    assert set(outcome.figures) == {"deviation", "deviation_all", "length_error"}
    config = json.loads((outcome.checkpoint / "config.json").read_text())
    found = Pix2ProfConfig.model_validate(config["config"])
    assert found.model_copy(update={"errors": ()}) == settings(decoder).network


def test_typical_errors_are_the_width_of_the_deviations() -> None:
    """Of Gaussian deviations, 68% are within one standard deviation."""
    random = np.random.default_rng(1)
    truths, found = [], []
    for _ in range(400):
        values = np.arange(20.01, 26, 0.05)
        told = values + np.where(values < 23, 0.001, 0.004) * random.standard_normal(len(values))
        truths.append(Profile(axis=np.arange(float(len(values))), values=values))
        found.append(Profile(axis=np.arange(150.0), values=np.pad(told, (0, 150 - len(told)), mode="edge")))
    errors = typical_errors(truths, found)
    assert [level for level, _ in errors] == [20.25 + 0.5 * number for number in range(12)]
    np.testing.assert_allclose([error for _, error in errors[:6]], 0.001, rtol=0.06)
    np.testing.assert_allclose([error for _, error in errors[6:]], 0.004, rtol=0.06)
    assert typical_errors(truths[:1], found[:1]) == ()  # of ten steps a bin, nothing can be said
    config = Pix2ProfConfig.model_validate({"errors": errors})
    assert config.errors == errors
    with pytest.raises(ValueError, match="which do not increase"):
        Pix2ProfConfig.model_validate({"errors": errors[::-1]})


@pytest.mark.no_cover
@pytest.mark.usefixtures("installed")
def test_a_training_learns_and_its_bundle_tells_profiles(tmp_path: Path) -> None:
    """From simulated galaxies to a bundle whose profiles are nearer to the truth than a mean profile."""
    import skyloom
    from skyloom.images import Images
    from skyloom_export.cli import run as export
    from skyloom_sky.mock import CONFIGS, MockSky

    chosen = choose(
        trainable(),
        assignments=[
            "network.width=4", "network.hidden=32", "network.crop=48", "network.layers=1", "data.margin=2",
            "loop.steps=80", "loop.batch_size=12", "loop.workers=0", "loop.validate_every=40",
            "loop.warmup=10", "learning.rate=0.005", "data.validation_galaxies=4", "loop.average=0.9",
            "network.passes=2",
        ],
    )  # fmt: skip
    outcome = train(trainable(), chosen, tmp_path / "run", model="pix2prof", task="sequence-captioner")
    losses = read_table(tmp_path / "run/training.csv")["loss"]
    assert np.mean(losses[-3:]) < 0.6 * np.mean(losses[:3])
    export(outcome.checkpoint, tmp_path / "bundle")
    captioner = skyloom.load(tmp_path / "bundle")
    sky = MockSky(CONFIGS["sdss"].model_copy(update={"size": 48}), seed=77)
    mock = sky.batch(range(4))
    images = Images.from_array(
        mock.images.data, mock.images.bands, pixel_scale=mock.images.pixel_scale, zero_point=22.5,
        unit="nmgy", names=list(mock.images.names),
    )  # fmt: skip
    truths = [profile for row in mock.pairs(CONFIGS["sdss"].survey).profiles for profile in row]
    score = skyloom.load("profile-deviation").compare(truths, captioner.caption(images))
    mean = np.nanmean(
        [np.interp(np.arange(48) * 0.2, t.axis, t.values, right=np.nan) for t in truths], axis=0
    )
    scatter = np.median([np.median(np.abs(t.values[:48] - mean[: len(t.values)])) for t in truths])
    assert score.value < 0.8 * scatter
    assert captioner.config.errors


@pytest.mark.no_cover
def test_the_default_preset_learns_shapes_from_a_folder(installed: None, tmp_path: Path) -> None:
    """The ellipses that are learned from the tables of simulated galaxies are those of the simulation."""
    from skyloom_sky.mock import CONFIGS, MockSky
    from skyloom_sky.writing import write_galaxies

    sky = MockSky(CONFIGS["sdss"].model_copy(update={"size": 52}), seed=3)
    folder = write_galaxies(sky, tmp_path / "pairs", count=12)
    chosen = choose(
        trainable(),
        assignments=[
            "data.source=folder", f"data.folder={folder}", "data.cut=false",
            "network.width=4", "network.hidden=16", "network.crop=48", "network.layers=1", "network.passes=2",
            "data.galaxies=1", "data.turns=false", "data.flips=false", "data.wobble=0", "loop.steps=40",
            "loop.batch_size=3", "loop.workers=0", "loop.validate_every=40", "loop.warmup=2",
            "learning.rate=0.01", "loop.average=0.9", "data.validation_galaxies=1",
        ],
    )  # fmt: skip
    assert isinstance(chosen, Pix2ProfSettings)
    assert chosen.network.decoder == "ellipses"
    pairs = source(chosen.network, chosen.data)
    for profile in pairs.read(0).profiles:
        number = int(profile.name.rpartition("-")[2])
        truth = sky.truth(number).profile(profile.band, survey=sky.config.survey)
        steps = min(len(profile), len(truth))
        found, true = (
            one.columns["ellipticity"][:steps]
            * np.exp(2j * np.radians(one.columns["position_angle"][:steps]))
            for one in (profile, truth)
        )
        assert steps > 10
        assert np.isfinite(found).any()
        np.testing.assert_allclose(found, true, atol=1e-6)
    train(trainable(), chosen, tmp_path / "run", model="pix2prof", task="sequence-captioner")
    table = read_table(tmp_path / "run/training.csv")
    assert table["bend"][-1] < 0.6 * table["bend"][0]
    assert table["loss"][-1] < 0.8 * table["loss"][0]
    assert not np.any(table["centre"])  # no table says where the centre is


def test_presets_are_valid() -> None:
    for name in PRESETS:
        assert isinstance(choose(trainable(), assignments=[f"preset={name}"]), Pix2ProfSettings)


def test_teachers_are_probabilities() -> None:
    with pytest.raises(ValueError, match="which are not two probabilities"):
        LearningSettings(teacher=(0.4, 1.5))


def test_a_validation_without_a_value_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = choose(trainable(), assignments=["network.width=2", "network.crop=32", "network.passes=1"])
    task = ProfileTask(Pix2ProfSettings.model_validate(settings.model_dump()))
    nothing = Profile(axis=np.empty(0), values=np.empty(0), stopped="masked")
    monkeypatch.setattr(
        "skyloom_pix2prof.training.validation_set",
        lambda *_: (np.zeros((1, 1, 32, 32), np.float32), [nothing]),
    )
    with pytest.raises(InputError, match="none of the 1 profiles for validation has a value"):
        task.validate(task.modules)
