"""Dynamic programming: the best path through the columns of a picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mandora.inflict.region import Array


def best_path(
    merit: Array, moves: Mapping[tuple[int, ...], float]
) -> tuple[NDArray[np.int64], ...]:
    """The path with the highest sum of merits less the costs of its moves.

    Args:
        merit: (columns, *states) of each state in each column; a state has one index, such as a
            row, or several.
        moves: change of the state's indices from a column to the next → its cost.

    Returns:
        For each index of the state, (columns,) its values on the path.
    """
    columns, *states = merit.shape
    reach = [max(abs(move[i]) for move in moves) for i in range(len(states))]
    inner = [
        tuple(slice(r - m, r - m + n) for r, m, n in zip(reach, move, states, strict=True))
        for move in moves
    ]
    score, back = merit[0], np.zeros(merit.shape, np.int8)
    for column in range(1, columns):
        padded = np.pad(score, [(r, r) for r in reach], constant_values=-np.inf)
        options = np.stack(
            [padded[part] - cost for part, cost in zip(inner, moves.values(), strict=True)]
        )
        back[column] = options.argmax(axis=0)
        score = options.max(axis=0) + merit[column]
    steps = np.array(list(moves))
    path = np.empty((columns, len(states)), np.int64)
    path[-1] = np.unravel_index(int(score.argmax()), score.shape)
    for column in range(columns - 1, 0, -1):
        path[column - 1] = path[column] - steps[back[(column, *path[column])]]
    return tuple(path.T)
