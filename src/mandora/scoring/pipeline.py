"""The corridor: films in, located joints, patch scores, symmetry, one result out.

This is the only place where the three stages meet.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mandora import __version__
from mandora.core.anatomy import (
    LANDMARKS,
    SLOTS,
    TARGET_INDEX,
    TARGETS,
    Limb,
    Side,
    Slot,
    targets_of,
)
from mandora.core.errors import InputError, UntrainedLimb
from mandora.core.files import AnyPath
from mandora.core.geometry import Points, limb_size
from mandora.core.records import ModelInfo, Reason
from mandora.damage.evidence import PatchEvidence
from mandora.damage.patches import cut_patches, window_box
from mandora.damage.scorable import why_not
from mandora.images.radiograph import Radiograph
from mandora.images.read import read_radiograph
from mandora.locate.locator import CLEAR_FIT, FoundLandmarks
from mandora.locate.views import View, view_of_landmarks
from mandora.model.bundle import Bundle
from mandora.model.loading import LimbLocator, Stages
from mandora.scoring.assembly import (
    MIN_FIT,
    FilmResult,
    Rejected,
    ScoredStudy,
    doubts_about,
    failed_film,
    film_record,
    nothing_found,
    own_name,
    shows_limb,
    study_result,
)
from mandora.scoring.failures import why_failed
from mandora.symmetry.forest import blend

_LOG = logging.getLogger(__name__)


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
            threads: processor threads per network.

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
        )  # fmt: skip
        start = time.monotonic()
        stages = Stages.load(manifest.contract, paths, threads)
        _LOG.info(
            "model %s %s in %s, loaded in %.2f s", manifest.name, manifest.version, bundle.folder,
            time.monotonic() - start,
        )  # fmt: skip
        return Pipeline(stages, model)

    def locate(
        self, radiograph: Radiograph, limb: Limb | None = None, side: Side | None = None
    ) -> FoundLandmarks:
        """Find the landmarks of one limb on a film, whichever way it lies there.

        Args:
            radiograph: the film.
            limb: hand or foot; the better fit if not known.
            side: the patient's side; the better fit if not known.

        Returns:
            The landmarks. On a film that does not show a limb, none has a position and all have
            the reason ``NOT_FOUND``: a few peaks at random places are no hand.

        Raises:
            ValueError: if the model was not trained on such limbs.
        """
        locators, pixels = self._stages.locators, radiograph.pixels
        if limb is None:
            found = _likelier(
                locator.locate(pixels, side, upright_only=True) for locator in locators.values()
            )
            if self._stages.searches and found.fit < CLEAR_FIT[found.limb]:
                found = _likelier(locator.locate(pixels, side) for locator in locators.values())
        else:
            found = self._locator(limb).locate(pixels, side)
        if shows_limb(found, self._locator(found.limb).template, radiograph.shape):
            return found
        nowhere = np.full_like(found.landmarks, np.nan)
        return replace(found, landmarks=nowhere, reasons=(Reason.NOT_FOUND,) * len(nowhere))

    def locate_all(self, radiograph: Radiograph, limb: Limb) -> list[FoundLandmarks]:
        """Find the landmarks of all limbs of one kind on a film, as both hands.

        Args:
            radiograph: the film.
            limb: hand or foot.

        Returns:
            Up to two, the one that fits best first. Two views of one limb count as two.
        """
        locator = self._locator(limb)
        found = locator.locate_all(radiograph.pixels)
        return [f for f in found if shows_limb(f, locator.template, radiograph.shape)]

    def score(
        self,
        study: str,
        films: Mapping[Slot, AnyPath],
        rejected: Mapping[Slot, Rejected] | None = None,
    ) -> ScoredStudy:
        """Score one patient.

        A film that cannot be read or scored costs that film only; its record says why.

        Args:
            study: the study id, as the user gave it.
            films: up to four films.
            rejected: films that are known to be unusable; they come before ``films``.

        Returns:
            A result with all 86 scores, each with a value or a reason. The films of a study
            have names of their own: of two with one name (from two folders), the second gets
            its slot in front.
        """
        rejected = rejected or {}
        parts: dict[Slot, FilmResult] = {}
        for slot in SLOTS:
            taken = {part.record.name for part in parts.values()}
            if slot in rejected:
                bad = rejected[slot]
                name = own_name(bad.name, slot, taken)
                parts[slot] = failed_film(name, slot, bad.reason, bad.detail)
            elif slot in films:
                path = Path(films[slot])
                parts[slot] = self._score_film(slot, path, own_name(path.name, slot, taken))
        patch = np.full(len(TARGETS), np.nan)
        for part in parts.values():
            for key, value in part.scores.items():
                patch[TARGET_INDEX[key]] = value
        tree = self.expected(patch)
        final = self.blended(patch, tree)
        result = study_result(study, parts, tree, final, self._model, self._stages.intervals)
        return ScoredStudy(
            result,
            {p.record.name: p.radiograph for p in parts.values() if p.radiograph is not None},
            {p.record.name: p.evidence for p in parts.values()},
            tree,
        )

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
        final: NDArray[np.float64] = blend(patch[None], tree[None], self._stages.blend)[0]
        return final

    def _score_film(self, slot: Slot, path: Path, name: str) -> FilmResult:
        start = time.monotonic()
        try:
            film = read_radiograph(path)
            read = time.monotonic()
            made = self.examine(slot, film if film.name == name else replace(film, name=name))
        except Exception as error:  # one film must not cost the patient the others
            return failed_film(name, slot, *why_failed(error, name))
        _LOG.debug(
            "%s: read in %.2f s, examined in %.2f s: %d of %d scores", name, read - start,
            time.monotonic() - read, len(made.scores), len(targets_of(slot)),
        )  # fmt: skip
        return made

    def examine(
        self,
        slot: Slot,
        film: Radiograph,
        landmarks: Points | None = None,
        view: View | None = None,
    ) -> FilmResult:
        """Locate the joints of one film and score their patches.

        Args:
            slot: what the film is given as.
            film: read.
            landmarks: (N, 2) px of the film, where its joints are known to be, NaN where not; they
                are not looked for then.
            view: how a limb with known landmarks lies there; worked out from these if absent.

        Returns:
            The patch scores; a failed record with the reason ``NOT_FOUND`` if the film does not
            show such a limb.
        """
        found = (
            self.locate(film, slot.limb, slot.side)
            if landmarks is None
            else self._known(slot, landmarks, view)
        )
        lost = {p.name: r for p, r in zip(LANDMARKS[slot.limb], found.reasons, strict=True) if r}
        if len(lost) == len(LANDMARKS[slot.limb]):
            return nothing_found(slot, film, found)
        view, scorer = found.view, self._stages.scorer
        by_limb = scorer.rule.window == "limb"
        unit = limb_size(found.landmarks, self._locator(slot.limb).template) if by_limb else None
        half_px = scorer.rule.half_px(film.shape, unit)
        boxes, upright_boxes = (
            {
                i: window_box(slot.limb, i, xy, half_px, scorer.rule.enlarged)
                for i, xy in enumerate(landmarks)
                if np.isfinite(xy).all()
            }
            for landmarks in (found.landmarks, view.to_upright(film.shape)(found.landmarks))
        )
        patches = cut_patches(
            view.upright(film.pixels), slot.limb, upright_boxes, scorer.rule.patch_px,
            mirrored=view.mirrored, channels=scorer.rule.channels,
            patch_range=scorer.rule.patch_range,
        )  # fmt: skip
        doubts = why_not(patches, scorer.rule.enlarged)
        lost |= {LANDMARKS[slot.limb][i].name: reason for i, reason in doubts.items()}
        evidence, scores = {}, {}
        for patch, seen in zip(patches, scorer.score(patches), strict=True):
            name = LANDMARKS[slot.limb][patch.landmark].name
            mask = view.as_given(seen.mask)
            evidence[name] = PatchEvidence(name, boxes[patch.landmark], mask)
            if patch.landmark in doubts:
                continue  # to be looked at, not scored
            for target in targets_of(slot):
                value = seen.of(target.damage)
                if target.site.landmark_name == name and value is not None:
                    scores[target.key] = value
        record = film_record(slot, film, doubts_about(slot, film, found))
        return FilmResult(record, film, found, evidence, scores, lost)

    def _locator(self, limb: Limb) -> LimbLocator:
        if limb not in self._stages.locators:
            raise UntrainedLimb(
                f"this model was not trained on films of a {limb}; use one that was, or leave "
                "these films out"
            )
        return self._stages.locators[limb]

    def _known(self, slot: Slot, landmarks: Points, view: View | None) -> FoundLandmarks:
        """Points that are known, as if they had been found."""
        known = np.asarray(np.isfinite(landmarks).all(axis=1))
        template = self._locator(slot.limb).template
        return FoundLandmarks(
            slot.limb,
            view or view_of_landmarks(landmarks, template, slot.side),
            np.where(known[:, None], landmarks, np.nan),
            np.asarray(known, np.float64),
            tuple(None if k else Reason.NOT_FOUND for k in known),
            1.0,
        )


def _likelier(sought: Iterable[FoundLandmarks]) -> FoundLandmarks:
    """The limb that fits best, measured by what is asked of its kind: six landmarks fit easily."""
    return max(sought, key=lambda found: found.fit / MIN_FIT[found.limb])


def _software() -> dict[str, str]:
    versions = {"mandora": __version__}
    for package in ("numpy", "onnxruntime", "pillow"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
