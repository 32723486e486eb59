from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from mandora.core.anatomy import Slot
from mandora.core.findings import Check, Outcome
from mandora.core.records import RESEARCH_NOTICE, Finding, StudyResult
from mandora.outputs.crops import joint_crops
from mandora.outputs.overlay import draw_overlay
from mandora.outputs.report import render_report
from mandora.scoring.assembly import totals


class _Page(HTMLParser):
    """Collects what the tests ask about."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def _render(patient, result: StudyResult | None = None, created: str | None = None) -> str:
    result = result or patient.result
    overlays, crops = {}, {}
    for name, film in patient.radiographs.items():
        scores = [s for s in result.scores if s.film == name]
        overlays[name] = draw_overlay(film.pixels, scores, patient.evidence[name])
        crops[name] = joint_crops(film.pixels, patient.evidence[name])
    return render_report(result, overlays, crops, created)


def test_report_needs_no_network_and_no_script(patient) -> None:
    html = _render(patient)
    page = _Page(html)
    assert not page.all("script")
    assert not page.all("link")
    addresses = [t.get(a) or "" for _, t in page.tags for a in ("src", "href") if a in t]
    assert addresses
    assert all(a.startswith(("data:image/jpeg;base64,", "#")) for a in addresses)
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html


def test_every_link_leads_somewhere(patient) -> None:
    page = _Page(_render(patient))
    ids = [t["id"] for _, t in page.tags if "id" in t]
    assert len(ids) == len(set(ids))
    assert {(a["href"] or "")[1:] for a in page.all("a")} <= set(ids)


def test_all_86_scores_are_shown_or_explained(patient) -> None:
    html = _render(patient)
    cells = re.findall(r'<td class="(?:h\d+|missing) first"', html)
    assert len(cells) == 86
    scored = [s for s in patient.result.scores if s.score is not None]
    shown = re.findall(r'title="(left|right) (\w+) (\w+): see the joint">([\d.]+)<', html)
    assert sorted(shown) == sorted(
        ("left" if s.side == "L" else "right", s.site, s.kind.value, f"{s.score:.2f}")
        for s in scored
    )


def test_foot_and_hand_joint_of_the_same_name_are_told_apart(patient) -> None:
    html = _render(patient)
    assert 'href="#joint-LH-ip"' in html
    assert 'href="#joint-LF-ip"' in html


def test_navicular_leads_to_the_patch_it_was_read_from(patient) -> None:
    html = _render(patient)
    assert re.search(r'href="#joint-LH-radcar" title="left nav erosion', html)
    assert "nav erosion" in _Page(html).text


def test_missing_scores_are_a_dash_with_the_reason_in_words(patient) -> None:
    html = _render(patient)
    assert 'title="left pip3 narrowing: the joint was not found on the film">–<' in html
    text = _Page(html).text
    assert "not scored: the film could not be read" in text
    assert "none" not in re.findall(r"<td[^>]*>None", html)


def test_totals_say_how_they_came_about(patient) -> None:
    text = " ".join(_Page(_render(patient)).text.split())
    erosion = next(t for t in patient.result.totals if t.name == "Overall_erosion")
    assert f"{erosion.value:.1f} of 280" in text
    assert f"Pro-rated: {erosion.scored} of 44 scores" in text
    assert "– of 168" in text
    assert "too few joints were scored for a total" in text


def test_totals_of_limbs_and_sides_stand_before_everything_else(patient) -> None:
    made = totals(patient.result.scores)
    html = _render(patient, patient.result.model_copy(update={"totals": made}))
    first = html[: html.index("How to read this report")]
    words = " ".join(_Page(first).text.split())
    for total in made:
        if total.value is not None:
            mark = "*" if total.method == "pro-rated" else ""
            assert f"{total.value:.1f}{mark} /{total.maximum}" in words
    assert "* pro-rated" in words
    assert "not given: the film could not be read" in words


def test_complete_total_is_not_flagged(patient) -> None:
    whole = [
        t.model_copy(update={"value": t.observed, "method": "complete", "scored": t.expected})
        for t in patient.result.totals
    ]
    html = _render(patient, patient.result.model_copy(update={"totals": tuple(whole)}))
    assert 'class="why flagged"' not in html
    assert "Complete: 86 of 86 scores" in html


def test_notice_model_films_and_date_are_named(patient) -> None:
    text = _Page(_render(patient, created="on 1 February 2026")).text
    for words in (
        RESEARCH_NOTICE, "P001", "on 1 February 2026", "made-up", "3.2.1", "c0ffee" * 8,
        "numpy 2.4.0", "the file ends too early", "turned by 180 degrees", "320 × 480 px",
    ):  # fmt: skip
        assert words in text
    assert "2026" not in _Page(_render(patient)).text


def test_findings_are_told_at_the_top_and_listed_with_the_films(patient) -> None:
    result = with_findings(patient.result)
    html = render_report(result, {}, {})
    top = html[: html.index('aria-label="Totals"')]
    assert "metal: warn: a ring near mcp4" in top
    assert "3 checks, 1 passed, 1 to look at, 1 refused" in top
    films = html[html.index('id="checks"') :]
    assert '<th scope="row">metal</th><td class="bad">warn</td>' in films
    assert "Quality of the films" not in render_report(patient.result, {}, {}), "an old record"


def with_findings(result: StudyResult) -> StudyResult:
    """The record with two findings on its first film, and one on the film that failed."""
    of = {
        "LH": (Finding(check=Check.BODY_PART, outcome=Outcome.PASS),
               Finding(check=Check.METAL, outcome=Outcome.WARN, words="a ring near mcp4")),
        "RF": (Finding(check=Check.FILE, outcome=Outcome.REFUSE, words="it ends too early"),),
    }  # fmt: skip
    films = tuple(
        film.model_copy(update={"findings": of.get(Slot(film.side, film.limb).code, ())})
        for film in result.films
    )
    return result.model_copy(update={"films": films})


def test_what_the_model_was_trained_on_stands_beside_the_notice(patient) -> None:
    html = _render(patient)
    notice = html[html.index('class="notice"') :]
    assert "The model was trained on drawings of hands." in notice[: notice.index("</p>")]


def test_names_cannot_inject_markup(new_patient) -> None:
    evil = new_patient("P<script>alert(1)</script>", {"LH": 'x" onload="y<b>.png'})
    page = _Page(_render(evil))
    assert not page.all("script")
    assert not any("onload" in attributes for _, attributes in page.tags)
    assert "P<script>" in page.text


def test_pictures_and_headings_can_be_read_aloud(patient) -> None:
    page = _Page(_render(patient))
    assert page.all("html")[0]["lang"] == "en"
    assert all(image.get("alt") for image in page.all("img"))
    assert all(th.get("scope") for th in page.all("th"))
    alts = [image["alt"] for image in page.all("img")]
    assert len(alts) == len(set(alts))


def test_report_of_four_noisy_films_stays_under_three_megabytes(patient) -> None:
    rng = np.random.default_rng(1)
    noise = Image.fromarray(rng.integers(0, 256, (1300, 1300, 3), dtype=np.uint8))
    overlays = dict.fromkeys((f.name for f in patient.result.films), noise)
    crops = {
        name: joint_crops(film.pixels, patient.evidence[name])
        for name, film in patient.radiographs.items()
    }
    assert len(render_report(patient.result, overlays, crops)) < 3_000_000


def test_report_without_any_film_still_explains_itself(patient) -> None:
    html = render_report(patient.result, {}, {})
    assert not _Page(html).all("img")
    assert "the film could not be read" in html
    assert 'href="#joint' not in html


@pytest.mark.browser
def test_report_prints(patient, tmp_path) -> None:
    page, paper = tmp_path / "report.html", tmp_path / "report.pdf"
    page.write_text(_render(patient), encoding="utf-8")
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or ""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", f"--print-to-pdf={paper}"]
    subprocess.run([browser, *options, page.as_uri()], check=True, capture_output=True, timeout=90)
    pages = len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes()))
    assert 4 <= pages <= 9
