"""The corridor: films in, located joints, patch scores, symmetry, one result out.

This is the only place where the three stages meet.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from mandora import __version__
from mandora.anatomy import (
    POINTS,
    RA2_TOTALS,
    SLOTS,
    TARGET_INDEX,
    TARGETS,
    Limb,
    Side,
    Slot,
    maximum_total,
    targets_of,
)
from mandora.bundle import DAMAGE_FILE, LOCATE_FILES, SYMMETRY_FILE, Bundle, Contract
from mandora.damage.evidence import PatchEvidence
from mandora.damage.patches import MIN_FOUND, cut_patches, limb_unit, patch_box
from mandora.damage.scorer import PatchScorer
from mandora.images.radiograph import Radiograph
from mandora.images.read import read_radiograph
from mandora.locate.locator import FoundPoints, Locator
from mandora.records import (
    FilmRecord,
    JointLocation,
    JointScore,
    ModelInfo,
    Reason,
    Status,
    StudyResult,
    Total,
)
from mandora.symmetry.forest import JointForest, blend

ENOUGH_FOR_TOTAL = 0.8  # share of the maximum that must be scored before a total is pro-rated
ENOUGH_FOR_LIMB = 1 / 3  # share of the points below which they are taken for accidents
MIN_FIT = 0.2  # one hand reaches 0.6 to 0.9, two 0.3; noise, text, what is upside down 0.12
UNIT_SHARE = (0.03, 0.9)  # |MCP2-MCP5| or |MTP1-MTP5| / longer side of a film that shows a limb


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
class FilmResult:
    """What the first two stages found on one film.

    Attributes:
        record: the film, and whether it was scored.
        radiograph: its pixels, if it could be read.
        found: its points, if they were looked for.
        evidence: patch and mask by point name.
        scores: patch score in SvH points by target key; only those that were scored.
        reasons: why a point has no patch, by point name.
    """

    record: FilmRecord
    radiograph: Radiograph | None = None
    found: FoundPoints | None = None
    evidence: Mapping[str, PatchEvidence] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    reasons: Mapping[str, Reason] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ScoredStudy:
    """A result with the pictures it came from.

    Attributes:
        result: the record.
        radiographs: films that could be read, by name.
        evidence: patches and masks by film name and point name.
    """

    result: StudyResult
    radiographs: Mapping[str, Radiograph]
    evidence: Mapping[str, Mapping[str, PatchEvidence]]


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

        Raises:
            ValueError: if a file of the bundle does not fit this version.
        """
        manifest = bundle.manifest
        paths = {name: bundle.path(name) for name in manifest.files}
        model = ModelInfo(
            bundle=manifest.name, bundle_version=manifest.version, bundle_sha256=bundle.sha256,
            preset=manifest.preset, software=_software(),
        )  # fmt: skip
        return Pipeline(Stages.load(manifest.contract, paths, threads), model)

    def locate(
        self, radiograph: Radiograph, limb: Limb | None = None, side: Side | None = None
    ) -> FoundPoints:
        """Find the points of the one limb on a film.

        Args:
            radiograph: the film.
            limb: hand or foot; the better fit if not known.
            side: the patient's side; the better fit if not known.

        Returns:
            The points. On a film that does not show a limb, none has a position and all have
            the reason ``NOT_FOUND``: a few peaks at random places are no hand.
        """
        limbs = (limb,) if limb else tuple(Limb)
        locators = self._stages.locators
        sought = [locators[kind].locate(radiograph.pixels, side) for kind in limbs]
        found = max(sought, key=lambda f: f.fit)
        if self._shows_limb(found, radiograph):
            return found
        nowhere = np.full_like(found.points, np.nan)
        return replace(found, points=nowhere, reasons=(Reason.NOT_FOUND,) * len(nowhere))

    def _shows_limb(self, found: FoundPoints, radiograph: Radiograph) -> bool:
        """Whether the points are enough, fit together and are as far apart as in a limb."""
        placed = np.isfinite(found.points).all(axis=1) & (found.confidence > 0)
        enough = max(MIN_FOUND, ENOUGH_FOR_LIMB * len(found.points))
        if placed.sum() < enough or found.fit < MIN_FIT:
            return False
        share = self._unit_px(found) / max(radiograph.shape)
        return UNIT_SHARE[0] <= share <= UNIT_SHARE[1]

    def _unit_px(self, found: FoundPoints) -> float:
        """Size of the limb, px of the film."""
        template = self._stages.locators[found.limb].template
        mirrored = found.view is Side.RIGHT
        return limb_unit(found.points, found.confidence, template, mirrored=mirrored)

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
                name = _own_name(bad.name, slot, taken)
                parts[slot] = _failed(name, slot, bad.reason, bad.detail)
            elif slot in films:
                name = _own_name(films[slot].name, slot, taken)
                parts[slot] = self._score_film(slot, films[slot], name)
        patch = np.full(len(TARGETS), np.nan)
        for part in parts.values():
            for key, value in part.scores.items():
                patch[TARGET_INDEX[key]] = value
        forest = self._stages.forest
        tree = forest.predict(patch[None]) if forest else np.full((1, len(TARGETS)), np.nan)
        final = blend(patch[None], tree, self._stages.blend)[0]
        scores = tuple(
            _joint_score(i, parts.get(TARGETS[i].slot), patch[i], tree[0, i], final[i])
            for i in range(len(TARGETS))
        )
        result = StudyResult(
            study=study,
            films=tuple(p.record for p in parts.values()),
            locations=tuple(x for p in parts.values() for x in _locations(p)),
            scores=scores,
            totals=totals(scores),
            model=self._model,
        )
        return ScoredStudy(
            result,
            {p.record.name: p.radiograph for p in parts.values() if p.radiograph is not None},
            {p.record.name: p.evidence for p in parts.values()},
        )

    def _score_film(self, slot: Slot, path: Path, name: str) -> FilmResult:
        try:
            film = read_radiograph(path)
        except ValueError as error:
            return _failed(name, slot, Reason.FILM_UNREADABLE, str(error))
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
        record = FilmRecord(
            name=film.name, side=slot.side, limb=slot.limb, status=Status.SCORED,
            sha256=film.sha256, width=film.width, height=film.height, spacing_mm=film.spacing_mm,
            remarks=(*film.remarks, *_doubts(slot, film, found)),
        )  # fmt: skip
        lost = {p.name: r for p, r in zip(POINTS[slot.limb], found.reasons, strict=True) if r}
        if len(lost) == len(POINTS[slot.limb]):
            return _nothing_found(record, film, found)
        mirrored = found.view is Side.RIGHT
        unit_px = self._unit_px(found)
        boxes = {
            i: patch_box(slot.limb, i, xy, unit_px, self._stages.half_window)
            for i, xy in enumerate(found.points)
            if np.isfinite(xy).all()
        }
        patches = cut_patches(
            film.pixels, slot.limb, boxes, self._stages.patch_px, mirrored=mirrored
        )
        evidence, scores = {}, {}
        for patch, seen in zip(patches, self._stages.scorer.score(patches), strict=True):
            name = POINTS[slot.limb][patch.point].name
            evidence[name] = PatchEvidence(name, patch.box, seen.mask)
            for target in targets_of(slot):
                value = seen.of(target.damage)
                if target.site.point_name == name and value is not None:
                    scores[target.key] = value
        return FilmResult(record, film, found, evidence, scores, lost)


def _own_name(name: str, slot: Slot, taken: Collection[str]) -> str:
    """A name that no other film of the study has, and that is text."""
    # bytes that are no text in a file name would break every JSON file downstream
    text = name.encode("utf-8", "replace").decode()
    return f"{slot.code}-{text}" if text in taken else text


def _nothing_found(record: FilmRecord, film: Radiograph, found: FoundPoints) -> FilmResult:
    # what contradicts the name is no news on a film that shows nothing
    record = record.model_copy(update={"remarks": film.remarks})
    slot = Slot(record.side, record.limb)
    digits = "fingers" if slot.limb is Limb.HAND else "toes"
    detail = (
        f"no {slot.limb} was found on the film; check that it shows one {slot.title}, {digits} "
        "up, bright bone"
    )
    outcome = {"status": Status.FAILED, "reason": Reason.NOT_FOUND, "detail": detail}
    reasons = {p.name: Reason.NOT_FOUND for p in POINTS[slot.limb]}
    return FilmResult(record.model_copy(update=outcome), film, found, reasons=reasons)


def _failed(name: str, slot: Slot, reason: Reason, detail: str) -> FilmResult:
    record = FilmRecord(
        name=name, side=slot.side, limb=slot.limb, status=Status.FAILED, reason=reason,
        detail=detail,
    )  # fmt: skip
    return FilmResult(record, reasons={p.name: reason for p in POINTS[slot.limb]})


def _doubts(slot: Slot, film: Radiograph, found: FoundPoints) -> tuple[str, ...]:
    """What contradicts the film's name."""
    doubts = []
    if found.view is not slot.side:
        doubts.append(
            f"the limb looks like a {'left' if found.view is Side.LEFT else 'right'} one: the "
            f"film is displayed mirrored or is not the {slot.title}; scored as the {slot.title}"
        )
    if film.side not in (None, slot.side) or film.limb not in (None, slot.limb):
        doubts.append(f"the file's tags do not say {slot.title}; the name was believed")
    return tuple(doubts)


def _joint_score(
    index: int, part: FilmResult | None, patch: float, tree: float, final: float
) -> JointScore:
    target = TARGETS[index]
    about = {
        "target": target.key, "side": target.side, "limb": target.limb,
        "site": target.site.name, "kind": target.damage, "maximum": target.maximum,
    }  # fmt: skip
    if part is None:
        return JointScore.model_validate(
            {**about, "status": Status.MISSING, "reason": Reason.FILM_MISSING}
        )
    about["film"] = part.record.name
    seen = part.evidence.get(target.site.point_name)
    if seen is not None:
        x, y = seen.box.centre
        about |= {"x": x, "y": y, "half_px": seen.box.width / 2}
    if not np.isfinite(final):
        reason = part.reasons.get(target.site.point_name, Reason.STAGE_FAILED)
        return JointScore.model_validate({**about, "status": Status.FAILED, "reason": reason})
    score = float(np.clip(final, 0, target.maximum))
    return JointScore.model_validate(
        {
            **about,
            "patch_score": float(patch),
            "tree_score": float(tree) if np.isfinite(tree) else None,
            "score": score,
            "grade": int(np.floor(score + 0.5)),
            "status": Status.SCORED,
        }
    )


def _locations(part: FilmResult) -> list[JointLocation]:
    if part.found is None:
        return []
    record, found = part.record, part.found
    return [
        location(record.name, record.limb, record.side, i, found)
        for i in range(len(POINTS[record.limb]))
    ]


def location(film: str, limb: Limb, side: Side, index: int, found: FoundPoints) -> JointLocation:
    """One point of a film as a record.

    Args:
        film: its name.
        limb: hand or foot.
        side: the patient's side.
        index: of the point in ``anatomy.POINTS[limb]``.
        found: the film's points.
    """
    x, y = found.points[index]
    placed = bool(np.isfinite(x) and np.isfinite(y))
    return JointLocation(
        film=film, limb=limb, side=side, site=POINTS[limb][index].name,
        x=float(x) if placed else None, y=float(y) if placed else None,
        confidence=float(found.confidence[index]), reason=found.reasons[index],
    )  # fmt: skip


def totals(scores: tuple[JointScore, ...]) -> tuple[Total, ...]:
    """The overall, erosion and narrowing totals of a patient.

    A total with missing joints is pro-rated by the maximum of the joints that were scored if
    these make up at least 80 % of it; otherwise it is missing.

    Args:
        scores: all 86.

    Returns:
        One for each of ``anatomy.RA2_TOTALS``, in that order.
    """
    made = []
    for name, kinds in RA2_TOTALS.items():
        wanted = [s for s in scores if s.kind in kinds]
        known = [s for s in wanted if s.score is not None]
        observed = float(sum(s.score for s in known if s.score is not None))
        maximum = maximum_total(t for t in TARGETS if t.damage in kinds)
        reach = sum(s.maximum for s in known) / maximum
        about = {"name": name, "maximum": maximum, "observed": observed,
                 "scored": len(known), "expected": len(wanted)}  # fmt: skip
        if len(known) == len(wanted):
            about |= {"value": observed, "method": "complete"}
        elif reach >= ENOUGH_FOR_TOTAL:
            about |= {"value": observed / reach, "method": "pro-rated"}
        else:
            about["reason"] = Reason.TOO_FEW_JOINTS
        made.append(Total.model_validate(about))
    return tuple(made)


def _software() -> dict[str, str]:
    versions = {"mandora": __version__}
    for package in ("numpy", "onnxruntime", "pillow"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
