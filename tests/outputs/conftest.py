"""A made-up patient: three grey films, four missing joints, one film that could not be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from mandora.core.anatomy import LANDMARKS, SLOTS, TARGETS, Slot, Target
from mandora.core.geometry import Box
from mandora.core.ra2 import RA2_TOTALS
from mandora.core.records import (
    FilmRecord,
    JointScore,
    ModelInfo,
    Reason,
    Status,
    StudyResult,
    Total,
)
from mandora.damage.evidence import PatchEvidence

SIZE_WH = (320, 480)
HALF = 18.0
UNREAD, LOST = "RF", "pip3"


@dataclass(frozen=True)
class Film:
    """What the writer needs of a radiograph."""

    pixels: NDArray[np.float32]


@dataclass(frozen=True)
class Patient:
    result: StudyResult
    radiographs: dict[str, Film]
    evidence: dict[str, dict[str, PatchEvidence]]


def position(slot: Slot, landmark: str) -> tuple[float, float]:
    """Points in a grid of five columns: nothing anatomical, but all apart."""
    i = [p.name for p in LANDMARKS[slot.limb]].index(landmark)
    return 40.0 + 60 * (i % 5), 60.0 + 80 * (i // 5)


def _score(aim: Target, film: str, value: float) -> JointScore:
    base = {
        "target": aim.key, "film": film, "side": aim.side, "limb": aim.limb,
        "site": aim.site.name, "kind": aim.damage, "maximum": aim.maximum,
    }  # fmt: skip
    if aim.slot.code == UNREAD:
        return JointScore(**base, status=Status.FAILED, reason=Reason.FILM_UNREADABLE)
    if aim.site.name == LOST:
        return JointScore(**base, status=Status.FAILED, reason=Reason.NOT_FOUND)
    x, y = position(aim.slot, aim.site.landmark_name)
    return JointScore(
        **base,
        x=x,
        y=y,
        half_px=HALF,
        patch_score=value,
        tree_score=value,
        score=value,
        grade=int(value + 0.5),
        status=Status.SCORED,
    )


def _total(name: str, scores: list[JointScore]) -> Total:
    mine = [s for s in scores if s.kind in RA2_TOTALS[name]]
    values = [s.score for s in mine if s.score is not None]
    given = name != "Overall_narrowing"
    return Total(
        name=name,
        maximum=sum(s.maximum for s in mine),
        observed=sum(values),
        scored=len(values),
        expected=len(mine),
        value=sum(values) * len(mine) / len(values) if given else None,
        method="pro-rated" if given else None,
        reason=None if given else Reason.TOO_FEW_JOINTS,
    )


def make_patient(study: str = "P001", film_names: dict[str, str] | None = None) -> Patient:
    names = {s.code: f"{study}-{s.code}.png" for s in SLOTS} | (film_names or {})
    rng = np.random.default_rng(7)
    scores = [
        _score(t, names[t.slot.code], round(float(rng.uniform(0, t.maximum)), 5)) for t in TARGETS
    ]
    films, radiographs, evidence = [], {}, {}
    for slot in SLOTS:
        name = names[slot.code]
        if slot.code == UNREAD:
            films.append(
                FilmRecord(
                    name=name,
                    side=slot.side,
                    limb=slot.limb,
                    status=Status.FAILED,
                    reason=Reason.FILM_UNREADABLE,
                    detail="the file ends too early",
                )
            )
            continue
        films.append(
            FilmRecord(
                name=name,
                side=slot.side,
                limb=slot.limb,
                status=Status.SCORED,
                width=SIZE_WH[0],
                height=SIZE_WH[1],
                remarks=("turned by 180 degrees",),
            )
        )
        radiographs[name] = Film(np.full(SIZE_WH[::-1], 0.4, dtype=np.float32))
        mask = np.zeros((24, 24), dtype=np.float32)
        mask[10:14, 4:20] = 1.0
        evidence[name] = {
            p.name: PatchEvidence(p.name, Box.around(position(slot, p.name), HALF), mask)
            for p in LANDMARKS[slot.limb]
            if p.name != LOST
        }
    result = StudyResult(
        study=study,
        films=tuple(films),
        locations=(),
        scores=tuple(scores),
        totals=tuple(_total(name, scores) for name in RA2_TOTALS),
        model=ModelInfo(
            bundle="made-up",
            bundle_version="3.2.1",
            bundle_sha256="c0ffee" * 8,
            preset="fast",
            trained_on="drawings of hands",
            software={"numpy": "2.4.0"},
        ),
    )
    return Patient(result, radiographs, evidence)


@pytest.fixture
def patient() -> Patient:
    return make_patient()


@pytest.fixture(scope="session")
def new_patient() -> Callable[..., Patient]:
    return make_patient
