"""Films in DICOM files: which limb they show, and their pixels as a viewer shows them.

:mod:`mandora.images.read` calls this module and turns any error here into
:class:`UnreadableFilm`. No text quotes a tag's content: a header identifies the patient.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from mandora.images.dicom_display import displayed, with_square_px
from mandora.images.dicom_file import check_header, opened
from mandora.images.dicom_pixels import stored_levels
from mandora.images.dicom_spacing import px_ratio, spacing_mm
from mandora.images.header import HEADER_KEYWORDS, FilmHeader, header_of
from mandora.images.header_limb import limb_in_header
from mandora.images.radiograph import FilmTags, Picture, rescaled


def read_header(data: bytes) -> FilmHeader:
    """Read whose film it is and what it shows from a DICOM header, without the pixels.

    Args:
        data: the file, or its beginning up to the pixels.

    Raises:
        UnreadableFilm: with a fault in words; the message does not name the file yet.
        Exception: whatever the header's parser raises.
    """
    return header_of(opened(data, stop_before_pixels=True, specific_tags=HEADER_KEYWORDS))


def read_dicom(data: bytes) -> Picture:
    """Read a film from the bytes of a single-frame DICOM file.

    Some decoders crash on a damaged stream, or report it on standard error only: call this in
    the decoding process, see :mod:`mandora.images.decoder_program`.

    Raises:
        UnreadableFilm: with a fault in words; the message does not name the file yet.
        Exception: whatever the decoders raise.
    """
    dataset = opened(data)
    check_header(dataset)
    remarks: list[str] = []
    ratio = px_ratio(dataset)
    spacing = spacing_mm(dataset, ratio, remarks)
    levels = stored_levels(dataset, remarks)
    if levels.ndim == 2:
        pixels = displayed(dataset, levels, remarks)
    else:
        pixels = rescaled(np.asarray(Image.fromarray(levels).convert("L")))
    height, width = pixels.shape
    pixels = with_square_px(pixels, ratio, remarks)
    shown = limb_in_header(header_of(dataset))
    tags = FilmTags(shown.sides.side if shown.sides else None, shown.limb)
    scale = width / pixels.shape[1], height / pixels.shape[0]
    return Picture(pixels, tuple(remarks), tags, spacing, scale)
