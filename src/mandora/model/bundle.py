"""A trained model as one folder: networks, trees, what goes in, and where it comes from.

A bundle holds ``manifest.json`` and the files that the manifest lists, and nothing else. The
manifest states each file's SHA-256, so that a result can name the exact model by one hash, and
a damaged or exchanged file is found before anything is scored with it. The hashes do not say
*who* made a bundle: take bundles only from people you trust.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from mandora.core.errors import InputError
from mandora.core.files import AnyPath, temporary_path, write_atomically
from mandora.core.inputs import file_sha256, listed, read_bytes
from mandora.core.records import Record
from mandora.model.contract import DAMAGE_FILE, LOCATE_FILES, SYMMETRY_FILE, Contract, model_files
from mandora.model.earlier import as_current, is_earlier

BUNDLE_SCHEMA = "1.5"  # earlier ones: mandora.model.earlier
MANIFEST = "manifest.json"
CARD = "card.md"
STANDARD_FILES: tuple[str, ...] = (*LOCATE_FILES.values(), DAMAGE_FILE, SYMMETRY_FILE, CARD)
"""The files of a bundle of the default design, besides its manifest."""

PACKAGED = ("default", "open")
"""Names of the bundles that may come with the package, see :mod:`mandora.model.packaged`."""

_REMEDY = "copy the bundle again from where you got it"
_MAX_MANIFEST = 1 << 20  # bytes

# A plain name: no folder, no drive, nothing hidden, so that no name leads out of the bundle.
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
OneLine = Annotated[str, StringConstraints(pattern=r"^[^\r\n]+$", max_length=200)]


class BundleError(InputError):
    """A model bundle that cannot be used; the message names the file and the remedy."""


class Licence(Record):
    """Under which terms the trained numbers may be used."""

    spdx: OneLine = Field(description="SPDX expression, e.g. Apache-2.0 or LicenseRef-…")
    note: str = Field("", description="in words: what limits the use, whose data it was")


class BundleInfo(Record):
    """What the maker of a bundle states about it."""

    name: FileName
    version: OneLine
    preset: OneLine
    created: OneLine = Field(description="when the model was trained, e.g. 2026-01-31")
    contract: Contract
    licence: Licence
    software: dict[str, str] = Field(description="versions of the packages that trained it")
    training_data: str = Field(min_length=1, description="what it was trained on, in words")


class FileEntry(Record):
    """One file of a bundle."""

    sha256: Sha256
    bytes: int = Field(ge=0)


class Manifest(BundleInfo):
    """The contents of ``manifest.json``."""

    schema_version: str = BUNDLE_SCHEMA
    card: FileName = CARD
    files: dict[FileName, FileEntry]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        needed = (*model_files(self.contract), self.card)
        lacking = [name for name in needed if name not in self.files]
        if lacking:
            raise InputError(f"files lacks {', '.join(dict.fromkeys(lacking))}")
        if MANIFEST in self.files:
            raise InputError(f"files lists {MANIFEST}, which cannot hold its own hash")
        return self


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files were all there and unchanged when it was opened.

    Attributes:
        folder: where it lies.
        manifest: what it states.
        sha256: hash of ``manifest.json``, and through it of every file.
    """

    folder: Path
    manifest: Manifest
    sha256: str

    def path(self, name: str) -> Path:
        """Where a file of the bundle lies.

        Raises:
            BundleError: if the bundle has no such file.
        """
        if name not in self.manifest.files:
            known = ", ".join(sorted(self.manifest.files))
            raise BundleError(f"{self.folder} has no file {name!r}; it has {known}")
        return self.folder / name

    def with_contract(self, contract: Contract) -> Bundle:
        """The same files, to be used in another way; nothing is written."""
        manifest = self.manifest.model_copy(update={"contract": contract})
        return replace(self, manifest=manifest)


def check_unused(folder: AnyPath) -> None:
    """Refuse a folder that a new bundle cannot be written to.

    Raises:
        BundleError: if it is there and not empty.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BundleError(f"{folder} is already there; choose another folder or remove it")


def write_bundle(folder: AnyPath, info: BundleInfo, files: Mapping[str, bytes | AnyPath]) -> Bundle:
    """Write a bundle and open it again; either all of it appears or nothing.

    Args:
        folder: where to; must not exist or be empty.
        info: what to state about the model.
        files: content, or a file to copy, for each of :func:`model_files`, the card and any
            further file.

    Raises:
        BundleError: if the folder is taken, a file is lacking or a name cannot be used.
    """
    folder = Path(folder)
    check_unused(folder)
    partial = temporary_path(folder)
    try:
        entries = {name: _entry(content) for name, content in sorted(files.items())}
        # before anything is written: this is where names that lead elsewhere are refused
        manifest = Manifest.model_validate({**info.model_dump(mode="json"), "files": entries})
        partial.mkdir(parents=True)
        for name, content in {**files, MANIFEST: _text(manifest)}.items():
            if isinstance(content, bytes):
                (partial / name).write_bytes(content)
            else:
                shutil.copyfile(content, partial / name)
        if folder.exists():
            folder.rmdir()  # empty; a rename onto it fails on some systems
        partial.rename(folder)
    except ValidationError as error:
        raise BundleError(f"cannot write {folder}: {'; '.join(_problems_of(error))}") from error
    except OSError as error:
        raise BundleError(f"cannot write {folder}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return open_bundle(folder)


def open_bundle(path: AnyPath) -> Bundle:
    """Open a bundle after checking every file of it.

    Raises:
        BundleError: naming every file that is wrong, and what to do.
    """
    bundle, problems = _inspect(Path(path))
    if bundle is None or problems:
        raise BundleError("\n".join(problems))
    return bundle


def verify_bundle(path: AnyPath) -> list[str]:
    """Check a bundle.

    Returns:
        Every problem, one line each, naming the file and what to do; empty if it is sound.
    """
    return _inspect(Path(path))[1]


def migrate_bundle(path: AnyPath) -> Bundle:
    """State an earlier bundle's contract as this version does, in place.

    Its networks, trees and card stay as they are, and so do its scores: earlier bundles are read
    as if they had been migrated. Its hash changes with its manifest.

    Raises:
        BundleError: if the bundle cannot be used as it is.
        OSError: if the manifest cannot be written.
    """
    bundle, manifest = open_bundle(path), Path(path) / MANIFEST
    if json.loads(manifest.read_bytes())["schema_version"] != bundle.manifest.schema_version:
        write_atomically(manifest, _text(bundle.manifest))
    return open_bundle(path)


def packaged_bundle(name: str) -> Path:
    """The folder of a bundle that comes with the package.

    Args:
        name: one of :data:`PACKAGED`.

    Raises:
        BundleError: if this installation has none.
    """
    folder = resources.files("mandora.model").joinpath(name)
    if not isinstance(folder, Path) or not (folder / MANIFEST).is_file():
        raise BundleError(
            f"this installation has no model bundle in {folder}; install mandora from a wheel, "
            "or name the folder of a bundle"
        )
    return folder


def default_bundle() -> Path:
    """The folder of the model that is used if none is named.

    Raises:
        BundleError: if this installation has none.
    """
    return packaged_bundle(PACKAGED[0])


def _inspect(path: Path) -> tuple[Bundle | None, list[str]]:
    """The bundle, unless its manifest cannot be used, and all problems."""
    if not path.is_dir():
        return None, [f"{path}: there is no such folder; name the folder of a bundle"]
    raw, manifest, problems = _read_manifest(path / MANIFEST)
    if manifest is None:
        return None, problems
    for name, entry in manifest.files.items():
        problems += _check_file(path / name, entry)
    problems += [
        f"{extra}: the manifest does not list it; remove it, or {_REMEDY}"
        for extra in listed(path)
        if extra.name not in {*manifest.files, MANIFEST}
    ]
    return Bundle(path, manifest, _hash(raw)), problems


def _read_manifest(path: Path) -> tuple[bytes, Manifest | None, list[str]]:
    raw = b""
    try:
        if path.is_symlink() or path.stat().st_size > _MAX_MANIFEST:
            return raw, None, [f"{path}: is a link or far too large; {_REMEDY}"]
        raw = read_bytes(path, _MAX_MANIFEST)
        content = json.loads(raw)
    except OSError as error:
        return raw, None, [f"{path}: cannot be read ({error.strerror}); {_REMEDY}"]
    except InputError as error:
        return raw, None, [str(error)]
    except (ValueError, RecursionError) as error:
        return raw, None, [f"{path}: is not JSON ({error}); {_REMEDY}"]
    schema = content.get("schema_version") if isinstance(content, dict) else None
    # before the fields: another schema would only give a list of puzzling field names
    if not isinstance(schema, str) or schema.split(".")[0] != BUNDLE_SCHEMA.split(".")[0]:
        return (
            raw,
            None,
            [
                f"{path}: schema_version is {schema!r}, this version reads {BUNDLE_SCHEMA}; "
                "use a bundle and a mandora of the same major version"
            ],
        )
    try:
        if not is_earlier(schema):
            return raw, Manifest.model_validate_json(raw), []
        return raw, Manifest.model_validate(as_current(content, BUNDLE_SCHEMA)), []
    except (KeyError, TypeError, AttributeError) as error:
        return raw, None, [f"{path}: contract is not that of schema {schema} ({error}); {_REMEDY}"]
    except ValidationError as error:
        return raw, None, [f"{path}: {problem}; {_REMEDY}" for problem in _problems_of(error)]


def _check_file(path: Path, entry: FileEntry) -> list[str]:
    """What is wrong with one file that the manifest lists."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return [f"{path}: must be a plain file, not a link or a folder; {_REMEDY}"]
    try:
        size = path.stat().st_size
        if size != entry.bytes:
            return [f"{path}: has {size:,} bytes instead of {entry.bytes:,}; {_REMEDY}"]
        found = file_sha256(path)
    except FileNotFoundError:
        return [f"{path}: is missing; {_REMEDY}"]
    except OSError as error:
        return [f"{path}: cannot be read ({error.strerror}); {_REMEDY}"]
    if found != entry.sha256:
        return [
            f"{path}: was changed: its SHA-256 is {found[:12]}…, the manifest says "
            f"{entry.sha256[:12]}…; {_REMEDY}"
        ]
    return []


def _problems_of(error: ValidationError) -> list[str]:
    """Each wrong field of a manifest, in words."""
    return [
        f"{'.'.join(map(str, e['loc'])) or 'manifest'}: {e['msg']}"
        for e in error.errors(include_url=False)
    ]


def _entry(content: bytes | AnyPath) -> dict[str, object]:
    if isinstance(content, bytes):
        return {"sha256": _hash(content), "bytes": len(content)}
    return {"sha256": file_sha256(Path(content)), "bytes": Path(content).stat().st_size}


def _text(manifest: Manifest) -> bytes:
    return (
        json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    ).encode()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
