"""Write the tables of the documentation that come from the code: `make tables`.

A page holds the table itself, so that it reads the same built or not, between two comments that
name it; a test tells when the code has gone on.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic_core import PydanticUndefined

from mandora.core import coding, records, settings
from mandora.core.anatomy import SITES, Damage


def renewed(page: str) -> str:
    """The text of a page with its tables as the code has them."""
    parts = re.split(r"(<!-- table \w+ -->\n).*?(<!-- end of table -->)", page, flags=re.S)
    for i in range(1, len(parts), 3):
        name = parts[i].split()[2]
        made = TABLES[name]() if name in TABLES else settings_table(getattr(settings, name))
        parts[i] += f"\n{made}\n\n"
    return "".join(parts)


def settings_table(model: type[settings.Settings]) -> str:
    """A Markdown table of the keys of a settings class, their values and their meaning.

    Stages of training and the paper's experiments have presets: their table has a column for
    each, and the keys of all their own tables.
    """
    if not model.__name__.startswith(("Train", "Reproduce")):
        rows = ["| key | default | meaning |", "|---|---|---|"]
        for name, field in model.model_fields.items():
            default = "required" if field.default is PydanticUndefined else shown(field.default)
            if isinstance(field.default, settings.Settings):
                default = "see [settings](settings.md)"
            rows.append(f"| `{name}` | {default} | {field.description or ''} |")
        return "\n".join(rows)
    presets = [settings.preset(name, model) for name in settings.PRESETS]
    heads = " | ".join(f"`{name}`" for name in settings.PRESETS)
    rows = [f"| key | {heads} | meaning |", "|---|" + "---|" * len(presets) + "---|"]
    return "\n".join([*rows, *preset_rows(presets)])


def preset_rows(presets: list[settings.Settings], above: str = "") -> Iterator[str]:
    """The rows of a stage's table, the keys of its own tables after its own keys."""
    for name, field in type(presets[0]).model_fields.items():
        values = [getattr(preset, name) for preset in presets]
        if isinstance(values[0], settings.Settings):
            yield from preset_rows(values, f"{above}{name}.")
        else:
            cells = " | ".join(shown(value) for value in values)
            yield f"| `{above}{name}` | {cells} | {field.description or ''} |"


def shown(value: object) -> str:
    """A value as the tables write it."""
    if value is None:
        return "none"
    return f"`{list(value) if isinstance(value, tuple) else value}`"


def reasons_table() -> str:
    """A Markdown table of the reasons why a number is missing."""
    rows = ["| reason | meaning |", "|---|---|"]
    rows += [f"| `{reason}` | {text} |" for reason, text in records.REASON_TEXT.items()]
    return "\n".join(rows)


def codes_table() -> str:
    """A Markdown table of the private codes of scores and totals in DICOM objects."""
    codes = [coding.score_code(kind, field) for kind in Damage for field in coding.SCORE_FIELDS]
    codes += [
        *coding.PLACE_FIELDS.values(), coding.SITE_ASSESSMENT, coding.SITE_WITHOUT_FILM,
        coding.TOTAL, coding.FILM, coding.MODEL, coding.PATIENT, coding.JOINT_SPACE,
    ]  # fmt: skip
    rows = ["| code | meaning |", "|---|---|"]
    return "\n".join([*rows, *(f"| `{code.value}` | {code.meaning} |" for code in codes)])


def places_table() -> str:
    """A Markdown table of the codes of sites in DICOM objects."""
    rows = ["| site | private code | SNOMED CT code | its meaning |", "|---|---|---|---|"]
    for limb, name in dict.fromkeys((site.limb, site.name) for site in SITES):
        place, own = coding.place_code(limb, name), coding.site_code(limb, name)
        rows.append(f"| {limb} `{name}` | `{own.value}` | {place.value} | {place.meaning} |")
    return "\n".join(rows)


TABLES = {"reasons": reasons_table, "codes": codes_table, "places": places_table}


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
