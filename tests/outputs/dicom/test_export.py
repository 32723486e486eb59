from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="needs the extra dicom")

from mandora.datasets.intake.plan import make_plan


def test_objects_that_come_back_with_a_study_are_no_films(
    folder_of_objects: Path, new_film: Callable[..., Path], tmp_path: Path
) -> None:
    objects = sorted(folder_of_objects.glob("*.dcm"))
    assert {"SR.dcm", "SC.dcm", "LH-SC.dcm", "LH-SEG.dcm", "LH-PR.dcm"} <= {p.name for p in objects}
    for number, path in enumerate(objects):  # an archive names them anew
        shutil.copy(path, tmp_path / f"IM{number}")
    film = new_film(tmp_path / "film", np.full((480, 320), 900))
    plan = make_plan([tmp_path])
    assert [planned.path for planned in plan.films] == [film]
    assert plan.problems == ()
    (problem,) = make_plan([tmp_path / "IM0"]).problems
    assert "a result of mandora" in problem.detail
