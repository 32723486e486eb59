"""Words for hand, foot, left, right and both in seven languages, and the words around them.

English, German, French, Spanish, Italian, Portuguese and Dutch. All are in small letters without
accents, as :func:`plain` gives them. Weak words mean something else as well, as ``main`` (French:
hand) or ``der`` (Spanish: right; German: the); they count only beside a word that says which
meaning it is.
"""

from __future__ import annotations

import unicodedata

from mandora.core.anatomy import Limb
from mandora.datasets.intake.rows import Sides

LEFT, RIGHT, BOTH = Sides


def plain(text: str) -> str:
    """Small letters without accents; ``ß`` becomes ``ss``."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in parts if not unicodedata.combining(c))


def word_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


LIMBS: dict[Limb, frozenset[str]] = {
    Limb.HAND: word_set(
        "hand hands wrist wrists finger fingers thumb "
        "hande haende handen fingern handgelenk handgelenke handwurzel handskelett "
        "mains poignet poignets doigt doigts mano manos muneca munecas mani polso polsi "
        "mao maos punho punhos pols polsen vinger vingers"
    ),
    Limb.FOOT: word_set(
        "foot feet forefoot forefeet toe toes fuss fusse fuesse fussen vorfuss vorfusse vorfuesse "
        "zehe zehen pied pieds orteil orteils avantpied pies antepie antepies piede piedi "
        "avampiede avampiedi pes antepe voet voeten voorvoet voorvoeten tenen"
    ),
}
"""Words that mean a limb wherever they stand."""

SEVERAL = word_set(
    "hands wrists hande haende handen mains poignets manos munecas mani polsi maos punhos polsen "
    "feet forefeet fusse fuesse vorfusse vorfuesse pieds pies antepies piedi avampiedi pes voeten "
    "voorvoeten"
)
"""Of these, plural: where no side is stated they mean both. Fingers and toes are several anyway."""

SIDES: dict[Sides, frozenset[str]] = {
    LEFT: word_set(
        "left lt lft links linke linker linkes linken  gauche gche izquierda "
        "izquierdo izda izdo izqda izqdo izq sinistra sinistro esquerda esquerdo esq sx sinister"
    ),
    RIGHT: word_set(
        "right rt rgt rechts rechte rechter rechtes rechten  droite droit "
        "drte derecha derecho dcha dcho drcha destra destro direita direito dta dto dexter dextra"
    ),
    BOTH: word_set(
        "both bilateral bilat bilateraux bilaterale bilaterali bilateraal beide beiden beidseits "
        "beids beidseitig bds bdsts ambas ambos entrambe entrambi ambedue amba deux leftright "
        "rightleft"
    ),
}
"""Words that mean a side wherever they stand."""

CODES: dict[str, tuple[Sides, Limb]] = {
    "lh": (LEFT, Limb.HAND), "rh": (RIGHT, Limb.HAND),
    "lf": (LEFT, Limb.FOOT), "rf": (RIGHT, Limb.FOOT),
}  # fmt: skip
"""Limb and side in one."""

_FRENCH, _SPANISH = (
    word_set("main mains pied pieds poignet"),
    word_set("mano manos pie pies muneca"),
)
_ITALIAN = word_set("mano mani piede piedi polso avampiede")
_PORTUGUESE = word_set("mao maos pe pes punho antepe")
_GERMAN = word_set("hand hande haende fuss fusse fuesse vorfuss vorfusse handgelenk finger zehen")
_ANY = LIMBS[Limb.HAND] | LIMBS[Limb.FOOT] | {"main", "pie", "pe"}

WEAK_SIDES: dict[str, tuple[Sides, frozenset[str]]] = {
    "l": (LEFT, _ANY), "r": (RIGHT, _ANY), "b": (BOTH, _ANY),
    "li": (LEFT, _GERMAN), "lk": (LEFT, _GERMAN), "re": (RIGHT, _GERMAN),
    "g": (LEFT, _FRENCH), "d": (RIGHT, _FRENCH | _SPANISH | _ITALIAN | _PORTUGUESE),
    "gau": (LEFT, _FRENCH), "dr": (RIGHT, _FRENCH), "dte": (RIGHT, _FRENCH),
    "i": (LEFT, _SPANISH), "iz": (LEFT, _SPANISH), "der": (RIGHT, _SPANISH),
    "s": (LEFT, _ITALIAN), "sin": (LEFT, _ITALIAN), "sn": (LEFT, _ITALIAN),
    "dx": (RIGHT, _ITALIAN), "des": (RIGHT, _ITALIAN),
    "e": (LEFT, _PORTUGUESE), "dir": (RIGHT, _PORTUGUESE),
    "link": (LEFT, word_set("hand voet pols")), "recht": (RIGHT, word_set("hand voet pols")),
}  # fmt: skip
"""Words that mean a side only beside one of these words for a limb."""

WEAK_LIMBS: dict[str, tuple[Limb, frozenset[str]]] = {
    "main": (Limb.HAND, word_set("gauche gche droite drte g d gau dte dr deux")),
    "pie": (Limb.FOOT, word_set("izquierdo izdo izqdo izq derecho dcho der dcha izda d i iz")),
    "pe": (Limb.FOOT, word_set("direito esquerdo esq dir dto d e")),
    "hd": (Limb.HAND, word_set("li re lk links rechts linke rechte bds")),
    "vf": (Limb.FOOT, word_set("li re lk links rechts bds")),
}
"""Words that mean a limb only beside one of these words for a side."""

NOISE = word_set(
    "x ray xray xrays rx rontgen roentgen rontgenbild radiograph radiographs radiographie "
    "radiografia radiografie radiography rad cr dx dr dp pa ap dv ob obl oblique schrag seitlich "
    "profil scan scans image images imagen imagem immagine img im bild bilder film films foto "
    "photo pic picture pictures aufnahme final orig original edited study studies series serie "
    "view views of the von der die das de du des la le les el los las del della do da dos das van "
    "het een en et und and y e ed di in on mit with sans con data daten export exports exported "
    "dicom dcm jpg jpeg png tif tiff input inputs test train training all alle todos files file "
    "dateien new neu bone joint joints patients patienten pazienti pacientes archive "
    "archiv pacs unknown tmp temp download downloads desktop documents sin contraste"
)
"""Words that say neither whose film it is nor what it shows."""

PARTICLES = word_set("van von der de du di del della da do dos la le el")
"""Of these, what begins a surname."""

TITLES = word_set("patient pat pt id pid subject proband patientin paziente paciente")
"""Words before an id; alone they are none."""

COUNTED = word_set(
    "img im image images dsc dscn scan bild foto photo film pic picture imagen immagine imagem "
    "file export se st series serie study cr dx page seite"
)
"""Words whose number counts files."""

COPIES = word_set("copy copia copie kopie kopia kopi")

MONTHS: dict[str, int] = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar janvier enero ene gennaio gen janeiro januari",
            "feb february februar fevrier fev febrero febbraio fevereiro februari",
            "mar march marz maerz mars marzo marco maart mrt mrz",
            "apr april avril avr abril abr aprile",
            "may mai mayo maggio mag maio mei",
            "jun june juni juin junio giugno giu junho",
            "jul july juli juillet juil julio luglio lug julho",
            "aug august aout agosto ago augustus",
            "sep sept september septembre septiembre settembre set setembro",
            "oct october oktober okt octobre octubre ottobre ott outubro out",
            "nov november novembre noviembre novembro",
            "dec december dezember dez decembre diciembre dic dicembre dezembro",
        ),
        start=1,
    )
    for name in names.split()
}
"""Names of months, and their short forms."""

VISIT_WORDS: dict[str, str] = {
    **dict.fromkeys(word_set("visit visite besuch visita bezoek v vis"), "visit"),
    **dict.fromkeys(word_set("week woche semaine semana settimana wk w"), "week"),
    **dict.fromkeys(word_set("month months monat mois mes mese maand m mo"), "month"),
    **dict.fromkeys(word_set("year years jahr an ano anno jaar y yr"), "year"),
    **dict.fromkeys(
        word_set("followup fu verlauf kontrolle controle control controllo"), "followup"
    ),
    **dict.fromkeys(word_set("timepoint t tp"), "timepoint"),
}
"""Words before the number of a visit, and how the visit is then called: ``week-12``."""

FIRST_VISITS = word_set("baseline basal inclusion screening bl")
"""Words that name a visit by themselves."""
