"""OpenJPEG as a plugin of pydicom's decoders for JPEG 2000, also of high throughput.

pydicom has such a plugin, which needs the package pylibjpeg as well. This one needs only
pylibjpeg-openjpeg, which brings the decoder itself. gdcm decodes JPEG 2000, too, but crashes on
damaged streams, and has no high throughput.

See pydicom's "Decoding plugins" for the names that it looks for in this module.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from pydicom import uid

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import Decoder, DecodeRunner

NAME = "openjpeg"
DECODER_DEPENDENCIES = dict.fromkeys(uid.JPEG2000TransferSyntaxes, ("pylibjpeg-openjpeg>=2.4",))


def is_available(syntax: str) -> bool:
    """Whether streams in a transfer syntax can be decoded."""
    return syntax in DECODER_DEPENDENCIES and find_spec(NAME) is not None


def use(decoder: Decoder) -> None:
    """Add the plugin to a decoder, if it can use it and does not have it yet."""
    if is_available(decoder.UID) and NAME not in decoder.available_plugins:
        decoder.add_plugin(NAME, (__name__, "decode_frame"))


def decode_frame(stream: bytes, runner: DecodeRunner) -> bytearray:
    """Decode one frame.

    Args:
        stream: JPEG 2000.
        runner: of pydicom; is told what the decoder gives.
    """
    from openjpeg.utils import decode_pixel_data

    frame = bytearray(decode_pixel_data(stream, version=2))
    # OpenJPEG undoes the colour transforms of JPEG 2000, and chooses the size of a value by the
    # stream's precision, which the caller has stated
    if runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):
        runner.set_option("photometric_interpretation", "RGB")
    return frame
