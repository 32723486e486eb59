"""The corridor: films in, located joints, patch scores, symmetry, one result out.

This is the only place where the three stages meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from mandora import __version__
from mandora.anatomy import POINTS, SLOTS, TARGET_INDEX, TARGETS, Limb, Side, Slot, targets_of
from mandora.assembly import (
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
    unit_px,
)
from mandora.bundle import DAMAGE_FILE, LOCATE_FILES, SYMMETRY_FILE, Bundle
from mandora.contract import Contract
from mandora.damage.evidence import PatchEvidence
from mandora.damage.patches import cut_patches, patch_box
from mandora.damage.scorer import PatchScorer
from mandora.images.radiograph import Radiograph
from mandora.images.read import read_radiograph
from mandora.locate.locator import CLEAR_FIT, FoundPoints, Locator
from mandora.records import ModelInfo, Reason
from mandora.symmetry.forest import JointForest, blend


@dataclass(frozen=True, eq=False)
class Stages:
    """The trained stages and the numbers that join them.

    Attributes:
        locators: one for each limb.
        scorer: the damage network.
        forest: the symmetry trees; None gives patch scores only, as training the trees needs.
        patch_px: side of the patches.
        half_window: half side of a patch / size of the limb.
        blend: share of the trees in the final score.
    """

    locators: Mapping[Limb, Locator]
    scorer: PatchScorer
    forest: JointForest | None
    patch_px: int
    half_window: float
    blend: float

    @staticmethod
    def load(contract: Contract, paths: Mapping[str, Path], threads: int) -> Stages:
        """Load the files of a bundle, or of a run that is to become one.

        Args:
            contract: how the files are used.
            paths: by the bundle's names; without ``symmetry.npz`` there are no trees.
            threads: processor threads per network.

        Raises:
            ValueError: if a file cannot be used, or numbers its points in another way.
        """
        for limb in Limb:
            names = tuple(p.name for p in POINTS[limb])
            if contract.locate.points[limb] != names or contract.damage.points[limb] != names:
                raise ValueError(
                    f"the model numbers the points of the {limb} in another way than this "
                    "version; use the version of mandora that made it"
                )
        locators = {
            limb: Locator(
                paths[LOCATE_FILES[limb]], limb,
                input_px=contract.locate.input_px, stride=contract.locate.heatmap_stride,
                found_threshold=contract.locate.found_threshold,
                template=np.array(contract.locate.template[limb]), threads=threads,
            )
            for limb in Limb
        }  # fmt: skip
        trees = paths.get(SYMMETRY_FILE)
        return Stages(
            locators, PatchScorer(paths[DAMAGE_FILE], threads),
            JointForest.load(trees) if trees else None,
            contract.damage.patch_px, contract.damage.half_window, contract.symmetry.blend,
        )  # fmt: skip


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
            raise ValueError(f"threads must be at least 1, got {threads}")
        manifest = bundle.manifest
        paths = {name: bundle.path(name) for name in manifest.files}
        model = ModelInfo(
            bundle=manifest.name, bundle_version=manifest.version, bundle_sha256=bundle.sha256,
            preset=manifest.preset, trained_on=manifest.training_data, software=_software(),
        )  # fmt: skip
        return Pipeline(Stages.load(manifest.contract, paths, threads), model)

    def locate(
        self, radiograph: Radiograph, limb: Limb | None = None, side: Side | None = None
    ) -> FoundPoints:
        """Find the points of one limb on a film, whichever way it lies there.

        Args:
            radiograph: the film.
            limb: hand or foot; the better fit if not known.
            side: the patient's side; the better fit if not known.

        Returns:
            The points. On a film that does not show a limb, none has a position and all have
            the reason ``NOT_FOUND``: a few peaks at random places are no hand.
        """
        locators, pixels = self._stages.locators, radiograph.pixels
        if limb is None:
            found = _likelier(
                locators[kind].locate(pixels, side, upright_only=True) for kind in Limb
            )
            if found.fit < CLEAR_FIT[found.limb]:
                found = _likelier(locators[kind].locate(pixels, side) for kind in Limb)
        else:
            found = locators[limb].locate(pixels, side)
        if shows_limb(found, locators[found.limb].template, radiograph.shape):
            return found
        nowhere = np.full_like(found.points, np.nan)
        return replace(found, points=nowhere, reasons=(Reason.NOT_FOUND,) * len(nowhere))

    def locate_all(self, radiograph: Radiograph, limb: Limb) -> list[FoundPoints]:
        """Find the points of all limbs of one kind on a film, as both hands.

        Args:
            radiograph: the film.
            limb: hand or foot.

        Returns:
            Up to two, the one that fits best first. Two views of one limb count as two.
        """
        locator = self._stages.locators[limb]
        found = locator.locate_all(radiograph.pixels)
        return [f for f in found if shows_limb(f, locator.template, radiograph.shape)]

    def score(
        self,
        study: str,
        films: Mapping[Slot, Path],
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
                name = own_name(films[slot].name, slot, taken)
                parts[slot] = self._score_film(slot, films[slot], name)
        patch = np.full(len(TARGETS), np.nan)
        for part in parts.values():
            for key, value in part.scores.items():
                patch[TARGET_INDEX[key]] = value
        forest = self._stages.forest
        tree = forest.predict(patch[None]) if forest else np.full((1, len(TARGETS)), np.nan)
        final = blend(patch[None], tree, self._stages.blend)[0]
        result = study_result(study, parts, tree[0], final, self._model)
        return ScoredStudy(
            result,
            {p.record.name: p.radiograph for p in parts.values() if p.radiograph is not None},
            {p.record.name: p.evidence for p in parts.values()},
        )

    def _score_film(self, slot: Slot, path: Path, name: str) -> FilmResult:
        try:
            film = read_radiograph(path)
        except ValueError as error:
            return failed_film(name, slot, Reason.FILM_UNREADABLE, str(error))
        return self.examine(slot, film if film.name == name else replace(film, name=name))

    def examine(self, slot: Slot, film: Radiograph) -> FilmResult:
        """Locate the joints of one film and score their patches.

        Args:
            slot: what the film is given as.
            film: read.

        Returns:
            The patch scores; a failed record with the reason ``NOT_FOUND`` if the film does not
            show such a limb.
        """
        found = self.locate(film, slot.limb, slot.side)
        lost = {p.name: r for p, r in zip(POINTS[slot.limb], found.reasons, strict=True) if r}
        if len(lost) == len(POINTS[slot.limb]):
            return nothing_found(slot, film, found)
        view = found.view
        size_px = unit_px(found, self._stages.locators[found.limb].template)
        boxes, upright_boxes = (
            {
                i: patch_box(slot.limb, i, xy, size_px, self._stages.half_window)
                for i, xy in enumerate(points)
                if np.isfinite(xy).all()
            }
            for points in (found.points, view.to_upright(film.shape)(found.points))
        )
        patches = cut_patches(
            view.upright(film.pixels), slot.limb, upright_boxes, self._stages.patch_px,
            mirrored=view.mirrored,
        )  # fmt: skip
        evidence, scores = {}, {}
        for patch, seen in zip(patches, self._stages.scorer.score(patches), strict=True):
            name = POINTS[slot.limb][patch.point].name
            mask = view.as_given(seen.mask)
            evidence[name] = PatchEvidence(name, boxes[patch.point], mask)
            for target in targets_of(slot):
                value = seen.of(target.damage)
                if target.site.point_name == name and value is not None:
                    scores[target.key] = value
        record = film_record(slot, film, doubts_about(slot, film, found))
        return FilmResult(record, film, found, evidence, scores, lost)


def _likelier(sought: Iterable[FoundPoints]) -> FoundPoints:
    """The limb that fits best, measured by what is asked of its kind: six points fit easily."""
    return max(sought, key=lambda found: found.fit / MIN_FIT[found.limb])


def _software() -> dict[str, str]:
    versions = {"mandora": __version__}
    for package in ("numpy", "onnxruntime", "pillow"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
