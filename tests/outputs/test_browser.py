"""The report in a real browser, with no other machine within reach."""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mandora.outputs.pictures import draw_pictures
from mandora.outputs.writer import ResultWriter

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-quic",
    "--hide-scrollbars", "--proxy-server=127.0.0.1:9",
)  # fmt: skip
PROBE = """<script>
addEventListener("load", () => {
  const pictures = [...document.images];
  document.title = JSON.stringify({
    pictures: pictures.length,
    broken: pictures.filter(p => !p.naturalWidth).length,
    overflow: document.documentElement.scrollWidth - innerWidth,
    dangling: [...document.querySelectorAll('a[href^="#"]')]
      .filter(a => !document.getElementById(a.getAttribute("href").slice(1))).length,
    text: document.body.innerText.length,
  });
});
</script>"""


@pytest.fixture
def report(patient: Any, tmp_path: Path) -> Path:
    out = tmp_path / "out"
    with ResultWriter(out) as writer:
        writer.write(
            patient.result, draw_pictures(patient.result, patient.radiographs, patient.evidence)
        )
    return next((out / "reports").glob("*.html"))


def browse(chromium: str, profile: Path, *args: str) -> str:
    done = subprocess.run(
        [chromium, *FLAGS, f"--user-data-dir={profile}", *args],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 800])
def test_the_report_shows_all_its_pictures_and_fits_the_window(
    report: Path, chromium: str, tmp_path: Path, width: int
) -> None:
    probed = tmp_path / "report.html"
    page = report.read_text(encoding="utf-8")
    policy = re.compile(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>")
    assert policy.search(page), "the report must forbid scripts and anything from outside"
    probed.write_text(policy.sub("", page) + PROBE, encoding="utf-8")
    window = f"--window-size={width},900"
    dom = browse(chromium, tmp_path / "profile", window, "--dump-dom", probed.as_uri())
    found = re.search(r"<title>(\{.*?\})</title>", dom)
    assert found, dom[:500]
    seen = json.loads(html.unescape(found[1]))
    assert seen["pictures"] > 3
    assert seen["broken"] == 0
    assert seen["overflow"] <= 0
    assert seen["dangling"] == 0
    assert seen["text"] > 1000


@pytest.mark.browser
def test_the_report_is_not_blank(report: Path, chromium: str, tmp_path: Path) -> None:
    shot = tmp_path / "report.png"
    browse(
        chromium, tmp_path / "profile", "--window-size=1280,2000", f"--screenshot={shot}",
        report.as_uri(),
    )  # fmt: skip
    with Image.open(shot) as image:
        grey = np.asarray(image.convert("L"))
    assert grey.shape == (2000, 1280)
    assert (grey < 100).mean() > 0.02  # text and films
    assert (grey > 200).mean() > 0.2  # on a light page
