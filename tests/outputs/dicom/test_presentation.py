from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="needs the extra dicom")

from mandora.core.records import RESEARCH_NOTICE
from mandora.outputs.dicom.presentation import presentation_state


def test_boxes_and_labels_are_where_the_joints_are(read: Any, given: Any) -> None:
    made = read("LH-PR.dcm")
    (annotation,) = made.GraphicAnnotationSequence
    boxes = [np.reshape(g.GraphicData, (-1, 2)) for g in annotation.GraphicObjectSequence]
    assert len(boxes) == 20  # one for each landmark but PIP3
    assert {g.GraphicAnnotationUnits for g in annotation.GraphicObjectSequence} == {"PIXEL"}
    mcp2 = given.evidence["LH.dcm"]["mcp2"].box.corners + 0.5
    assert any(np.allclose(box[:4], mcp2) for box in boxes)
    texts = {t.UnformattedTextValue: t for t in annotation.TextObjectSequence}
    assert RESEARCH_NOTICE in texts
    scores = {s.target: s.score for s in given.result.scores}
    label = f"N{scores['LH-mcp2:narrowing']:.1f} E{scores['LH-mcp2:erosion']:.1f}"
    (words,) = [t for t in texts if t.startswith("MCP2\r\n")]
    assert words == f"MCP2\r\n{label}"


def test_labels_lie_on_the_film(read: Any) -> None:
    for name in ("LH-PR.dcm", "LF-PR.dcm"):
        for text in read(name).GraphicAnnotationSequence[0].TextObjectSequence:
            x0, y0 = text.BoundingBoxTopLeftHandCorner
            x1, y1 = text.BoundingBoxBottomRightHandCorner
            assert 0 <= x0 < x1 <= 320
            assert 0 <= y0 < y1 <= 480


def test_the_navicular_is_named_beside_the_joint_whose_patch_it_shares(read: Any) -> None:
    texts = read("LH-PR.dcm").GraphicAnnotationSequence[0].TextObjectSequence
    (both,) = [t.UnformattedTextValue for t in texts if "NAV" in t.UnformattedTextValue]
    assert both.count("\r\n") == 1
    assert "RADCAR N" in both


def test_a_film_that_is_stored_inverted_is_shown_with_bright_bone(share: Any, given: Any) -> None:
    patient = share(given)
    assert presentation_state(patient, patient.films[0], 1).PresentationLUTShape == "IDENTITY"
    patient.films[0].header.PhotometricInterpretation = "MONOCHROME1"
    assert presentation_state(patient, patient.films[0], 1).PresentationLUTShape == "INVERSE"


def test_a_film_without_scores_has_none(share: Any, given: Any) -> None:
    patient = share(given)
    nothing = type(patient)(patient.result, patient.films, {})
    assert presentation_state(nothing, patient.films[0], 1) is None
