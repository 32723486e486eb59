from __future__ import annotations

import pytest

from mandora.core.limb_texts import limb_and_sides
from mandora.datasets.intake.names import read_folder, read_name
from mandora.datasets.intake.visits import iso_date

ISSUE = """
UAB001-LH.jpg                  | UAB001    |            | hand | left
Pat 001 linke Hand.JPG         | Pat 001   |            | hand | left
12345_20190302_HAND_R.png      | 12345     | 2019-03-02 | hand | right
P030_LH.jpg                    | P030      |            | hand | left
P1-LF (1).jpg                  | P1        |            | foot | left
LH.jpg                         |           |            | hand | left
"""
"""Names of the kinds that people have asked for."""

MORE = """
P1-LH.jpg.jpg                  | P1        |            | hand | left
P1-RH.dcm.jpg                  | P1        |            | hand | right
P1-RF copy.jpg                 | P1        |            | foot | right
P1-LH - Kopie.jpg              | P1        |            | hand | left
P1-LH - Copy (2).jpg           | P1        |            | hand | left
P1 RH.jpg                      | P1        |            | hand | right
site-3-P1-lf.tif               | site-3-P1 |            | foot | left
LH-LH.jpg                      | LH        |            | hand | left
LH_P030.jpg                    | P030      |            | hand | left
UAB001RH.png                   | UAB001    |            | hand | right
S01-004_V2_LH.jpg              | S01-004   | visit-2    | hand | left
S01-004_week12_R_foot.dcm      | S01-004   | week-12    | foot | right
S01-004 baseline both feet.png | S01-004   | baseline   | foot | both
RA-0031-RH-M24.png             | RA-0031   | month-24   | hand | right
P3-lf-visit 2.jpg              | P3        | visit-2    | foot | left
P12_02Mar2019_RF.png           | P12       | 2019-03-02 | foot | right
02.03.2019 P12 Fuss re.jpg     | P12       | 2019-03-02 | foot | right
2019-03-02_P12_Füße.jpg        | P12       | 2019-03-02 | foot | both
P12_20190302104500_LF.png      | P12       | 2019-03-02 | foot | left
19471203_20190302_LF.jpg       | 19471203  | 2019-03-02 | foot | left
P12 Hände bds.jpg              | P12       |            | hand | both
Pat.12 Vorfuß li.tif           | Pat.12    |            | foot | left
Aufnahme der Hand re 0012.jpg  | 0012      |            | hand | right
P050_main_gauche.jpg           | P050      |            | hand | left
P050 pied G.jpg                | P050      |            | foot | left
P050 main D.jpg                | P050      |            | hand | right
P050 deux mains.jpg            | P050      |            | hand | both
003 mano izquierda.jpg         | 003       |            | hand | left
003_pie_dcho.jpg               | 003       |            | foot | right
0099 mano der.jpg              | 0099      |            | hand | right
ROSSI M mano dx.jpg            | ROSSI M   |            | hand | right
ROSSI piede sx.jpg             | ROSSI     |            | foot | left
P5 mano sin.jpg                | P5        |            | hand | left
0042_mao_esq.png               | 0042      |            | hand | left
0042 pé direito.jpg            | 0042      |            | foot | right
pé D 0042.jpg                  | 0042      |            | foot | right
jansen rechtervoet.jpg         | jansen    |            | foot | right
van der Berg_LH.jpg            | van der Berg |         | hand | left
P9 handen beide.png            | P9        |            | hand | both
0077_rightFoot.jpg             | 0077      |            | foot | right
lhand_P9001.png                | P9001     |            | hand | left
P9_hand_L+R.jpg                | P9        |            | hand | both
P030 B hand.png                | P030      |            | hand | both
x-ray left hand 0044.png       | 0044      |            | hand | left
P1-LH-2.jpg                    | P1        |            | hand | left
"""

HOSPITALS = """
0012_L_Hand_PA_2020-03-01.dcm  | 0012      | 2020-03-01 | hand | left
MD-001 pie dcho.jpg            | MD-001    |            | foot | right
0012 HAND AP LI.jpg            | 0012      |            | hand | left
0012 Hde bds.jpg               | 0012      |            | hand | both
0012 re Hd.jpg                 | 0012      |            | hand | right
Hand li. p.a. 0034.png         | 0034      |            | hand | left
XR HAND LEFT 3 VIEWS_0034.dcm  | 0034      |            | hand | left
0034lh.jpg                     | 0034      |            | hand | left
P34lefthand.jpg                | P34       |            | hand | left
0034_RFoot2.jpg                | 0034      |            | foot | right
0034_høyre_hånd.jpg            | 0034      |            | hand | right
0034_vänster_fot.jpg           | 0034      |            | foot | left
P1_12M_LH.jpg                  | P1        | month-12   | hand | left
P1 12 months left hand.png     | P1        | month-12   | hand | left
P1_52wk_RF.png                 | P1        | week-52    | foot | right
P1_M0_LH.png                   | P1        | month-0    | hand | left
Copy of P1-LH.jpg              | P1        |            | hand | left
P1-LH - Kopie (2).jpg          | P1        |            | hand | left
P1 IMG_20230301_101112 LH.jpg  | P1        | 2023-03-01 | hand | left
P1_HL.jpg                      | P1        |            | hand | left
P1_F_R.jpg                     | P1        |            | foot | right
P1_V2_L_H.jpg                  | P1        | visit-2    | hand | left
P1_L.jpg                       | P1        |            |      | left
IMG_20230301_101112.jpg        |           | 2023-03-01 |      |
PXL_20230301_101112345.jpg     |           | 2023-03-01 |      |
WhatsApp Image 2023-03-01 at 10.11.12.jpeg |  | 2023-03-01 |   |
IMG-20230301-WA0001.jpg        |           | 2023-03-01 |      |
Mueller geb. 28.02.1995 Hand li 2019-03-02.jpg | Mueller geb. 28.02.1995 | 2019-03-02 | hand | left
"""
"""Names that a hospital, a trial or a telephone gives."""

TWO_PEOPLE = """
Schmidt_L_hand_R.jpg           | Schmidt_L |            | hand | right
Schmidt_R_hand_R.jpg           | Schmidt_R |            | hand | right
Schmidt_B_hand_L.jpg           | Schmidt_B |            | hand | left
Mueller_19600101_RH.jpg        | Mueller_19600101 |     | hand | right
Mueller_19470228_RH.jpg        | Mueller_19470228 |     | hand | right
Klinikum hand left 0034.jpg    | Klinikum 0034 |        | hand | left
P12_19870512_LH.jpg            | P12       | 1987-05-12 | hand | left
P1_45M_LH.jpg                  | P1_45M    |            | hand | left
Schmidt_L.jpg                  | Schmidt_L |            |      |
chest.jpg                      |           |            |      |
Hand_Schmidt.jpg               |           |            | hand |
"""
"""What a loose rule would make one patient of: people of one surname, of one hospital."""

WRONG_FRIENDS = """
Handke_LF.jpg                  | Handke    |            | foot | left
HAND01_RH.png                  | HAND01    |            | hand | right
Mueller_R_Hand_links.png       | Mueller_R |            | hand | left
Li_Wei_foot_right.png          | Li_Wei    |            | foot | right
Frankfurt am Main 12 LH.png    | Frankfurt am Main 12 | | hand | left
mano sin contraste 0099.jpg    | 0099      |            | hand |
Re Hand links 0012.jpg         | 0012      |            | hand | left
P9handl.png                    | P9handl   |            |      |
P3_RLF.jpg                     | P3_RLF    |            |      |
M12_LH.jpg                     | M12       |            | hand | left
T1_LH.png                      | T1        |            | hand | left
P_RF_left_hand.jpg             | P_RF      |            | hand | left
P1-20190302-LH.jpg             | P1-20190302 |          | hand | left
P7 hands and feet.jpg          | P7        |            |      |
DX_000123_scan.png             |           |            |      |
20190302_LH.jpg                |           | 2019-03-02 | hand | left
P12_03-02-2019_LH.jpg          | P12       |            | hand | left
IMG_0034_LH.jpg                |           |            | hand | left
left hand 2.jpg                |           |            | hand | left
IM0001                         |           |            |      |
1.2.840.113619.2.55.dcm        |           |            |      |
scan.jpg                       |           |            |      |
"""
"""What looks like a word, a date or an id and is another thing."""


def cases(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if line]


@pytest.mark.parametrize(
    "case", cases(ISSUE + MORE + HOSPITALS + TWO_PEOPLE + WRONG_FRIENDS), ids=lambda case: case[0]
)
def test_names(case: list[str]) -> None:
    name, patient, visit, limb, sides = case
    found = read_name(name).facts
    assert [v or "" for v in (found.patient, found.visit, found.limb, found.sides)] == [
        patient, visit, limb, sides,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "patient", "visit", "limb", "sides"),
    [
        ("P050", "P050", None, None, None),
        ("Pat 12 left", "Pat 12", None, None, "left"),
        ("2019-03-02", None, "2019-03-02", None, None),
        ("V2", None, "visit-2", None, None),
        ("visit-2", None, "visit-2", None, None),
        ("M24", None, "month-24", None, None),
        ("right hands", None, None, "hand", "right"),
        ("Füße", None, None, "foot", None),
        ("films", None, None, None, None),
        ("ST000001", None, None, None, None),
        ("SE2", None, None, None, None),
        ("L", None, None, None, "left"),
        ("12 Monate", None, "month-12", None, None),
        ("P050 baseline", "P050", "baseline", None, None),
        ("Neuer Ordner (2)", None, None, None, None),
        ("CD1", None, None, None, None),
        ("Patient (1)", "Patient (1)", None, None, None),
        ("1.2.840.113619.2.55", None, None, None, None),
    ],
)
def test_folders(
    name: str, patient: str | None, visit: str | None, limb: str | None, sides: str | None
) -> None:
    found = read_folder(name)
    assert (found.patient, found.visit, found.limb, found.sides) == (patient, visit, limb, sides)


@pytest.mark.parametrize(
    ("text", "limb", "sides"),
    [
        ("LEFT HAND", "hand", "left"), ("LHAND", "hand", "left"), ("HAND_R", "hand", "right"),
        ("Handgelenk li.", "hand", "left"), ("Mano DX", "hand", "right"), ("FEET", "foot", "both"),
        ("pied gauche", "foot", "left"), ("DX", None, None), ("CHEST", None, None),
        ("", None, None),
        ("Main Street Hospital", None, None), ("Linker voet DP", "foot", "left"),
    ],
)  # fmt: skip
def test_texts_of_tags(text: str, limb: str | None, sides: str | None) -> None:
    assert limb_and_sides(text) == (limb, sides)


def test_what_is_said_in_two_ways_is_remarked_upon() -> None:
    assert "two dates" in read_name("P12_03-02-2019_LH.jpg").facts.remarks[0]
    assert "hand and foot" in read_name("P7 hands and feet.jpg").facts.remarks[0]


def test_dates_of_dicom() -> None:
    assert iso_date("20190302") == iso_date("2019.03.02") == "2019-03-02"
    assert iso_date("19000101") is iso_date("20191399") is iso_date("") is None


def test_an_umlaut_is_the_same_however_it_is_stored() -> None:
    (composed, apart) = ("M\xfcller F\xfc\xdfe.jpg", "Mu\u0308ller Fu\u0308\xdfe.jpg")
    assert read_name(composed) == read_name(apart)
    assert read_name("Mu\u0308ller-LH.jpg").facts.patient == "M\xfcller"


def test_a_date_of_birth_is_remarked_upon() -> None:
    assert "date of birth" in read_name("Mueller_19600101_RH.jpg").facts.remarks[0]
