"""A bundle in one ``.zip`` file, unpacked without trusting it."""

from __future__ import annotations

import hashlib
import stat
import zipfile
from typing import IO, TYPE_CHECKING

from skyloom.bundle.manifest import MANIFEST, MAX_FILES, MAX_MANIFEST_BYTES, Manifest, parse_manifest
from skyloom.errors import BundleError
from skyloom.files import complete
from skyloom.store import unpacked_folder

if TYPE_CHECKING:
    from pathlib import Path

_AGAIN = "Get the bundle again from its author"
_CHUNK = 2**20
_FREE = 2**26  # below this many bytes, how tightly all of it is packed does not matter
_MAX_RATIO = 200  # weights hardly compress, JSON tenfold; a bomb a thousandfold


def unpacked(archive: Path) -> Path:
    """Return the folder that holds the contents of a zipped bundle; unpack it where that was not done."""
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    folder = unpacked_folder() / digest[:32]
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        unpack(archive, folder)
    return folder


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zipped bundle into `folder`, which must not exist; nothing is left when it is refused."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, archive)
            manifest = _manifest(opened, members, archive)
            with complete(folder) as part:
                part.mkdir()
                for inner, member in members.items():
                    target = part / inner
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with opened.open(member) as source, target.open("xb") as sink:
                        _copy(source, sink, _size(manifest, inner, member), f"{archive}:{inner}")
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise BundleError(f"'{archive}' is not a readable .zip file: {error}", _AGAIN) from error


def _members(opened: zipfile.ZipFile, archive: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the files by name; refuse what is no plain file or is packed too tightly to be honest."""
    infos = [info for info in opened.infolist() if not info.is_dir()]
    members = {info.filename: info for info in infos}
    if len(members) != len(infos) or len(members) > MAX_FILES:
        raise BundleError(f"'{archive}' holds {len(infos)} files, some of the same name or too many", _AGAIN)
    total = sum(info.file_size for info in infos)
    if total > max(_FREE, _MAX_RATIO * archive.stat().st_size):  # parts may overlap
        raise BundleError(f"'{archive}' would unpack to {total} bytes", _AGAIN)
    for name, info in members.items():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in {0, stat.S_IFREG}:
            raise BundleError(f"'{name}' in '{archive}' is a link or a device", _AGAIN)
        if info.file_size > _CHUNK and info.file_size > _MAX_RATIO * max(info.compress_size, 1):
            raise BundleError(f"'{name}' in '{archive}' would unpack to {info.file_size} bytes", _AGAIN)
    return members


def _manifest(opened: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], archive: Path) -> Manifest:
    """Read the manifest, which validates its paths, and require that it lists just what is there."""
    if MANIFEST not in members:
        raise BundleError(
            f"'{archive}' is not a bundle: it holds no {MANIFEST}", "Zip the contents of a bundle"
        )
    with opened.open(MANIFEST) as file:
        manifest = parse_manifest(file.read(MAX_MANIFEST_BYTES + 1), str(archive))
    odd = sorted(members.keys() ^ {MANIFEST, *manifest.files})
    if odd:
        where = "is missing" if odd[0] in manifest.files else "is not listed in its manifest"
        raise BundleError(f"'{odd[0]}' {where}, in '{archive}'", _AGAIN)
    return manifest


def _size(manifest: Manifest, inner: str, member: zipfile.ZipInfo) -> int:
    return member.file_size if inner == MANIFEST else manifest.files[inner].size


def _copy(source: IO[bytes], sink: IO[bytes], size: int, what: str) -> None:
    left = size
    while chunk := source.read(min(_CHUNK, left + 1)):
        left -= len(chunk)
        if left < 0:
            break
        sink.write(chunk)
    if left:
        raise BundleError(f"'{what}' does not unpack to the {size} bytes it should have", _AGAIN)
