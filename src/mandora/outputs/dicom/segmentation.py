"""The joint spaces of a film as a DICOM segmentation: one segment for each joint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentDescription
from numpy.typing import NDArray
from pydicom.sr.codedict import codes
from scipy.ndimage import map_coordinates

from mandora.core import coding
from mandora.core.anatomy import LANDMARKS, Damage, JointGroup, Slot, targets_of
from mandora.core.geometry import box_to_grid
from mandora.damage.evidence import PatchEvidence
from mandora.outputs.dicom.series import Patient, derived_uid
from mandora.outputs.dicom.source import SourceFilm
from mandora.outputs.dicom.terms import concept

LEAST_PROBABILITY = 0.5


class Segments(NamedTuple):
    """The joint spaces of one film.

    Attributes:
        labels: (rows, columns) uint8 of the stored picture: 0, or 1 + the index in ``sites``.
        sites: names of the joints that have a joint space.
    """

    labels: NDArray[np.uint8]
    sites: tuple[str, ...]


def segmentation(patient: Patient, film: SourceFilm, number: int) -> Segmentation | None:
    """The segmentation of one film; None if no joint space was seen.

    Args:
        patient: whose film it is.
        film: in whose px the segments are.
        number: of the object in its series.
    """
    found = segments(film, patient.evidence.get(film.record.name, {}))
    if not found.sites:
        return None
    made = Segmentation(
        source_images=[film.header],
        pixel_array=found.labels,
        segmentation_type="BINARY",
        segment_descriptions=[
            _description(patient, film.slot, site, i) for i, site in enumerate(found.sites, 1)
        ],
        content_label="JOINT SPACES",
        content_description=f"Joint spaces, {film.slot.title}",
        **patient.shared("SEG", film, number),
    )
    # the px are those of the film, and so is the way that they lie
    made.PatientOrientation = film.header.get("PatientOrientation") or ""
    return made


def joints_with_a_space(slot: Slot) -> tuple[str, ...]:
    """The landmarks of a limb that are joints: of the wrist, those whose narrowing is scored."""
    narrowed = {t.site.name for t in targets_of(slot) if t.damage is Damage.NARROWING}
    return tuple(
        p.name
        for p in LANDMARKS[slot.limb]
        if p.name in narrowed or p.group is not JointGroup.WRIST
    )


def segments(film: SourceFilm, evidence: Mapping[str, PatchEvidence]) -> Segments:
    """Lay the masks of the patches on the stored picture.

    Where patches overlap, a px belongs to the joint whose mask is surest there.
    """
    labels = np.zeros((film.rows, film.columns), np.uint8)
    surest = np.zeros_like(labels)  # probability in 255 steps
    sites: list[str] = []
    for name in joints_with_a_space(film.slot):
        if name in evidence:
            _lay(labels, surest, film, evidence[name], len(sites) + 1)
            sites.append(name)
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=len(sites) + 1)[1:])
    renumbered = np.zeros(len(sites) + 1, np.uint8)
    renumbered[present + 1] = np.arange(1, len(present) + 1)
    np.take(renumbered, labels, out=labels)
    return Segments(labels, tuple(sites[i] for i in present))


def _lay(
    labels: NDArray[np.uint8],
    surest: NDArray[np.uint8],
    film: SourceFilm,
    seen: PatchEvidence,
    label: int,
) -> None:
    corners = film.to_stored(seen.box.corners)
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, (film.columns, film.rows))
    if (low >= high).any():
        return
    rows, columns = np.mgrid[low[1] : high[1], low[0] : high[0]]
    size = len(seen.mask)
    to_mask = box_to_grid(seen.box, (size, size), "mask") @ film.to_stored.inverse
    at = to_mask(np.column_stack([columns.ravel(), rows.ravel()]))
    # outside the patch there is nothing; its outermost px reach half a px beyond their centres
    inside = ((at >= -0.5) & (at <= size - 0.5)).all(axis=1)
    values = map_coordinates(seen.mask, (at[:, 1], at[:, 0]), order=1, mode="nearest")
    values = np.where(inside, values, 0).reshape(rows.shape)
    steps = np.round(values * 255).astype(np.uint8)
    part = np.s_[low[1] : high[1], low[0] : high[0]]
    won = (values >= LEAST_PROBABILITY) & (steps > surest[part])
    labels[part][won] = label
    surest[part][won] = steps[won]


def _description(patient: Patient, slot: Slot, site: str, number: int) -> SegmentDescription:
    model = patient.result.model
    algorithm = AlgorithmIdentificationSequence(
        name=model.bundle, version=model.bundle_version, family=codes.cid7162.ArtificialIntelligence
    )
    described = SegmentDescription(
        segment_number=number,
        segment_label=f"{slot.code} {site.upper()} joint space",
        segmented_property_category=codes.cid7150.AnatomicalStructure,
        segmented_property_type=concept(coding.JOINT_SPACE),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_id=f"{slot.code}-{site}",
        tracking_uid=derived_uid("space", patient.content, slot.code, site),
        anatomic_regions=[concept(coding.place_code(slot.limb, site))],
    )
    region = described.AnatomicRegionSequence[0]
    region.AnatomicRegionModifierSequence = [concept(coding.SIDE_CODES[slot.side])]
    return described
