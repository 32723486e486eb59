"""The vocabulary of Sharp/van der Heijde (SvH) scoring.

Facts about sites, sides, kinds of damage and maxima are here, as data. No other module spells a
joint's name or one of the numbers 15, 16, 6, 27, 43 and 86. Names in other people's files lie with
their formats; those of RA2, which mandora writes itself, in :mod:`mandora.core.ra2`.

Three things are kept apart:

* a **landmark** is a place that the localiser finds (21 in a hand, 6 in a foot);
* a **target** is what is scored: a site, a kind of damage, a side (86 per patient);
* a **film slot** is the film that a target is read from (LH, RH, LF, RF).

Sources: van der Heijde, J Rheumatol 2000;27:261 (sites, ranges); Li & Guan 2022,
doi:10.1002/aisy.202200184 (short codes).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Self

from mandora.core.errors import InputError


class _Pair(StrEnum):
    """An enumeration of two members."""

    @property
    def other(self) -> Self:
        """The other one."""
        return next(member for member in type(self) if member is not self)


class Limb(_Pair):
    """An extremity as SvH sees it: a hand with its wrist, or a forefoot."""

    HAND = "hand"
    FOOT = "foot"

    @property
    def plural(self) -> str:
        """``hands`` or ``feet``."""
        return "hands" if self is Limb.HAND else "feet"


class Side(_Pair):
    """The patient's side, whatever side of the film it is shown on."""

    LEFT = "L"
    RIGHT = "R"

    @property
    def word(self) -> str:
        """``left`` or ``right``."""
        return self.name.lower()


class Damage(_Pair):
    """The two kinds of damage that SvH counts."""

    NARROWING = "narrowing"
    EROSION = "erosion"


class JointGroup(StrEnum):
    """The groups that the paper colours in its figures."""

    FINGER = "finger"
    WRIST = "wrist"
    TOE = "toe"


@dataclass(frozen=True, order=True)
class Slot:
    """One of the four films of a patient."""

    side: Side
    limb: Limb

    @property
    def code(self) -> str:
        """``LH``, ``RH``, ``LF`` or ``RF``, as in RA2 file names."""
        return f"{self.side}{self.limb.value[0].upper()}"

    @property
    def title(self) -> str:
        """Words for people, e.g. ``left hand``."""
        return f"{self.side.word} {self.limb}"

    @staticmethod
    def parse(code: str) -> Slot:
        """Read ``LH``, ``RH``, ``LF`` or ``RF`` (any case).

        Raises:
            ValueError: if the code is none of the four.
        """
        for slot in SLOTS:
            if slot.code == code.upper():
                return slot
        raise InputError(f"{code!r} is not a film slot; use one of LH, RH, LF, RF")


SLOTS: tuple[Slot, ...] = (
    Slot(Side.LEFT, Limb.HAND),
    Slot(Side.RIGHT, Limb.HAND),
    Slot(Side.LEFT, Limb.FOOT),
    Slot(Side.RIGHT, Limb.FOOT),
)


@dataclass(frozen=True)
class Landmark:
    """A place in one limb that the localiser finds."""

    limb: Limb
    name: str
    group: JointGroup
    title: str
    enlargement: float = 1.0  # of the patch around this landmark, as in the paper


_F, _W, _T = JointGroup.FINGER, JointGroup.WRIST, JointGroup.TOE
_ORDINAL = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}
_FINGER = {2: "index", 3: "middle", 4: "ring", 5: "little"}


def _hand_landmarks() -> tuple[Landmark, ...]:
    def landmark(name: str, group: JointGroup, title: str) -> Landmark:
        return Landmark(Limb.HAND, name, group, title)

    return (
        landmark("ip", _F, "interphalangeal joint of the thumb"),
        *(
            landmark(f"pip{n}", _F, f"proximal interphalangeal joint, {_FINGER[n]} finger")
            for n in range(2, 6)
        ),
        *(landmark(f"mcp{n}", _F, f"{_ORDINAL[n]} metacarpophalangeal joint") for n in range(1, 6)),
        landmark("mc1", _W, "base of the first metacarpal"),
        landmark("mul", _W, "multangular bones (trapezium and trapezoid)"),
        landmark("lunate", _W, "lunate"),
        landmark("radius", _W, "distal radius"),
        landmark("ulna", _W, "distal ulna"),
        *(landmark(f"cmc{n}", _W, f"{_ORDINAL[n]} carpometacarpal joint") for n in range(3, 6)),
        landmark("mna", _W, "multangular-navicular joint"),
        landmark("capnlun", _W, "capitate-navicular-lunate joint"),
        landmark("radcar", _W, "radiocarpal joint"),
    )


def _foot_landmarks() -> tuple[Landmark, ...]:
    titles = {n: f"{_ORDINAL[n]} metatarsophalangeal joint" for n in range(1, 6)}
    return (
        Landmark(Limb.FOOT, "ip", _T, "interphalangeal joint of the great toe", enlargement=1.4),
        Landmark(Limb.FOOT, "mtp1", _T, titles[1], enlargement=1.5),
        *(Landmark(Limb.FOOT, f"mtp{n}", _T, titles[n]) for n in range(2, 6)),
    )


LANDMARKS: dict[Limb, tuple[Landmark, ...]] = {
    Limb.HAND: _hand_landmarks(),
    Limb.FOOT: _foot_landmarks(),
}
"""Every localisation landmark, in the order of a localiser's output channels."""

LANDMARK_INDEX: dict[Limb, dict[str, int]] = {
    limb: {p.name: i for i, p in enumerate(points)} for limb, points in LANDMARKS.items()
}

LIMB_SIZE_ENDS: dict[Limb, tuple[str, str]] = {
    Limb.HAND: ("mcp2", "mcp5"),
    Limb.FOOT: ("mtp1", "mtp5"),
}
"""The two landmarks of a limb whose distance is 1 in its template, see ``geometry.limb_size``."""

N_LANDMARKS = sum(len(points) for points in LANDMARKS.values())


def landmark(limb: Limb, name: str) -> Landmark:
    """Look up a landmark.

    Raises:
        ValueError: if the limb has no landmark of that name.
    """
    try:
        return LANDMARKS[limb][LANDMARK_INDEX[limb][name]]
    except KeyError:
        known = ", ".join(LANDMARK_INDEX[limb])
        raise InputError(f"a {limb} has no landmark {name!r}; known landmarks: {known}") from None


@dataclass(frozen=True)
class Site:
    """A site of one limb as SvH scores it for one kind of damage, without a side."""

    limb: Limb
    damage: Damage
    name: str
    landmark_name: str  # where a patch for this site is cut
    maximum: int
    code: str  # the paper's short code, e.g. ``eh12``

    @property
    def landmark(self) -> Landmark:
        """The localisation landmark of the site."""
        return landmark(self.limb, self.landmark_name)

    @property
    def group(self) -> JointGroup:
        """Finger, wrist or toe."""
        return self.landmark.group


_FINGER_JOINTS = (*(f"pip{n}" for n in range(2, 6)), *(f"mcp{n}" for n in range(1, 6)))


def _family(limb: Limb, damage: Damage) -> tuple[Site, ...]:
    if limb is Limb.FOOT:
        names: tuple[str, ...] = ("ip", *(f"mtp{n}" for n in range(1, 6)))
        maximum = 10 if damage is Damage.EROSION else 4
    elif damage is Damage.EROSION:
        names = ("ip", *_FINGER_JOINTS, "mc1", "mul", "nav", "lunate", "radius", "ulna")
        maximum = 5
    else:
        names = (*_FINGER_JOINTS, "cmc3", "cmc4", "cmc5", "mna", "capnlun", "radcar")
        maximum = 4
    return tuple(
        Site(
            limb=limb,
            damage=damage,
            name=name,
            # the navicular has no landmark of its own: its patch is the radiocarpal joint's
            landmark_name="radcar" if name == "nav" else name,
            maximum=maximum,
            code=f"{damage.value[0]}{limb.value[0]}{i}",
        )
        for i, name in enumerate(names)
    )


FAMILIES: dict[tuple[Limb, Damage], tuple[Site, ...]] = {
    (limb, damage): _family(limb, damage) for limb in Limb for damage in Damage
}
"""The four target families (the paper's nh, nf, eh, ef), each in SvH order."""

SITES: tuple[Site, ...] = tuple(
    site
    for limb in (Limb.HAND, Limb.FOOT)
    for damage in (Damage.NARROWING, Damage.EROSION)
    for site in FAMILIES[limb, damage]
)
"""The 43 sites of one side: hand narrowing, hand erosion, foot narrowing, foot erosion."""


@dataclass(frozen=True)
class Target:
    """One of the 86 scores of a patient."""

    side: Side
    site: Site

    @property
    def slot(self) -> Slot:
        """The film that the score is read from."""
        return Slot(self.side, self.site.limb)

    @property
    def limb(self) -> Limb:
        """Hand or foot."""
        return self.site.limb

    @property
    def damage(self) -> Damage:
        """Narrowing or erosion."""
        return self.site.damage

    @property
    def maximum(self) -> int:
        """The highest grade of the site."""
        return self.site.maximum

    @cached_property
    def joint(self) -> str:
        """The place, e.g. ``LH-mcp2``."""
        return f"{self.slot.code}-{self.site.name}"

    @cached_property
    def key(self) -> str:
        """The one name of the target, e.g. ``LH-mcp2:narrowing``."""
        return f"{self.joint}:{self.site.damage}"

    @property
    def mirror(self) -> Target:
        """The same site on the other side."""
        return _TARGETS_BY_SITE[self.side.other, self.site]


def _all_targets() -> tuple[Target, ...]:
    return tuple(
        Target(side, site)
        for damage in (Damage.EROSION, Damage.NARROWING)
        for limb in (Limb.HAND, Limb.FOOT)
        for side in Side
        for site in FAMILIES[limb, damage]
    )


TARGETS: tuple[Target, ...] = _all_targets()
"""All 86 targets, in the order of a score table's columns (that of the first RA2 release)."""

_TARGETS_BY_SITE = {(t.side, t.site): t for t in TARGETS}
TARGET_INDEX: dict[str, int] = {t.key: i for i, t in enumerate(TARGETS)}


def target(key: str) -> Target:
    """Look a target up by its key, e.g. ``LH-mcp2:narrowing``.

    Raises:
        ValueError: if there is no such target.
    """
    try:
        return TARGETS[TARGET_INDEX[key]]
    except KeyError:
        raise InputError(
            f"{key!r} is not a target; targets look like {TARGETS[0].key!r}, "
            "see mandora.core.anatomy.TARGETS"
        ) from None


def targets_of(slot: Slot) -> tuple[Target, ...]:
    """The targets that are read from one film, narrowing before erosion."""
    return tuple(
        _TARGETS_BY_SITE[slot.side, site]
        for damage in (Damage.NARROWING, Damage.EROSION)
        for site in FAMILIES[slot.limb, damage]
    )


def maximum_total(targets: Iterable[Target] = TARGETS) -> int:
    """The highest possible sum of the targets: 448 for all, 280 erosion, 168 narrowing."""
    return sum(t.maximum for t in targets)
