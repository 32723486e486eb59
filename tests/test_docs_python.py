"""Every Python block of the documentation runs, after the lines that its text describes."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = {
    f"{page.name}:{page.read_text('utf-8')[: found.start()].count(chr(10)) + 2}": found.group(1)
    for page in PAGES
    for found in re.finditer(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
}

# by page: the names that a block uses and its text describes
GIVEN = {
    "explain.md": """
from pathlib import Path
import numpy as np
from mandora.metrics.explain import mean_contributions
from mandora.symmetry.forest import JointForest
forest = JointForest.load(Path("symmetry.npz"))
patch_scores = np.random.default_rng(1).uniform(0, 3, (4, 86))
found_in_another_fold = mean_contributions(forest, patch_scores[:2])
""",
    "inflict.md": """
from mandora.core.anatomy import SLOTS
from mandora.simulate.cohort.patients import draw_patient, simulate_film
shown = simulate_film(draw_patient(3, 0), SLOTS[0], pixels_per_mm=3)
film, landmarks = shown.pixels, shown.landmarks
""",
    "metrics.md": """
import numpy as np
rng = np.random.default_rng(1)
reference = rng.integers(0, 4, (12, 86)).astype(float)
predicted = reference + rng.normal(0, 1, reference.shape)
""",
    "runners.md": """
from mandora.core.settings import SymmetrySettings
settings = SymmetrySettings()
""",
}
NEEDS = {"explain.md": ("shap", "torch")}


def test_there_are_blocks_and_none_is_given_names_for_nothing() -> None:
    pages = {name.partition(":")[0] for name in BLOCKS}
    assert len(BLOCKS) >= 5
    assert GIVEN.keys() <= pages


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_runs(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, small_films: Path
) -> None:
    page = name.partition(":")[0]
    for package in NEEDS.get(page, ()):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    if page in NEEDS:
        for file in request.getfixturevalue("tiny_bundle").iterdir():
            shutil.copy(file, tmp_path)
    (tmp_path / "films").mkdir()
    for film in small_films.iterdir():
        shutil.copy(film, tmp_path / "films" / film.name.replace("P1-", "P001-"))
    script = tmp_path / "block.py"
    script.write_text(GIVEN.get(page, "") + BLOCKS[name], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"{name}: {done.stderr}"
