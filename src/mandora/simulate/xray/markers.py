"""Letters on a film: lead markers, tags and printed text."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mandora.core.anatomy import Limb, Side
from mandora.simulate.fields import Field, shrink

LETTERS = {Side.LEFT: ("L", "L", "L", "L", "E"), Side.RIGHT: ("R", "R", "R", "R", "D")}
"""English four times out of five, else Portuguese: esquerda and direita."""
_CAPITALS = "ABCDEFGHIJKLMNOPRSTVWZ"
_MOST = 0.3  # share of the film's width or height that a marker may take
_PRINTED = 0.18  # share of films with a line of small printed text


def mark(pixels: Field, ppmm: float, side: Side, limb: Limb, rng: np.random.Generator) -> Field:
    """Draw a marker beside the limb, and on some films a line of printed text.

    Args:
        pixels: (H, W) float32, 0..1, bright is dense.
        ppmm: px per mm.
        side: that the marker names.
        limb: feet are marked anywhere, hands rarely beside the finger tips.
        rng: source of randomness.

    Returns:
        (H, W) float32; ``pixels`` itself if it is too small for a marker.
    """
    out = pixels
    cover, grey = _marker(str(rng.choice(LETTERS[side])), ppmm, 0.08 * min(pixels.shape), rng)
    place = _find_place(pixels, cover.shape, limb, rng)
    if place is not None:
        out = _stamp(out, cover, grey, place)
    if rng.random() < _PRINTED:
        out = _print_text(out, rng)
    return out


def _legend(rng: np.random.Generator) -> tuple[str, str]:
    """A line of text and a sign, of which at least one is empty."""
    kind = rng.random()
    if kind < 0.45:
        return "".join(rng.choice(list(_CAPITALS), rng.integers(2, 4))), ""
    if kind < 0.55:
        return str(rng.integers(1, 999)), ""
    if kind < 0.60:
        return str(rng.choice(["MRK", "PA", "UP"])), ""
    return "", "arrow" if kind < 0.64 else "dot" if kind < 0.70 else ""


def _marker(letter: str, ppmm: float, most: float, rng: np.random.Generator) -> tuple[Field, Field]:
    """A letter, alone or on a plate, with a text or sign below it.

    Args:
        letter: to draw.
        ppmm: px per mm.
        most: largest height of the letter, px.
        rng: source of randomness.

    Returns:
        Cover and grey value of each pixel, (h, w) float32 each, 0..1.
    """
    size = max(7, round(min(ppmm * rng.uniform(7.0, 15.0), most)))
    small = max(6, round(size * rng.uniform(0.45, 0.8)))
    line, sign = _legend(rng)
    large_font, small_font = ImageFont.load_default(size), ImageFont.load_default(small)
    pad = round(0.22 * size)
    w = round(max(large_font.getlength(letter), small_font.getlength(line), small)) + 2 * pad
    h = 2 * pad + round(1.3 * size) + (small if line or sign else 0)
    lead = Image.new("L", (w, h), 0)
    draw = ImageDraw.Draw(lead)
    bold = max(1, size // 14) if rng.random() < 0.7 else 0
    below = pad // 2 + round(1.2 * size)
    for text, font, y in ((letter, large_font, pad // 2), (line, small_font, below)):
        x = (w - font.getlength(text)) / 2
        draw.text((x, y), text, fill=255, font=font, stroke_width=bold)
    left, right, foot = (w - small) / 2, (w + small) / 2, below + 0.9 * small
    if sign == "dot":
        draw.ellipse([left, below, right, foot], outline=255, width=max(1, small // 7))
    elif sign == "arrow":
        draw.polygon([(left, below), (right, (below + foot) / 2), (left, foot)], fill=255)
    if rng.random() < 0.04:  # placed upside down
        lead = lead.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    plate = Image.new("L", (w, h), int(rng.integers(90, 255)) if rng.random() < 0.6 else 0)
    turn = float(rng.normal(0, 8) if rng.random() < 0.85 else rng.uniform(-180, 180))
    ink, cover = (
        np.asarray(i.rotate(turn, Image.Resampling.BILINEAR, expand=True), dtype=np.float32) / 255
        for i in (lead, plate)
    )
    bright, dim = rng.uniform(0.6, 1.0), rng.uniform(0.2, 0.55)
    if cover.any() and rng.random() < 0.15:  # dark letters on a pale tag
        bright, dim = dim * 0.5, bright
    grey = np.asarray(dim + (bright - dim) * ink, dtype=np.float32)
    return np.asarray(np.maximum(ink, cover), dtype=np.float32), grey


def _find_place(
    pixels: Field, shape: tuple[int, ...], limb: Limb, rng: np.random.Generator
) -> tuple[int, int] | None:
    """The emptiest of a few places: its upper left corner (row, column).

    None if the marker is too large for the film.
    """
    (h, w), (th, tw) = pixels.shape, shape
    if th > _MOST * h or tw > _MOST * w:
        return None
    factor = max(1, min(h, w) // 96)
    coarse = shrink(pixels, factor)
    empty = _empty_value(coarse)
    best, place = np.inf, (0, 0)
    top = 0.02 if limb is Limb.FOOT or rng.random() < 0.35 else 0.3
    for _ in range(int(rng.integers(6, 16))):
        y, x = rng.uniform(top, 0.97) * (h - th), rng.uniform(0.01, 0.99) * (w - tw)
        if rng.random() < 0.6:  # near the left or right side
            share = rng.uniform(0.01, 0.12)
            x = (share if rng.random() < 0.6 else 1 - share) * (w - tw)
        rows = slice(int(y) // factor, int(y + th) // factor + 1)
        cols = slice(int(x) // factor, int(x + tw) // factor + 1)
        part = coarse[rows, cols]
        cost = float(np.abs(part - empty).mean() + part.std())
        if cost < best:
            best, place = cost, (int(y), int(x))
    return place


def _empty_value(coarse: Field) -> float:
    """Grey value beside the limb: the 30th percentile between the edges and the middle."""
    h, w = coarse.shape
    ring = np.ones(coarse.shape, bool)
    ring[: h // 9], ring[h - h // 9 :] = False, False
    ring[:, : w // 9], ring[:, w - w // 9 :] = False, False
    ring[h // 4 : h - h // 4, w // 3 : w - w // 3] = False
    values = coarse[ring]
    return float(np.percentile(values, 30)) if values.size else float(coarse.mean())


def _stamp(pixels: Field, cover: Field, grey: Field, place: tuple[int, int]) -> Field:
    """A copy of the picture with a marker."""
    out = pixels.copy()
    (y, x), (th, tw) = place, cover.shape
    part = out[y : y + th, x : x + tw]
    # nothing in the beam makes the film much darker
    out[y : y + th, x : x + tw] = np.maximum(part + cover * (grey - part), 0.6 * part)
    return out


def _print_text(pixels: Field, rng: np.random.Generator) -> Field:
    """A line of small text in a corner, as a workstation prints it."""
    h, w = pixels.shape
    size = max(6, round(min(h, w) * rng.uniform(0.012, 0.026)))
    words = [
        "".join(rng.choice(list(_CAPITALS), rng.integers(3, 8))),
        str(rng.choice(["PA", "AP", "DP", "kV 50", "mAs 2.5", "S 200", "1:1", "CR"])),
        f"{rng.integers(1, 29):02}.{rng.integers(1, 13):02}.{rng.integers(1995, 2024)}",
    ]
    text = " ".join(rng.permutation(words)[: rng.integers(1, 4)])
    font = ImageFont.load_default(size)
    length = int(font.getlength(text)) + 2
    if length > 0.6 * w or 2 * size > 0.2 * h:
        return pixels
    image = Image.new("L", (length, 2 * size), 0)
    ImageDraw.Draw(image).text((1, size // 4), text, fill=255, font=font)
    ink = np.asarray(image, dtype=np.float32) / np.float32(255)
    edge = max(1, round(0.012 * w))
    y = edge if rng.random() < 0.6 else h - edge - ink.shape[0]
    x = edge if rng.random() < 0.5 else w - edge - ink.shape[1]
    out = pixels.copy()
    part = out[y : y + ink.shape[0], x : x + length]
    part += ink * (np.float32(rng.uniform(0.6, 1.0)) - part)
    return out
