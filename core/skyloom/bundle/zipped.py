"""A bundle in one ``.zip`` file, unpacked without trusting it."""

from __future__ import annotations

import lzma
import stat
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

from skyloom.bundle.manifest import (
    MAX_BUNDLE_BYTES,
    MAX_FILES,
    MAX_MANIFEST_BYTES,
    Manifest,
    parse_manifest,
)
from skyloom.digest import sha256_of_file
from skyloom.errors import BundleError, OutputError, SkyloomError
from skyloom.files import complete, make_folder
from skyloom.home import home
from skyloom.names import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_AGAIN = "Get the bundle again from its author"
_CHUNK = 2**20
ZIP_TROUBLE = (  # what reading a broken archive raises
    ValueError,  # numbers, names and offsets that make no sense
    LookupError,
    ArithmeticError,
    OSError,
    EOFError,
    RuntimeError,  # an encrypted file, or an unknown compression
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
FREE = 2**26  # below this many bytes, how tightly all of it is packed does not matter
MAX_RATIO = 200  # weights hardly compress, JSON tenfold; a bomb a thousandfold


def unpacked(archive: Path) -> Path:
    """Return the folder that holds the contents of a zipped bundle; unpack it where that was not done."""
    folder = _place(archive)
    if folder.is_dir() and not _same_manifest(archive, folder):
        unpack(archive, folder, overwrite=True)
    if not folder.is_dir():
        make_folder(folder.parent)
        try:
            unpack(archive, folder)
        except OutputError:
            if not folder.is_dir():  # else another process was quicker
                raise
    return folder


def unpacked_anew(archive: Path, folder: Path) -> bool:
    """Replace what was unpacked and has been damaged since; say whether the archive is there to do so."""
    try:
        if _place(archive) != folder:
            return False
    except OSError:
        return False
    unpack(archive, folder, overwrite=True)
    return True


def _place(archive: Path) -> Path:
    """Return where an archive is unpacked."""
    size = archive.stat().st_size
    if size > MAX_BUNDLE_BYTES:
        raise BundleError(f"'{archive}' has {size} bytes, allowed are {MAX_BUNDLE_BYTES}", _AGAIN)
    return home("unpacked") / sha256_of_file(archive)[:32]


def _same_manifest(archive: Path, folder: Path) -> bool:
    """Say whether the manifest, by which all else is checked, is still that of the archive."""
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(MANIFEST) as file:
            return (folder / MANIFEST).read_bytes() == file.read(MAX_MANIFEST_BYTES + 1)
    except ZIP_TROUBLE:
        return False


def unpack(archive: Path, folder: Path, *, overwrite: bool = False) -> None:
    """Unpack a zipped bundle into `folder`; nothing of it is left when it is refused."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, archive)
            manifest = _manifest(opened, members, archive)
            with complete(folder, overwrite=overwrite) as part:
                part.mkdir()
                for inner, member in members.items():
                    target = part / inner
                    target.parent.mkdir(parents=True, exist_ok=True)
                    size = _size(manifest, inner, member)
                    with target.open("xb") as sink:
                        for chunk in _chunks(opened, member, size, archive):
                            sink.write(chunk)
    except ZIP_TROUBLE as error:
        if isinstance(error, SkyloomError):
            raise
        raise _unreadable(archive, error) from error


def _unreadable(archive: Path, error: Exception) -> BundleError:
    return BundleError(f"'{archive}' is not a readable .zip file: {error or type(error).__name__}", _AGAIN)


def _members(opened: zipfile.ZipFile, archive: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the files by name; refuse what is no plain file or is packed too tightly to be honest."""
    infos = [info for info in opened.infolist() if not info.is_dir()]
    members = {info.filename: info for info in infos}
    if len(members) != len(infos) or len(members) > MAX_FILES:
        raise BundleError(f"'{archive}' holds {len(infos)} files, some of the same name or too many", _AGAIN)
    total = sum(info.file_size for info in infos)
    if total > max(FREE, MAX_RATIO * archive.stat().st_size):  # parts may overlap
        raise BundleError(f"'{archive}' would unpack to {total} bytes", _AGAIN)
    for name, info in members.items():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in {0, stat.S_IFREG}:
            raise BundleError(f"'{name}' in '{archive}' is a link or a device", _AGAIN)
        if info.file_size > _CHUNK and info.file_size > MAX_RATIO * max(info.compress_size, 1):
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


def _chunks(opened: zipfile.ZipFile, member: zipfile.ZipInfo, size: int, archive: Path) -> Iterator[bytes]:
    """Yield the contents of a file, which must be of this size."""
    left = size
    try:
        with opened.open(member) as source:
            while chunk := source.read(min(_CHUNK, left + 1)):
                left -= len(chunk)
                if left < 0:
                    break
                yield chunk
    except ZIP_TROUBLE as error:
        raise _unreadable(archive, error) from error
    if left:
        raise BundleError(
            f"'{archive}:{member.filename}' does not unpack to the {size} bytes it should have", _AGAIN
        )
