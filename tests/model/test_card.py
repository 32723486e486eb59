"""A bundle in words."""

from __future__ import annotations

import pytest

from mandora.model.bundle import STANDARD_FILES, Bundle, default_bundle, open_bundle
from mandora.model.card import describe, uncalibrated_remark, with_section


@pytest.fixture(scope="module")
def packaged() -> Bundle:
    return open_bundle(default_bundle())


def test_the_description_says_what_a_user_must_know(packaged: Bundle) -> None:
    text = describe(packaged)
    m = packaged.manifest
    for part in (f"{m.name} {m.version}", m.preset, m.licence.spdx, m.training_data,
                 packaged.sha256, "card.md", *STANDARD_FILES):  # fmt: skip
        assert part in text


def test_what_is_not_calibrated_is_said(packaged: Bundle) -> None:
    contract = packaged.manifest.contract
    assert uncalibrated_remark(contract) is None
    assert "defaults, not measured" not in describe(packaged)
    unknown = {
        limb: marks.model_copy(update={"measured_on": None})
        for limb, marks in contract.locate.thresholds.items()
    }
    contract = contract.with_thresholds(unknown)
    assert "hand and the foot" in str(uncalibrated_remark(contract))
    assert "defaults, not measured" in describe(packaged.with_contract(contract))


def test_a_section_replaces_that_of_its_head_and_leaves_the_others() -> None:
    card = "# A model\n\n## One\n\nold\n\n## Two\n\nkept\n"
    changed = with_section(card, "## One", ["new", "lines"])
    assert changed == "# A model\n\n## One\n\nnew\nlines\n\n## Two\n\nkept\n"
    assert with_section(card, "## Three", ["more"]) == f"{card}\n## Three\n\nmore\n"
