"""The wrist of a simulated hand: carpal bones, forearm and the joints between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mandora.core.anatomy import Limb
from mandora.core.geometry import fit_similarity
from mandora.simulate.anatomy.joint_state import HEALTHY, Erosion, JointState
from mandora.simulate.anatomy.shapes import (
    Array,
    across,
    blob_outline,
    smooth_outline,
    turn,
    unit,
)
from mandora.simulate.anatomy.skeleton import Bone, Gap, PlacedErosion, Traits, label_of

WRIST_ANCHORS = 6

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
_CARPUS = {
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
        (0.165, 1.22), (0.235, 1.215), (0.295, 1.26), (0.335, 1.33), (0.305, 1.395), (0.235, 1.445),
        (0.165, 1.505), (0.085, 1.55), (0.015, 1.525), (0.01, 1.445), (0.075, 1.385), (0.125, 1.32),
        (0.145, 1.265),
    ),
    "lunate": (
        (-0.205, 1.455), (-0.165, 1.395), (-0.085, 1.375), (-0.01, 1.39), (0.045, 1.42),
        (0.04, 1.495), (-0.015, 1.55), (-0.10, 1.56), (-0.175, 1.52),
    ),
    "triquetrum": (
        (-0.355, 1.25), (-0.285, 1.21), (-0.215, 1.265), (-0.15, 1.355), (-0.18, 1.425),
        (-0.25, 1.45), (-0.315, 1.41), (-0.36, 1.325),
    ),
}  # fmt: skip
_PISIFORM = ((-0.265, 1.345), (0.145, 0.175))  # centre, size; in front of the triquetrum
_HOOK = ((-0.185, 1.10), (0.075, 0.12))  # of the hamate, a ring of compact bone seen end on
# The styloid of the radius reaches furthest; the notch for the head of the ulna is on its other
# side.
_RADIUS = [
    (0.305, 1.425), (0.255, 1.465), (0.19, 1.51), (0.10, 1.545), (0.0, 1.565), (-0.095, 1.575),
    (-0.14, 1.60), (-0.14, 1.67), (-0.105, 1.79), (-0.07, 1.95), (-0.035, 2.4), (-0.03, 3.8),
    (0.19, 3.8), (0.205, 2.4), (0.26, 2.0), (0.325, 1.77), (0.365, 1.62), (0.365, 1.505),
    (0.345, 1.44),
]  # fmt: skip
_ULNA = [
    (-0.425, 1.575), (-0.385, 1.56), (-0.33, 1.56), (-0.265, 1.55), (-0.20, 1.565),
    (-0.175, 1.61), (-0.19, 1.67), (-0.225, 1.76), (-0.235, 1.95), (-0.24, 2.4), (-0.23, 3.8),
    (-0.40, 3.8), (-0.41, 2.4), (-0.415, 1.95), (-0.42, 1.78), (-0.435, 1.65),
]  # fmt: skip
_STYLOID = ((-0.375, 1.545), (0.075, 0.12))  # of the ulna: centre, size; behind its head
# Bare areas, where erosions start: margins beside the joint surface that are covered by synovium
# only. Each bone's list has as many places as the site has; those of ``mul`` alternate.
_BARE_AREAS = {
    "mc1": ((0.335, 1.075), (0.475, 1.12), (0.315, 1.04), (0.50, 1.085), (0.36, 1.09), (0.45, 1.11)),
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
_WRIST_SPACE_MM = {"radcar": 1.9, "capnlun": 1.5, "": 1.2}  # "": all others
_GAPS = (
    ("capitate", "mc3", "cmc3"), ("hamate", "mc4", "cmc4"), ("hamate", "mc5", "cmc5"),
    ("scaphoid", "trapezium", "mna"), ("scaphoid", "trapezoid", "mna"),
    ("capitate", "scaphoid", "capnlun"), ("capitate", "lunate", "capnlun"),
    ("scaphoid", "radius", "radcar"), ("lunate", "radius", "radcar"),
    ("trapezium", "mc1", "mc1"),
    ("triquetrum", "ulna", "far"), ("lunate", "ulna", "far"), ("triquetrum", "radius", "far"),
)  # fmt: skip
# Of the other joints the beam is parallel to some; at most the bones overlap. Mean and s.d. of the
# space that is seen, shares of the healthy one.
_UNSCORED = {
    ("trapezium", "trapezoid"): (-1.5, 1.0), ("trapezium", "mc2"): (-0.5, 0.8),
    ("trapezoid", "mc2"): (0.5, 0.6), ("trapezoid", "capitate"): (-0.2, 0.8),
    ("capitate", "mc2"): (0.15, 0.7), ("capitate", "hamate"): (0.2, 0.6),
    ("capitate", "mc4"): (0.15, 0.7), ("hamate", "mc3"): (0.15, 0.7),
    ("hamate", "triquetrum"): (0.6, 0.5), ("hamate", "lunate"): (0.3, 0.6),
    ("lunate", "triquetrum"): (0.2, 0.6), ("lunate", "scaphoid"): (0.3, 0.5),
}  # fmt: skip
_END_MM = {"mc1": 14.0, "radius": 20.0}  # width of the end of a bone; 13.5 of all others
_PARTS = {"radius": ("radius-rim",), "ulna": ("ulna-styloid",)}  # drawn apart from their bone
_EROSION_BONES = {
    "mc1": ("mc1",), "mul": ("trapezium", "trapezoid"), "nav": ("scaphoid",),
    "lunate": ("lunate",), "radius": ("radius",), "ulna": ("ulna",),
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


def wrist_bones(
    place: WristMap,
    scale: float,
    states: Mapping[str, JointState],
    traits: Traits,
    rng: np.random.Generator,
) -> list[Bone]:
    """Carpal bones, distal radius and ulna.

    Args:
        place: of this hand.
        scale: |MCP2-MCP5|, mm.
        states: latent damage; bone of a damaged wrist is thinned.
        traits: of the patient.
        rng: of this hand.
    """
    sites = [site for site in AVERAGE_LANDMARKS if site in states]
    gone = float(np.mean([states[site].osteopenia for site in sites])) if sites else 0.0
    lost = 1 - (1 - traits.porosity) * (1 - gone)
    width = traits.size * traits.robust
    thin = (0.38 * traits.cortex,) * 3
    # carpal bones grow last
    grown = 1 - (1 - traits.closing) * rng.uniform(0.04, 0.35) if traits.immature else 1.0
    bones = []
    for name, corners in _CARPUS.items():
        rough = np.array(corners)
        centre = rough.mean(axis=0)
        growth = rng.normal(1.08, 0.04, 2) * (0.6 + 0.4 * traits.robust)
        moved = centre + rng.normal(0, 0.007, 2)
        around = (rough - centre) * growth * grown
        around = around @ turn(rng.normal(0, 0.05)).T + rng.normal(0, 0.004, rough.shape)
        outline = smooth_outline(np.array([place(c) for c in moved + around]))
        bones.append(Bone(
            name, outline, rng.uniform(0.105, 0.14) * scale, thin, yields=True, porosity=lost,
            veil=rng.uniform(0.3, 0.65), slant=_slant(rng),
        ))  # fmt: skip
    bones += _overlying(place, scale, traits, lost, rng)
    for name, edge, depth in (("radius", _RADIUS, 0.12), ("ulna", _ULNA, 0.09)):
        own = [place.form.of_bone(name, c) + rng.normal(0, 0.005, 2) for c in edge]
        outline = smooth_outline(np.array([place(c) for c in own]))
        top = place(place.form.of_bone(name, (0.08, 1.53) if name == "radius" else (-0.31, 1.57)))
        bottom = place((0.08, 3.8) if name == "radius" else (-0.31, 3.8))
        bones.append(
            Bone(
                name,
                outline,
                depth * scale,
                (0.8 * traits.cortex, 2.4 * traits.cortex * width, 1.0),
                axis=np.array([top, bottom]),
                plate=0.055 if traits.immature else None,
                closing=traits.closing,
                porosity=0.5 * lost,  # the shaft is spared
            )
        )
    rims = [place(place.form.of_bone("radius", c)) for c in _RADIUS[1:7]]
    lower = [xy + place.down * rng.uniform(0.02, 0.06) * scale for xy in rims[::-1]]
    rim = smooth_outline(np.array(rims + lower))
    bones.append(Bone(
        "radius-rim", rim, rng.uniform(1.0, 2.2), (0.6 * traits.cortex,) * 3, anatomical=False
    ))  # fmt: skip
    return bones


def _overlying(
    place: WristMap, scale: float, traits: Traits, lost: float, rng: np.random.Generator
) -> list[Bone]:
    """What is seen over other bones: pisiform, hook of the hamate and styloid of the ulna."""
    thin = (0.38 * traits.cortex,) * 3
    lies = rng.normal(0, 0.025, 2)
    size, turned = np.array(_PISIFORM[1]) * rng.uniform(0.85, 1.15, 2) * scale, rng.normal(0.1, 0.2)
    outline = blob_outline(place(_PISIFORM[0] + lies), (size[0], size[1]), turned, power=2.0)
    bones = [Bone("pisiform", outline, 0.045 * scale, thin, porosity=lost)]
    # the hook is seen end on: a wall of compact bone that is rarely a whole ring
    size = np.array(_HOOK[1]) * rng.uniform(0.8, 1.2, 2) * scale
    around = np.linspace(0.0, rng.uniform(3.5, 6.1), 24) + rng.uniform(0, 2 * np.pi)
    circle = np.column_stack([np.cos(around), np.sin(around)]) * size / 2
    wall = rng.uniform(0.7, 1.3)
    inside = circle[::-1] * (1 - 2 * wall / size)
    outline = place(_HOOK[0] + lies) + np.concatenate([circle, inside])
    bones.append(Bone("hook", outline, 1.2, (0.6 * traits.cortex,) * 3, anatomical=False))
    size = np.array(_STYLOID[1]) * rng.uniform(0.8, 1.2, 2) * scale
    at = place(place.form.of_bone("ulna", _STYLOID[0]) + rng.normal(0, [0.012, 0.018]))
    outline = blob_outline(at, (size[0], size[1]), rng.normal(0.1, 0.2), power=2.0)
    bones.append(
        Bone("ulna-styloid", outline, 0.045 * scale, thin, porosity=lost, anatomical=False)
    )
    return bones


def _slant(rng: np.random.Generator) -> tuple[float, float]:
    """How far the front of a carpal bone lies beside its middle on the film, mm."""
    x, y = np.clip(rng.normal(0, 0.8, 2), -1.6, 1.6)
    return float(x), float(y)


def wrist_erosions(
    bones: Mapping[str, Bone], states: Mapping[str, JointState], width: float, place: WristMap
) -> list[PlacedErosion]:
    """Erosions of the wrist's sites, on the outlines of their bones, mm."""
    erosions = []
    for site, names in _EROSION_BONES.items():
        for erosion in states.get(site, HEALTHY).erosions:
            name = names[erosion.anchor % len(names)]
            size = _END_MM.get(name, 13.5) * width
            if name == "radius":  # it starts at a joint surface, and spreads along it
                erosion = spread_along_surface(erosion)
            usual = bare_area(name, erosion.anchor // len(names), bones[name].outline, place)
            at, inward = _margin(bones[name], usual, erosion, size)
            label = label_of(Limb.HAND, "radcar" if site == "nav" else site)
            erosions.append(PlacedErosion(name, at, inward, size, erosion, label))
            for part in _PARTS.get(name, ()):  # what lies over it goes with it
                erosions.append(replace(erosions[-1], bone=part, label=0))
    return erosions


def spread_along_surface(erosion: Erosion) -> Erosion:
    """The same erosion, as long along the bone's surface as it was deep, and shallower."""
    if erosion.collapse:
        return replace(erosion, reach=0.6 * erosion.reach)
    size = erosion.reach - erosion.inset
    return replace(
        erosion, radius=max(erosion.radius, 0.5 * size), reach=erosion.inset + 0.5 * size
    )


def _margin(bone: Bone, usual: Array, erosion: Erosion, size: float) -> tuple[Array, Array]:
    """Where an erosion starts on the outline of a bone of the wrist, (2,) mm, and its direction.

    Args:
        bone: of the wrist.
        usual: (2,) mm, the bare area.
        erosion: its place along the outline.
        size: width of the bone, mm.
    """
    outline = bone.outline
    if erosion.collapse and bone.axis is not None:  # of the whole end
        return bone.axis[0], unit(bone.axis[1] - bone.axis[0])
    # the bare area and what follows it within the distance along the outline
    start = int(np.hypot(*(outline - usual).T).argmin())
    order = (start + (1 if erosion.along >= 0 else -1) * np.arange(len(outline))) % len(outline)
    walked = np.cumsum(np.linalg.norm(np.diff(outline[order], axis=0), axis=1))
    at = int(order[np.searchsorted(walked, abs(erosion.along) * size)])
    inward = across(unit(outline[(at + 2) % len(outline)] - outline[at - 2]))
    middle = outline.mean(axis=0)
    if bone.axis is not None:
        middle = bone.axis[0] + 0.05 * (bone.axis[1] - bone.axis[0])
    if inward @ (middle - outline[at]) < 0:
        inward = -inward
    # the rim of a short bone is cut back towards its neighbour
    return outline[at] + (0.25 * (middle - outline[at]) if bone.yields else 0.0), inward


def bare_area(name: str, index: int, outline: Array, place: WristMap) -> Array:
    """(2,) mm, one of the places on a bone's outline where erosions start.

    Args:
        name: of the bone.
        index: of the bare area, from 0 on; beyond the last one the first follows.
        outline: (N, 2) mm, of the bone.
        place: of this hand.
    """
    areas = _BARE_AREAS[name]
    usual = place(place.form.of_bone(name, areas[index % len(areas)]))
    return np.asarray(outline[np.hypot(*(outline - usual).T).argmin()])


def wrist_gaps(
    states: Mapping[str, JointState], traits: Traits, rng: np.random.Generator
) -> tuple[Gap, ...]:
    """Joint spaces between the bones of the wrist, narrowed as the states say, mm."""
    usual = _WRIST_SPACE_MM[""] * traits.space * traits.size
    gaps = [
        Gap(*pair, float(rng.normal(mean, spread)) * usual)
        for pair, (mean, spread) in _UNSCORED.items()
    ]
    for first, second, name in _GAPS:
        healthy = _WRIST_SPACE_MM.get(name, _WRIST_SPACE_MM[""]) * traits.space * traits.size
        if name == "far":
            gaps.append(Gap(first, second, 2.0 * healthy))
            continue
        state = states.get(name, HEALTHY)
        lost = state.loss
        if state.focal:
            # one of the two contacts, or a little of the only one
            contacts = [(a, b) for a, b, known in _GAPS if known == name]
            taken = contacts[int(state.loss * 1000) % len(contacts)]
            lost *= 0.3 if len(contacts) == 1 else float((first, second) == taken)
        gaps.append(
            Gap(first, second, healthy * (1 - lost), label_of(Limb.HAND, name), state.fused)
        )
    return tuple(gaps)
