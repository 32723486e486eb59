"""What people look at of one patient: overlays and report, as the bytes of their files."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mandora.core.anatomy import Slot
from mandora.core.records import FilmRecord, JointScore, StudyResult
from mandora.damage.evidence import PatchEvidence
from mandora.images.radiograph import Radiograph
from mandora.outputs.crops import film_image, joint_crops
from mandora.outputs.overlay import draw_overlay
from mandora.outputs.report import render_report

OWNER = "mandora:study"
"""PNG text that says whose film an overlay shows."""


@dataclass(frozen=True)
class Pictures:
    """The pictures of one patient.

    Attributes:
        overlays: PNG files by film name, of the films that could be read.
        report: the page.
    """

    overlays: Mapping[str, bytes]
    report: bytes


def draw_pictures(
    result: StudyResult,
    radiographs: Mapping[str, Radiograph],
    evidence: Mapping[str, Mapping[str, PatchEvidence]],
    created: str | None = None,
) -> Pictures:
    """Draw the overlays of one patient and write the report. No file is written.

    Args:
        result: the patient's record.
        radiographs: the films that could be read, by film name.
        evidence: by film name, then by landmark name.
        created: when the results were computed, printed in the report; left out if absent.
    """
    overlays, crops = {}, {}
    for film in result.films:
        if film.name in radiographs and film.name not in overlays:
            picture = film_image(radiographs[film.name].pixels)
            seen = evidence.get(film.name, {})
            title = f"{result.study} · {Slot(film.side, film.limb).title} · {film.name}"
            overlays[film.name] = draw_overlay(picture, _scores_on(film, result), seen, title)
            crops[film.name] = joint_crops(picture, seen)
    report = render_report(result, overlays, crops, created).encode()
    return Pictures({name: _png(image, result.study) for name, image in overlays.items()}, report)


def _png(image: Image.Image, study: str) -> bytes:
    info = PngInfo()
    info.add_itxt(OWNER, study)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info, compress_level=3)  # in half the time of 6
    return buffer.getvalue()


def _scores_on(film: FilmRecord, result: StudyResult) -> list[JointScore]:
    """The film's scores; scores without a film count if this is the only film of the limb."""
    slot = (film.side, film.limb)
    alone = sum((f.side, f.limb) == slot for f in result.films) == 1
    return [
        s
        for s in result.scores
        if s.film == film.name or (alone and s.film is None and (s.side, s.limb) == slot)
    ]
