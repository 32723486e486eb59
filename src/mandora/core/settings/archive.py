"""The settings of ``mandora listen`` and of DICOMweb."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from mandora.core.errors import InputError
from mandora.core.settings.base import Settings

AeTitle = Annotated[str, StringConstraints(min_length=1, max_length=16, pattern=r"^[ -\[\]-~]+$")]


class PeerSettings(Settings):
    """A DICOM node that may send films."""

    ae_title: AeTitle = Field(description="its AE title")
    host: str | None = Field(None, description="its address; none: any")


class TargetSettings(Settings):
    """The DICOM node that gets results."""

    ae_title: AeTitle = Field(description="its AE title")
    host: str = Field(description="its name or address")
    port: int = Field(description="its port", ge=1, le=65535)


class WebSettings(Settings):
    """A DICOMweb service; see :mod:`mandora.archive.web` for its credentials."""

    url: str = Field(description="its root, under which `/studies` lies")
    authority: str | None = Field(
        None, description="PEM file with its certificate's authority; none: those that are known"
    )
    timeout_s: float = Field(60, gt=0, description="longest silence of the server")
    max_film_mb: float = Field(512, gt=0, description="largest answer")
    max_films: int = Field(64, ge=1, description="most films of a study")


class TlsSettings(Settings):
    """Encryption of what is received and sent; files in PEM format."""

    certificate: str = Field(description="of this node")
    key: str = Field(description="its private key")
    authority: str = Field(description="certificates of those who may connect")


class ListenSettings(Settings):
    """A DICOM node that scores films and sends results."""

    ae_title: AeTitle = Field("MANDORA", description="AE title of this node")
    host: str = Field("127.0.0.1", description="address that it listens at")
    port: int = Field(11112, ge=1, le=65535, description="port that it listens at")
    peers: tuple[PeerSettings, ...] = Field((), description="tables `[[peers]]`: who may send")
    target: TargetSettings | None = Field(
        None, description="table `[target]`: node that gets the results, by C-STORE"
    )
    web: WebSettings | None = Field(
        None, description="table `[web]`: service that gets them in its place, by STOW-RS"
    )
    tls: TlsSettings | None = Field(None, description="table `[tls]`")
    films: int = Field(4, ge=1, description="films of a study that is complete")
    quiet_s: float = Field(60, ge=0, description="a study without a new film for so long is too")
    join_studies: bool = Field(
        True, description="score studies of one patient from one day together"
    )
    retry_s: float = Field(
        60, gt=0, description="pause after a failure; it doubles with each further one"
    )
    retry_longest_s: float = Field(3600, gt=0, description="longest pause")
    max_film_mb: float = Field(512, gt=0, description="largest film")
    max_associations: int = Field(8, ge=1, description="senders at a time")
    keep_days: float = Field(7, ge=0, description="days that films and results stay when sent")

    @model_validator(mode="after")
    def _somebody_may_send(self) -> Self:
        if not self.peers:
            raise InputError("peers is empty, so nobody may send: add a table [[peers]]")
        return self

    @model_validator(mode="after")
    def _results_go_one_way(self) -> Self:
        if self.target is not None and self.web is not None:
            raise InputError("results go to [target] or to [web], not to both: leave one out")
        return self
