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
    steps, costs = np.array(list(moves)), np.array(list(moves.values()))
    reach = np.abs(steps).max(axis=0)
    padded = np.full([n + 2 * r for n, r in zip(states, reach, strict=True)], -np.inf)
    inner = tuple(slice(r, r + n) for r, n in zip(reach, states, strict=True))
    # places in ``padded`` from which each move reaches each state
    at = np.indices(states).reshape(len(states), -1)[:, None] + (reach - steps).T[:, :, None]
    came = np.ravel_multi_index(tuple(at), padded.shape)
    score = merit[0].ravel()
    back = np.zeros((columns, score.size), np.int64)
    everywhere = np.arange(score.size)
    for column in range(1, columns):
        padded[inner] = score.reshape(states)
        options = padded.take(came) - costs[:, None]
        back[column] = options.argmax(axis=0)
        score = options[back[column], everywhere] + merit[column].ravel()
    back = back.reshape(merit.shape)
    path = np.empty((columns, len(states)), np.int64)
    path[-1] = np.unravel_index(int(score.argmax()), states)
    for column in range(columns - 1, 0, -1):
        path[column - 1] = path[column] - steps[back[(column, *path[column])]]
    return tuple(path.T)
