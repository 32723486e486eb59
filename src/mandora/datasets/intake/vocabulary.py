"""Words of files' and folders' names around those for limb and side, in seven languages.

English, German, French, Spanish, Italian, Portuguese and Dutch, in small letters without accents.
The words for limb and side are in :mod:`mandora.core.limb_words`.
"""

from __future__ import annotations

from mandora.core.limb_words import VIEWS, word_set

OTHER_PARTS = word_set(
    "chest thorax lung lungs lunge knee knees knie genou rodilla ginocchio spine wirbelsaule hws "
    "lws bws pelvis becken bassin hip hips hufte hanche shoulder shoulders schulter epaule elbow "
    "elbows ellenbogen coude ankle ankles sprunggelenk osg cheville skull schadel crane sacrum isg"
)
"""Other parts of the body, of which patients have films as well; not their names."""

NOISE = word_set(
    "x ray xray xrays rx rontgen roentgen rontgenbild radiograph radiographs radiographie "
    "radiografia radiografie radiography rad cr dx dr scan scans image images imagen imagem "
    "immagine img im bild bilder film films foto photo pic picture pictures aufnahme final orig "
    "original edited study studies series serie view views of the von der die das de du des la "
    "le les el los las del della do da dos van het een en et und and y e ed di in on mit with "
    "sans con data daten export exports exported dicom dcm jpg jpeg png tif tiff input inputs "
    "test train training all alle todos files file dateien new neu bone joint joints patients "
    "patienten pazienti pacientes archive archiv xr rtg folder ordner neuer dossier nouveau "
    "carpeta nueva cartella nuova pasta nova map nieuwe radiology radiologie radiologia "
    "rontgenaufnahme pacs unknown tmp temp download downloads desktop documents sin contraste "
    "whatsapp screenshot bildschirmfoto old alt neue scanned digital extremity extremitat "
    "skelett skeleton"
).union(VIEWS, OTHER_PARTS)
"""Words that say neither whose film it is nor what it shows."""

PARTICLES = word_set("van von der de du di del della da do dos la le el")
"""Of these, what begins a surname."""

SEVERAL_VIEWS = word_set("view views incidence incidences ebenen proiezioni proyecciones")
"""Words behind a number of views."""

TITLES = word_set("patient pat pt id pid subject proband patientin paziente paciente")
"""Words before an id; alone they are none."""

COUNTED = word_set(
    "img im image images dsc dscn scan bild foto photo film pic picture imagen immagine imagem "
    "file export se st series serie study cr dx page seite cd dvd scn pxl mvimg"
)
"""Words whose number counts files."""

SITES = word_set(
    "site centre center centro zentrum clinic klinik clinique clinica hospital krankenhaus "
    "klinikum hopital ospedale ziekenhuis ward station department abteilung sede praxis "
    "country land"
)
"""Words for a place where patients are numbered by themselves."""

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

UNITS: dict[str, str] = {
    **dict.fromkeys(word_set("week weeks woche wochen semaines semanas weken wk wks"), "week"),
    **dict.fromkeys(
        word_set("month months monat monate mois meses mesi maanden mo mos mth mths"), "month"
    ),
    **dict.fromkeys(word_set("year years jahr jahre ans anos anni yr yrs"), "year"),
}
"""Words behind the number of a visit: ``12 months``."""

FIRST_VISITS = word_set("baseline basal inclusion screening bl")
"""Words that name a visit by themselves."""

BIRTH = word_set("geb geboren born dob birth birthdate ne nee nacido nacida nato nata nascido")
"""Words before a date of birth."""
