"""Sets of images: whole, the same whoever made them, and safe from the names that images have."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from astropy.table import QTable

from skyloom import Images
from skyloom.errors import BackendError, InputError, MissingExtraError, OutputError
from skyloom.testing.examples import galaxies
from skyloom_runs.image_set_result import ImageSetResult
from skyloom_runs.names import escaped, file_name, unescaped
from skyloom_runs.processes import process_engine
from skyloom_runs.results import Counts, Stored
from tests.faults import contents
from tests.runs.toy_captioner import profile_files
from tests.runs.toy_models import Patches, inpaint, sample

from .test_profile import left_behind

COUNT = 11
ODD = [
    "", ".", "..", ".hidden", "a/b", "/etc/passwd", "a\nb", "a\0b", " blank ", "back\\x41slash", "\\x",
    "a.fits", ".fits", "*?[a]", "{band}", "~", "galaxy\udcff", "Größe ★", "twice", "twice", "twice~2",
]  # fmt: skip
DISTINCT = [*ODD[:-2], "twice~3", "twice~2"]
endings = pytest.mark.parametrize("ending", ["", ".zarr"])


def drawn(count: int = COUNT, first: int = 0) -> Images:
    return Patches().sample(count, seed=5, first=first)


def same_meaning(found: Images, images: Images) -> bool:
    return all(
        getattr(found, what) == getattr(images, what)
        for what in ("bands", "pixel_scale", "zero_point", "unit", "shape")
    )


@endings
def test_samples_are_those_of_the_prior(tmp_path: Path, ending: str) -> None:
    output = tmp_path / f"out{ending}"
    seen: list[tuple[int, int]] = []
    summary = sample(output, COUNT, progress=lambda *done: seen.append(done))
    assert (summary.counts.inputs, summary.counts.results, summary.failures) == (COUNT, COUNT, ())
    assert seen == [(done, COUNT) for done in (0, 4, 8, 11)]
    found, images = Images.open(output), drawn()
    assert same_meaning(found, images)
    assert found.mask is None
    np.testing.assert_array_equal(found.data, images.data)
    assert [batch.shape[0] for batch in Images.stream(output, batch_size=4)] == [4, 4, 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.name]


def test_a_folder_holds_the_files_that_images_write(tmp_path: Path) -> None:
    sample(tmp_path / "out", COUNT)
    assert Images.open(tmp_path / "out").names == tuple(f"{number:02d}" for number in range(COUNT))
    for number, image in enumerate(drawn()):
        image.to_fits(tmp_path / "one.fits", overwrite=True)
        assert (tmp_path / "out" / f"{number:02d}.fits").read_bytes() == (tmp_path / "one.fits").read_bytes()


def test_a_zarr_array_says_what_made_it(tmp_path: Path) -> None:
    sample(tmp_path / "out.zarr", COUNT)
    attributes = dict(zarr.open_group(tmp_path / "out.zarr", mode="r").attrs)
    provenance = Patches().provenance(5)
    assert attributes["provenance"] == provenance.header()
    assert attributes["names"] == [f"{number:02d}" for number in range(COUNT)]


@endings
def test_a_set_is_the_same_whoever_makes_it(tmp_path: Path, ending: str) -> None:
    whole, output = tmp_path / f"whole{ending}", tmp_path / f"out{ending}"
    expected = sample(whole, COUNT)
    for number, options in enumerate([{"batch_size": 1}, {"batch_size": 100, "shard_size": 100}]):
        other = tmp_path / f"other{number}{ending}"
        sample(other, COUNT, **options)
        assert contents(other) == contents(whole), options
    assert sample(output, COUNT, engine=process_engine(2)) == expected
    assert contents(output) == contents(whole)
    assert left_behind(tmp_path) == []


@endings
@pytest.mark.parametrize(("after", "done"), [(3, 0), (6, 4), (10, 8)])
def test_an_interrupted_run_goes_on(tmp_path: Path, ending: str, after: int, done: int) -> None:
    whole, output = tmp_path / f"whole{ending}", tmp_path / f"out{ending}"
    expected = sample(whole, COUNT)
    with pytest.raises(KeyboardInterrupt):
        sample(output, COUNT, Patches(fail_after=after))
    assert not output.exists()
    assert sample(output, COUNT, Patches(fail_after=COUNT - done)) == expected
    assert contents(output) == contents(whole)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"count": 12}, "a number of items of 12 where it had 11"),
        ({"seed": 6}, "seed 6 where it had 5"),
        ({"first": 1}, "first 1 where it had 0"),
    ],
)
def test_another_run_is_not_gone_on_with(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        sample(tmp_path / "out", COUNT, Patches(fail_after=6))
    with pytest.raises(OutputError, match=said):
        sample(tmp_path / "out", changed.pop("count", COUNT), None, **changed)


def test_a_sequence_can_be_drawn_in_pieces(tmp_path: Path) -> None:
    sample(tmp_path / "out", 4, first=7)
    found = Images.open(tmp_path / "out")
    assert found.names == ("07", "08", "09", "10")
    np.testing.assert_array_equal(found.data, drawn().data[7:])


@endings
def test_a_set_is_replaced_only_when_asked_and_only_by_its_like(tmp_path: Path, ending: str) -> None:
    output = tmp_path / f"out{ending}"
    sample(output, 2)
    with pytest.raises(OutputError, match="exists already"):
        sample(output, 3)
    sample(output, 3, overwrite=True)
    assert len(Images.open(output)) == 3
    other = tmp_path / f"thesis{ending}"
    other.mkdir()
    (other / "thesis.tex").write_text("ten years")
    with pytest.raises(OutputError, match=r"it holds 'thesis.tex'"):
        sample(other, 3, overwrite=True)
    (tmp_path / f"file{ending}").write_text("one file")
    with pytest.raises(OutputError, match="is a file"):
        sample(tmp_path / f"file{ending}", 3, Patches(fail_after=0), overwrite=True)
    assert (other / "thesis.tex").read_text() == "ten years"


def test_what_cannot_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"images are not written as '.png'.*\.zarr"):
        sample(tmp_path / "out.png", 1)
    for options in ({"batch_size": 0}, {"shard_size": 0}, {"seed": -1}, {"first": -1}, {"steps": 0}):
        with pytest.raises(InputError):
            sample(tmp_path / "out", 1, **options)
    with pytest.raises(InputError):
        sample(tmp_path / "out", 0)
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name == "zarr":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"skyloom\[zarr\]"):
        sample(tmp_path / "out.zarr", 1)


def test_what_failed_of_a_set_and_of_a_table_of_its_name_are_kept_apart(tmp_path: Path) -> None:
    sample(tmp_path / "out", 4, Patches(bad=(2,)))
    sample(tmp_path / "out.zarr", 4)
    profile_files(tmp_path / "out.ecsv", tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"out", "out-failures.ecsv", "out.zarr", "out.ecsv"}


def test_what_a_kill_left_is_removed_and_what_others_write_is_not(tmp_path: Path) -> None:
    ours, theirs = tmp_path / ".out.0123abcd.part", tmp_path / ".out.zarr.0123abcd.part"
    ours.mkdir()
    theirs.mkdir()
    sample(tmp_path / "out", 2)
    assert not ours.exists()
    assert theirs.exists()


# Names


def written(result: ImageSetResult, folder: Path, *batches: Images) -> list[Stored]:
    """Write a part for each batch."""
    parts = []
    for number, images in enumerate(batches):
        part = folder / f"part {number}"
        part.mkdir()
        with result.writer(part) as writer:
            writer.add(images, Counts(results=len(images)))
            parts.append(Stored(part, writer.finish()))
    return parts


def named(names: list[str]) -> Images:
    return Images.from_array(np.arange(len(names) * 4.0).reshape(-1, 1, 2, 2), "g", names=names)


def test_any_name_can_be_that_of_a_file_and_be_read_back(tmp_path: Path) -> None:
    names = [escaped(name) for name in ODD]
    result, output = ImageSetResult(tmp_path / "out"), tmp_path / "out"
    images = named(names)
    result.join(written(result, tmp_path, images[:7], images[7:]), output)
    found = Images.open(output)
    assert len(found) == len(list(output.iterdir())) == len(ODD)
    pixels = dict(zip(map(unescaped, found.names), found.data, strict=True))
    for name, expected in zip(DISTINCT, images.data, strict=True):
        np.testing.assert_array_equal(pixels[name], expected)


def test_names_that_were_not_made_visible_are_safe_all_the_same(tmp_path: Path) -> None:
    result, output = ImageSetResult(tmp_path / "out"), tmp_path / "out"
    result.join(written(result, tmp_path, named(ODD)), output)
    assert len(Images.open(output)) == len(ODD)


def test_a_name_that_is_too_long_is_cut_and_told_from_others(tmp_path: Path) -> None:
    names = ["★" * 300, "★" * 301, "★" * 300]
    result, output = ImageSetResult(tmp_path / "out"), tmp_path / "out"
    result.join(written(result, tmp_path, named(names)), output)
    assert len(list(output.iterdir())) == 3
    assert all(path.name.startswith("★" * 50) for path in output.iterdir())
    assert file_name("a" * 200) == "a" * 200
    assert len(file_name("a" * 201)) == 200


def test_a_zarr_array_keeps_the_names(tmp_path: Path) -> None:
    names = [escaped(name) for name in ODD]
    result, output = ImageSetResult(tmp_path / "out.zarr"), tmp_path / "out.zarr"
    result.join(written(result, tmp_path, named(names)), output)
    kept: Any = zarr.open_group(output, mode="r").attrs["names"]
    assert list(map(unescaped, kept)) == DISTINCT


def test_files_of_odd_names_are_repaired(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    names = ["a\nb", "c\\x20d", "e f", "g.h"]
    for name, image in zip(names, galaxies(len(names), ("g", "r"), (16, 16)), strict=True):
        image.to_fits(folder / f"{name}.fits")
    inpaint(tmp_path / "out", folder)
    assert sorted(unescaped(path.stem) for path in (tmp_path / "out").iterdir()) == sorted(names)


# Joining


@endings
def test_joining_links_and_leaves_parts_as_they_are(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = ImageSetResult(tmp_path / f"out{ending}")
    parts = written(result, tmp_path, drawn(5), drawn(3))
    before = contents(tmp_path)
    result.join(parts, tmp_path / "linked")
    pixels = {path.stat().st_ino for part in parts for path in part.folder.iterdir()}
    linked = {path.stat().st_ino for path in (tmp_path / "linked").rglob("*") if path.is_file()}
    assert len(pixels & linked) == len(pixels) == 8

    def no_links(self: Path, target: Path) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    result.join(parts, tmp_path / "copied")
    assert contents(tmp_path / "copied") == contents(tmp_path / "linked")
    assert {name: data for name, data in contents(tmp_path).items() if name.startswith("part")} == {
        name: data for name, data in before.items() if name.startswith("part")
    }


# Images that differ


def survey(folder: Path) -> Path:
    folder.mkdir()
    for number, image in enumerate(galaxies(6, ("g", "r"), (24, 24))):
        image.to_fits(folder / f"galaxy {number}.fits")
    galaxies(1, ("g", "r"), (20, 22)).to_fits(folder / "galaxy 2.fits", overwrite=True)
    galaxies(1, ("i",), (24, 24)).to_fits(folder / "galaxy 4.fits", overwrite=True)
    (folder / "galaxy 5.fits").write_bytes(b"nonsense")
    return folder


def test_a_folder_takes_images_that_differ(tmp_path: Path) -> None:
    folder = survey(tmp_path / "images")
    summary = inpaint(tmp_path / "out", folder)
    assert (summary.counts.inputs, summary.counts.images, summary.counts.results) == (6, 5, 5)
    for before, after in zip(
        Images.stream(folder, batch_size=1), Images.stream(tmp_path / "out", batch_size=1), strict=True
    ):
        assert same_meaning(after, before)
        assert after.names == before.names
        np.testing.assert_array_equal(after.data, before.data)
    failed = QTable.read(tmp_path / "out-failures.ecsv", format="ascii.ecsv")
    assert list(failed["path"]) == [str(folder / "galaxy 5.fits")]


def test_a_zarr_array_takes_those_that_are_like_the_first(tmp_path: Path) -> None:
    folder, output = survey(tmp_path / "images"), tmp_path / "out.zarr"
    summary = inpaint(output, folder)
    assert (summary.counts.inputs, summary.counts.images, summary.counts.results) == (6, 5, 3)
    found = Images.open(output)
    expected = Images.open([folder / f"galaxy {number}.fits" for number in (0, 1, 3)])
    assert same_meaning(found, expected)
    np.testing.assert_array_equal(found.data, expected.data)
    reasons = {failure.path: failure.reason for failure in summary.failures}
    assert reasons.pop(str(folder / "galaxy 5.fits")).startswith("not an image")
    assert reasons == {
        str(folder / "galaxy 2.fits"): "its shape is 2x20x22, and that of the first is 2x24x24",
        str(folder / "galaxy 4.fits"): "its shape is 1x24x24, and that of the first is 2x24x24",
    }
    assert all("folder" in failure.remedy for failure in summary.failures if "shape" in failure.reason)
    assert [failure.name for failure in summary.failures if "shape" in failure.reason] == [
        "galaxy 2",
        "galaxy 4",
    ]


def test_a_zarr_array_has_one_unit(tmp_path: Path) -> None:
    summary = sample(tmp_path / "out.zarr", 5, Patches(other=(2,)), batch_size=1)
    assert summary.counts.results == 4
    assert [(one.path, one.name, one.reason) for one in summary.failures] == [
        ("", "2", "its unit is mJy, and that of the first is nmgy")
    ]
    np.testing.assert_array_equal(Images.open(tmp_path / "out.zarr").data, drawn(5).data[[0, 1, 3, 4]])


@endings
def test_pixels_without_a_value_stay_so(tmp_path: Path, ending: str) -> None:
    mask = np.zeros((2, 1, 4, 4), bool)
    mask[1, 0, 2, 3] = True
    images = Images.from_array(np.ones((2, 1, 4, 4)), "g", mask=mask)
    result, output = ImageSetResult(tmp_path / f"out{ending}"), tmp_path / f"out{ending}"
    result.join(written(result, tmp_path, images), output)
    found = Images.open(output).mask
    assert found is not None
    np.testing.assert_array_equal(found, mask)


# Failures


def test_a_worker_that_dies_once_costs_nothing(tmp_path: Path) -> None:
    sample(tmp_path / "whole", COUNT)
    prior = Patches(deadly=(6,), once=tmp_path / "died")
    assert sample(tmp_path / "out", COUNT, prior, engine=process_engine(2)).failures == ()
    assert (tmp_path / "died").exists()
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_the_sample_that_kills_every_worker_is_left_out(tmp_path: Path) -> None:
    summary = sample(tmp_path / "out", COUNT, Patches(deadly=(6,)), engine=process_engine(2))
    assert [(one.path, one.name) for one in summary.failures] == [("", "06")]
    assert "ended by the system" in summary.failures[0].reason
    assert (summary.counts.inputs, summary.counts.results) == (COUNT, COUNT - 1)
    found = Images.open(tmp_path / "out")
    assert "06" not in found.names
    np.testing.assert_array_equal(found.data, np.delete(drawn().data, 6, axis=0))


def test_samples_that_are_refused_or_not_finite_are_left_out(tmp_path: Path) -> None:
    summary = sample(tmp_path / "out", COUNT, Patches(bad=(1, 2), blank=(9,)))
    assert [(one.name, one.reason) for one in summary.failures] == [
        ("01", "the sampler diverged"),
        ("02", "the sampler diverged"),
        ("09", "the model gave pixels that are not finite"),
    ]
    np.testing.assert_array_equal(
        Images.open(tmp_path / "out").data, np.delete(drawn().data, [1, 2, 9], axis=0)
    )
    with pytest.raises(InputError, match=r"'01' gives no result: .*\. Take more steps"):
        sample(tmp_path / "strict", COUNT, Patches(bad=(1,)), strict=True)
    with pytest.raises(InputError, match=r"none of 2 items gave a result; '0': .* diverged\. Take"):
        sample(tmp_path / "none", 2, Patches(bad=(0, 1)))
    assert left_behind(tmp_path) == []


def test_a_machine_that_fails_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="the graphics card has gone"):
        sample(tmp_path / "out", COUNT, Patches(broken=(6,)), engine=process_engine(2))
    assert not (tmp_path / "out").exists()


def test_a_prior_that_miscounts_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gave 2 images where it was asked for 1"):
        sample(tmp_path / "out", 1, Doubled())


class Doubled(Patches):
    def sample(self, n: int, *, seed: int = 0, steps: int | None = None, first: int = 0) -> Images:
        return super().sample(2 * n, seed=seed, steps=steps, first=first)
