"""What people saw at single joints, where nobody has scored them: normal, damaged or unclear.

::

    film,site,impression
    P1-LH.png,mcp2,normal

Impressions are no scores, and nothing is trained on them: they tell whether a model ranks damaged
joints above normal ones.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from mandora.core.anatomy import FAMILIES, Damage, Limb
from mandora.core.errors import InputError
from mandora.datasets.film_labels import FilmLabels, wrong_limb
from mandora.datasets.findings import Report
from mandora.datasets.tables import read_table

IMPRESSIONS_CSV = "impressions.csv"
IMPRESSION_COLUMNS = ("film", "site", "impression")


class Impression(StrEnum):
    """What was seen at a joint."""

    NORMAL = "normal"
    DAMAGED = "damaged"
    UNCLEAR = "unclear"

    @staticmethod
    def parse(word: str) -> Impression:
        """Turn ``normal``, ``damaged`` or ``unclear`` into an impression.

        Raises:
            ValueError: for any other word.
        """
        try:
            return Impression(word.lower())
        except ValueError:
            known = ", ".join(Impression)
            raise InputError(f"impression {word!r} is not known; write {known}") from None


SITE_NAMES = {
    limb: {site.name for kind in Damage for site in FAMILIES[limb, kind]} for limb in Limb
}


def read_impressions(
    path: Path, films: FilmLabels, report: Report
) -> dict[int, dict[str, Impression]]:
    """Read a table ``film,site,impression``, with or without ``limb`` and ``side``.

    Args:
        path: the table.
        films: those of the data set.
        report: what is wrong is added to it.

    Returns:
        Impressions by the name of the site, by the index of the film in ``films.films``.
    """
    table = read_table(path, report, IMPRESSION_COLUMNS)
    found: dict[int, dict[str, Impression]] = {}
    unknown: dict[str, int] = {}
    for row in table.rows if table else ():
        film = films.find(row["film"], row["limb"], row["side"])
        if film is None:
            unknown.setdefault(row["film"], row.line)
            continue
        slot, site = films.films[film].slot, row["site"]
        if (fault := wrong_limb(row, slot)) is not None:
            report.error("limb-differs", path, fault, row.line)
        elif site not in SITE_NAMES[slot.limb]:
            fault = f"{site!r} is no site of a {slot.limb}, and is not used"
            report.warning("site-unknown", path, fault, row.line)
        elif site in found.get(film, {}):
            fault = f"{site} of {row['film']} has an impression already; keep one row"
            report.error("impression-repeated", path, fault, row.line)
        else:
            try:
                found.setdefault(film, {})[site] = Impression.parse(row["impression"])
            except InputError as error:
                report.error("impression-unknown", path, str(error), row.line)
    if unknown:
        films.report_unknown(path, unknown)
    return found
