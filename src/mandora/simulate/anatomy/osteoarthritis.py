"""Osteoarthritis of the hand: which joints are worn, and how much.

It is common in people with rheumatoid arthritis too, and is no damage in the sense of SvH: where
joint space is lost it counts as narrowing, but osteophytes, dense joint surfaces and cysts below
them are no erosions. Distal joints and the base of the thumb are worn first, then proximal
interphalangeal joints, rarely metacarpophalangeal ones (the order is that of Dahaghin et al., Ann
Rheum Dis 2005;64:682; the shares are chosen here).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mandora.simulate.anatomy.joint_state import DOUBTFUL_LOSS, HEALTHY, JointState

# Share of joints that are worn in a patient with the highest degree.
_SHARES = {
    "ip": 0.6, "mc1": 0.75, "mna": 0.45, "mcp1": 0.3,
    **dict.fromkeys(("dip2", "dip3", "dip4", "dip5"), 0.9),
    **dict.fromkeys(("pip2", "pip3", "pip4", "pip5"), 0.6),
    "mcp2": 0.25, "mcp3": 0.2, "mcp4": 0.07, "mcp5": 0.07,
}  # fmt: skip
_NARROW = 0.35  # of narrowed joints of patients with osteoarthritis, the share that it narrowed


@dataclass(frozen=True)
class Wear:
    """Osteoarthritis of one hand.

    Attributes:
        degree: 0 none to 1 severe, of each joint that is worn.
        states: of those of them whose narrowing SvH does not score: space is lost with the degree.
    """

    degree: Mapping[str, float]
    states: Mapping[str, JointState]


def draw_wear(
    osteoarthritis: float,
    states: Mapping[str, JointState],
    patient_rng: np.random.Generator,
    film_rng: np.random.Generator,
) -> Wear:
    """Draw what osteoarthritis does to the joints of a hand.

    Args:
        osteoarthritis: of the patient, 0..1.
        states: latent damage of the joints that are scored; their joint space is not changed.
        patient_rng: for what both hands share: which joints are worn.
        film_rng: for what is this hand's own.
    """
    degree = {}
    for name, share in _SHARES.items():
        drawn, much, own = patient_rng.random(), patient_rng.uniform(0.3, 1.1), film_rng.random()
        state = states.get(name, HEALTHY)
        usual = osteoarthritis * much * (0.6 + 0.6 * own)
        if drawn < share * np.sqrt(osteoarthritis):
            degree[name] = min(usual, 1.0)
        elif osteoarthritis and state.loss > DOUBTFUL_LOSS and drawn > 1 - _NARROW:
            degree[name] = min(1.3 * (state.loss - DOUBTFUL_LOSS) * much, 1.0)
    lost = {}
    for name, how_much in degree.items():
        if name.startswith("dip") or name in ("ip", "mc1"):
            state = states.get(name, HEALTHY)
            lost[name] = replace(state, loss=max(state.loss, min(0.9 * how_much, 0.95)))
    return Wear(degree, lost)
