"""Fields of a slide's certificate, as strict JSON without a date."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator

from wsipipe.common.atomic_files import json_bytes, write_json
from wsipipe.errors import StorageError
from wsipipe.models.certificate.record import CertificateRecord
from wsipipe.store import manifest
from wsipipe.store.names import SLIDE_CERTIFICATE

Exact = Literal["all", "shards", "none"]
"""Passes that must give the same bits: all, those in one orientation, or none."""


class CertifiedBlock(CertificateRecord):
    """A block that was computed again, in px of the canvas."""

    y: int
    x: int
    height: int
    width: int


class LayerCheck(CertificateRecord):
    """Comparison of one stored array with its pixels computed again.

    Attributes:
        name: Name of the array, as ``labels/nuclei/0``.
        compared_px: Number of pixels that each pass compared.
        left_out_px: Pixels of the blocks that were not compared, since their nuclei are cut by the window.
        differing_px: Number of differing pixels by orientation, in blocks that are not divided.
        differing_px_by_side: The same upright, by side of the shards, canvas px.
        exact: Passes that must give the same bits.
    """

    name: str
    compared_px: int
    left_out_px: int = 0
    differing_px: dict[str, int]
    differing_px_by_side: dict[str, int]
    exact: Exact = "all"

    @property
    def worst_px(self) -> int:
        """Largest number of differing pixels of any pass."""
        return max([*self.differing_px.values(), *self.differing_px_by_side.values()], default=0)

    @property
    def worst_share(self) -> float:
        """Largest share of differing pixels of any pass."""
        return self.worst_px / self.compared_px if self.compared_px else 0.0

    @property
    def forbidden_px(self) -> int:
        """Largest number of differing pixels of the passes that must give the same bits."""
        passes = [*self.differing_px_by_side.values(), self.differing_px.get("R0", 0)]
        if self.exact == "all":
            passes += self.differing_px.values()
        return 0 if self.exact == "none" else max(passes)


class AngleCheck(CertificateRecord):
    """Difference of the nucleus probability at 45 degrees, interpolation included.

    Attributes:
        degrees: Angle of the rotation.
        mean: Mean difference of probabilities in the tissue of the blocks.
        compared_px: Number of pixels compared.
    """

    degrees: float
    mean: float
    compared_px: int


class SlideCertificate(CertificateRecord):
    """Result of computing blocks of a slide again.

    Attributes:
        schema_version: Version of these fields.
        slide_id: Name of the slide.
        plan: Identity of the plan.
        manifest_digest: Digest of the manifest that is certified; the certificate is void for another one.
        wsipipe: Version of wsipipe that computed the blocks again.
        networks: Precision, implementation and processor of each network, by stage.
        pixels_from: Whether the image was read from the store or from the slide.
        blocks: The blocks.
        blocks_with_tissue: Number of blocks with tissue of which these are a sample.
        layers: Comparison by array.
        not_compared: Reason by array that was not compared.
        angles: Comparison between angles; null if it was not requested.
        reasons: Reasons of a failure.
        passed: Whether there are none.
        digest: SHA-256 of the other fields.
    """

    schema_version: Literal[1] = 1
    slide_id: str
    plan: str
    manifest_digest: str
    wsipipe: str
    networks: dict[str, str]
    pixels_from: Literal["store", "slide"]
    blocks: list[CertifiedBlock]
    blocks_with_tissue: int
    layers: list[LayerCheck]
    not_compared: dict[str, str]
    angles: AngleCheck | None = None
    reasons: list[str]
    passed: bool
    digest: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.reasons != reasons_of(self.layers) or self.passed != (not self.reasons):
            raise ValueError("the verdict does not follow from the layers")
        if self.digest != _digest(self.model_dump(mode="json")):
            raise ValueError("the digest is not that of the other fields")
        return self


def make_certificate(layers: list[LayerCheck], **fields: Any) -> SlideCertificate:
    """Return a certificate with verdict and digest."""
    reasons = reasons_of(layers)
    content = SlideCertificate.model_construct(
        layers=layers, reasons=reasons, passed=not reasons, digest="", **fields
    ).model_dump(mode="json", warnings=False)
    return SlideCertificate.model_validate(content | {"digest": _digest(content)})


def reasons_of(layers: list[LayerCheck]) -> list[str]:
    """Return why layers fail; empty if all pass."""
    if not any(layer.compared_px for layer in layers):
        return ["no pixel was compared"]
    return [
        f"{layer.name}: {layer.forbidden_px:,} of {layer.compared_px:,} px differ"
        for layer in layers
        if layer.forbidden_px
    ]


def _digest(content: dict[str, object]) -> str:
    own = {key: value for key, value in content.items() if key != "digest"}
    return hashlib.sha256(json_bytes(own)).hexdigest()


def write_certificate(folder: Path, certificate: SlideCertificate) -> Path:
    """Write the certificate durably into the folder of its slide, and return its path."""
    path = folder / SLIDE_CERTIFICATE
    write_json(path, certificate.model_dump(mode="json"))
    return path


def read_certificate(folder: Path) -> SlideCertificate | None:
    """Read the certificate of a slide; None if there is none.

    Raises:
        StorageError: The file is damaged or was changed.
    """
    path = folder / SLIDE_CERTIFICATE
    if not path.is_file():
        return None
    try:
        return SlideCertificate.model_validate(json.loads(path.read_bytes()))
    except (ValueError, ValidationError) as error:
        raise StorageError(
            f"{path} is no valid certificate: {error}. Delete it and run wsipipe certify --slide again."
        ) from error


def is_current(folder: Path, certificate: SlideCertificate) -> bool:
    """Return whether a certificate is about the present result of the folder."""
    return manifest.read(folder)["digest"] == certificate.manifest_digest
