"""How often each site of a cohort is damaged, and from which burden on it has which grade."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from mandora.core.anatomy import FAMILIES, Damage, Limb, Site, Target

# Share of joints that reach at least grade 1, 2, … in a cohort of average severity, mean over the
# sites of a family; the foot's erosion counts two bone sides. Chosen, with the variances of
# patients.py, so that an ordinary cohort is like CLEAR II, patients with RA of any duration: mean
# total 33.4, 74.8 % with any damage, 65.3 % with erosion, 65.3 % with narrowing (Bridges et al.,
# doi:10.1002/acr.20040).
_SHARES: dict[tuple[Limb, Damage], tuple[float, ...]] = {
    (Limb.HAND, Damage.NARROWING): (0.163, 0.113, 0.067, 0.024),
    (Limb.FOOT, Damage.NARROWING): (0.154, 0.108, 0.067, 0.023),
    (Limb.HAND, Damage.EROSION): (0.135, 0.088, 0.050, 0.025, 0.013),
    (Limb.FOOT, Damage.EROSION): tuple(0.15 * 0.767**k for k in range(10)),
}

# How much more (or less) a site is prone to damage than an average one of its family, in s.d. of
# the burden. The order follows what is published, the sizes are estimates. Hands: erosions appear
# first in the carpus, MCP2 and MCP3, PIP3 and PIP4 (Buckland-Wright, Ann Rheum Dis 1984;43:160),
# most at the radiocarpal and ulnar side, MCP2, MCP3 and PIP3. Feet: MTP5 is the first and most
# often eroded joint (Inanc et al., Ann Rheum Dis 2014;73 Suppl 2:657); the great toe's
# interphalangeal joint is eroded less often than the MTP joints (Möttönen, Ann Rheum Dis
# 1988;47:648).
_PRONE: dict[tuple[Limb, Damage], dict[str, float]] = {
    (Limb.HAND, Damage.EROSION): {
        "ip": -0.30, "pip2": 0.0, "pip3": 0.15, "pip4": 0.05, "pip5": -0.10,
        "mcp1": -0.05, "mcp2": 0.35, "mcp3": 0.30, "mcp4": -0.05, "mcp5": 0.10,
        "mc1": -0.20, "mul": -0.25, "nav": 0.20, "lunate": 0.15, "radius": 0.05, "ulna": 0.40,
    },
    (Limb.HAND, Damage.NARROWING): {
        "pip2": 0.0, "pip3": 0.10, "pip4": -0.05, "pip5": -0.15,
        "mcp1": -0.10, "mcp2": 0.30, "mcp3": 0.30, "mcp4": 0.0, "mcp5": 0.0,
        "cmc3": 0.05, "cmc4": 0.0, "cmc5": -0.15, "mna": -0.15, "capnlun": 0.20, "radcar": 0.35,
    },
    (Limb.FOOT, Damage.EROSION): {
        "ip": -0.15, "mtp1": 0.0, "mtp2": -0.15, "mtp3": 0.10, "mtp4": 0.15, "mtp5": 0.60,
    },
    (Limb.FOOT, Damage.NARROWING): {
        "ip": -0.15, "mtp1": 0.0, "mtp2": 0.0, "mtp3": 0.10, "mtp4": 0.10, "mtp5": 0.20,
    },
}  # fmt: skip


def grade_limits(target: Target) -> NDArray[np.float64]:
    """(maximum,) lowest burden of each of a target's grades from 1 on."""
    return _limits_of(target.site)


def grade_at(target: Target, burden: float) -> int:
    """SvH grade of a target, 0 to its maximum."""
    return int(np.searchsorted(grade_limits(target), burden))


@cache
def _limits_of(site: Site) -> NDArray[np.float64]:
    family = site.limb, site.damage
    return _mean_limits(family) - _PRONE[family][site.name]


@cache
def _mean_limits(family: tuple[Limb, Damage]) -> NDArray[np.float64]:
    """Limits of a site that is as prone as the average: over all sites the shares are as given."""
    prone = np.array([_PRONE[family][site.name] for site in FAMILIES[family]])

    def excess(limit: float, share: float) -> float:
        return float(ndtr(prone - limit).mean()) - share

    return np.array([brentq(excess, -ndtri(s) - 2, -ndtri(s) + 2, (s,)) for s in _SHARES[family]])
