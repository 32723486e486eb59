"""The labels of films: landmarks, joint spaces and erosions, collected from all label files.

Files name films by file name, by path relative to the data set, or without the extension; case
counts. Joints in a table win over those in files of annotation tools, label maps over polygons.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, Limb, Slot
from mandora.core.errors import InputError
from mandora.core.geometry import Points
from mandora.core.inputs import is_regular, listed
from mandora.core.records import Reason
from mandora.datasets.dataset import DatasetFilm
from mandora.datasets.findings import Report
from mandora.datasets.formats.labelled_film import LabelledFilm
from mandora.datasets.label_files import LABEL_SUFFIXES, read_label_file
from mandora.datasets.outlines import Outline
from mandora.datasets.study_ids import natural_key
from mandora.datasets.tables import Row, read_table

JOINT_COLUMNS = ("film", "site", "x", "y")
_SAME_PX = 1.0  # joints that two files place this close are the same
_NAMED = 3  # so many files are named in a message


def no_landmarks(limb: Limb) -> Points:
    """(N, 2) NaN: no joint of the limb is marked."""
    return np.full((len(LANDMARKS[limb]), 2), np.nan)


@dataclass
class _Labels:
    landmarks: Points
    outside: set[int] = field(default_factory=set)  # said to lie beyond the film
    origin: dict[int, Path] = field(default_factory=dict)  # which file marked a landmark
    maps: dict[str, Path] = field(default_factory=dict)  # "spaces" or "erosions"
    outlines: dict[str, list[Outline]] = field(default_factory=dict)
    size: tuple[int, int] | None = None


class FilmLabels:
    """Labels of the films of a data set, added file by file.

    Args:
        films: where each film lies and what it shows; other labels are added to theirs.
        report: what is wrong is added to it; files are named relative to its root.
    """

    def __init__(self, films: Iterable[DatasetFilm], report: Report) -> None:
        self.films = tuple(films)
        self._report = report
        self._labels = [_Labels(film.landmarks.copy()) for film in self.films]
        self._files: dict[Path, list[LabelledFilm] | None] = {}
        # what two files say of one joint: (later, first) → (film, landmark) → px between them
        self._differences: dict[tuple[Path, Path], dict[tuple[int, int], float]] = {}
        self._by_name: dict[str, set[int]] = {}
        for index, film in enumerate(self.films):
            for name in self._names(film.path):
                self._by_name.setdefault(name, set()).add(index)

    def _names(self, path: Path) -> tuple[str, ...]:
        names = [path.name, path.stem]
        if path.is_relative_to(self._report.root):
            relative = PurePosixPath(path.relative_to(self._report.root).as_posix())
            names += [str(relative), str(relative.with_suffix(""))]
        return tuple(dict.fromkeys(names))

    def find(self, name: str, limb: str = "", side: str = "") -> int | None:
        """Index of the film that a file names; None if none or several fit.

        Args:
            name: file name or path, with or without extension. Of a path, as many folders
                count as fit: ``mandora locate`` writes paths as they were given to it.
            limb: tells apart films that are one file, as of a hand and a foot.
            side: likewise, as of both hands.
        """
        parts = PurePosixPath(name.replace("\\", "/")).parts
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        found = next((self._by_name[end] for end in ends if end in self._by_name), set())
        if len(found) > 1:
            slots = {index: self.films[index].slot for index in found}
            found = {
                index
                for index, slot in slots.items()
                if limb.lower() in ("", slot.limb) and side.upper()[:1] in ("", slot.side)
            }
        return next(iter(found)) if len(found) == 1 else None

    def add_joints(self, path: Path, quiet: bool = False) -> None:
        """Add a table ``film,site,x,y``, with or without ``limb``, ``side`` and ``reason``.

        Args:
            path: px of the film, pixel centres at whole numbers; a row with blank x and y is a
                joint that is not marked; with the reason ``outside_film`` one that lies beyond
                the film.
            quiet: say nothing of films that are not in the data set.
        """
        table = read_table(path, self._report, JOINT_COLUMNS)
        seen: dict[tuple[int, int], int] = {}
        unknown: dict[str, int] = {}
        other_sites: dict[str, int] = {}
        for row in table.rows if table else ():
            film = self.find(row["film"], row["limb"], row["side"])
            if film is None:
                unknown.setdefault(row["film"], row.line)
                continue
            slot = self.films[film].slot
            if (fault := wrong_limb(row, slot)) is not None:
                self._report.error("limb-differs", path, fault, row.line)
                continue
            landmark = _landmark_index(row["site"], slot)
            if landmark is None:
                other_sites.setdefault(row["site"], row.line)
                continue
            if (film, landmark) in seen:
                fault = (
                    f"{row['site']} of {row['film']} is in row {seen[film, landmark]} already; "
                    "keep one row"
                )
                self._report.error("joint-repeated", path, fault, row.line)
                continue
            seen[film, landmark] = row.line
            place = self._xy_of(path, row)
            if place is not None:
                self._mark(film, landmark, place, path)
            elif row["reason"] == Reason.OUTSIDE_FILM:
                self._labels[film].outside.add(landmark)
        for site, line in other_sites.items():
            fault = f"{site!r} is no joint that is looked for, and is not used"
            self._report.warning("site-unknown", path, fault, line)
        self._report_differences()
        if unknown and not quiet:
            self.report_unknown(path, unknown)

    def _xy_of(self, path: Path, row: Row) -> tuple[float, float] | None:
        if not row["x"] and not row["y"]:
            return None
        try:
            x, y = float(row["x"]), float(row["y"])
        except ValueError:
            x = y = math.nan
        if math.isfinite(x) and math.isfinite(y):
            return x, y
        fault = f"x {row['x']!r} and y {row['y']!r} are not two numbers; give px of the film"
        self._report.error("place-unusable", path, fault, row.line)
        return None

    def _mark(self, film: int, landmark: int, place: tuple[float, float], path: Path) -> None:
        labels = self._labels[film]
        if landmark in labels.origin:
            apart = float(np.hypot(*(labels.landmarks[landmark] - place)))
            if apart > _SAME_PX:
                files = path, labels.origin[landmark]
                self._differences.setdefault(files, {})[film, landmark] = apart
            return
        labels.landmarks[landmark], labels.origin[landmark] = place, path

    def _report_differences(self) -> None:
        """Say which joints two files put in different places, once for each pair of files."""
        for (path, first), joints in self._differences.items():
            film, landmark = max(joints, key=lambda joint: joints[joint])
            count = "1 joint lies" if len(joints) == 1 else f"{len(joints)} joints lie"
            fault = (
                f"{count} elsewhere than {first.name} says, which is used; furthest is "
                f"{LANDMARKS[self.films[film].slot.limb][landmark].name} of "
                f"{self.films[film].name} with {joints[film, landmark]:.0f} px"
            )
            self._report.warning("joint-differs", path, fault)
        self._differences.clear()

    def add_file(self, path: Path, kind: str = "spaces", film: int | None = None) -> None:
        """Add a file of an annotation tool, see :mod:`mandora.datasets.label_files`.

        Args:
            path: the file.
            kind: what its polygons are: ``spaces`` or ``erosions``.
            film: index of the film, if the file is used for a single one.
        """
        labelled = self._read(path)
        if labelled is None:
            return
        if film is not None:
            # a file that knows one picture only need not call it by the film's name
            mine = [i for i in labelled if len(labelled) == 1 or self.find(i.image_name) == film]
            for item in mine:
                self._add_labelled(path, item, film, kind)
            self._report_differences()
            if not mine:
                fault = f"says nothing of {self.films[film].name}; name the film as it is called"
                self._report.error("film-unknown", path, fault)
            return
        unknown: dict[str, int | None] = {}
        for item in labelled:
            at = self.find(item.image_name)
            if at is None and len(labelled) == 1:
                at = self.find(path.stem)  # LabelMe names its file after the film
            if at is None:
                unknown[item.image_name] = None
            else:
                self._add_labelled(path, item, at, kind)
        self._report_differences()
        if unknown:
            self.report_unknown(path, unknown)

    def _read(self, path: Path) -> list[LabelledFilm] | None:
        if path not in self._files:
            try:
                self._files[path] = read_label_file(path)
            except (OSError, InputError) as error:
                self._files[path] = None
                self._report.not_read("labels-unreadable", path, error)
        return self._files[path]

    def _add_labelled(self, path: Path, item: LabelledFilm, at: int, kind: str) -> None:
        slot, labels = self.films[at].slot, self._labels[at]
        sites = {o.site for o in item.outlines} | set(item.landmarks)
        wrong = sorted(s for s in sites if not s.startswith(f"{slot.limb}-"))
        if wrong:
            fault = (
                f"{', '.join(wrong)} cannot be on {self.films[at].name}, the film of a {slot.limb}"
            )
            self._report.error("limb-differs", path, f"{fault}; correct the labels")
            return
        size = item.size if min(item.size) > 0 else None
        if size is not None and labels.size is not None and size != labels.size:
            fault = f"says that {self.films[at].name} has {size} px, another file {labels.size}"
            self._report.error("size-differs", path, f"{fault}; export both at the film's size")
            return
        labels.size = labels.size or size
        if item.outlines:
            labels.outlines.setdefault(kind, []).extend(item.outlines)
        for site, place in item.landmarks.items():
            index = _landmark_index(site, slot)
            if index is not None:
                self._mark(at, index, place, path)

    def add_folder(self, folder: Path, kind: str, quiet: bool = False) -> None:
        """Add label maps and LabelMe files that are named after their films.

        Args:
            folder: ``<film>.png`` or ``<film>.json``.
            kind: ``spaces`` or ``erosions``.
            quiet: say nothing of films that are not in the data set.
        """
        unknown: dict[str, int | None] = {}
        for path in files_in(folder, (".png", *LABEL_SUFFIXES)):
            film = self.find(path.stem)
            if film is None:
                unknown[path.name] = None
            elif path.suffix.lower() == ".png":
                self.set_map(film, kind, path)
            else:
                self.add_file(path, kind, film)
        if unknown and not quiet:
            self.report_unknown(folder, unknown)

    def set_map(self, film: int, kind: str, path: Path) -> None:
        """Say that a film's spaces or erosions are in a label map."""
        if not path.is_file():
            self._report.error("labels-missing", path, "there is no such file; correct the path")
        else:
            self._labels[film].maps.setdefault(kind, path)

    def report_unknown(self, path: Path, names: Mapping[str, int | None]) -> None:
        """Say which films of a file the data set does not have.

        Args:
            path: the file.
            names: of films, with the row of each.
        """
        shown = ", ".join(list(names)[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        fault = (
            f"{len(names)} of its films are not, or not once, in the data set: {shown}; "
            "their labels are not used"
        )
        self._report.warning("film-unknown", path, fault, next(iter(names.values())))

    def labelled(self) -> tuple[DatasetFilm, ...]:
        """The films with their labels."""
        return tuple(
            replace(
                film,
                landmarks=labels.landmarks,
                outside=tuple(sorted(labels.outside - set(labels.origin))),
                spaces=labels.maps.get("spaces") or _tuple(labels.outlines.get("spaces")),
                erosions=labels.maps.get("erosions") or _tuple(labels.outlines.get("erosions")),
                label_size=labels.size,
            )
            for film, labels in zip(self.films, self._labels, strict=True)
        )


def _tuple(outlines: list[Outline] | None) -> tuple[Outline, ...] | None:
    return None if outlines is None else tuple(outlines)


def files_in(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    """Files of a folder with one of the suffixes, in natural order; none if it is no folder."""
    if not folder.is_dir():
        return []
    wanted = tuple(suffixes)
    found = [
        path
        for path in listed(folder)
        if path.suffix.lower() in wanted and not path.name.startswith(".") and is_regular(path)
    ]
    return sorted(found, key=lambda path: natural_key(path.name))


def wrong_limb(row: Row, slot: Slot) -> str | None:
    """What is wrong with a row's columns ``limb`` and ``side`` for that film; None if nothing."""
    limb, side = row["limb"].lower(), row["side"].upper()[:1]
    if limb and limb != slot.limb.value:
        return f"limb {row['limb']!r}, but {row['film']} is the film of a {slot.limb}; correct one"
    if side and side != slot.side.value:
        return f"side {row['side']!r}, but {row['film']} is a {slot.title}; correct one"
    return None


def _landmark_index(site: str, slot: Slot) -> int | None:
    """Index of a landmark that is called ``mcp2``, ``hand-mcp2`` or ``LH-mcp2``."""
    prefix, dash, name = site.partition("-")
    if dash and prefix not in (slot.limb.value, slot.code):
        return None
    return LANDMARK_INDEX[slot.limb].get(name if dash else site)
