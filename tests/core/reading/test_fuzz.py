"""Whatever the bytes of a file are, reading it succeeds or fails as an unreadable image."""

from __future__ import annotations

import gzip
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from skyloom import Images
from skyloom.errors import ImageReadError

SMALL = np.arange(3 * 6 * 5, dtype=np.float32).reshape(3, 6, 5)
MANY = settings(max_examples=40, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])


def bytes_of(write: Any) -> Any:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def samples() -> Any:
    plain = fits.PrimaryHDU(SMALL)
    plain.header.update({"BANDS": "grz", "BSCALE": 2.0, "BUNIT": "nmgy", "CTYPE1": "RA---TAN", "CD1_1": 1e-4})
    parts = fits.HDUList(
        [fits.PrimaryHDU(), *(fits.ImageHDU(plane, name=f"B{n}") for n, plane in enumerate(SMALL))]
    )
    packed = fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU((9 * SMALL[0]).astype(np.int16))])
    image = Image.fromarray(SMALL.astype(np.uint8)[0])
    return {
        "plain": bytes_of(plain.writeto),
        "extensions": bytes_of(parts.writeto),
        "compressed": bytes_of(packed.writeto),
        "gzipped": gzip.compress(bytes_of(plain.writeto)),
        "npy": bytes_of(lambda file: np.save(file, SMALL)),
        "npz": bytes_of(lambda file: np.savez_compressed(file, data=SMALL, mask=SMALL > 5)),
        "png": bytes_of(lambda file: image.save(file, "png")),
        "jpeg": bytes_of(lambda file: image.convert("RGB").save(file, "jpeg")),
    }


SAMPLES = samples()


def check(folder: Path, content: bytes) -> None:
    """Read it; an unreadable file is recorded, and nothing else happens."""
    path = folder / "file"
    path.write_bytes(content)
    stream = Images.stream(path)
    with warnings.catch_warnings(record=True) as leaked:  # as errors they would look like bad files
        warnings.simplefilter("always")
        count = sum(len(images) for images in stream)
    assert [str(warning.message) for warning in leaked] == []
    assert count or stream.failures
    for failure in stream.failures:
        assert type(failure) is ImageReadError
        assert failure.path == path
        assert failure.reason


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_samples_are_good(tmp_path: Path, sample: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(SAMPLES[sample])
    assert len(Images.open(path)) == 1


@MANY
@given(content=st.binary(max_size=6000), start=st.sampled_from([b"", *(s[:32] for s in SAMPLES.values())]))
def test_random_bytes(tmp_path: Path, content: bytes, start: Any) -> None:
    check(tmp_path, start + content)


@pytest.mark.parametrize("sample", SAMPLES)
@MANY
@given(data=st.data())
def test_cut_and_flipped(tmp_path: Path, sample: Any, data: Any) -> None:
    content = bytearray(SAMPLES[sample])
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, min(len(content), 4000) - 1))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    check(tmp_path, bytes(content[:cut]))


CARD = st.one_of(
    st.sampled_from(
        [b"NAXIS", b"NAXIS1", b"NAXIS3", b"BITPIX", b"BANDS", b"BSCALE", b"BLANK", b"BUNIT", b"PIXSCALE"]
    ).flatmap(
        lambda key: st.sampled_from(
            [
                b"-1",
                b"0",
                b"3",
                b"999999999999",
                b"99999999999999999999",
                b"1E400",
                b"'x'",
                b"T",
                b"",
                b"''",
                b"-32",
                b"NaN",
            ]
        ).map(lambda value: key.ljust(8) + b"= " + value.rjust(20))
    ),
    st.binary(min_size=80, max_size=80),
)


@pytest.mark.parametrize("sample", ["plain", "extensions", "compressed"])
@MANY
@given(cards=st.lists(st.tuples(st.integers(0, 12), CARD), min_size=1, max_size=3), header=st.integers(0, 1))
def test_cards_of_any_content(tmp_path: Path, sample: Any, cards: Any, header: Any) -> None:
    content = bytearray(SAMPLES[sample])
    for number, card in cards:
        place = 2880 * header + 80 * number
        content[place : place + 80] = card.ljust(80)
    check(tmp_path, bytes(content))


@MANY
@given(text=st.text(alphabet="{}()[]'\":,descrfotan_shp <>f480123456789TrueFls-*", max_size=90))
def test_npy_headers_of_any_content(tmp_path: Path, text: str) -> None:
    header = text.encode()
    check(tmp_path, b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(400))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_headers_whose_size_cannot_be_known_come_to_an_end(tmp_path: Path, pack: Any) -> None:
    content = bytearray(SAMPLES["plain"])
    for card in range(12):
        content[80 * card + 30] = ord("A")
    check(tmp_path, pack(bytes(content)))
