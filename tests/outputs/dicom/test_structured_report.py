from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="needs the extra dicom")

from pydicom.uid import UID

from mandora.core.anatomy import LANDMARKS, Slot
from mandora.core.coding import SCHEME_UID
from mandora.core.geometry import Box
from mandora.core.records import RESEARCH_NOTICE
from mandora.outputs.dicom.outlines import outline_on

KEPT = {
    "PatientID": "SECRET-1", "PatientName": "Müller^Anna", "IssuerOfPatientID": "HOSP",
    "PatientBirthDate": "19600229", "PatientSex": "F", "StudyInstanceUID": "1.2.77.5",
    "StudyDate": "20200103", "StudyTime": "101112", "StudyID": "ST-9",
    "AccessionNumber": "ACC-4711", "ReferringPhysicianName": "House^Greg",
}  # fmt: skip
ALL = {"SR", "SC", *(f"{s}-{k}" for s in ("LH", "RH", "LF") for k in ("SEG", "PR", "SC"))}


def groups(report: Any) -> dict[str, dict[str, Any]]:
    """By tracking identifier, then by meaning of the concept."""
    (part,) = [i for i in report.ContentSequence if meaning(i) == "Imaging Measurements"]
    found = {}
    for group in part.ContentSequence:
        items = {meaning(item): item for item in group.ContentSequence}
        found[items["Tracking Identifier"].TextValue] = items
    return found


def meaning(item: Any) -> str:
    return item.ConceptNameCodeSequence[0].CodeMeaning


def number(item: Any) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)


def test_there_is_one_report_and_three_objects_of_each_film(objects: Any) -> None:
    assert set(objects) == {f"{name}.dcm" for name in ALL}


def test_all_objects_keep_the_identity_of_the_film(objects: Any, read: Any) -> None:
    for name in objects:
        made = read(name)
        kept = {key: str(made.get(key)) for key in KEPT if key != "IssuerOfPatientID"}
        assert kept == {key: value for key, value in KEPT.items() if key in kept}, name
        assert made.SeriesInstanceUID not in {f"1.2.77.6.{i}" for i in range(4)}
        assert made.SpecificCharacterSet == "ISO_IR 192"


def test_each_kind_of_object_has_a_series_of_its_own(objects: Any, read: Any) -> None:
    series: dict[str, set[str]] = {}
    for name in objects:
        made = read(name)
        series.setdefault(made.Modality, set()).add(str(made.SeriesInstanceUID))
        assert "research use only" in made.SeriesDescription
    assert {kind: len(uids) for kind, uids in series.items()} == {
        "SR": 1, "SEG": 1, "PR": 2, "OT": 1,  # a series of presentation states has a side
    }  # fmt: skip
    assert len(set.union(*series.values())) == 5


def test_the_private_scheme_is_identified(read: Any) -> None:
    (scheme,) = read("SR.dcm").CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99MANDORA"
    assert scheme.CodingSchemeUID == SCHEME_UID
    assert UID(scheme.CodingSchemeUID).is_valid
    assert scheme.CodingSchemeResponsibleOrganization == "The mandora developers"


def test_scores_have_code_side_and_outline(read: Any, given: Any) -> None:
    site = groups(read("SR.dcm"))["LH-mcp2"]
    place = site["Finding Site"]
    assert place.ConceptCodeSequence[0].CodeValue == "289002"
    modifiers = {meaning(m): m.ConceptCodeSequence[0].CodeValue for m in place.ContentSequence}
    assert modifiers == {"Laterality": "7771000", "Topographical modifier": "HAND-MCP2"}
    (narrowing,) = [s for s in given.result.scores if s.target == "LH-mcp2:narrowing"]
    assert number(site["SvH joint space narrowing score"]) == narrowing.score
    assert number(site["SvH joint space narrowing grade"]) == narrowing.grade
    outline = np.reshape(site["Image Region"].GraphicData, (-1, 2))
    half = narrowing.half_px
    # the centre of the first px is (0.5, 0.5) in DICOM
    corner = np.array([narrowing.x + 0.5, narrowing.y + 0.5])
    assert outline.tolist() == [
        (corner + np.array(sign) * half).tolist()
        for sign in ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))
    ]
    source = site["Image Region"].ContentSequence[0].ReferencedSOPSequence[0]
    assert source.ReferencedSOPInstanceUID == "1.2.77.9.0"


def test_a_site_without_a_score_has_its_reason(read: Any) -> None:
    site = groups(read("SR.dcm"))["RH-pip3"]
    reason = site["SvH erosion, why it is not scored"].ConceptCodeSequence[0]
    assert reason.CodeMeaning == "the joint was not found on the film"
    assert "SvH erosion score" not in site
    assert "Image Region" not in site


def test_a_film_that_could_not_be_read_has_its_sites_without_image(read: Any) -> None:
    site = groups(read("SR.dcm"))["RF-mtp1"]
    assert site["Finding"].ConceptCodeSequence[0].CodeValue == "SVH-NO-IMAGE"
    reason = site["SvH erosion, why it is not scored"].ConceptCodeSequence[0]
    assert reason.CodeValue == "FILM-UNREADABLE"


def test_totals_model_and_notice_are_there(read: Any, given: Any) -> None:
    report = read("SR.dcm")
    found = groups(report)
    (total,) = [t for t in given.result.totals if t.name == "Overall_Tol"]
    assert number(found["Overall_Tol"]["value"]) == pytest.approx(total.value, abs=1e-9)
    assert "value" not in found["Overall_narrowing"]  # missing is not 0
    assert found["model"]["bundle sha256"].TextValue == "c0ffee" * 8
    (comment,) = [i.TextValue for i in report.ContentSequence if meaning(i) == "Comment"]
    assert comment == RESEARCH_NOTICE


def test_uids_depend_on_the_content_only(given: Any, share: Any, read: Any) -> None:
    written = read("SR.dcm")
    again = share(given).shared("SR", share(given).films[0])
    assert again["sop_instance_uid"] == written.SOPInstanceUID
    assert again["series_instance_uid"] == written.SeriesInstanceUID
    assert written.SOPInstanceUID.startswith("2.25.")
    other = share(given)
    changed = given.result.model_copy(update={"study": "P002"})
    assert type(other)(changed, other.films, {}).content != other.content


def test_a_patch_beyond_the_film_is_cut_off_at_its_edge(share: Any, given: Any) -> None:
    film = share(given).films[0]
    outline = outline_on(film, Box.around((0.0, 479.0), 30.0))
    assert outline is not None
    assert sorted(outline.tolist()) == [[0.0, 449.5], [0.0, 480.0], [30.5, 449.5], [30.5, 480.0]]
    assert outline_on(film, Box.around((-90.0, 10.0), 30.0)) is None
    turned = outline_on(film, Box.around((0.0, 100.0), 30.0, turn_deg=45.0))
    assert turned is not None
    assert turned[:, 0].min() == 0
    assert np.ptp(turned[turned[:, 0] == 0], axis=0)[1] == pytest.approx(2 * 30 * 2**0.5 - 1)


def test_sites_of_limbs_without_a_film_are_left_out(read: Any, given: Any) -> None:
    sites = {name for name in groups(read("SR.dcm")) if name[2:3] == "-"}
    slots = [Slot(f.side, f.limb) for f in given.result.films]
    expected = {f"{s.code}-{p.name}" for s in slots for p in LANDMARKS[s.limb]}
    assert sites == expected | {"LH-nav", "RH-nav"}


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="no dciodvfy (Debian dicom3tools)")
def test_objects_are_valid(folder_of_objects: Path) -> None:
    for path in sorted(folder_of_objects.iterdir()):
        done = subprocess.run(
            ["dciodvfy", "-new", str(path)], capture_output=True, text=True, errors="replace"
        )
        found = [line for line in done.stderr.splitlines() if line.startswith(("Error", "Warn"))]
        ours = ("99MANDORA", SCHEME_UID)  # it does not know of the private scheme
        assert [line for line in found if not any(w in line for w in ours)] == [], path.name


@pytest.mark.skipif(not shutil.which("dsrdump"), reason="no dsrdump (Debian dcmtk)")
def test_the_report_can_be_printed_by_other_software(folder_of_objects: Path) -> None:
    done = subprocess.run(
        ["dsrdump", str(folder_of_objects / "SR.dcm")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert 'NUM:(,,"SvH joint space narrowing score")=' in done.stdout
    assert '"the joint was not found on the film"' in done.stdout
