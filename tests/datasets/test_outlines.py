"""Joint spaces become polygons without losing a pixel."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mandora.core.anatomy import LANDMARKS, Limb
from mandora.datasets.outlines import Outline, outlines_of, site_name


def filled(outlines: list[Outline], shape: tuple[int, int], scale: int = 1) -> np.ndarray:
    """What a tool fills: cut to whole pixels as LabelMe does, or on a finer grid."""
    image = Image.new("1", (shape[1] * scale, shape[0] * scale))
    for outline in outlines:
        xy = [((x + 0.5) * scale, (y + 0.5) * scale) for x, y in outline.points]
        ImageDraw.Draw(image).polygon(xy, fill=1)
    return np.array(image)[scale // 2 :: scale, scale // 2 :: scale]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def blobs() -> np.ndarray:
    labels = np.zeros((20, 30), np.uint8)
    labels[2:6, 3:9] = 1
    labels[10:14, 3:9] = 1  # a second region of the same joint
    labels[0:3, 27:30] = 2  # at the corner of the film
    labels[15, 15] = labels[16, 16] = labels[17, 17] = labels[18, 18] = 3  # a slanted line
    labels[18, 2:5] = 4  # a speck
    return labels


@pytest.mark.parametrize("scale", [1, 8])
def test_outlines_of_films_fill_to_the_same_joint_spaces(
    film: tuple[Limb, np.ndarray], scale: int
) -> None:
    limb, labels = film
    outlines = outlines_of(labels, limb)
    sites = {o.site for o in outlines}
    for label, point in enumerate(LANDMARKS[limb], start=1):
        region = labels == label
        assert (site_name(point) in sites) == (region.sum() > 0)
        if region.any():
            mine = [o for o in outlines if o.site == site_name(point)]
            assert iou(filled(mine, labels.shape, scale), region) > 0.97, point.name


def test_every_region_has_its_outline_and_specks_have_none() -> None:
    labels = blobs()
    outlines = outlines_of(labels, Limb.FOOT)
    assert [o.site for o in outlines] == ["foot-ip", "foot-ip", "foot-mtp1", "foot-mtp2"]
    labels[labels == 4] = 0
    assert (filled(list(outlines), labels.shape) == (labels > 0)).all()


def test_an_outline_lies_on_the_border_of_its_pixels() -> None:
    points = outlines_of(blobs(), Limb.FOOT)[0].points
    np.testing.assert_allclose(points.min(axis=0), [2.5, 1.5], atol=0.02)
    np.testing.assert_allclose(points.max(axis=0), [8.5, 5.5], atol=0.02)


def test_a_label_that_the_limb_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 6"):
        outlines_of(np.full((5, 5), 7, np.uint8), Limb.FOOT)
    with pytest.raises(ValueError, match="two axes"):
        outlines_of(np.zeros((5, 5, 3), np.uint8), Limb.FOOT)
