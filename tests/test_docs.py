"""The README and the documentation say what the program does."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mandora
from mandora.core.anatomy import FAMILIES, Damage, Limb, maximum_total
from mandora.core.ra2 import RA2_COLUMNS
from mandora.core.totals import PARTS, TotalOf
from mandora.outputs.table import JOINT_COLUMNS, TOTAL_COLUMNS

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "mandora"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PAGE_IDS = [str(page.relative_to(ROOT)) for page in PAGES]
DOI = "10.1002/aisy.202200184"


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands() -> dict[str, Any]:
    """Every command by its words, e.g. ``train locate``."""
    from typer.main import get_command

    from mandora.cli.main import app

    def walk(group: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(command, (*words, name))
            else:
                yield " ".join((*words, name)), command

    return {name: c for name, c in walk(get_command(app), ()) if not c.hidden}


def options(command: Any) -> set[str]:
    return {
        option
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("--")
    }


def shown_calls() -> Iterator[tuple[str, list[str]]]:
    """Every call of mandora in a code block of the README or the documentation."""
    for page, name in zip(PAGES, PAGE_IDS, strict=True):
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line.replace("[", " ").replace("]", " "), comments=True)
                if words and words[0].endswith("mandora"):
                    yield name, words[1:]


def test_every_call_that_is_shown_can_be_typed() -> None:
    known = commands()
    calls = list(shown_calls())
    assert calls
    for page, words in calls:
        name = next((n for n in known if words[: len(n.split())] == n.split()), None)
        assert name, f"{page} shows `mandora {' '.join(words)}`: there is no such command"
        used = {w.partition("=")[0] for w in words if w.startswith("--")} - {"--help"}
        unknown = used - options(known[name])
        assert not unknown, f"{page} shows mandora {name} with {sorted(unknown)}"


def test_every_command_has_a_section() -> None:
    headings = [
        line for page in PAGES for line in page.read_text("utf-8").splitlines() if line[:1] == "#"
    ]
    for name in commands():
        # a page on a group of commands, such as `mandora bundle`, shows each of its commands
        group = name.split()[0]
        shown = any(words[: len(name.split())] == name.split() for _, words in shown_calls())
        assert any(f"`mandora {name}`" in h or f"`mandora {group}`" in h for h in headings), name
        assert shown, f"no page shows how to call mandora {name}"


def test_every_option_is_described() -> None:
    text = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs").glob("*.md"))
    for name, command in commands().items():
        for option in options(command) - {"--help"}:
            assert option in text, f"no page tells of mandora {name} {option}"


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_a_page_reads_the_same_built_or_not(page: Path) -> None:
    text = page.read_text("utf-8")
    plain = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    assert not re.search(r"\{\{|^:::", plain, re.M), "shown as it is to who reads it as Markdown"
    assert "[](" not in plain, "a link that shows nothing"


def test_tables_of_the_code_are_those_of_the_code() -> None:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    named = []
    for page in PAGES:
        text = page.read_text("utf-8")
        assert tables.renewed(text) == text, f"{page.name} is behind the code: make tables"
        named += re.findall(r"<!-- table (\w+) -->", text)
    assert {"reasons", "codes", "places", "ListenSettings", "WebSettings", "TrainLocateSettings",
            "TrainDamageSettings", "TrainSymmetrySettings", "SimulateSettings",
            "ReproduceSettings"} == set(named)  # fmt: skip


def test_versions_of_the_model_are_not_taken_for_those_of_the_software() -> None:
    for page in (ROOT / "docs").glob("*.md"):
        assert not re.search(r"\b[Vv]ersions? 0\.\d\.\d", page.read_text("utf-8")), page.name


def test_exit_codes_of_score_are_documented() -> None:
    rows = re.findall(r"^\| (\d) \|", read("docs/score.md"), re.M)
    assert rows == ["0", "1", "2", "3"]


def resolves(name: str) -> bool:
    """Whether a dotted name leads to a module of mandora or to something in one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.util.find_spec(".".join(parts[:end]))
        except ModuleNotFoundError:  # what stands before the last dot is no package
            continue
        if found is None:
            continue
        if end == len(parts):
            return True
        defined = Path(str(found.origin)).read_text("utf-8")
        return re.search(rf"\b{parts[end]}\b", defined) is not None
    return False


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_names_of_modules_are_those_of_the_package(page: Path) -> None:
    text = page.read_text("utf-8")
    if page.name == "CHANGELOG.md":  # tells of names that are gone
        text = text.split("\n## 0")[0].replace("`mandora.`", "")
    named = set(re.findall(r"\bmandora(?:\.[A-Za-z_]\w*)+", text))
    assert not [name for name in sorted(named) if not resolves(name)]


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```(?!\{image\}).*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    links += re.findall(r"^```\{image\} (\S+)", text, re.M)
    broken = [k for k in links if "://" not in k and not (page.parent / k).exists()]
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_modules_that_are_named_by_path_exist(page: Path) -> None:
    if page.name in ("CHANGELOG.md", "model-history.md"):  # tell of names that are gone
        return
    named = set(re.findall(r"`((?:[\w-]+/)+[\w-]+\.(?:py|json))`", page.read_text("utf-8")))
    there = [name for name in named if (ROOT / name).exists() or (SOURCE / name).exists()]
    written = ("results/", "truth/")  # files of a user's folder
    assert not sorted(name for name in named - set(there) if not name.startswith(written))


def test_an_everyday_change_touches_at_most_three_files() -> None:
    rows = re.findall(r"^\| \[\d+ [^|]+\| ([^|]+) \|$", read("docs/changing.md"), re.M)
    assert len(rows) == 12
    assert max(len(row.split(", ")) for row in rows) <= 3


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.M))
    for page in PAGES:
        named = set(re.findall(r"`make ([a-z-]+)", page.read_text("utf-8")))
        named |= set(re.findall(r"^make ([a-z-]+)", page.read_text("utf-8"), re.M))
        assert named <= targets, page.name


def test_readers_meet_the_notice_before_anything_else() -> None:
    for page in ("README.md", "docs/index.md"):
        head = " ".join(read(page)[:700].replace("\n> ", " ").split())
        assert "research use only" in head, page
        assert "not a medical device" in head, page


def test_version_is_the_same_everywhere() -> None:
    assert f"\nversion: {mandora.__version__}\n" in read("CITATION.cff")
    newest = re.findall(r"^## (\S+) \(", read("CHANGELOG.md"), re.M)[0]
    assert newest == mandora.__version__


def test_changelog_is_dated_and_the_newest_comes_first() -> None:
    headings = re.findall(r"^##+ .*", read("CHANGELOG.md"), re.M)
    assert headings[0] == "## Unreleased"
    dated = headings[headings.index(next(h for h in headings if h.startswith("## 0"))) :]
    dates = [re.search(r"\d{4}-\d\d-\d\d", heading) for heading in dated]
    assert all(dates)
    days = [found.group() for found in dates if found]
    assert days == sorted(days, reverse=True)


@pytest.mark.parametrize("page", ["README.md", "CITATION.cff", "docs/index.md"])
def test_the_paper_is_cited(page: str) -> None:
    assert DOI in read(page)


def table_rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("limb", list(Limb))
def test_table_of_sites_agrees_with_the_vocabulary(limb: Limb) -> None:
    page = read("docs/scoring-system.md")
    section = page.split(f"## Sites of a {limb}\n")[1].split("\n## ")[0]
    shown = {row[0]: row for row in table_rows(section)[2:]}
    expected: dict[str, list[str]] = {}
    for column, damage in ((2, Damage.NARROWING), (3, Damage.EROSION)):
        for site in FAMILIES[limb, damage]:
            row = expected.setdefault(site.name, ["", "", site.landmark_name])
            row[column - 2] = f"0–{site.maximum}"
    assert {name: row[2:] for name, row in shown.items()} == expected


def test_totals_agree_with_the_vocabulary() -> None:
    page = read("docs/scoring-system.md")
    rows = {row[0].split(":")[0]: row[1:] for row in table_rows(page)[2:6]}
    for (limb, damage), sites in FAMILIES.items():
        maximum = sum(site.maximum for site in sites)
        assert rows[f"{damage}, {limb.plural}"] == [str(maximum), str(2 * maximum)]
    for page_name in ("README.md", "docs/scoring-system.md"):
        assert str(maximum_total()) in read(page_name)


def test_the_page_has_each_total_with_its_maximum() -> None:
    page = read("docs/score.md")
    section = page[page.index("## Totals") : page.index("## Exit codes")]
    shown: dict[str, list[str]] = {}
    for first, *_, narrowing, erosion, both in table_rows(section)[2:]:
        codes = re.findall(r"\w+", first.split(":")[0].removesuffix(" joints"))
        shown |= {code: [narrowing, erosion, both] for code in codes}
    kinds = (*Damage, None)
    assert shown == {
        part.code: [str(TotalOf(part, kind).maximum) for kind in kinds] for part in PARTS
    }


def test_columns_of_the_tables_are_documented() -> None:
    page = read("docs/score.md")
    assert ",".join(JOINT_COLUMNS) in page
    assert ",".join(TOTAL_COLUMNS) in page
    for column in RA2_COLUMNS[:4]:
        assert f"`{column}`" in page
    for column in re.findall(r"`([LR][HF]_\w+)`", page):
        assert column in RA2_COLUMNS
