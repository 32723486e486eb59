"""A bundle in words: what ``mandora bundle show`` prints, and sections of its card."""

from __future__ import annotations

from collections.abc import Sequence

from mandora.core.anatomy import Limb
from mandora.model.bundle import Bundle
from mandora.model.contract import Contract, IntervalContract

THRESHOLDS_HEAD = "## Thresholds"
INTERVALS_HEAD = "## Intervals"
"""Heads of the card's sections about what was measured."""


def describe(bundle: Bundle) -> str:
    """A bundle in words, for people, several lines."""
    m = bundle.manifest
    c = m.contract
    total = sum(entry.bytes for entry in m.files.values())
    lines = [
        f"{m.name} {m.version} (preset {m.preset}, created {m.created})",
        f"folder      {bundle.folder}",
        f"sha256      {bundle.sha256}",
        f"licence     {m.licence.spdx}" + (f": {m.licence.note}" if m.licence.note else ""),
        f"trained on  {m.training_data}",
        f"trained by  {', '.join(f'{k} {v}' for k, v in sorted(m.software.items()))}",
        f"locate      {c.locate.design}, {c.locate.input_px} × {c.locate.input_px} px, heat maps "
        f"1:{c.locate.heat_map_stride}, found from {c.locate.found_threshold:g}",
        *(f"  {line}" for line in threshold_lines(c)),
        f"damage      {c.damage.design}, patches of {c.damage.patch_px} × {c.damage.patch_px} px",
        f"symmetry    {c.symmetry.trees} trees per site, depth {c.symmetry.depth}, "
        f"share {c.symmetry.blend:g} of the final score",
        f"files       {len(m.files)}, {total / 1e6:.1f} MB",
        *(f"  {name:<24} {e.bytes:>11,} bytes  {e.sha256}" for name, e in m.files.items()),
        f"model card  {bundle.path(m.card)}",
    ]
    return "\n".join(lines)


def threshold_lines(contract: Contract) -> list[str]:
    """From which fit a limb counts as found, and where that comes from: a line for each limb."""
    lines = []
    for limb in Limb:
        marks = contract.locate.thresholds[limb]
        origin = f"set from {marks.measured_on}" if marks.measured_on else "defaults, not measured"
        lines.append(
            f"- {limb}: found from a fit of {marks.least_fit:g}, clear from {marks.clear_fit:g}, "
            f"sure from {marks.sure_fit:g}; {origin}"
        )
    return lines


def threshold_section(contract: Contract) -> list[str]:
    """The lines of a card's section about thresholds."""
    remark = uncalibrated_remark(contract)
    said = ["", f"{remark[0].upper()}{remark[1:]}."] if remark else []
    return [*threshold_lines(contract), *said]


def uncalibrated_remark(contract: Contract) -> str | None:
    """What a user should know of thresholds that are the defaults; None if none is."""
    thresholds = contract.locate.thresholds
    limbs = [limb for limb in Limb if thresholds[limb].measured_on is None]
    if not limbs:
        return None
    return (
        f"the thresholds of the {' and the '.join(limbs)} are defaults that were not measured with "
        "this model: set them with `mandora bundle calibrate`"
    )


def interval_section(intervals: IntervalContract) -> list[str]:
    """The lines of a card's section about intervals."""
    return [
        f"Intervals hold {100 * intervals.level:g} % of the labels, of healthy joints and of "
        f"damaged ones, of patients like those that they were measured on: "
        f"{intervals.measured_on}, who trained nothing. Of others they need not."
    ]


def with_section(card: str, head: str, lines: Sequence[str]) -> str:
    """A card whose section of that head, the last if there is none, holds these lines."""
    before, found, after = card.partition(f"{head}\n")
    rest = after.partition("\n## ")[2] if found else ""
    section = "\n".join([head, "", *lines])
    parts = [before.rstrip(), section, f"## {rest.rstrip()}" if rest else ""]
    return "\n\n".join(part for part in parts if part) + "\n"
