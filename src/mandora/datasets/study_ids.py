"""Study ids: which ones can name a file, and in what order they come."""

from __future__ import annotations

import re

MAX_ID_LENGTH = 100
_RESERVED = re.compile(r'[<>:"/\\|?*]')


def natural_key(text: str) -> tuple[list[str | int], str]:
    """Sort key that puts ``P2`` before ``P10`` and does not depend on letter case first."""
    parts = re.split(r"([0-9]+)", text.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], text


def study_id_fault(study: str) -> str | None:
    """What keeps a study id from being a file name on every system; None if nothing does."""
    if not study:
        return "is empty"
    if len(study) > MAX_ID_LENGTH or len(study.encode("utf-8", "replace")) > 2 * MAX_ID_LENGTH:
        return f"is longer than {MAX_ID_LENGTH} characters"
    if study.startswith(".") or study.endswith(".") or ".." in study:
        return "starts or ends with a dot or holds two dots in a row"
    if study != study.strip():
        return "starts or ends with a blank"
    if _RESERVED.search(study):
        return 'holds one of < > : " / \\ | ? *'
    if not study.isprintable():
        return "holds characters that cannot be printed"
    return None
