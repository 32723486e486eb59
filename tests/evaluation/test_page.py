"""The page stands alone, and its tables hold what they were given."""

from __future__ import annotations

import csv
import math
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mandora.core.records import RESEARCH_NOTICE
from mandora.evaluation.page import (
    REASON_COLUMN,
    FigureView,
    Section,
    TableView,
    write_page,
    write_table,
)
from mandora.metrics import Number

EVIL = '<script>alert("P1")</script> & Söhne'
VOID = {"meta", "img", "br", "col", "link", "input", "hr"}


class _Page(HTMLParser):
    """Collects what the tests ask about; refuses tags that do not match."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.html = path.read_text(encoding="utf-8")
        self.feed(self.html)
        self.close()
        assert not self.open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def figure(folder: Path, name: str = "fig3", kinds: tuple[str, ...] = ("svg", "pdf")) -> FigureView:
    (folder / "figures").mkdir(exist_ok=True)
    Image.new("L", (40, 20), 128).save(folder / "figures" / f"{name}.png")
    for kind in kinds:
        (folder / "figures" / f"{name}.{kind}").write_text("vector")
    return FigureView(f"figures/{name}.png", "Distances of joints.", "Three box plots.")


def table(**changed: object) -> TableView:
    given = {
        "title": "Joints",
        "columns": ("joint", "r", "n"),
        "rows": [("mcp2", 0.123456789012, 4), ("mcp3", Number.none("too few pairs"), None)],
        "csv": "joints.csv",
    }
    return TableView(**{**given, **changed})  # type: ignore[arg-type]


def page_of(folder: Path, *sections: Section) -> _Page:
    if not sections:
        words = "97 %.\n\nFewer."
        sections = (Section("fig3", "Localisation", words, (figure(folder),), (table(),)),)
    head = {"data set": EVIL, "patients": 1200, "minutes": 61.25, "versions": {"numpy": "2.1"}}
    return _Page(write_page(folder, head, sections))


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_report_needs_no_network_and_no_script(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    assert page.html.startswith("<!DOCTYPE html>")
    assert not page.all("script")
    assert not page.all("link")
    assert "http:" not in page.html
    assert "https:" not in page.html
    assert "url(" not in page.html
    assert all((t["src"] or "").startswith("data:image/png;base64,") for t in page.all("img"))
    policy = [m for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in (policy[0]["content"] or "")


def test_every_link_leads_somewhere(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    ids = [t["id"] for _, t in page.tags if "id" in t]
    assert len(ids) == len(set(ids))
    links = [a["href"] or "" for a in page.all("a")]
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    files = [link for link in links if not link.startswith("#")]
    assert {"figures/fig3.svg", "figures/fig3.pdf", "tables/joints.csv"} <= set(files)
    assert all((tmp_path / name).is_file() for name in files)


def test_report_can_be_heard(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert [img["alt"] for img in page.all("img")] == ["Three box plots."]
    assert all(th.get("scope") in ("row", "col") for th in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    names = [a.get("aria-label") for a in page.all("a")]
    assert "figures/fig3.png as SVG" in names


def test_text_from_outside_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    made = table(title=EVIL, columns=(EVIL, "r"), rows=[(EVIL, Number.none(EVIL))])
    view = FigureView(figure(tmp_path).png, EVIL)
    page = page_of(tmp_path, Section("a", EVIL, EVIL, (view,), (made,)))
    assert not page.all("script")
    assert page.all("img")[0]["alt"] == EVIL
    assert page.text.count(EVIL) >= 7


def test_facts_and_notice_stand_on_top(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    top = page.text.split("Contents")[0]
    assert RESEARCH_NOTICE in top
    for words in ("patients 1,200", "minutes 61.2", "versions numpy 2.1"):
        assert words in top


def test_a_figure_that_is_not_there_is_named(tmp_path: Path) -> None:
    page = page_of(tmp_path, Section("a", "A", "", (FigureView("figures/no.png", "None."),)))
    assert not page.all("img")
    assert "there is no file figures/no.png" in page.text


def test_csv_gives_numbers_back_with_all_digits(tmp_path: Path) -> None:
    values = [0.1 + 0.2, np.float64(1 / 3), np.float32(0.5), -0.0, 1e-300, math.inf]
    texts = ["a,b", 'say "no"', "Söhne", "two\nlines", "", " x "]
    view = table(columns=("text", "value"), rows=list(zip(texts, values, strict=True)))
    read = rows(write_table(tmp_path, view))
    assert read[0] == ["text", "value"]
    assert [row[0] for row in read[1:]] == texts
    assert [float(row[1]) for row in read[1:]] == [float(value) for value in values]
    view = table(columns=("n", "big"), rows=[(np.int64(3), 10**12)])
    assert rows(write_table(tmp_path, view))[1] == ["3", "1000000000000"]


def test_missing_numbers_are_empty_and_say_why(tmp_path: Path) -> None:
    assert rows(write_table(tmp_path, table())) == [
        ["joint", "r", "n", REASON_COLUMN],
        ["mcp2", "0.123456789012", "4", ""],
        ["mcp3", "", "", "too few pairs"],
    ]
    none = Number.none
    both = table(rows=[("ip", none("constant"), none("no films"))])
    assert rows(write_table(tmp_path, both))[1][-1] == "r: constant; n: no films"
    plain = table(rows=[("ip", math.nan, None), ("mcp1", Number(0.5, 7), 1)])
    assert rows(write_table(tmp_path, plain)) == [
        ["joint", "r", "n"], ["ip", "", ""], ["mcp1", "0.5", "1"],
    ]  # fmt: skip


def test_report_rounds_and_marks_what_is_missing(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    assert "mcp2 0.123 4 mcp3 – – too few pairs" in page.text
    assert "why there is no value" in page.text
    view = table(rows=[("a", -0.25, 1200)], digits=1)
    assert "a −0.2 1,200" in page_of(tmp_path, Section("a", "A", "", (), (view,))).text


def test_long_tables_are_cut_in_the_report_only(tmp_path: Path) -> None:
    view = table(rows=[(f"joint {i}", 0.5, i) for i in range(43)], shown=2)
    page = page_of(tmp_path, Section("a", "A", "", (), (view,)))
    assert "joint 1" in page.text
    assert "joint 2" not in page.text
    assert "The first 2 of 43 rows. tables/joints.csv , 43 rows" in page.text
    assert len(rows(tmp_path / "tables" / "joints.csv")) == 44
    view = table(rows=view.rows, shown=0)
    page = page_of(tmp_path, Section("a", "A", "", (), (view,)))
    assert "Joints : tables/joints.csv , 43 rows" in page.text
    assert not page.all("table")
    assert len(rows(tmp_path / "tables" / "joints.csv")) == 44


def test_equal_input_gives_the_same_file(tmp_path: Path) -> None:
    page_of(tmp_path)
    first = (tmp_path / "report.html").read_bytes()
    page_of(tmp_path)
    assert (tmp_path / "report.html").read_bytes() == first
    assert not list(tmp_path.rglob("*.part*"))


@pytest.mark.parametrize("name", ["../x.png", "/tmp/x.png", ".png", "x.jpg", 'x".png', "a%2e.png"])
def test_figures_must_lie_in_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match=r"give the name|cannot be linked"):
        FigureView(name, "caption")


def test_what_does_not_fit_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="row 0 has 1 cells, but there are 3 columns"):
        table(rows=[("mcp2",)])
    with pytest.raises(ValueError, match="names a folder"):
        table(csv="more/joints.csv")
    with pytest.raises(ValueError, match="letters, digits and hyphens"):
        Section("fig 3", "A", "")
    with pytest.raises(ValueError, match="section id used twice: a"):
        page_of(tmp_path, Section("a", "A", ""), Section("a", "B", ""))
    with pytest.raises(ValueError, match=r"table file used twice: joints\.csv"):
        page_of(tmp_path, Section("a", "A", "", tables=(table(), table())))
