"""Files inside zip archives, read in place: nothing is unpacked to the disk.

A path may lead into an archive: ``export.zip/P1/LH.jpg`` is the member ``P1/LH.jpg`` of
``export.zip``. An archive is made by others, so its directory is believed in nothing: names that
leave the archive, encrypted members, links, and members that unfold to far more than is stored are
refused.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from mandora.core.errors import InputError
from mandora.core.inputs import is_regular, open_regular
from mandora.core.terminal import printable

MAX_MEMBERS = 100_000
MAX_MEMBER_BYTES = 1 << 30
MAX_RATIO = 200
"""Of the size of a large member to what is stored of it; films are stored in a tenth at best."""

_CHUNK_BYTES = 1 << 20
_SMALL_BYTES = 16 << 20  # below it the ratio does not matter
_ENCRYPTED, _UTF8 = 0x1, 0x800  # bits of a member's flags
_LEAVES = re.compile(r"^([/\\]|[A-Za-z]:)|(^|[/\\])\.\.([/\\]|$)|[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Members:
    """What an archive holds.

    Attributes:
        sizes: bytes of each member that can be read, by its name.
        faults: fault and remedy of each that cannot, by its name as it can be printed.
    """

    sizes: Mapping[str, int]
    faults: Mapping[str, str]


def is_zip(path: Path) -> bool:
    """Whether this is a file named as a zip archive."""
    return path.suffix.lower() == ".zip" and is_regular(path)


def list_members(archive: Path) -> Members:
    """List the files in an archive, without its folders.

    Raises:
        InputError: naming the archive, if it cannot be read or holds too many members.
    """
    with open_regular(archive) as file, _opened(archive, file) as book:
        infos = [info for info in book.infolist() if not info.is_dir()]
    if len(infos) > MAX_MEMBERS:
        raise InputError(f"{archive.name}: it holds more than {MAX_MEMBERS} files; unpack it")
    count = Counter(info.filename for info in infos)
    sizes: dict[str, int] = {}
    faults: dict[str, str] = {}
    for info in infos:
        fault = _fault(info)
        if count[info.filename] > 1:
            fault = "it is there more than once; unpack the archive and keep one"
        if fault is None:
            sizes[info.filename] = info.file_size
        else:
            faults[printable(info.filename, one_line=True)] = fault
    return Members(sizes, faults)


def split_archive(path: Path) -> tuple[Path, str] | None:
    """The archive that a path leads into, and the member's name; None if it leads into none."""
    for parent in path.parents:
        if is_zip(parent):
            return parent, path.relative_to(parent).as_posix()
    return None


def open_film(path: Path) -> IO[bytes]:
    """Open a regular file, or a member of a zip archive, for reading.

    Raises:
        InputError: for what is no regular file or member, or a member that is refused.
        OSError: if it cannot be opened.
    """
    try:
        return open_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        inside = split_archive(path)
        if inside is None:
            raise
    return io.BytesIO(_read_member(*inside))


def film_sha256(path: Path) -> str:
    """SHA-256 of the bytes of a file or member, as 64 hexadecimal digits.

    Raises:
        InputError, OSError: as :func:`open_film`.
    """
    digest = hashlib.sha256()
    with open_film(path) as file:
        while data := file.read(_CHUNK_BYTES):
            digest.update(data)
    return digest.hexdigest()


def _read_member(archive: Path, name: str) -> bytes:
    with open_regular(archive) as file, _opened(archive, file) as book:
        info = _info(book, (archive, name))
        if (fault := _fault(info)) is not None:
            raise InputError(f"{PurePosixPath(name).name}: {fault}")
        try:
            with book.open(info) as member:
                data = member.read(info.file_size + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise InputError(
                f"{PurePosixPath(name).name}: it is damaged in {archive.name}, or compressed in a "
                "way that is not read; unpack the archive with another program"
            ) from error
    return data


def _info(book: zipfile.ZipFile, inside: tuple[Path, str]) -> zipfile.ZipInfo:
    try:
        return book.getinfo(inside[1])
    except KeyError:
        raise FileNotFoundError(2, "no such member", str(inside[0] / inside[1])) from None


def _opened(archive: Path, file: IO[bytes]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError) as error:
        raise InputError(
            f"{archive.name}: is no zip archive, or a damaged one; copy it again or unpack it"
        ) from error


def _fault(info: zipfile.ZipInfo) -> str | None:
    """Why a member is not read, with the remedy."""
    if _LEAVES.search(info.filename) or _LEAVES.search(info.orig_filename):
        return "its name leads out of the archive; unpack it with care"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "it is a link; put the file itself into the archive"
    if info.flag_bits & _ENCRYPTED:
        return "it is encrypted; unpack the archive with its password"
    if info.file_size > MAX_MEMBER_BYTES:
        return f"it unfolds to more than {MAX_MEMBER_BYTES >> 20} MiB; no film is so large"
    if info.file_size > max(_SMALL_BYTES, MAX_RATIO * info.compress_size):
        return f"it unfolds to more than {MAX_RATIO} times what is stored; it looks like a trap"
    return None
