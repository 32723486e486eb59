"""Finding the landmarks of a limb as published: one network per landmark sees the whole film.

Li & Guan 2022, doi:10.1002/aisy.202200184: the film is stretched to a square and shown in three
versions; right limbs are mirrored to look like left ones; the middle of the largest region that
a network draws is the landmark; of several networks the median counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import LANDMARKS, Limb, Side
from mandora.core.errors import InputError
from mandora.core.geometry import Affine, Points, mirror_x
from mandora.core.inference import Network
from mandora.core.specs import FilmSpec
from mandora.images.channels import published_film_channels, standardise, stretched_film, whole_film
from mandora.locate.consensus import consensus
from mandora.locate.decode import read_heat_maps
from mandora.locate.locator import FoundLandmarks, Search, reasons_of
from mandora.locate.orientation import Orientation
from mandora.locate.shape import FilmArea, checked

_NO_HEAT = 1e-6  # a landmark that was not found has none, whatever the threshold


def film_as_seen(
    spec: FilmSpec, pixels: NDArray[np.float32], *, mirror: bool
) -> tuple[NDArray[np.float32], Affine]:
    """A whole film as the networks see it.

    Args:
        spec: of the networks.
        pixels: (H, W) float32, 0..1.
        mirror: flip left and right.

    Returns:
        (channels, S, S) float32 and the map from film px to network px, flip included.
    """
    if spec.keep_aspect:
        square, to_network = whole_film(pixels, spec.input_px, mirror=mirror)
        return square[None], to_network
    square, to_network = stretched_film(pixels, spec.input_px, mirror)
    if spec.channels == 1:
        return standardise(square)[None], to_network
    return published_film_channels(square), to_network


class PublishedLocator:
    """One limb's localisers, each for one landmark.

    A known side is believed. Films that lie turned, inverted or beside another limb are not
    searched further, as the published method does not. Files are opened when they are needed
    and closed after that, one at a time: opening takes a fiftieth of the time of running, and
    what a network needs for its features (0.5 GB at 1024 × 1024 px) is never needed twice.

    Args:
        paths: ONNX files by name of the landmark, one for each seed.
        limb: which limb they were trained for.
        spec: what they see, and how they are read.
        template: (N, 2) template of a left limb, in limb sizes.
        threads: processor threads.

    Raises:
        ValueError: if a landmark has no network.
    """

    def __init__(
        self, paths: Mapping[str, Sequence[Path]], limb: Limb, spec: FilmSpec, template: Points,
        threads: int = 2,
    ) -> None:  # fmt: skip
        lacking = [p.name for p in LANDMARKS[limb] if not paths.get(p.name)]
        if lacking:
            raise InputError(
                f"the {limb}'s landmarks {', '.join(lacking)} have no network; train these as well"
            )
        self.limb = limb
        self.template = template
        self._paths = [tuple(paths[p.name]) for p in LANDMARKS[limb]]
        self._spec, self._threads = spec, threads

    def locate(
        self, pixels: NDArray[np.float32], side: Side | None = None, search: Search = Search.ALL
    ) -> FoundLandmarks:
        """Find the landmarks of the limb.

        Args:
            pixels: (H, W) float32, 0..1.
            side: the patient's side; if it is not known, both are tried and the better fit
                counts.
            search: makes no difference: no other orientation is tried.

        Returns:
            The landmarks; none has a position where nothing was found. A landmark that lies grossly
            astray from where the others put it counts as not found. The caller decides
            which fit is too poor.

        Raises:
            ValueError: if a file cannot be run as a network.
        """
        sides = tuple(Side) if side is None else (side,)
        films = [film_as_seen(self._spec, pixels, mirror=tried is Side.RIGHT) for tried in sides]
        places: list[list[Points]] = [[] for _ in sides]
        heights: list[list[NDArray[np.float64]]] = [[] for _ in sides]
        for seeds in self._paths:
            drawn: list[list[NDArray[np.float32]]] = [[] for _ in sides]
            for path in seeds:
                network = Network(path, self._threads)
                for i, (film, _) in enumerate(films):
                    drawn[i].append(network(film=film[None])[0][0, 0])
            for i, maps in enumerate(drawn):
                place, height = read_heat_maps(self._spec, np.stack(maps))
                places[i].append(place)
                heights[i].append(height)
        found = [
            self._found(np.stack(places[i]), np.stack(heights[i]), films[i][1], sides[i],
                        pixels.shape)
            for i in range(len(sides))
        ]  # fmt: skip
        return max(found, key=lambda limb: limb.fit)

    def locate_all(self, pixels: NDArray[np.float32]) -> list[FoundLandmarks]:
        """The limb on the film, if there is any: these networks know of one limb on a film.

        Args:
            pixels: (H, W) float32, 0..1.
        """
        found = self.locate(pixels)
        return [found] if np.isfinite(found.landmarks).any() else []

    def _found(
        self,
        places: NDArray[np.float64],
        heights: NDArray[np.float64],
        to_network: Affine,
        side: Side,
        shape: tuple[int, ...],
    ) -> FoundLandmarks:
        """What the networks of all landmarks agree on.

        Args:
            places: (N, K, 2) px of the network's input, from K networks for each landmark.
            heights: (N, K) 0..1.
            to_network: from the film, flip included.
            side: what the limb was taken for.
            shape: of the film.
        """
        height, width = shape[:2]
        count, networks = heights.shape
        flip = mirror_x(width, "film")
        to_film = to_network.inverse
        # the template is fitted where a px is as wide as high, and limbs look like left ones
        to_left = flip @ to_film if side is Side.RIGHT else to_film
        landmarks, confidence = np.full((count, 2), np.nan), np.zeros(count)
        for i, seen in enumerate(to_left(places.reshape(-1, 2)).reshape(count, networks, 2)):
            landmarks[i], kept = consensus(seen, (width, height), self._spec.corner)
            confidence[i] = heights[i, kept].mean() if kept.any() else heights[i].max()
        placed = np.isfinite(landmarks).all(axis=1)
        heat = np.where(placed, np.maximum(confidence, _NO_HEAT), 0.0)
        upright = Affine(np.eye(2, 3), "film", "film")
        found = checked(
            self.template, np.nan_to_num(landmarks), heat, _NO_HEAT,
            FilmArea(upright, width, height),
        )  # fmt: skip
        on_film = flip(landmarks) if side is Side.RIGHT else landmarks
        return FoundLandmarks(
            self.limb,
            Orientation(mirrored=side is Side.RIGHT),
            np.where(found.sure[:, None], on_film, np.nan),
            confidence,
            reasons_of(found),
            found.fit,
        )
