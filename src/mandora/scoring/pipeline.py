"""A patient's study: the films, each on its way, then the trees, then one record."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mandora import __version__
from mandora.core.anatomy import SLOTS, TARGET_INDEX, TARGETS, Limb, Side, Slot
from mandora.core.errors import InputError
from mandora.core.files import AnyPath
from mandora.core.geometry import Points
from mandora.core.parallel.threads import map_threads
from mandora.core.records import Finding, ModelInfo, Reason, StudyResult
from mandora.damage.evidence import PatchEvidence
from mandora.datasets.intake.rows import VisitFilms
from mandora.images.radiograph import Radiograph
from mandora.locate.locator import FoundLandmarks
from mandora.locate.orientation import Orientation
from mandora.model.bundle import Bundle
from mandora.model.loading import Stages
from mandora.scoring import film as one_film
from mandora.scoring import placing
from mandora.scoring.assembly import study_result
from mandora.scoring.copies import without_same_pictures
from mandora.scoring.film import FilmResult, GivenFilm, failed_film, score_film
from mandora.symmetry.forest import blend

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rejected:
    """A film slot that cannot be scored, whatever the film shows.

    Attributes:
        name: file name without folder.
        reason: why, as a code.
        detail: why and what to do, in words.
    """

    name: str
    reason: Reason
    detail: str


@dataclass(frozen=True, eq=False)
class ScoredStudy:
    """A result with the pictures it came from.

    Attributes:
        result: the record.
        radiographs: films that could be read, by name.
        evidence: patches and masks by film name and landmark name.
        expected: (86,) float64, what the trees expect of each target from those that were scored;
            NaN where they say nothing. For joints that nobody saw this is no score.
    """

    result: StudyResult
    radiographs: Mapping[str, Radiograph]
    evidence: Mapping[str, Mapping[str, PatchEvidence]]
    expected: NDArray[np.float64]


class Pipeline:
    """The three stages, ready to score.

    Args:
        stages: loaded.
        model: what the results say of the model.
    """

    def __init__(self, stages: Stages, model: ModelInfo) -> None:
        self._stages = stages
        self._model = model

    @staticmethod
    def from_bundle(bundle: Bundle, threads: int = 2) -> Pipeline:
        """Load an opened (and so verified) bundle.

        Args:
            bundle: the model.
            threads: processor threads.

        Raises:
            ValueError: if a file of the bundle does not fit this version, or ``threads`` is
                below 1.
        """
        if threads < 1:
            raise InputError(f"threads must be at least 1, got {threads}")
        manifest = bundle.manifest
        intervals = manifest.contract.intervals
        paths = {name: bundle.path(name) for name in manifest.files}
        model = ModelInfo(
            bundle=manifest.name, bundle_version=manifest.version, bundle_sha256=bundle.sha256,
            preset=manifest.preset, trained_on=manifest.training_data, software=_software(),
            interval_level=intervals.level if intervals else None,
            interval_data=intervals.measured_on if intervals else None,
        )  # fmt: skip
        start = time.monotonic()
        stages = Stages.load(manifest.contract, paths, threads)
        _LOG.info(
            "model %s %s in %s, loaded in %.2f s", manifest.name, manifest.version, bundle.folder,
            time.monotonic() - start,
        )  # fmt: skip
        return Pipeline(stages, model)

    @property
    def films_at_once(self) -> int:
        """How many films, or studies, are worth being scored side by side."""
        return self._stages.films_at_once

    def score(
        self,
        study: str,
        films: Mapping[Slot, AnyPath | GivenFilm],
        rejected: Mapping[Slot, Rejected] | None = None,
        films_at_once: int | None = None,
        visit: str | None = None,
    ) -> ScoredStudy:
        """Score one patient; may be called in several threads at once.

        A film that cannot be read or scored costs that film only; its record says why.

        Args:
            study: the study id, as the user gave it.
            films: up to four films.
            rejected: films that are known to be unusable; they come before ``films``.
            films_at_once: films that are worked on side by side; all threads are used if not given.
            visit: of the patient, if it is known.

        Returns:
            A result with all 86 scores, each with a value or a reason. The films of a study
            have names of their own: of two with one name (from two folders), the second gets
            its slot in front.
        """
        given: dict[Slot, GivenFilm | Rejected] = {
            slot: film if isinstance(film, GivenFilm) else GivenFilm(Path(film))
            for slot, film in films.items()
        }
        given |= rejected or {}
        names: dict[Slot, str] = {}
        for slot in (slot for slot in SLOTS if slot in given):
            one = given[slot]
            name = one.name if isinstance(one, Rejected) else one.path.name
            names[slot] = unique_name(name, slot, names.values())

        def examined(slot: Slot) -> FilmResult:
            film = given[slot]
            if isinstance(film, Rejected):
                return failed_film(names[slot], slot, film.reason, film.detail)
            return score_film(self._stages, slot, film, names[slot])

        found = map_threads(examined, names, films_at_once or self.films_at_once)
        parts = without_same_pictures(dict(zip(names, found, strict=True)))
        patch = np.full(len(TARGETS), np.nan)
        for part in parts.values():
            for key, value in part.scores.items():
                patch[TARGET_INDEX[key]] = value
        tree = self.expected(patch)
        final = self.blended(patch, tree)
        result = study_result(
            study, parts, tree, final, self._model, self._stages.contract.intervals
        )
        result = result.model_copy(update={"visit": visit})
        return ScoredStudy(
            result,
            {p.record.name: p.radiograph for p in parts.values() if p.radiograph is not None},
            {p.record.name: p.evidence for p in parts.values()},
            tree,
        )

    def locate(
        self, film: Radiograph, limb: Limb | None = None, side: Side | None = None
    ) -> FoundLandmarks:
        """The landmarks of one limb on a film, see :func:`mandora.scoring.film.locate`."""
        return one_film.locate(self._stages, film, limb, side)

    def recognised(self, film: Radiograph) -> FoundLandmarks | None:
        """The limb that a film shows, see :func:`mandora.scoring.placing.recognised`."""
        return placing.recognised(self._stages, film)

    def judge(self, slot: Slot, film: Radiograph, found: FoundLandmarks) -> tuple[Finding, ...]:
        """The findings on a film, see :func:`mandora.scoring.film.judge`."""
        return one_film.judge(self._stages, slot, film, found)

    def limbs_on(self, film: Radiograph, limb: Limb | None = None) -> list[FoundLandmarks]:
        """The limbs on a film, one or both sides, see :func:`mandora.scoring.placing.limbs_on`."""
        return placing.limbs_on(self._stages, film, limb)

    def place(self, visit: VisitFilms) -> placing.PlacedFilms:
        """The films of a visit by limb, see :func:`mandora.scoring.placing.place`."""
        return placing.place(self._stages, visit)

    def locate_all(self, film: Radiograph, limb: Limb) -> list[FoundLandmarks]:
        """All limbs of one kind on a film, see :func:`mandora.scoring.film.locate_all`."""
        return one_film.locate_all(self._stages, film, limb)

    def examine(
        self, slot: Slot, film: Radiograph, landmarks: Points | None = None,
        orientation: Orientation | None = None,
    ) -> FilmResult:  # fmt: skip
        """The scores of one film that was read, see :func:`mandora.scoring.film.examine`."""
        return one_film.examine(self._stages, slot, film, landmarks, orientation)

    def expected(self, patch: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the trees expect of each target.

        Args:
            patch: (86,) patch scores in the order of ``anatomy.TARGETS``, NaN where missing.

        Returns:
            (86,) float64; NaN where they say nothing, and everywhere without trees.
        """
        forest = self._stages.forest
        return forest.predict(patch[None])[0] if forest else np.full(len(TARGETS), np.nan)

    def blended(self, patch: NDArray[np.float64], tree: NDArray[np.float64]) -> NDArray[np.float64]:
        """The final scores.

        Args:
            patch: (86,) patch scores, NaN where missing.
            tree: (86,) of :meth:`expected`.

        Returns:
            (86,) float64; NaN where there is no patch score.
        """
        final: NDArray[np.float64] = blend(
            patch[None], tree[None], self._stages.contract.symmetry.blend
        )[0]
        return final


def unique_name(name: str, slot: Slot, taken: Collection[str]) -> str:
    """A name that no other film of the study has, and that is text.

    Args:
        name: of the file.
        slot: what the film is given as.
        taken: the names of the study's other films.
    """
    # bytes that are no text in a file name would break every JSON file downstream
    text = name.encode("utf-8", "replace").decode()
    return f"{slot.code}-{text}" if text in taken else text


def _software() -> dict[str, str]:
    versions = {"mandora": __version__}
    for package in ("numpy", "onnxruntime", "pillow"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
