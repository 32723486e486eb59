"""Coded terms as highdicom's objects."""

from __future__ import annotations

from highdicom.sr import CodedConcept

from mandora.core.coding import CodedTerm

PIXELS = CodedTerm("{pixels}", "pixels", "UCUM")
DEGREES = CodedTerm("deg", "degree", "UCUM")
NO_UNIT = CodedTerm("1", "no units", "UCUM")
POINTS = CodedTerm("{score}", "score", "UCUM")


def concept(term: CodedTerm) -> CodedConcept:
    """The term as an object of highdicom."""
    return CodedConcept(value=term.value, scheme_designator=term.scheme, meaning=term.meaning)
