"""The shape of a simulated wrist: outlines of its bones, landmarks, and how wrists differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mandora.core.geometry import fit_similarity
from mandora.simulate.anatomy.shapes import Array, turn, unit

# The wrist in units of |MCP2-MCP5| from MCP3, of an average hand: the middle of each place
# that is located, the bases of the metacarpals, and corners of the bones.
_LANDMARKS = {
    "cmc1": (0.413, 1.167), "radiocarpal": (0.017, 1.418), "ulnar_carpus": (-0.341, 1.135),
}  # fmt: skip
_KNUCKLES = {"mcp3": (0.0, 0.0), "mcp2": (0.373, 0.007), "mcp5": (-0.575, 0.299)}
AVERAGE_LANDMARKS = {
    "mc1": (0.398, 1.103), "mul": (0.285, 1.145), "mna": (0.25, 1.222), "capnlun": (0.035, 1.418),
    "lunate": (-0.085, 1.45), "radcar": (0.075, 1.53), "radius": (0.10, 1.59),
    "ulna": (-0.305, 1.63), "cmc3": (0.01, 1.0), "cmc4": (-0.153, 1.015), "cmc5": (-0.27, 1.055),
}  # fmt: skip
BASES = {
    1: (0.405, 1.095), 2: (0.19, 1.035), 3: (0.015, 1.0), 4: (-0.147, 1.01), 5: (-0.275, 1.05),
}  # fmt: skip
# Corners of the carpal bones; their faces towards each other overlap, as on a film.
CARPUS = {
    "trapezoid": (
        (0.13, 1.06), (0.20, 1.035), (0.28, 1.055), (0.30, 1.12), (0.27, 1.19), (0.205, 1.205),
        (0.145, 1.18), (0.12, 1.12),
    ),
    "trapezium": (
        (0.285, 1.075), (0.35, 1.055), (0.415, 1.085), (0.455, 1.15), (0.44, 1.22), (0.375, 1.26),
        (0.30, 1.235), (0.25, 1.205), (0.245, 1.135),
    ),
    "capitate": (
        (-0.095, 1.01), (-0.02, 1.0), (0.07, 1.005), (0.125, 1.035), (0.135, 1.10), (0.11, 1.17),
        (0.125, 1.27), (0.10, 1.36), (0.035, 1.405), (-0.045, 1.395), (-0.09, 1.34),
        (-0.085, 1.22), (-0.105, 1.12),
    ),
    "hamate": (
        (-0.095, 1.015), (-0.19, 1.01), (-0.275, 1.05), (-0.33, 1.115), (-0.285, 1.20),
        (-0.21, 1.275), (-0.15, 1.355), (-0.095, 1.365), (-0.08, 1.31), (-0.085, 1.20),
        (-0.10, 1.11),
    ),
    "scaphoid": (
        (0.165, 1.22), (0.235, 1.215), (0.295, 1.26), (0.335, 1.33), (0.31, 1.40), (0.245, 1.46),
        (0.17, 1.525), (0.085, 1.57), (0.015, 1.545), (0.01, 1.445), (0.075, 1.385), (0.125, 1.32),
        (0.145, 1.265),
    ),
    "lunate": (
        (-0.205, 1.46), (-0.165, 1.395), (-0.085, 1.375), (-0.01, 1.39), (0.045, 1.42),
        (0.04, 1.505), (-0.015, 1.57), (-0.10, 1.58), (-0.175, 1.535),
    ),
    "triquetrum": (
        (-0.355, 1.25), (-0.285, 1.21), (-0.215, 1.265), (-0.15, 1.355), (-0.18, 1.425),
        (-0.25, 1.45), (-0.315, 1.41), (-0.36, 1.325),
    ),
}  # fmt: skip
PISIFORM = ((-0.265, 1.345), (0.145, 0.175))  # centre, size; in front of the triquetrum
HOOK = ((-0.185, 1.10), (0.075, 0.12))  # of the hamate, a ring of compact bone seen end on
# The styloid of the radius reaches furthest; the notch for the head of the ulna is on its other
# side.
RADIUS = [
    (0.305, 1.425), (0.255, 1.465), (0.19, 1.51), (0.10, 1.545), (0.0, 1.565), (-0.095, 1.575),
    (-0.14, 1.60), (-0.14, 1.67), (-0.105, 1.79), (-0.07, 1.95), (-0.035, 2.4), (-0.03, 3.8),
    (0.19, 3.8), (0.205, 2.4), (0.26, 2.0), (0.325, 1.77), (0.365, 1.62), (0.365, 1.505),
    (0.345, 1.44),
]  # fmt: skip
ULNA = [
    (-0.425, 1.575), (-0.385, 1.56), (-0.33, 1.56), (-0.265, 1.55), (-0.20, 1.565),
    (-0.175, 1.61), (-0.19, 1.67), (-0.225, 1.76), (-0.235, 1.95), (-0.24, 2.4), (-0.23, 3.8),
    (-0.40, 3.8), (-0.41, 2.4), (-0.415, 1.95), (-0.42, 1.78), (-0.435, 1.65),
]  # fmt: skip
STYLOID = ((-0.375, 1.545), (0.075, 0.12))  # of the ulna: centre, size; behind its head
# Bare areas, where erosions start: margins beside the joint surface that are covered by synovium
# only. Each bone's list has as many places as the site has; those of ``mul`` alternate.
BARE_AREAS = {
    "mc1": (
        (0.335, 1.075), (0.475, 1.12), (0.315, 1.04), (0.50, 1.085), (0.36, 1.09), (0.45, 1.11),
    ),
    "trapezium": ((0.45, 1.20), (0.38, 1.26), (0.455, 1.14)),
    "trapezoid": ((0.125, 1.14), (0.14, 1.055), (0.165, 1.195)),
    "scaphoid": (
        (0.255, 1.435), (0.195, 1.48), (0.305, 1.395), (0.12, 1.535), (0.02, 1.53), (0.03, 1.42),
    ),
    "lunate": (
        (-0.205, 1.455), (0.045, 1.46), (-0.15, 1.54), (0.03, 1.51), (-0.175, 1.405), (-0.06, 1.56),
    ),
    # the tip and the outer side of the styloid, the corner and the notch towards the ulna
    "radius": (
        (0.29, 1.43), (-0.135, 1.59), (0.355, 1.47), (-0.14, 1.655), (0.225, 1.485), (-0.07, 1.57),
    ),
    # the tip and the base of the styloid, the fovea, the head's surface and its side
    "ulna": (
        (-0.385, 1.50), (-0.18, 1.60), (-0.43, 1.59), (-0.34, 1.56), (-0.25, 1.55), (-0.185, 1.655),
    ),
}  # fmt: skip
_TOP = np.array([0.0, 1.0])  # the base of the third metacarpal: wrists differ below it
_PIVOT = np.array([0.03, 1.38])  # the head of the capitate: what the wrist bends about
_BENDS = (1.15, 1.7)  # the bend grows between these rows, from the palm to the forearm
_SURFACE = 1.62  # the joint surface of the radius lies above this row


@dataclass(frozen=True)
class WristForm:
    """The shape of a wrist, relative to the average one.

    Attributes:
        height: of the carpus, 1 average.
        breadth: of the carpus, 1 average.
        tilt: more slope of the radius' joint surface, 0 average.
        ulna: how much shorter than average the ulna is, units of the average wrist.
        bend: of the forearm against the palm, rad; positive towards the thumb.
    """

    height: float = 1.0
    breadth: float = 1.0
    tilt: float = 0.0
    ulna: float = 0.0
    bend: float = 0.0

    @staticmethod
    def draw(patient_rng: np.random.Generator, film_rng: np.random.Generator) -> WristForm:
        """Draw a wrist: its bones from the patient's generator, its bend from the film's."""
        n = patient_rng.normal
        return WristForm(
            height=float(np.clip(n(0.95, 0.07), 0.78, 1.1)),
            breadth=float(np.clip(n(0.98, 0.06), 0.85, 1.12)),
            tilt=float(n(0.0, 0.1)),
            ulna=float(n(0.0, 0.03)),
            bend=float(np.clip(film_rng.normal(0, 0.09), -0.25, 0.25)),
        )

    def of_bone(self, name: str, xy: tuple[float, float]) -> Array:
        """(2,) place of the average wrist's radius or ulna → of this wrist's, before bending."""
        x, y = xy
        if name == "ulna":
            y += self.ulna
        elif name == "radius" and y < _SURFACE:
            y += self.tilt * (x - 0.08)
        return np.array([x, y])

    def __call__(self, xy: Array) -> Array:
        """(2,) place of the average wrist → of this one, in the same units."""
        x, y = (xy - _TOP) * [self.breadth, self.height if xy[1] > _TOP[1] else 1.0] + _TOP
        share = np.clip((y - _BENDS[0]) / (_BENDS[1] - _BENDS[0]), 0, 1)
        return np.asarray(turn(self.bend * share) @ (np.array([x, y]) - _PIVOT) + _PIVOT)


class WristMap:
    """From the average wrist's units to this hand's mm."""

    def __init__(self, matrix: Array, form: WristForm) -> None:
        self._matrix, self.form = matrix, form

    def __call__(self, xy: tuple[float, float] | Array) -> Array:
        """(2,) place of the average wrist, in its units → (2,) mm."""
        own = self.form(np.asarray(xy, dtype=np.float64))
        return self._matrix[:, :2] @ own + self._matrix[:, 2]

    @property
    def down(self) -> Array:
        """(2,) unit vector towards the forearm."""
        return unit(self._matrix[:, 1])


def wrist_map(marks: Mapping[str, Array], scale: float, form: WristForm) -> WristMap:
    """The map to the wrist that fits a hand's landmarks.

    Args:
        marks: (2,) mm by landmark, MCP3 at the origin.
        scale: |MCP2-MCP5|, mm.
        form: its shape.
    """
    average = {**_LANDMARKS, **_KNUCKLES}
    source = np.array(list(average.values()))
    target = np.array([marks[name] for name in average])
    matrix = fit_similarity(source, target, [1, 1.5, 1, 0.3, 0.3, 0.3])
    # size comes from the hand, place and turn from the landmarks
    size = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    linear = matrix[:, :2] * (0.5 + 0.5 * scale / size)
    anchor = np.array([0.03, 1.24])  # the middle of the carpus keeps its place
    shift = matrix[:, :2] @ anchor + matrix[:, 2] - linear @ anchor
    return WristMap(np.column_stack([linear, shift]), form)


def wrist_landmarks(place: WristMap) -> dict[str, Array]:
    """(2,) mm of each place of the wrist that is located."""
    return {name: place(place.form.of_bone(name, xy)) for name, xy in AVERAGE_LANDMARKS.items()}


def bare_area(name: str, index: int, outline: Array, place: WristMap) -> Array:
    """(2,) mm, one of the places on a bone's outline where erosions start.

    Args:
        name: of the bone.
        index: of the bare area, from 0 on; beyond the last one the first follows.
        outline: (N, 2) mm, of the bone.
        place: of this hand.
    """
    areas = BARE_AREAS[name]
    usual = place(place.form.of_bone(name, areas[index % len(areas)]))
    return np.asarray(outline[np.hypot(*(outline - usual).T).argmin()])
