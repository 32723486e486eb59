"""CVAT: one XML file ("CVAT for images 1.1") for many films: polygons, points, skeletons."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mandora.core.errors import InputError
from mandora.datasets.formats.labelled_film import (
    Drawing,
    LabelledFilm,
    check_labels,
    read_label_text,
)

# What CVAT can draw beside polygons and points. Its tags are about the whole film.
_OTHER_SHAPES = ("box", "polyline", "mask", "ellipse", "cuboid")
_DECLARATION = re.compile(r"<!(DOCTYPE|ENTITY)", re.IGNORECASE)


def read_cvat(path: Path) -> list[LabelledFilm]:
    """Read the polygons and points of a file that CVAT exported as "CVAT for images 1.1".

    Landmarks are points of one place each, or the places of a skeleton whose labels are sites; a
    place that is marked as outside is not on the film. Tags and attributes are not used.

    Args:
        path: the ``annotations.xml`` of a task, a job or a project.

    Returns:
        One entry for each image of the file, with or without annotations.

    Raises:
        ValueError: if it is no such file, declares entities, holds tracks of a video, labels that
            are no sites, shapes other than polygons and points, or a site with two points.
    """
    root = _read_xml(path)
    if root.tag != "annotations":
        raise InputError(f"{path}: holds <{root.tag}>, not CVAT's <annotations>; export it again")
    if root.find("track") is not None:
        raise InputError(f'{path}: holds tracks of a video; export it as "CVAT for images 1.1"')
    films = []
    for i, image in enumerate(root.iterfind("image"), start=1):
        name = image.get("name", "").replace("\\", "/")
        size = tuple(image.get(key, "") for key in ("width", "height"))
        if not name or not all(re.fullmatch("[1-9][0-9]{0,8}", value) for value in size):
            raise InputError(f"{path}: image {i} has no name, width and height; export it again")
        drawing = _drawing(path, image, name)
        films.append(
            LabelledFilm(
                name, (int(size[0]), int(size[1])), tuple(drawing.outlines), drawing.landmarks
            )
        )
    if not films:
        raise InputError(f'{path}: holds no images; export it as "CVAT for images 1.1"')
    return films


def _read_xml(path: Path) -> ElementTree.Element:
    try:
        text = read_label_text(path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not XML in UTF-8; give a CVAT file") from error
    if _DECLARATION.search(text):  # CVAT writes none; nested entities could fill the memory
        raise InputError(f"{path}: declares a document type or entities; export it again")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{path}: is not XML; give a CVAT file") from error


def _drawing(path: Path, image: ElementTree.Element, name: str) -> Drawing:
    shapes = [s for s in image if s.tag in ("polygon", "points", *_OTHER_SHAPES)]
    for skeleton in image.iterfind("skeleton"):
        shapes += [s for s in skeleton.iterfind("points") if s.get("outside", "0") != "1"]
    check_labels(path, [shape.get("label", "") for shape in shapes])
    drawing = Drawing(path)
    for shape in shapes:
        site = shape.get("label", "")
        what = f"{name}, {shape.tag} {site}"
        if shape.tag in _OTHER_SHAPES:
            raise InputError(f"{path}: {what}: draw it as a polygon or a point")
        pairs = _pairs(path, shape.get("points", ""), what)
        if shape.tag == "polygon":
            drawing.add_polygon(site, pairs, what)
        else:
            drawing.add_landmark(site, pairs, what)
    return drawing


def _pairs(path: Path, text: str, what: str) -> list[Any]:
    """The places of ``x,y;x,y;…``, each as [x, y]."""
    try:
        return [[float(number) for number in pair.split(",")] for pair in text.split(";")]
    except ValueError as error:
        raise InputError(f"{path}: {what} has no places x,y;x,y;…; export it again") from error
