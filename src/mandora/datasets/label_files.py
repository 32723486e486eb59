"""Files of annotation tools: which formats there are, and which one a file has.

A new format is a module in :mod:`mandora.datasets.formats` with a reader, one line in
:data:`LABEL_FORMATS`, and a row in ``docs/data.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mandora.core.errors import InputError
from mandora.datasets.formats.coco import read_coco
from mandora.datasets.formats.cvat import read_cvat
from mandora.datasets.formats.labelled_film import LabelledFilm, read_json_object
from mandora.datasets.formats.labelme import read_labelme


class LabelFormat(NamedTuple):
    """A file format of an annotation tool.

    Attributes:
        tool: its name.
        suffix: of the files, lower case.
        key: a key that the object of a JSON file has in this format, and in no other one.
        read: gives the films of a file; raises a ValueError that names the file.
    """

    tool: str
    suffix: str
    key: str
    read: Callable[[Path], list[LabelledFilm]]


LABEL_FORMATS: tuple[LabelFormat, ...] = (
    LabelFormat("LabelMe", ".json", "shapes", lambda path: [read_labelme(path)]),
    LabelFormat("COCO", ".json", "images", read_coco),
    LabelFormat("CVAT", ".xml", "image", read_cvat),
)

LABEL_SUFFIXES = tuple(dict.fromkeys(form.suffix for form in LABEL_FORMATS))


def read_label_file(path: Path) -> list[LabelledFilm]:
    """Read the films of a file of any annotation tool that is known.

    Raises:
        ValueError: naming the file, if it is of none of the formats, or its reader refuses it.
    """
    formats = [form for form in LABEL_FORMATS if form.suffix == path.suffix.lower()]
    if len(formats) > 1:
        tools = " or ".join(form.tool for form in formats)
        content = read_json_object(path, tools)
        formats = [form for form in formats if form.key in content]
        if not formats:
            raise InputError(f"{path}: is no file of {tools}; export it again")
    if not formats:
        raise InputError(f"{path}: use a file that ends in {', '.join(LABEL_SUFFIXES)}")
    return formats[0].read(path)
