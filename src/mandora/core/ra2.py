"""What the RA2 DREAM challenge calls scores, totals and patients in its tables.

Source: the challenge's ``training.csv``, first release.
"""

from __future__ import annotations

from mandora.core.anatomy import TARGETS, Damage, Limb, Target
from mandora.core.errors import InputError

RA2_ID = "Patient_ID"
RA2_TOTALS: dict[str, tuple[Damage, ...]] = {
    "Overall_Tol": (Damage.EROSION, Damage.NARROWING),
    "Overall_erosion": (Damage.EROSION,),
    "Overall_narrowing": (Damage.NARROWING,),
}
"""The totals, and the kinds of damage that each adds up."""


def ra2_column(target: Target) -> str:
    """The column of a target, e.g. ``LH_mcp_J__2`` for ``LH-mcp2:narrowing``."""
    name = target.site.name
    letter = "E" if target.damage is Damage.EROSION else "J"
    if target.limb is Limb.FOOT:
        row = "mtp"
    elif name == "ip":
        row = "mcp"  # RA2 files the thumb's IP under mcp
    else:
        row = next((row for row in ("pip", "mcp") if name.startswith(row)), "wrist")
    return f"{target.slot.code}_{row}_{letter}__{name.removeprefix(row)}"


_TARGETS_BY_COLUMN = {ra2_column(target): target for target in TARGETS}
RA2_COLUMNS: tuple[str, ...] = (RA2_ID, *RA2_TOTALS, *_TARGETS_BY_COLUMN)
"""The 90 columns of the first release. Later releases swap two of them: read by name, never by
position."""


def target_from_ra2(column: str) -> Target:
    """Look a target up by its RA2 column, e.g. ``RF_mtp_J__ip``.

    Raises:
        ValueError: if no target has that column.
    """
    try:
        return _TARGETS_BY_COLUMN[column]
    except KeyError:
        raise InputError(f"{column!r} is not an RA2 score column") from None
