"""The vocabulary of Sharp/van der Heijde (SvH) scoring.

Everything that is a fact about sites, sides, damage kinds, maxima and names in other
people's files lives here, as data. No other module spells a column name, a joint code or
one of the numbers 15, 16, 6, 27, 43 and 86.

Three things are kept apart:

* a **landmark** is where the localiser looks (21 in a hand, 6 in a foot);
* a **target** is what is scored: a site, a kind of damage, a side (86 per patient);
* a **film slot** is the film that a target is read from (LH, RH, LF, RF).

Sources: van der Heijde, J Rheumatol 2000;27:261 (sites, ranges); the RA2 DREAM challenge's
``training.csv`` (column names); the RAM-H1200 data set (ROI stems); Li & Guan 2022,
doi:10.1002/aisy.202200184 (short codes, feature order).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from mandora.core.errors import InputError


class Limb(StrEnum):
    """An extremity as SvH sees it: a hand with its wrist, or a forefoot."""

    HAND = "hand"
    FOOT = "foot"

    @property
    def other(self) -> Limb:
        """The other extremity."""
        return Limb.FOOT if self is Limb.HAND else Limb.HAND


class Side(StrEnum):
    """The patient's side, whatever side of the film it is shown on."""

    LEFT = "L"
    RIGHT = "R"

    @property
    def other(self) -> Side:
        """The other side."""
        return Side.RIGHT if self is Side.LEFT else Side.LEFT


class Damage(StrEnum):
    """The two kinds of damage that SvH counts."""

    NARROWING = "narrowing"
    EROSION = "erosion"

    @property
    def other(self) -> Damage:
        """The other kind."""
        return Damage.EROSION if self is Damage.NARROWING else Damage.NARROWING


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
        return f"{'left' if self.side is Side.LEFT else 'right'} {self.limb}"

    @staticmethod
    def parse(code: str) -> Slot:
        """Read ``LH``, ``RH``, ``LF`` or ``RF`` (any case).

        Raises:
            ValueError: if the code is none of the four.
        """
        for slot in SLOTS:
            if slot.code == code.upper():
                return slot
        raise InputError(f"{code!r} is no film slot; use one of LH, RH, LF, RF")


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
    snomed: str | None = None  # SNOMED CT body structure; only codes that are known for certain
    window: float = 1.0  # the paper's enlargement of the patch around this landmark


_F, _W, _T = JointGroup.FINGER, JointGroup.WRIST, JointGroup.TOE
_ORDINAL = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}
_FINGER = {2: "index", 3: "middle", 4: "ring", 5: "little"}


def _hand_landmarks() -> tuple[Landmark, ...]:
    def landmark(name: str, group: JointGroup, title: str, snomed: str | None = None) -> Landmark:
        return Landmark(Limb.HAND, name, group, title, snomed)

    mcp_codes = {2: "289002", 3: "6059006"}
    return (
        landmark("ip", _F, "interphalangeal joint of the thumb"),
        *(
            landmark(f"pip{n}", _F, f"proximal interphalangeal joint, {_FINGER[n]} finger")
            for n in range(2, 6)
        ),
        *(
            landmark(f"mcp{n}", _F, f"{_ORDINAL[n]} metacarpophalangeal joint", mcp_codes.get(n))
            for n in range(1, 6)
        ),
        landmark("mc1", _W, "base of the first metacarpal"),
        landmark("mul", _W, "multangular bones (trapezium and trapezoid)"),
        landmark("lunate", _W, "lunate"),
        landmark("radius", _W, "distal radius"),
        landmark("ulna", _W, "distal ulna"),
        *(landmark(f"cmc{n}", _W, f"{_ORDINAL[n]} carpometacarpal joint") for n in range(3, 6)),
        landmark("mna", _W, "multangular-navicular joint"),
        landmark("capnlun", _W, "capitate-navicular-lunate joint"),
        landmark("radcar", _W, "radiocarpal joint", "74670003"),
    )


def _foot_landmarks() -> tuple[Landmark, ...]:
    titles = {n: f"{_ORDINAL[n]} metatarsophalangeal joint" for n in range(1, 6)}
    return (
        Landmark(
            Limb.FOOT, "ip", _T, "interphalangeal joint of the great toe", "363670009", window=1.4
        ),
        Landmark(Limb.FOOT, "mtp1", _T, titles[1], window=1.5),
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

UNIT_ENDS: dict[Limb, tuple[str, str]] = {Limb.HAND: ("mcp2", "mcp5"), Limb.FOOT: ("mtp1", "mtp5")}
"""The two landmarks of a limb whose distance is 1 in its mean shape, see ``geometry.limb_size``."""

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
    ra2_stem: str  # RA2 column without the film slot, e.g. ``wrist_E__nav``
    code: str  # the paper's short code, e.g. ``eh12``
    ram_key: str | None = None  # RAM-H1200 JSON key, hands only

    @property
    def landmark(self) -> Landmark:
        """The localisation landmark of the site."""
        return landmark(self.limb, self.landmark_name)

    @property
    def group(self) -> JointGroup:
        """Finger, wrist or toe."""
        return self.landmark.group


_RAM_EROSION = {
    "ip": "IP", "mc1": "CMC-T", "mul": "Tm", "nav": "S",
    "lunate": "L", "radius": "R", "ulna": "U",
    **{f"pip{n}": f"PIP-{'IMRS'[n - 2]}" for n in range(2, 6)},
    **{f"mcp{n}": f"MCP-{'TIMRS'[n - 1]}" for n in range(1, 6)},
}  # fmt: skip
_RAM_NARROWING = {
    "mna": "STT", "capnlun": "SC", "radcar": "SR",
    **{f"pip{n}": f"PIP-{'IMRS'[n - 2]}" for n in range(2, 6)},
    **{f"mcp{n}": f"MCP-{'TIMRS'[n - 1]}" for n in range(1, 6)},
    **{f"cmc{n}": f"CMC-{'MRS'[n - 3]}" for n in range(3, 6)},
}  # fmt: skip

_FINGER_JOINTS = (*(f"pip{n}" for n in range(2, 6)), *(f"mcp{n}" for n in range(1, 6)))


def _ra2_stem(limb: Limb, damage: Damage, name: str) -> str:
    letter = "E" if damage is Damage.EROSION else "J"
    if limb is Limb.FOOT:
        return f"mtp_{letter}__{name.removeprefix('mtp')}"
    if name == "ip":
        return f"mcp_{letter}__ip"  # RA2 files the thumb's IP under mcp
    for stem in ("pip", "mcp"):
        if name.startswith(stem):
            return f"{stem}_{letter}__{name.removeprefix(stem)}"
    return f"wrist_{letter}__{name}"


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
    ram = _RAM_EROSION if damage is Damage.EROSION else _RAM_NARROWING
    prefix = "BE_" if damage is Damage.EROSION else "JSN_"
    return tuple(
        Site(
            limb=limb,
            damage=damage,
            name=name,
            # the navicular has no landmark of its own: its patch is the radiocarpal joint's
            landmark_name="radcar" if name == "nav" else name,
            maximum=maximum,
            ra2_stem=_ra2_stem(limb, damage, name),
            code=f"{damage.value[0]}{limb.value[0]}{i}",
            ram_key=prefix + ram[name] if limb is Limb.HAND else None,
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

    @cached_property
    def ra2_column(self) -> str:
        """The RA2 column, e.g. ``LH_mcp_J__2``."""
        return f"{self.slot.code}_{self.site.ra2_stem}"

    @property
    def mirror(self) -> Target:
        """The same site on the other side."""
        return _TARGETS_BY_PLACE[self.side.other, self.site]


def _ra2_order() -> tuple[Target, ...]:
    return tuple(
        Target(side, site)
        for damage in (Damage.EROSION, Damage.NARROWING)
        for limb in (Limb.HAND, Limb.FOOT)
        for side in Side
        for site in FAMILIES[limb, damage]
    )


TARGETS: tuple[Target, ...] = _ra2_order()
"""All 86 targets, in the column order of the first RA2 release."""

_TARGETS_BY_PLACE = {(t.side, t.site): t for t in TARGETS}
TARGET_INDEX: dict[str, int] = {t.key: i for i, t in enumerate(TARGETS)}
_TARGETS_BY_COLUMN = {t.ra2_column: t for t in TARGETS}

RA2_ID = "Patient_ID"
RA2_TOTALS: dict[str, tuple[Damage, ...]] = {
    "Overall_Tol": (Damage.EROSION, Damage.NARROWING),
    "Overall_erosion": (Damage.EROSION,),
    "Overall_narrowing": (Damage.NARROWING,),
}
RA2_COLUMNS: tuple[str, ...] = (RA2_ID, *RA2_TOTALS, *(t.ra2_column for t in TARGETS))
"""The 90 columns of RA2's ``training.csv``, first release. Later releases swap two of them:
read by name, never by position."""


def target(key: str) -> Target:
    """Look a target up by its key, e.g. ``LH-mcp2:narrowing``.

    Raises:
        ValueError: if there is no such target.
    """
    try:
        return TARGETS[TARGET_INDEX[key]]
    except KeyError:
        raise InputError(
            f"{key!r} is no target; targets look like {TARGETS[0].key!r}, "
            "see mandora.core.anatomy.TARGETS"
        ) from None


def target_from_ra2(column: str) -> Target:
    """Look a target up by its RA2 column, e.g. ``RF_mtp_J__ip``.

    Raises:
        ValueError: if no target has that column.
    """
    try:
        return _TARGETS_BY_COLUMN[column]
    except KeyError:
        raise InputError(f"{column!r} is no RA2 score column") from None


def targets_of(slot: Slot) -> tuple[Target, ...]:
    """The targets that are read from one film, narrowing before erosion."""
    return tuple(
        _TARGETS_BY_PLACE[slot.side, site]
        for damage in (Damage.NARROWING, Damage.EROSION)
        for site in FAMILIES[slot.limb, damage]
    )


def maximum_total(targets: Iterable[Target] = TARGETS) -> int:
    """The highest possible sum of the targets: 448 for all, 280 erosion, 168 narrowing."""
    return sum(t.maximum for t in targets)


def tree_features(predicted: Target) -> tuple[Target, ...]:
    """The 86 features from which the trees predict one target, in the paper's order.

    Same damage and same extremity first (this side, other side), then same damage in the
    other extremity, then the other damage in the same two extremities. Within a family the
    joints keep their SvH order, so that left and right can be pooled as rows of one model.
    """
    return tuple(
        _TARGETS_BY_PLACE[side, site]
        for damage in (predicted.damage, predicted.damage.other)
        for limb in (predicted.limb, predicted.limb.other)
        for side in (predicted.side, predicted.side.other)
        for site in FAMILIES[limb, damage]
    )


DICOM_SCHEME = "99MANDORA"
"""Private coding scheme: no public code for SvH scores was found in SNOMED CT, LOINC,
RadLex or DCM."""

SNOMED = {
    "hand": "85562004",
    "foot": "56459004",
    "finger": "7569003",
    "thumb": "76505004",
    "toe": "29707007",
    "wrist joint": "74670003",
    Side.LEFT: "7771000",
    Side.RIGHT: "24028007",
}
