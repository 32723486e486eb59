from __future__ import annotations

import numpy as np

from mandora.core.anatomy import SLOTS
from mandora.core.records import Reason, Status
from mandora.images.radiograph import Radiograph
from mandora.scoring.copies import without_same_pictures
from mandora.scoring.film import FilmResult
from mandora.scoring.film_record import failed_record

LH, RH, LF, RF = SLOTS


def part(slot: object, pixels: np.ndarray, name: str) -> FilmResult:
    film = Radiograph(pixels, name, f"{abs(hash(name)):064x}"[-64:])
    record = failed_record(name, slot, Reason.NOT_FOUND, "").model_copy(  # type: ignore[arg-type]
        update={"status": Status.SCORED, "reason": None}
    )
    return FilmResult(record, film)


def test_a_picture_saved_twice_is_scored_as_no_limb() -> None:
    rng = np.random.default_rng(1)
    film = np.kron(rng.random((8, 8)), np.ones((20, 20))).astype(np.float32)
    larger = np.kron(film, np.ones((2, 2))).astype(np.float32)
    other = np.ascontiguousarray(film[:, ::-1])
    parts = {
        LH: part(LH, film, "a"), RH: part(RH, larger, "b"), LF: part(LF, other, "c"),
    }  # fmt: skip
    made = without_same_pictures(parts)
    assert [p.record.reason for p in made.values()] == [
        Reason.SAME_PICTURE, Reason.SAME_PICTURE, None,
    ]  # fmt: skip
    assert "a and b" in (made[LH].record.detail or "")
    assert made[LH].scores == {}


def test_both_limbs_of_one_film_are_no_copies() -> None:
    one = part(LH, np.eye(64, dtype=np.float32), "a")
    parts = {LH: one, RH: FilmResult(part(RH, np.eye(64, dtype=np.float32), "b").record,
                                     one.radiograph)}  # fmt: skip
    assert without_same_pictures(parts) == parts
