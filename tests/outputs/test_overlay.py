from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mandora.core.anatomy import FAMILIES, Damage, Limb
from mandora.damage.evidence import PatchEvidence
from mandora.outputs.overlay import (
    LONG_SIDE_PX,
    draw_overlay,
    missing_lines,
    retitled,
    severity_step,
)


def _on(patient, slot: str):
    name = f"P001-{slot}.png"
    scores = [s for s in patient.result.scores if s.film == name]
    return patient.radiographs[name].pixels, scores, patient.evidence[name]


def _redness(image: Image.Image) -> np.ndarray:
    rgb = np.asarray(image).astype(int)
    return (rgb[..., 0] - rgb[..., 1] > 60) & (abs(rgb[..., 1] - rgb[..., 2]) < 30)


@pytest.mark.parametrize("shape", [(480, 320), (3000, 2000), (900, 2400), (60, 50)])
def test_any_film_becomes_a_picture_of_about_the_same_size(patient, shape) -> None:
    _, scores, evidence = _on(patient, "LH")
    image = draw_overlay(np.zeros(shape, np.float32), scores, evidence)
    assert LONG_SIDE_PX * 0.9 <= max(image.size) <= LONG_SIDE_PX * 1.1
    assert image.mode == "RGB"


def test_joint_spaces_are_red_and_nothing_is_without_masks(patient) -> None:
    pixels, scores, evidence = _on(patient, "LF")
    grade_0 = [
        s.model_copy(update={"score": 0.0, "grade": 0}) for s in scores if s.score is not None
    ]
    bare, red = draw_overlay(pixels, grade_0, {}), draw_overlay(pixels, grade_0, evidence)
    inside = np.s_[100:1100, 200:-200]
    assert _redness(red)[inside].sum() > _redness(bare)[inside].sum() + 6 * 500
    assert bare.size == red.size


def test_mask_lies_on_its_joint(patient) -> None:
    """Red is found where the film's (40, 60) lies on the picture and not in a free corner."""
    pixels, _, evidence = _on(patient, "LF")
    image = draw_overlay(pixels, [], {"ip": evidence["ip"]})
    rows, columns = np.nonzero(_redness(image)[:1150])
    # with no scores there is no other red; the film fills the picture between equal margins
    scale = 1150 / 480
    left, top = (image.width - 320 * scale) / 2, rows.min()
    assert columns.mean() == pytest.approx(left + 40.5 * scale, abs=3)
    assert rows.max() - top == pytest.approx(6 * scale, abs=6)


def test_the_mask_of_a_turned_patch_is_turned_with_it(patient) -> None:
    pixels, _, evidence = _on(patient, "LF")
    flat = evidence["mtp3"]  # a bar from left to right
    box = replace(flat.box, turn_deg=60.0)
    image = draw_overlay(pixels, [], {"mtp3": PatchEvidence("mtp3", box, flat.mask)})
    rows, columns = np.nonzero(_redness(image)[:1150])
    scale = 1150 / 480
    left, top = (image.width - 320 * scale) / 2, 51  # of the film
    middle = np.array([columns.mean() - left, rows.mean() - top]) / scale - 0.5
    np.testing.assert_allclose(middle, box.centre, atol=1)
    x, y = columns - columns.mean(), rows - rows.mean()
    slope = np.degrees(0.5 * np.arctan2(2 * (x * y).mean(), (x**2).mean() - (y**2).mean()))
    assert slope == pytest.approx(60, abs=4)


def test_severe_box_is_thicker_so_that_colour_is_not_all(patient) -> None:
    pixels, scores, _ = _on(patient, "LF")
    toe = next(s for s in scores if s.site == "ip")

    def border_px(grade: int) -> int:
        score = toe.model_copy(update={"score": float(grade), "grade": grade})
        image = np.asarray(draw_overlay(pixels, [score], {}).convert("L")).astype(int)
        scale = 1150 / 480
        left = (image.shape[1] - 320 * scale) / 2
        # a row through the box below its middle; its left side lies at 40 - 18 px of the film
        row = image[round(51 + 68 * scale), round(left + 15 * scale) : round(left + 30 * scale)]
        return int((abs(row - row[0]) > 25).sum())

    assert border_px(4) >= border_px(2) + 1 >= border_px(0) + 2


def test_missing_joints_are_listed_with_the_reason(patient) -> None:
    _, scores, _ = _on(patient, "LH")
    (line,) = missing_lines(scores)
    assert "PIP3 N E" in line
    assert "not found" in line


def test_film_without_any_score_names_every_site_as_missing(patient) -> None:
    failed = [s for s in patient.result.scores if s.film == "P001-RF.png"]
    image = draw_overlay(np.zeros((480, 320), np.float32), failed, {})
    assert image.height > 1300  # room for the list
    assert all(f"MTP{n} N E" in missing_lines(failed)[0] for n in range(1, 6))


def test_masked_pixels_of_the_film_stay_visible(patient) -> None:
    pixels, _, evidence = _on(patient, "LF")
    dark, light = (
        np.asarray(draw_overlay(pixels * 0 + grey, [], evidence)).astype(int) for grey in (0.2, 0.8)
    )
    red = _redness(Image.fromarray(dark.astype(np.uint8)))[60:1190]
    difference = (light - dark)[60:1190].sum(axis=2)[red]
    assert np.median(difference) > 150


def test_grades_fall_into_five_steps() -> None:
    assert [severity_step(g, 4) for g in range(5)] == [0, 1, 2, 3, 4]
    assert [severity_step(g, 10) for g in (0, 1, 2, 3, 5, 6, 8, 10)] == [0, 1, 1, 2, 2, 3, 4, 4]


def test_every_hand_joint_is_drawn_without_evidence(patient) -> None:
    """The box then comes from the score's own position and half side."""
    pixels, scores, _ = _on(patient, "LH")
    empty = np.asarray(draw_overlay(pixels, [], {})).astype(int)
    for site in FAMILIES[Limb.HAND, Damage.EROSION]:
        mine = [s for s in scores if s.site == site.name and s.score is not None]
        if mine:
            image = np.asarray(draw_overlay(pixels, mine, {})).astype(int)
            assert abs(image - empty).sum() > 0, site.name


def test_same_input_gives_the_same_picture(patient) -> None:
    pixels, scores, evidence = _on(patient, "LH")
    first, second = (draw_overlay(pixels, scores, evidence, "t").tobytes() for _ in range(2))
    assert first == second


def test_another_title_changes_nothing_but_the_title(patient) -> None:
    pixels, scores, evidence = _on(patient, "LH")
    long = draw_overlay(pixels, scores, evidence, "P001 · left hand · P001-LH.png")
    plain = draw_overlay(pixels, scores, evidence, "left hand")
    assert retitled(long, "left hand").tobytes() == plain.tobytes()
