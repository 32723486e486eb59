from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="needs the extra dicom")

from PIL import Image


def test_each_film_is_shown_as_its_overlay_under_its_limb_alone(
    read: Any, objects: Any, given: Any
) -> None:
    shown = read("LH-SC.dcm").pixel_array.astype(float)
    overlay = np.asarray(Image.open(io.BytesIO(given.overlays["LH.dcm"])), float)
    height, width = (side // 2 * 2 for side in overlay.shape[:2])
    assert shown.shape == (height, width, 3)
    title = 51
    assert np.abs(shown[title:] - overlay[title:height, :width]).mean() < 4  # JPEG
    # the overlay's own title has the patient and the file's name, which is longer
    assert (shown[:title] > 128).sum() < (overlay[:title] > 128).sum()


def test_the_first_page_has_the_scores(read: Any) -> None:
    page = read("SC.dcm")
    assert page.InstanceNumber == 1
    assert (page.pixel_array < 100).mean() > 0.01


def test_pages_say_whether_the_film_has_text_in_it(
    new_patient: Any, as_dicom: Any, share: Any, tmp_path: Any
) -> None:
    from mandora.outputs.dicom.capture import captures

    patient = new_patient("P001", {slot: f"{slot}.dcm" for slot in ("LH", "RH", "LF", "RF")})
    marked = as_dicom(patient, tmp_path, BurnedInAnnotation="YES")
    _, page = next(captures(share(marked), {}))
    assert page.BurnedInAnnotation == "YES"
