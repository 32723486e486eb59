"""The overlay: a film with every joint's box, joint-space mask and scores drawn on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mandora.core.anatomy import LANDMARKS, Damage, JointGroup, Landmark, target
from mandora.core.geometry import Box
from mandora.core.records import REASON_TEXT, RESEARCH_NOTICE, JointScore
from mandora.damage.evidence import PatchEvidence
from mandora.outputs.crops import MASK_RGB, film_image, tint
from mandora.outputs.label_layout import Rect, place_beside, stack_in_margin

LONG_SIDE_PX = 1400
"""Longest side of an overlay, px (a long list of missing joints may add some lines)."""

Colour = tuple[int, int, int]
Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

# share of the maximum, colour, words. From calm to severe; the steps differ in lightness or in
# the width of the line as well as in hue, and the number stands beside each box
_STEPS: tuple[tuple[float, Colour, str], ...] = (
    (0.0, (143, 178, 163), "0"),
    (0.25, (245, 230, 140), "to 25 %"),
    (0.5, (255, 184, 64), "to 50 %"),
    (0.75, (255, 132, 36), "to 75 %"),
    (1.0, (255, 92, 72), "to 100 %"),
)
_GREY: Colour = (160, 168, 174)
_WHITE: Colour = (240, 243, 245)
_GROUND: Colour = (14, 17, 20)
_LETTER = {Damage.NARROWING: "N", Damage.EROSION: "E"}
_FONT_PX = 23
_HEAD_PX = 51  # room for the title
_MARGIN_PX = 184  # room for the longest label of the wrist
_FILM_HEIGHT_PX = 1150  # leaves room for the title and the legend


def severity_step(grade: int, maximum: int) -> int:
    """The colour step of a grade: 0 for grade 0, 1 to 4 for each quarter of the maximum."""
    share = grade / maximum
    return next((i for i, (limit, _, _) in enumerate(_STEPS) if share <= limit), len(_STEPS) - 1)


def draw_overlay(
    pixels: NDArray[np.float32] | Image.Image,
    scores: Sequence[JointScore],
    masks: Mapping[str, PatchEvidence],
    title: str = "",
) -> Image.Image:
    """Draw one film with what was seen and scored on it.

    Args:
        pixels: (H, W) float32, 0..1, bright bone: the film, or :func:`film_image` of it.
        scores: the film's joint scores, with positions in px of the film. Scores without a
            value are listed below the film with their reason.
        masks: evidence by landmark name, in px of the film. A joint without evidence gets its box
            from ``half_px`` and no mask.
        title: one line above the film.

    Returns:
        RGB, film in its own orientation, longest side about ``LONG_SIDE_PX``.

    Raises:
        ValueError: if the film is not two-dimensional.
    """
    film = film_image(pixels)
    sheet = _Sheet.of(film.size, missing_lines(scores))
    canvas = Image.new("RGB", sheet.size, _GROUND)
    film = film.resize(sheet.film_size, Image.Resampling.BICUBIC)
    canvas.paste(_tinted(film, masks.values(), sheet), sheet.origin)
    joints = _joints(scores, masks, sheet)
    layer = Image.new("RGBA", sheet.size, (0, 0, 0, 0))
    _draw_boxes(ImageDraw.Draw(layer), joints)
    canvas.paste(layer, mask=layer)
    draw = ImageDraw.Draw(canvas)
    taken = _label_wrist(draw, [j for j in joints if j.in_wrist], sheet)
    _label_digits(draw, joints, taken, sheet)
    _text(draw, (_FONT_PX, 0.6 * _FONT_PX), [(title, _WHITE)])
    _draw_legend(draw, sheet)
    return canvas


def retitled(overlay: Image.Image, title: str) -> Image.Image:
    """An overlay with another line above the film.

    Args:
        overlay: of :func:`draw_overlay`.
        title: the new line; empty for none.
    """
    canvas = overlay.convert("RGB")
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, 0, canvas.width, _HEAD_PX - 1), fill=_GROUND)
    _text(draw, (_FONT_PX, 0.6 * _FONT_PX), [(title, _WHITE)])
    return canvas


def missing_lines(scores: Sequence[JointScore]) -> tuple[str, ...]:
    """One line per reason: which scores are missing and why."""
    by_reason: dict[str, dict[str, list[str]]] = {}
    for s in sorted(scores, key=lambda s: s.kind, reverse=True):  # narrowing first
        if s.reason is not None and s.score is None:
            sites = by_reason.setdefault(REASON_TEXT[s.reason], {})
            sites.setdefault(s.site.upper(), []).append(_LETTER[s.kind])
    return tuple(
        f"Not scored, {reason}: " + ", ".join(f"{s} {' '.join(k)}" for s, k in sites.items())
        for reason, sites in by_reason.items()
    )


@dataclass(frozen=True)
class _Sheet:
    """The layout: the film between two margins, a title above it, the legend below. All px."""

    size: tuple[int, int]
    origin: tuple[int, int]
    film_size: tuple[int, int]
    scale: float  # px of the picture per px of the film
    missing: tuple[str, ...]  # wrapped lines

    @staticmethod
    def of(film_wh: tuple[int, int], missing: Sequence[str]) -> _Sheet:
        # small films are enlarged, or their labels would cover them
        scale = min((LONG_SIDE_PX - 2 * _MARGIN_PX) / film_wh[0], _FILM_HEIGHT_PX / film_wh[1])
        w, h = (max(1, round(side * scale)) for side in film_wh)
        head, width = _HEAD_PX, w + 2 * _MARGIN_PX
        lines = tuple(_wrapped(missing, width - 2 * _FONT_PX))
        foot = round((6.2 + 1.1 * len(lines)) * _FONT_PX)
        return _Sheet((width, head + h + foot), (_MARGIN_PX, head), (w, h), scale, lines)

    @property
    def film(self) -> Rect:
        (x, y), (w, h) = self.origin, self.film_size
        return Rect(x, y, x + w, y + h)

    def rect(self, x0: float, y0: float, x1: float, y1: float) -> Rect:
        """A rectangle of the film on the picture; (0, 0) is the centre of the first pixel."""
        (left, top), k = self.origin, self.scale
        x0, x1 = ((x + 0.5) * k + left for x in (x0, x1))
        y0, y1 = ((y + 0.5) * k + top for y in (y0, y1))
        return Rect(x0, y0, x1, y1)

    def corners(self, box: Box) -> tuple[tuple[float, float], ...]:
        """The four corners of a box of the film on the picture."""
        places = (box.corners + 0.5) * self.scale + self.origin
        return tuple((float(x), float(y)) for x, y in places)


@dataclass(frozen=True)
class _Joint:
    """What is drawn at one landmark, px of the picture: the patch, and a box that holds it."""

    landmark: Landmark
    box: Rect
    corners: tuple[tuple[float, float], ...]
    scores: tuple[JointScore, ...]

    @property
    def in_wrist(self) -> bool:
        return self.landmark.group is JointGroup.WRIST

    @property
    def step(self) -> int:
        return max(severity_step(s.grade or 0, s.maximum) for s in self.scores)

    @property
    def words(self) -> list[tuple[str, Colour]]:
        """The scores as short coloured words, e.g. ``N 0.4``, narrowing first."""
        return [
            (f"{_LETTER[s.kind]} {s.score:.1f}", _STEPS[severity_step(s.grade or 0, s.maximum)][1])
            for s in sorted(self.scores, key=lambda s: _LETTER[s.kind], reverse=True)
        ]

    def by_site(self) -> list[tuple[str, _Joint]]:
        """One joint per site: the radiocarpal joint and the navicular share a patch."""
        names = dict.fromkeys(s.site for s in self.scores)
        return [
            (n, replace(self, scores=tuple(s for s in self.scores if s.site == n))) for n in names
        ]


def _joints(
    scores: Sequence[JointScore], masks: Mapping[str, PatchEvidence], sheet: _Sheet
) -> list[_Joint]:
    joints = []
    by_landmark: dict[Landmark, list[JointScore]] = {}
    for score in scores:
        if score.score is not None:
            by_landmark.setdefault(target(score.target).site.landmark, []).append(score)
    order = [p for points in LANDMARKS.values() for p in points]
    for landmark in sorted(by_landmark, key=order.index):
        found = by_landmark[landmark]
        if landmark.name in masks:
            box = masks[landmark.name].box
        elif (x := found[0].x) is not None and (y := found[0].y) is not None:
            box = Box.around((x, y), found[0].half_px or 0.5, turn_deg=found[0].turn_deg or 0.0)
        else:
            continue
        around = box.bounds
        rect = sheet.rect(around.x0, around.y0, around.x1, around.y1)
        joints.append(_Joint(landmark, rect, sheet.corners(box), tuple(found)))
    return joints


def _tinted(film: Image.Image, evidence: Iterable[PatchEvidence], sheet: _Sheet) -> Image.Image:
    whole = np.zeros((film.height, film.width), dtype=np.float32)
    left, top = sheet.origin
    for patch in evidence:
        around = patch.box.bounds
        box = sheet.rect(around.x0, around.y0, around.x1, around.y1)
        x0, y0 = round(box.x0) - left, round(box.y0) - top
        side = max(1, round(patch.box.width * sheet.scale))
        drawn = Image.fromarray(patch.mask).resize((side, side), Image.Resampling.BILINEAR)
        if patch.box.turn_deg:  # Pillow turns the other way
            drawn = drawn.rotate(-patch.box.turn_deg, Image.Resampling.BILINEAR, expand=True)
        size = max(1, round(box.x1 - box.x0)), max(1, round(box.y1 - box.y0))
        mask = np.asarray(drawn.resize(size, Image.Resampling.BILINEAR))
        cut_x, cut_y = max(0, -x0), max(0, -y0)
        view = whole[max(0, y0) : max(0, y0 + size[1]), max(0, x0) : max(0, x0 + size[0])]
        part = mask[cut_y : cut_y + view.shape[0], cut_x : cut_x + view.shape[1]]
        np.maximum(view, part, out=view)
    return tint(film, whole)


def _draw_boxes(draw: ImageDraw.ImageDraw, joints: Sequence[_Joint]) -> None:
    # calm boxes first, so that severe ones lie on top
    for joint in sorted(joints, key=lambda j: j.step):
        colour, corners = _STEPS[joint.step][1], joint.corners
        if joint.in_wrist:  # a dozen boxes overlap here
            draw.polygon(corners, outline=(*colour, 150 + 25 * joint.step), width=1)
        else:
            draw.polygon(corners, outline=(*_GROUND, 150), width=5 + joint.step)
            draw.polygon(corners, outline=(*colour, 255), width=2 + joint.step // 2)


def _label_digits(
    draw: ImageDraw.ImageDraw, joints: Sequence[_Joint], taken: Sequence[Rect], sheet: _Sheet
) -> None:
    """Two lines beside each finger or toe joint: its name, its scores."""
    labelled = [j for j in joints if not j.in_wrist]
    lines = [([(j.landmark.name.upper(), _WHITE)], _spaced(j.words)) for j in labelled]
    sizes = [(max(_width(name), _width(words)) + 4, 2.2 * _FONT_PX) for name, words in lines]
    boxes = [j.box for j in (*labelled, *(j for j in joints if j.in_wrist))]
    # the wrist's labels and leader lines are avoided like boxes
    bounds = Rect(2, sheet.film.y0, sheet.size[0] - 2, sheet.film.y1)
    places = place_beside([*boxes, *taken], sizes, bounds)
    for joint, (name, words), place in zip(labelled, lines, places, strict=True):
        if not _touches(joint.box, place):
            nearest = (
                min(max(joint.box.centre[0], place.x0), place.x1),
                min(max(joint.box.centre[1], place.y0), place.y1),
            )
            _leader(draw, joint.box.centre, nearest, _STEPS[joint.step][1])
        _text(draw, (place.x0 + 2, place.y0), name)
        _text(draw, (place.x0 + 2, place.y0 + 1.08 * _FONT_PX), words)


def _label_wrist(draw: ImageDraw.ImageDraw, joints: Sequence[_Joint], sheet: _Sheet) -> list[Rect]:
    """One line per wrist joint in the margins, joined to its centre by a leader line."""
    taken = []
    for left, column in _margins(joints, sheet):
        column.sort(key=lambda j: j.box.centre[1])
        named = [entry for joint in column for entry in joint.by_site()]
        line = 1.35 * _FONT_PX
        wanted_y = [joint.box.centre[1] for _, joint in named]
        heights = stack_in_margin(wanted_y, line, sheet.film.y0, sheet.film.y1)
        for (name, joint), y in zip(named, heights, strict=True):
            words = _spaced([(name.upper(), _WHITE), *joint.words])
            width = _width(words)
            x = sheet.film.x0 - 8 - width if left else sheet.film.x1 + 8
            end = x + width + 4 if left else x - 4
            _leader(draw, joint.box.centre, (end, y), _STEPS[joint.step][1])
            _text(draw, (x, y - 0.6 * _FONT_PX), words)
            taken.append(Rect(x, y - line / 2, x + width, y + line / 2))
    return taken


def _margins(joints: Sequence[_Joint], sheet: _Sheet) -> Iterator[tuple[bool, list[_Joint]]]:
    """Left margin (True) and right margin, with the joints that are labelled there."""
    ordered = sorted(joints, key=lambda j: j.box.centre[0])
    if not ordered:
        return
    middle = ordered[len(ordered) // 2].box.centre[0]
    share = (middle - sheet.film.x0) / sheet.film_size[0]
    # on a film that lies on its side the wrist is near one margin, and all labels go there
    half = len(ordered) if share < 0.2 else 0 if share > 0.8 else len(ordered) // 2
    yield True, ordered[:half]
    yield False, ordered[half:]


def _draw_legend(draw: ImageDraw.ImageDraw, sheet: _Sheet) -> None:
    x, y = float(_FONT_PX), sheet.film.y1 + 0.6 * _FONT_PX
    for line in sheet.missing:
        _text(draw, (x, y), [(line, _STEPS[1][1])], small=True)
        y += 1.1 * _FONT_PX
    y += 0.3 * _FONT_PX
    draw.rectangle((x, y + 4, x + 22, y + 19), fill=tuple(c // 2 + 60 for c in MASK_RGB))
    key = "joint space     N narrowing 0 to 4     E erosion 0 to 5 (foot 0 to 10)"
    _text(draw, (x + 30, y), [(key, _GREY)], small=True)
    y += 1.5 * _FONT_PX
    words = "highest grade, share of the maximum:"
    _text(draw, (x, y), [(words, _GREY)], small=True)
    x += _width([(words, _GREY)], small=True) + 14
    for i, (_, colour, share) in enumerate(_STEPS):
        draw.rectangle((x, y + 4, x + 18, y + 19), outline=colour, width=2 + i // 2)
        _text(draw, (x + 24, y), [(share, _GREY)], small=True)
        x += 24 + _width([(share, _GREY)], small=True) + 14
    _text(draw, (_FONT_PX, y + 1.6 * _FONT_PX), [(RESEARCH_NOTICE, _WHITE)], small=True)


def _leader(
    draw: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float], colour: Colour
) -> None:
    draw.line((start, end), fill=_GROUND, width=3)
    draw.line((start, end), fill=colour, width=1)
    x, y = start
    draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour, outline=_GROUND)


def _touches(box: Rect, label: Rect) -> bool:
    near = 0.4 * _FONT_PX
    grown = Rect(box.x0 - near, box.y0 - near, box.x1 + near, box.y1 + near)
    return grown.overlap(label) > 0


@lru_cache(maxsize=2)
def _font(small: bool) -> Font:
    return ImageFont.load_default(size=round(0.82 * _FONT_PX) if small else _FONT_PX)


def _spaced(words: Sequence[tuple[str, Colour]]) -> list[tuple[str, Colour]]:
    return [(w + "  " if i + 1 < len(words) else w, c) for i, (w, c) in enumerate(words)]


def _width(words: Sequence[tuple[str, Colour]], small: bool = False) -> float:
    return sum(_font(small).getlength(word) for word, _ in words)


def _text(
    draw: ImageDraw.ImageDraw,
    xy: tuple[float, float],
    words: Sequence[tuple[str, Colour]],
    small: bool = False,
) -> None:
    x, y = xy
    for word, colour in words:
        draw.text((x, y), word, fill=colour, font=_font(small), stroke_width=2, stroke_fill=_GROUND)
        x += _font(small).getlength(word)


def _wrapped(lines: Sequence[str], width: float) -> Iterator[str]:
    for line in lines:
        current = ""
        for word in line.split(" "):
            longer = f"{current} {word}" if current else word
            if current and _font(True).getlength(longer) > width:
                yield current
                longer = "    " + word
            current = longer
        yield current
