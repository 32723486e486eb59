"""One name in the folders of several patients: whether it is one person.

``P1/V1_LH.jpg`` and ``P2/V1_LH.jpg`` are one visit of two people, ``Site A/001/LH.jpg`` and
``Site B/001/LH.jpg`` two people of two hospitals. Nobody becomes one patient with another only
because files or folders have one name. Films whose tags or manifest say whose they are stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from mandora.core.limb_texts import words_of
from mandora.core.records import Reason
from mandora.datasets.intake import vocabulary as known
from mandora.datasets.intake.drafts import Draft, Home
from mandora.datasets.intake.rows import Origin, Stated
from mandora.datasets.intake.visits import visit_alone

_SURE_DIGITS = 3  # with letters, as P050; numbers alone need more
_SURE_NUMBER = 5


def tell_homes_apart(drafts: Sequence[Draft]) -> None:
    """Place, remark on or refuse films of one name in the folders of several patients.

    Args:
        drafts: with the patients that names and folders alone have given them.
    """
    same: dict[str, list[tuple[Draft, Home]]] = defaultdict(list)
    for draft in drafts:
        patient = draft.patient
        if patient is None or patient.origin not in (Origin.NAME, Origin.FOLDER):
            continue
        if draft.identity is None and (home := _other_home(draft, patient)) is not None:
            same[patient.value].append((draft, home))
    several = {n for n, group in same.items() if len({home.patient for _, home in group}) > 1}
    # where one of them is a visit, the others in these folders are
    with_visits = {home for n in several if visit_alone(n) for _, home in same[n]}
    for name, group in same.items():
        others = sorted({home.patient for _, home in group})
        visit = visit_alone(name)
        for draft, home in group:
            if visit and home in with_visits:
                _make_visit(draft, home, visit)
            elif visit:
                draft.remarks.append(
                    f"{name} was taken for a patient; if it is a visit of {home.patient}, say so "
                    "in a manifest"
                )
            elif name in several:
                _doubt(draft, name, others)


def _other_home(draft: Draft, patient: Stated[str]) -> Home | None:
    """The nearest folder that may name another patient than the one that was taken."""
    homes = draft.homes if patient.origin is Origin.NAME else draft.homes[1:]
    # a year over the patient's folder is when the film was taken
    return next((h for h in homes if h.patient != patient.value and not _is_year(h)), None)


def _is_year(home: Home) -> bool:
    return home.patient.isdigit() and visit_alone(home.patient) is not None


def _make_visit(draft: Draft, home: Home, visit: str) -> None:
    draft.patient = Stated(home.patient, Origin.FOLDER)
    draft.homes = draft.homes[draft.homes.index(home) :]
    facts = draft.by_name.facts
    if facts.visit is None:
        draft.by_name = replace(draft.by_name, facts=replace(facts, visit=visit))


def _doubt(draft: Draft, name: str, others: Sequence[str]) -> None:
    """A full id is the same person's, with a remark; other names may be two people's."""
    words = [w for w in words_of(name) if w.text not in known.TITLES]
    digits = sum(len(w.text) for w in words if w.text.isdigit())
    is_mixed = digits > 0 and not all(w.text.isdigit() for w in words)
    enough = 1 if draft.by_name.own_form else _SURE_DIGITS
    shown = ", ".join(others[:3]) + (" …" if len(others) > 3 else "")
    at_sites = any(w.text in known.SITES for other in others for w in words_of(other))
    if digits >= (enough if is_mixed else _SURE_NUMBER) and not at_sites:
        draft.remarks.append(f"films of {name} lie in several folders ({shown}); they are joined")
        return
    draft.patient = None
    draft.problem = (
        Reason.NO_PATIENT,
        (
            f"films called {name} lie in the folders of several ({shown}) and may be of several "
            "people; name them <patient>-LH.jpg and so on, or use a manifest"
        ),
    )
