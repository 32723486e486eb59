from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="needs the extra dicom")

from pydicom import dcmread

from mandora.core.errors import InputError
from mandora.outputs.dicom.source import clean_header, source_films
from mandora.outputs.dicom_folder import DicomFolder, PatientFiles


def changed(given: PatientFiles, name: str, path: Path) -> dict[str, Path]:
    return dict(given.paths) | {name: path}


def test_only_films_that_could_be_read_are_referred_to(given: PatientFiles) -> None:
    films = source_films(given.result, given.paths, given.shapes)
    assert [film.slot.code for film in films] == ["LH", "RH", "LF"]  # not RF


def test_films_of_other_formats_are_left_out(given: PatientFiles, tmp_path: Path) -> None:
    (tmp_path / "LH.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    paths = changed(given, "LH.dcm", tmp_path / "LH.png")
    films = source_films(given.result, paths, given.shapes)
    assert [film.slot.code for film in films] == ["RH", "LF"]


@pytest.mark.parametrize("tags", [{"PatientID": "SECRET-2"}, {"IssuerOfPatientID": "OTHER"}])
def test_films_of_two_people_are_refused(
    given: PatientFiles, new_film: Callable[..., Path], tmp_path: Path, tags: Any
) -> None:
    other = new_film(tmp_path / "RH.dcm", np.full((480, 320), 900), **tags)
    with pytest.raises(InputError, match=r"LH\.dcm and RH\.dcm have different PatientIDs") as error:
        source_films(given.result, changed(given, "RH.dcm", other), given.shapes)
    assert "SECRET" not in str(error.value)


def test_a_film_without_identity_is_refused(
    given: PatientFiles, new_film: Callable[..., Path], tmp_path: Path
) -> None:
    lacking = new_film(tmp_path / "LH.dcm", np.full((480, 320), 900), StudyInstanceUID=None)
    with pytest.raises(InputError, match=r"LH\.dcm: StudyInstanceUID is missing"):
        source_films(given.result, changed(given, "LH.dcm", lacking), given.shapes)


def test_values_that_break_the_rules_of_dicom_are_left_out(
    new_film: Callable[..., Path], tmp_path: Path
) -> None:
    read = dcmread(new_film(tmp_path / "LH.dcm", np.full((480, 320), 900)))
    with pytest.warns(UserWarning, match="Invalid value"):
        read.StudyDate, read.PatientSex = "03.01.2020", "female"
    header = clean_header(read)
    assert (header.StudyDate, header.PatientSex) == ("", "")
    assert header.PatientID == "SECRET-1"
    assert "PixelData" not in header


def test_places_on_a_stretched_film_are_mapped_to_the_stored_picture(
    given: PatientFiles, new_film: Callable[..., Path], tmp_path: Path
) -> None:
    # rows twice as far apart as columns: 240 stored rows were scored as 480
    flat = new_film(
        tmp_path / "LH.dcm", np.full((240, 320), 900), ImagerPixelSpacing=[0.2, 0.1]
    )  # fmt: skip
    film = source_films(given.result, changed(given, "LH.dcm", flat), given.shapes)[0]
    assert film.shape == (480, 320)
    corners = film.to_stored([(-0.5, -0.5), (319.5, 479.5), (10.0, 0.5)])
    np.testing.assert_allclose(corners, [(-0.5, -0.5), (319.5, 239.5), (10.0, 0.0)], atol=1e-12)


def test_a_part_of_a_film_is_not_taken_for_the_whole(
    given: PatientFiles, new_film: Callable[..., Path], tmp_path: Path
) -> None:
    wide = new_film(tmp_path / "LH.dcm", np.full((480, 640), 900))
    with pytest.raises(InputError, match="640 x 480 px"):
        source_films(given.result, changed(given, "LH.dcm", wide), given.shapes)


def test_values_that_are_not_valid_are_not_quoted(
    given: PatientFiles,
    new_film: Callable[..., Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    path = new_film(tmp_path / "LF.dcm", np.full((480, 320), 900))
    data = path.read_bytes().replace(b"19600229", b"SECRET-D")
    path.write_bytes(data.replace("Müller^Anna".encode("latin-1"), b"SECRETNAME "))
    only = PatientFiles(
        given.result, {"LF.dcm": tmp_path / "LF.dcm"}, given.shapes, given.evidence, {}
    )
    DicomFolder(tmp_path / "out").write(only)
    written = "".join(capfd.readouterr()) + caplog.text + "".join(str(w.message) for w in recwarn)
    assert "SECRET" not in written
    made = dcmread(tmp_path / "out" / "dicom" / "P001" / "SR.dcm")
    assert made.PatientBirthDate == ""
    assert made.PatientName == "SECRETNAME"


def test_both_hands_on_one_film_are_two_limbs_of_one_picture(
    given: PatientFiles, new_film: Callable[..., Path], tmp_path: Path
) -> None:
    both = new_film(tmp_path / "both.dcm", np.full((480, 320), 900))
    paths = {"LH.dcm": both, "RH.dcm": both}
    only = PatientFiles(given.result, paths, given.shapes, given.evidence, {})
    folder = DicomFolder(tmp_path / "out", deidentify=True)
    made = {path.name: dcmread(path) for path in folder.write(only)}
    # one copy of the film, and of each limb its own objects, all of that film
    assert set(made) == {
        "LH.dcm", "SR.dcm", "SC.dcm", "LH-SEG.dcm", "RH-SEG.dcm", "LH-PR.dcm", "RH-PR.dcm",
    }  # fmt: skip
    uid = made["LH.dcm"].SOPInstanceUID
    for name in ("LH-PR.dcm", "RH-PR.dcm"):
        (image,) = made[name].ReferencedSeriesSequence[0].ReferencedImageSequence
        assert image.ReferencedSOPInstanceUID == uid
    (study,) = made["SR.dcm"].CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence] == [uid]
    assert len({film.SOPInstanceUID for film in made.values()}) == len(made)


def test_a_film_without_preamble_is_de_identified_as_well(
    given: PatientFiles, new_film: Callable[..., Path], tmp_path: Path
) -> None:
    whole = new_film(tmp_path / "LF.dcm", np.full((480, 320), 900)).read_bytes()
    (length,) = struct.unpack("<L", whole[140:144])
    bare = tmp_path / "bare.dcm"
    bare.write_bytes(whole[144 + length :])  # begins with its first value
    only = PatientFiles(given.result, {"LF.dcm": bare}, given.shapes, given.evidence, {})
    DicomFolder(tmp_path / "out", deidentify=True).write(only)
    (film,) = (tmp_path / "out" / "dicom").rglob("LF.dcm")
    assert dcmread(film).pixel_array.max() == 900
