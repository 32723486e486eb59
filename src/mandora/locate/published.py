"""Finding the landmarks of a limb as published: one network per landmark looks at the whole film.

Li & Guan 2022, doi:10.1002/aisy.202200184: the film is stretched to a square and shown in three
versions; right limbs are mirrored to look like left ones; the middle of the largest region that
a network draws is the landmark; of several networks the median counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import LANDMARKS, Limb, Side
from mandora.core.errors import InputError
from mandora.core.geometry import Affine, Points, mirror_x
from mandora.core.inference import Network
from mandora.core.records import Reason
from mandora.images.channels import published_film_channels, standardise, stretched_film, whole_film
from mandora.locate.consensus import consensus
from mandora.locate.decode import decode, largest_component
from mandora.locate.locator import FoundLandmarks
from mandora.locate.shape import judge
from mandora.locate.views import View

_NO_HEAT = 1e-6  # a landmark that was not found has none, whatever the threshold


@dataclass(frozen=True)
class FilmRule:
    """What the networks see of a film, and how their heat maps are read.

    Attributes:
        input_px: S, side of the square input.
        channels: 1: standardised film; 3: see :func:`published_film_channels`.
        keep_aspect: the film is padded to a square instead of stretched; one channel only.
        stride: input px per heat-map px.
        decode: ``component``: middle of the largest region above the threshold; ``peak``:
            summit of the heat.
        found_threshold: heat below which a peak, and up to which a region counts as not found.
        corner: of several networks, places within this share of two borders do not count.

    Raises:
        ValueError: if three channels are to be made of a padded film.
    """

    input_px: int
    channels: Literal[1, 3] = 3
    keep_aspect: bool = False
    stride: int = 1
    decode: Literal["peak", "component"] = "component"
    found_threshold: float = 0.5
    corner: float = 0.01

    def __post_init__(self) -> None:
        if self.channels == 3 and self.keep_aspect:
            raise InputError(
                "three channels are made of stretched films only; "
                "use keep_aspect = False, or channels = 1"
            )

    def look(
        self, pixels: NDArray[np.float32], *, mirror: bool
    ) -> tuple[NDArray[np.float32], Affine]:
        """A film as the networks see it.

        Args:
            pixels: (H, W) float32, 0..1.
            mirror: flip left and right.

        Returns:
            (channels, S, S) float32 and the map from film px to network px, flip included.
        """
        if self.keep_aspect:
            square, to_network = whole_film(pixels, self.input_px, mirror=mirror)
            return square[None], to_network
        square, to_network = stretched_film(pixels, self.input_px, mirror)
        if self.channels == 1:
            return standardise(square)[None], to_network
        return published_film_channels(square), to_network

    def read(self, maps: NDArray[np.float32]) -> tuple[Points, NDArray[np.float64]]:
        """The places that heat maps show.

        Args:
            maps: (N, h, w) float32, 0..1.

        Returns:
            (N, 2) float64 px of the network's input, NaN where not found, and (N,) float64
            heat, 0..1.
        """
        if self.decode == "component":
            return largest_component(maps, self.found_threshold, self.stride)
        places, heights = decode(maps, self.stride)
        return np.where((heights < self.found_threshold)[:, None], np.nan, places), heights


class PublishedLocator:
    """One limb's localisers, each for one landmark.

    A known side is believed. Films that lie turned, inverted or beside another limb are not
    looked at again, as the published method does not. Files are opened when they are needed
    and closed after that, one at a time: opening takes a fiftieth of the time of looking, and
    what a network needs for its features (0.5 GB at 1024 × 1024 px) is never needed twice.

    Args:
        paths: ONNX files by name of the landmark, one for each seed.
        limb: which limb they were trained for.
        rule: what they see, and how they are read.
        template: (N, 2) mean shape of a left limb, in units of its size.
        threads: processor threads.

    Raises:
        ValueError: if a landmark has no network.
    """

    def __init__(
        self, paths: Mapping[str, Sequence[Path]], limb: Limb, rule: FilmRule, template: Points,
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
        self._rule, self._threads = rule, threads

    def locate(
        self, pixels: NDArray[np.float32], side: Side | None = None, *, upright_only: bool = False
    ) -> FoundLandmarks:
        """Find the landmarks of the limb.

        Args:
            pixels: (H, W) float32, 0..1.
            side: the patient's side; if it is not known, both are tried and the better fit
                counts.
            upright_only: makes no difference: no film is looked at in another way.

        Returns:
            The landmarks; none has a position where nothing was found. A landmark that lies grossly
            astray from where the others put it counts as not found. A poor fit is for the
            caller to judge.

        Raises:
            ValueError: if a file cannot be run as a network.
        """
        sides = tuple(Side) if side is None else (side,)
        looks = [self._rule.look(pixels, mirror=tried is Side.RIGHT) for tried in sides]
        places: list[list[Points]] = [[] for _ in sides]
        heights: list[list[NDArray[np.float64]]] = [[] for _ in sides]
        for seeds in self._paths:
            drawn: list[list[NDArray[np.float32]]] = [[] for _ in sides]
            for path in seeds:
                network = Network(path, self._threads)
                for i, (film, _) in enumerate(looks):
                    drawn[i].append(network(film=film[None])[0][0, 0])
            for i, maps in enumerate(drawn):
                place, height = self._rule.read(np.stack(maps))
                places[i].append(place)
                heights[i].append(height)
        found = [
            self._found(np.stack(places[i]), np.stack(heights[i]), looks[i][1], sides[i],
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
        # the template is judged where a px is as wide as high, and limbs look like left ones
        to_left = flip @ to_film if side is Side.RIGHT else to_film
        landmarks, confidence = np.full((count, 2), np.nan), np.zeros(count)
        for i, seen in enumerate(to_left(places.reshape(-1, 2)).reshape(count, networks, 2)):
            landmarks[i], kept = consensus(seen, (width, height), self._rule.corner)
            confidence[i] = heights[i, kept].mean() if kept.any() else heights[i].max()
        placed = np.isfinite(landmarks).all(axis=1)
        heat = np.where(placed, np.maximum(confidence, _NO_HEAT), 0.0)
        sure, fit = judge(self.template, np.nan_to_num(landmarks), heat, _NO_HEAT)
        on_film = flip(landmarks) if side is Side.RIGHT else landmarks
        return FoundLandmarks(
            self.limb,
            View(mirrored=side is Side.RIGHT),
            np.where(sure[:, None], on_film, np.nan),
            confidence,
            tuple(None if ok else Reason.NOT_FOUND for ok in sure),
            fit,
        )
