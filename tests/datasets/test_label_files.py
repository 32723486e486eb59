"""A label file is read by the reader of its format, told by its name and by what is in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mandora.datasets.formats.labelme import labelme_document
from mandora.datasets.label_files import LABEL_FORMATS, read_label_file

COCO = {"images": [{"id": 1, "file_name": "P1-LH.jpg"}], "categories": [], "annotations": []}
CVAT = '<annotations><image id="0" name="P1-LH.jpg" width="30" height="20"/></annotations>'
LABELME = labelme_document([], "P1-LH.jpg", (30, 20))


@pytest.mark.parametrize(
    ("name", "content", "size"),
    [
        ("a.json", json.dumps(LABELME), (30, 20)),
        ("a.json", json.dumps(COCO), (0, 0)),
        ("a.XML", CVAT, (30, 20)),
    ],
)
def test_each_format_is_recognised(
    name: str, content: str, size: tuple[int, int], tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    (film,) = read_label_file(tmp_path / name)
    assert (film.image_name, film.size, film.outlines) == ("P1-LH.jpg", size, ())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{}", "is no file of LabelMe or COCO; export it again"),
        ("a.json", "[]", "holds no JSON object; give a LabelMe or COCO file"),
        ("a.json", "text", "is not JSON; give a LabelMe or COCO file"),
        ("a.xml", "<html/>", "holds <html>"),
        ("a.txt", "", r"use a file that ends in \.json, \.xml"),
    ],
)
def test_other_files_are_refused(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        read_label_file(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_the_page_on_data_sets_names_every_format(root: Path) -> None:
    page = (root / "docs" / "data.md").read_text(encoding="utf-8")
    for form in LABEL_FORMATS:
        assert f"| {form.tool} | " in page
