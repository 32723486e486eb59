"""Sending results: DICOM C-STORE, by pynetdicom."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from pydicom import dcmread
from pynetdicom import AE

from mandora.archive.errors import ArchiveError
from mandora.archive.node import tls_context
from mandora.core.settings.archive import ListenSettings, TargetSettings

_ACCEPTED = (0x0000, 0xB000, 0xB006, 0xB007)  # success, or stored with a warning: PS3.4 B.2.3


def send(
    settings: ListenSettings,
    target: TargetSettings,
    files: Sequence[Path],
    acknowledged: Callable[[Path], None],
) -> None:
    """Send objects to an archive, in order, over one connection.

    Args:
        settings: of this node.
        target: the archive.
        files: the objects.
        acknowledged: called with each object that the archive has, before the next is sent.

    Raises:
        ArchiveError: if the archive cannot be reached or refuses an object.
    """
    node = AE(ae_title=settings.ae_title)
    for path in files:
        head = dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
        syntax = head.file_meta.TransferSyntaxUID
        known = [(c.abstract_syntax, c.transfer_syntax) for c in node.requested_contexts]
        if (head.SOPClassUID, [syntax]) not in known:
            node.add_requested_context(head.SOPClassUID, syntax)
    tls = tls_context(settings.tls, ssl.Purpose.SERVER_AUTH)
    where = f"{target.ae_title} at {target.host}:{target.port}"
    association = node.associate(
        target.host, target.port, ae_title=target.ae_title,
        tls_args=(tls, target.host) if tls else None,
    )  # fmt: skip
    if not association.is_established:
        raise ArchiveError(
            f"{where} cannot be reached or does not accept this node; is it running, and does it "
            f"know {settings.ae_title}?", down=True,
        )  # fmt: skip
    try:
        for path in files:
            try:
                status = association.send_c_store(path).get("Status")
            except (ValueError, RuntimeError) as error:
                raise ArchiveError(f"{where} does not take {path.name}: {error}") from error
            if status not in _ACCEPTED:
                said = "no answer" if status is None else f"status {status:#06x}"
                raise ArchiveError(f"{where} did not take {path.name}: {said}")
            acknowledged(path)
    finally:
        association.release()
