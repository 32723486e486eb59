"""The wrist of a simulated hand: carpal bones, forearm and the joints between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mandora.core.anatomy import Limb
from mandora.simulate.anatomy.joint_state import HEALTHY, Erosion, JointState
from mandora.simulate.anatomy.shapes import (
    Array,
    across,
    blob_outline,
    smooth_outline,
    turn,
    unit,
)
from mandora.simulate.anatomy.skeleton import Bone, Gap, PlacedErosion, Spot, Traits, label_of
from mandora.simulate.anatomy.wrist_form import (
    AVERAGE_LANDMARKS,
    CARPUS,
    HOOK,
    PISIFORM,
    RADIUS,
    STYLOID,
    ULNA,
    WristMap,
    bare_area,
)

WRIST_ANCHORS = 6

_NOT_UNITED = 0.07  # share of styloids that broke off once
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
    ("trapezium", "trapezoid"): (-0.5, 1.0), ("trapezium", "mc2"): (-0.5, 0.8),
    ("trapezoid", "mc2"): (0.5, 0.6), ("trapezoid", "capitate"): (-0.2, 0.8),
    ("capitate", "mc2"): (0.15, 0.7), ("capitate", "hamate"): (0.2, 0.6),
    ("capitate", "mc4"): (0.15, 0.7), ("hamate", "mc3"): (0.15, 0.7),
    ("hamate", "triquetrum"): (0.6, 0.5), ("hamate", "lunate"): (0.3, 0.6),
    ("lunate", "triquetrum"): (0.2, 0.6), ("lunate", "scaphoid"): (0.3, 0.5),
}  # fmt: skip
_END_MM = {"mc1": 14.0, "radius": 26.0}  # width of the end of a bone; 13.5 of all others
_PARTS = {"radius": ("radius-rim",), "ulna": ("ulna-styloid",)}  # drawn apart from their bone
# Where a worn joint makes the bone dense: joint, bone, place, and slope of the joint, rad.
_WORN = (
    ("mc1", "trapezium", (0.385, 1.12), 0.6), ("mc1", "mc1", (0.415, 1.07), 0.6),
    ("mna", "scaphoid", (0.245, 1.26), 0.3), ("mna", "trapezium", (0.33, 1.205), 0.3),
    ("mna", "trapezoid", (0.22, 1.175), 0.0),
)  # fmt: skip
_EROSION_BONES = {
    "mc1": ("mc1",), "mul": ("trapezium", "trapezoid"), "nav": ("scaphoid",),
    "lunate": ("lunate",), "radius": ("radius",), "ulna": ("ulna",),
}  # fmt: skip


def wrist_bones(
    place: WristMap,
    scale: float,
    states: Mapping[str, JointState],
    traits: Traits,
    wear: Mapping[str, float],
    rng: np.random.Generator,
) -> list[Bone]:
    """Carpal bones, distal radius and ulna.

    Args:
        place: of this hand.
        scale: |MCP2-MCP5|, mm.
        states: latent damage; bone of a damaged wrist is thinned.
        traits: of the patient.
        wear: degree of osteoarthritis by joint, 0..1.
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
    for name, corners in CARPUS.items():
        rough = np.array(corners)
        centre = rough.mean(axis=0)
        growth = rng.normal(1.08, 0.04, 2) * (0.6 + 0.4 * traits.robust)
        moved = centre + rng.normal(0, 0.007, 2)
        around = (rough - centre) * growth * grown
        if name == "trapezium":  # osteophytes at its free corners
            around *= 1 + np.array([[0.2, 0.1]]) * wear.get("mc1", 0.0) * (around > 0)
        around = around @ turn(rng.normal(0, 0.05)).T + rng.normal(0, 0.004, rough.shape)
        outline = smooth_outline(np.array([place(c) for c in moved + around]))
        bones.append(Bone(
            name, outline, rng.uniform(0.105, 0.14) * scale, thin, yields=True, porosity=lost,
            veil=rng.uniform(0.15, 0.55), slant=_slant(rng),
        ))  # fmt: skip
    bones += _overlying(place, scale, traits, lost, rng)
    for name, edge, depth in (("radius", RADIUS, 0.12), ("ulna", ULNA, 0.09)):
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
    rims = [place(place.form.of_bone("radius", c)) for c in RADIUS[1:7]]
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
    size, turned = np.array(PISIFORM[1]) * rng.uniform(0.85, 1.15, 2) * scale, rng.normal(0.1, 0.2)
    outline = blob_outline(place(PISIFORM[0] + lies), (size[0], size[1]), turned, power=2.0)
    bones = [Bone("pisiform", outline, 0.045 * scale, thin, porosity=lost)]
    # the hook is seen end on: a wall of compact bone that is rarely a whole ring
    size = np.array(HOOK[1]) * rng.uniform(0.8, 1.2, 2) * scale
    around = np.linspace(0.0, rng.uniform(3.5, 6.1), 24) + rng.uniform(0, 2 * np.pi)
    circle = np.column_stack([np.cos(around), np.sin(around)]) * size / 2
    wall = rng.uniform(0.7, 1.3)
    inside = circle[::-1] * (1 - 2 * wall / size)
    outline = place(HOOK[0] + lies) + np.concatenate([circle, inside])
    bones.append(Bone("hook", outline, 1.2, (0.6 * traits.cortex,) * 3, anatomical=False))
    size = np.array(STYLOID[1]) * rng.uniform(0.8, 1.2, 2) * scale
    away = [0.0, -rng.uniform(0.02, 0.05)] if rng.random() < _NOT_UNITED else [0.0, 0.0]
    at = place(place.form.of_bone("ulna", STYLOID[0]) + rng.normal(away, [0.012, 0.015]))
    outline = blob_outline(at, (size[0], size[1]), rng.normal(0.1, 0.2), power=2.0)
    bones.append(
        Bone("ulna-styloid", outline, 0.045 * scale, thin, porosity=lost, anatomical=False)
    )
    return bones


def _slant(rng: np.random.Generator) -> tuple[float, float]:
    """How far the front of a carpal bone lies beside its middle on the film, mm."""
    x, y = np.clip(rng.normal(0, [0.8, 0.55]), -1.6, 1.6)
    return float(x), float(y)


def wrist_sclerosis(
    place: WristMap, scale: float, wear: Mapping[str, float], rng: np.random.Generator
) -> list[Spot]:
    """Dense bone and cysts beside the worn joints at the base of the thumb."""
    spots = []
    for joint, bone, (x, y), slope in _WORN:
        degree = wear.get(joint, 0.0)
        if not degree:
            continue
        half = (rng.uniform(0.07, 0.11) * scale, rng.uniform(0.015, 0.035) * scale)
        at = place((x, y)) + rng.normal(0, 0.01, 2) * scale
        spots.append(Spot(bone, at, half, slope, degree * float(rng.uniform(0.1, 0.5))))
        if rng.random() < 0.5 * degree:
            size = rng.uniform(0.5, 1.6, 2)
            beside = at + rng.normal(0, 0.02, 2) * scale
            spots.append(Spot(bone, beside, (size[0], size[1]), 0.0, -0.4, 0.3))
    return spots


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
    into = middle - outline[at]
    cut = bone.yields and not erosion.inset
    share = min(0.25, 1.6 / float(np.linalg.norm(into))) if cut else 0.0
    return outline[at] + share * into, inward


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
