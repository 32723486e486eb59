"""Names of the RA2 DREAM challenge."""

from __future__ import annotations

import pytest

from mandora.core.anatomy import TARGETS
from mandora.core.ra2 import RA2_COLUMNS, target_from_ra2


def test_ra2_columns_are_those_of_the_first_release() -> None:
    assert len(RA2_COLUMNS) == len(set(RA2_COLUMNS)) == 90
    assert RA2_COLUMNS[:4] == (
        "Patient_ID", "Overall_Tol", "Overall_erosion", "Overall_narrowing",
    )  # fmt: skip
    assert RA2_COLUMNS[4:20] == (
        "LH_mcp_E__ip",
        "LH_pip_E__2", "LH_pip_E__3", "LH_pip_E__4", "LH_pip_E__5",
        "LH_mcp_E__1", "LH_mcp_E__2", "LH_mcp_E__3", "LH_mcp_E__4", "LH_mcp_E__5",
        "LH_wrist_E__mc1", "LH_wrist_E__mul", "LH_wrist_E__nav", "LH_wrist_E__lunate",
        "LH_wrist_E__radius", "LH_wrist_E__ulna",
    )  # fmt: skip
    # after 4 + 2·16 + 2·6 erosion columns comes the narrowing of the left hand
    assert RA2_COLUMNS[48:63] == (
        "LH_pip_J__2", "LH_pip_J__3", "LH_pip_J__4", "LH_pip_J__5",
        "LH_mcp_J__1", "LH_mcp_J__2", "LH_mcp_J__3", "LH_mcp_J__4", "LH_mcp_J__5",
        "LH_wrist_J__cmc3", "LH_wrist_J__cmc4", "LH_wrist_J__cmc5",
        "LH_wrist_J__mna", "LH_wrist_J__capnlun", "LH_wrist_J__radcar",
    )  # fmt: skip
    # the two that a later release swaps stand at 78 and 84 there
    assert RA2_COLUMNS[78] == "LF_mtp_J__ip"
    assert RA2_COLUMNS[84:] == ("RF_mtp_J__ip", *(f"RF_mtp_J__{n}" for n in range(1, 6)))


def test_every_ra2_column_leads_back_to_its_target() -> None:
    assert [target_from_ra2(c) for c in RA2_COLUMNS[4:]] == list(TARGETS)


@pytest.mark.parametrize("column", ["Overall_Tol", "LH_mcp_J__ip", "lh_mcp_E__ip", ""])
def test_what_is_no_score_column_is_refused_by_name(column: str) -> None:
    with pytest.raises(ValueError, match=f"'{column}' is not an RA2 score column"):
        target_from_ra2(column)
