from __future__ import annotations

from typing import Any

import numpy as np

from mandora.core.anatomy import Limb
from mandora.outputs import summary_page
from mandora.outputs.summary_page import draw_summary


def words(monkeypatch: Any, result: Any) -> list[str]:
    """All that is written on the page."""
    written: list[str] = []

    class Draw:
        def __init__(self, page: Any) -> None: ...
        def line(self, *args: Any, **kwargs: Any) -> None: ...
        def text(self, xy: Any, text: str, **kwargs: Any) -> None:
            written.append(text)

    monkeypatch.setattr(summary_page.ImageDraw, "Draw", Draw)
    draw_summary(result)
    return written


def test_the_page_has_totals_scores_reasons_and_the_notice(monkeypatch: Any, patient: Any) -> None:
    written = words(monkeypatch, patient.result)
    assert patient.result.notice in written
    scores = {s.target: s.score for s in patient.result.scores}
    row = written.index("MCP2")
    assert written[row + 1] == f"{scores['LH-mcp2:narrowing']:.1f}"
    assert written[row + 2] == f"{scores['LH-mcp2:erosion']:.1f}"
    assert written[row + 3] == f"{scores['RH-mcp2:narrowing']:.1f}"
    (total,) = [t for t in written if t.startswith("Overall: ")]
    assert "Pro-rated" in total
    assert any(w.startswith("Narrowing: Not given") for w in written)
    assert "a  not scored: the joint was not found on the film" in written or (
        "b  not scored: the joint was not found on the film" in written
    )
    assert any("sha256" in w for w in written)


def test_nothing_on_the_page_identifies_the_patient(monkeypatch: Any, patient: Any) -> None:
    assert not any("P001" in w or ".png" in w for w in words(monkeypatch, patient.result))


def test_a_limb_without_scores_has_no_table(monkeypatch: Any, patient: Any) -> None:
    hands = tuple(s for s in patient.result.scores if s.limb is Limb.HAND)
    written = words(monkeypatch, patient.result.model_copy(update={"scores": hands}))
    assert "Hands" in written
    assert "Feet" not in written


def test_intervals_are_beside_the_scores(monkeypatch: Any, patient: Any) -> None:
    one, two, *others = patient.result.scores
    scores = (
        one.model_copy(update={"low": 1.0, "high": 3.0}),
        two.model_copy(update={"low": 2.0, "high": 2.0}),
        *others,
    )
    written = words(monkeypatch, patient.result.model_copy(update={"scores": scores}))
    assert f"{one.score:.1f}  (1-3)" in written
    assert f"{two.score:.1f}  (2)" in written


def test_the_font_has_every_sign(monkeypatch: Any, patient: Any) -> None:
    # it draws a box where it has none, as for dashes
    assert "".join(words(monkeypatch, patient.result)).isascii()


def test_the_page_is_a_picture_with_ink(patient: Any) -> None:
    page = np.asarray(draw_summary(patient.result))
    assert page.shape[1] == 1100
    assert (page < 100).any()
