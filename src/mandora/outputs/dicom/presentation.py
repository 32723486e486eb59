"""A presentation state of a film: a viewer draws boxes and scores over the original picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from highdicom import PresentationLUTTransformation
from highdicom.color import CIELabColor
from highdicom.pr import (
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GrayscaleSoftcopyPresentationState,
    TextObject,
)

from mandora.core.anatomy import JointGroup, target
from mandora.core.geometry import Points
from mandora.core.records import RESEARCH_NOTICE, JointScore
from mandora.outputs.dicom.outlines import outline_on
from mandora.outputs.dicom.series import Patient
from mandora.outputs.dicom.source import SourceFilm
from mandora.outputs.label_layout import Rect, place_beside, stack_in_margin

_LETTER = {"narrowing": "N", "erosion": "E"}
_YELLOW = CIELabColor(88.0, -8.0, 66.0)
_SHEET_PX = 1150.0  # height of the picture on which labels are laid out
_LINE_PX, _LETTER_PX = 22.0, 11.0


def presentation_state(
    patient: Patient, film: SourceFilm, number: int
) -> GrayscaleSoftcopyPresentationState | None:
    """Boxes and labels of one film; None if it has no score with a place.

    Args:
        patient: whose film it is.
        film: that is annotated.
        number: of the object in its series.
    """
    joints = _joints(patient, film)
    if not joints:
        return None
    layer = GraphicLayer(
        "SVH SCORES", order=1, description="Sharp/van der Heijde scores", display_color=_YELLOW
    )
    boxes = [
        GraphicObject("POLYLINE", np.vstack([j.corners, j.corners[:1]]), units="PIXEL")
        for j in joints
    ]
    annotation = GraphicAnnotation(
        [film.header], graphic_layer=layer, graphic_objects=boxes, text_objects=_texts(film, joints)
    )
    inverted = film.header.get("PhotometricInterpretation") == "MONOCHROME1"
    state = GrayscaleSoftcopyPresentationState(
        referenced_images=[film.header],
        graphic_annotations=[annotation],
        graphic_layers=[layer],
        presentation_lut_transformation=PresentationLUTTransformation(
            presentation_lut_shape="INVERSE" if inverted else "IDENTITY"
        ),
        content_label="SVH SCORES",
        content_description=f"SvH scores, {film.slot.title}",
        **patient.shared("PR", film, number),
    )
    state.Laterality = film.slot.side.value
    return state


@dataclass(frozen=True)
class _Joint:
    """One box of the film, px of the stored picture as DICOM counts them, and its label."""

    corners: Points
    lines: tuple[str, ...]
    in_wrist: bool

    @property
    def centre(self) -> tuple[float, float]:
        x, y = (self.corners.min(axis=0) + self.corners.max(axis=0)) / 2
        return float(x), float(y)


def _joints(patient: Patient, film: SourceFilm) -> list[_Joint]:
    by_landmark: dict[str, list[JointScore]] = {}
    for score in patient.result.scores:
        if score.film == film.record.name and score.score is not None:
            name = target(score.target).site.landmark_name
            by_landmark.setdefault(name, []).append(score)
    joints = []
    for name, scores in by_landmark.items():
        seen = patient.seen(film, name)
        corners = outline_on(film, seen.box) if seen else None
        if corners is not None:
            in_wrist = target(scores[0].target).site.group is JointGroup.WRIST
            joints.append(_Joint(corners, _lines(scores, one_line=in_wrist), in_wrist))
    return joints


def _lines(scores: Sequence[JointScore], one_line: bool) -> tuple[str, ...]:
    """Name and scores of each site of a box: the navicular shares that of the wrist joint."""
    lines: list[str] = []
    for site in dict.fromkeys(s.site for s in scores):
        mine = sorted(
            (s for s in scores if s.site == site), key=lambda s: s.kind, reverse=True
        )  # narrowing first
        values = " ".join(f"{_LETTER[s.kind]}{s.score:.1f}" for s in mine)
        lines += [f"{site.upper()} {values}"] if one_line else [site.upper(), values]
    return tuple(lines)


def _texts(film: SourceFilm, joints: Sequence[_Joint]) -> list[TextObject]:
    scale = _SHEET_PX / film.rows
    sheet = Rect(2, 2, film.columns * scale - 2, _SHEET_PX - 2)
    rects = [_rect(j, scale) for j in joints]
    order = [i for i, j in enumerate(joints) if not j.in_wrist]
    wrist = [i for i, j in enumerate(joints) if j.in_wrist]
    margin = _margin_places(joints, rects, wrist, sheet)
    avoided = [rects[i] for i in order] + [rects[i] for i in wrist] + list(margin.values())
    places = dict(
        zip(order, place_beside(avoided, [_size(joints[i]) for i in order], sheet), strict=True)
    )
    texts = [
        _text(joints[i], place, scale, film, leader=joints[i].in_wrist)
        for i, place in sorted((places | margin).items())
    ]
    notice = Rect(10, _SHEET_PX - 2 * _LINE_PX, sheet.x1, _SHEET_PX - _LINE_PX)
    return [*texts, _boxed(RESEARCH_NOTICE, notice, scale, film)]


def _margin_places(
    joints: Sequence[_Joint], rects: Sequence[Rect], wrist: Sequence[int], sheet: Rect
) -> dict[int, Rect]:
    """Labels of the wrist, half of them at either edge of the film."""
    places: dict[int, Rect] = {}
    across = sorted(wrist, key=lambda i: rects[i].centre[0])
    half = len(across) // 2
    for left, column in ((True, across[:half]), (False, across[half:])):
        column = sorted(column, key=lambda i: rects[i].centre[1])
        lines = max((len(joints[i].lines) for i in column), default=1)
        height = (lines + 0.3) * _LINE_PX
        wanted = [rects[i].centre[1] for i in column]
        for i, y in zip(
            column, stack_in_margin(wanted, height, sheet.y0, sheet.y1), strict=True
        ):  # fmt: skip
            width, tall = _size(joints[i])
            x = sheet.x0 + 8 if left else sheet.x1 - 8 - width
            places[i] = Rect(x, y - tall / 2, x + width, y + tall / 2)
    return places


def _rect(joint: _Joint, scale: float) -> Rect:
    (x0, y0), (x1, y1) = joint.corners.min(axis=0) * scale, joint.corners.max(axis=0) * scale
    return Rect(float(x0), float(y0), float(x1), float(y1))


def _size(joint: _Joint) -> tuple[float, float]:
    return max(map(len, joint.lines)) * _LETTER_PX, len(joint.lines) * _LINE_PX


def _text(
    joint: _Joint, place: Rect, scale: float, film: SourceFilm, *, leader: bool
) -> TextObject:
    return _boxed("\r\n".join(joint.lines), place, scale, film, joint.centre if leader else None)


def _boxed(
    words: str,
    place: Rect,
    scale: float,
    film: SourceFilm,
    anchor: tuple[float, float] | None = None,
) -> TextObject:
    x0, x1 = (min(max(x / scale, 0.0), film.columns) for x in (place.x0, place.x1))
    y0, y1 = (min(max(y / scale, 0.0), film.rows) for y in (place.y0, place.y1))
    return TextObject(
        words, units="PIXEL", bounding_box=(x0, y0, x1, y1), anchor_point=anchor,
        text_justification="LEFT", anchor_point_visible=anchor is not None,
    )  # fmt: skip
