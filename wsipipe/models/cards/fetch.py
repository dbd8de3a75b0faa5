"""Download weights and their card into the user's folder.

The source is a URL or a path; the card is in the same folder, and the hashes must match.
"""

import re
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPMessage
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from wsipipe.common.atomic_files import sha256_of
from wsipipe.common.disk_sync import move
from wsipipe.errors import ModelError
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.weights import (
    KNOWN_SUFFIX,
    SUFFIX,
    known_path,
    list_models,
    user_folder,
    write_card,
)

MAX_WEIGHTS_BYTES = 2_000_000_000
MAX_CARD_BYTES = 1_000_000
TIMEOUT_S = 30
_BLOCK_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def fetch(source: str, sha256: str | None = None, folder: Path | None = None) -> Path:
    """Fetch a model into ``folder``, where its name finds it.

    The card is read from the same place, with ``.json`` in place of ``.safetensors``; the weights must have
    the SHA-256 of the card. Nothing is kept if anything is wrong.

    Args:
        source: https address or path of a ``.safetensors`` file.
        sha256: Expected SHA-256 of the weights, from a source that you trust; None to check only the card's.
        folder: Target folder; the user's folder if None.

    Returns:
        The weight file.

    Raises:
        ModelError: The file is of another kind, missing, too large or does not match its hash, or its name is
            that of a shipped model.
    """
    check_kind(source)
    target = folder or user_folder()
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix=".fetch-") as scratch:
        raw_card, weights = Path(scratch) / "card", Path(scratch) / "weights"
        _copy(_card_of(source), raw_card, MAX_CARD_BYTES)
        card = _read(raw_card, source)
        _copy(source, weights, MAX_WEIGHTS_BYTES)
        check_weights(weights, card, sha256, source)
        final = target / f"{card.name}{SUFFIX}"
        if card.known:
            _fetch_known(source, card.known.sha256, Path(scratch) / "known", known_path(final))
        move(weights, final)
        final.chmod(0o644)
    write_card(card, target)
    return final


def check_kind(source: str) -> None:
    """Refuse a source that is not safetensors over https or a path.

    Raises:
        ModelError: The source is of another kind.
    """
    parts = urllib.parse.urlsplit(source)
    if parts.scheme in ("http", "ftp"):
        raise ModelError(
            f"{source} cannot be fetched: {parts.scheme} does not protect against tampering. Use https."
        )
    if Path(parts.path).suffix != SUFFIX:
        raise ModelError(
            f"{source} cannot be fetched: it is not a {SUFFIX} file, and pickled files (.pt, .pth, .bin, "
            ".ckpt, .pkl) can run code when they are opened. If you trust its author, load it, write it with "
            "safetensors.torch.save_file and add a card (docs/evaluation.md)."
        )


def check_weights(weights: Path, card: ModelCard, sha256: str | None, source: str) -> None:
    """Refuse weights that do not match their hashes.

    Raises:
        ModelError: The SHA-256 is not the card's or not ``sha256``, or the file is not safetensors.
    """
    from safetensors import SafetensorError, safe_open

    found = sha256_of(weights)
    for origin, expected in (("its card", card.sha256), ("--sha256", sha256)):
        if expected is not None and expected.lower() != found:
            raise ModelError(
                f"{source} has SHA-256 {found}, {origin} says {expected}. The file is damaged or another "
                "one; nothing was kept. Fetch it again, or ask its author."
            )
    try:
        with safe_open(weights, framework="numpy") as file:
            file.keys()
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{source} is not a safetensors file: {error}. Nothing was kept.") from error


def _fetch_known(source: str, sha256: str, scratch: Path, to: Path) -> None:
    """Fetch the known features of a classifier, which lie beside its weights.

    Raises:
        ModelError: The file is missing or does not match the card's hash.
    """
    parts = urllib.parse.urlsplit(source)
    beside = urllib.parse.urlunsplit(parts._replace(path=parts.path.removesuffix(SUFFIX) + KNOWN_SUFFIX))
    _copy(beside, scratch, MAX_CARD_BYTES)
    if sha256_of(scratch) != sha256:
        raise ModelError(
            f"{beside} is not the file that the card of {source} describes: its SHA-256 differs. Nothing was "
            "kept. Fetch it again, or ask its author."
        )
    move(scratch, to)
    to.chmod(0o644)


def _card_of(source: str) -> str:
    parts = urllib.parse.urlsplit(source)
    return urllib.parse.urlunsplit(parts._replace(path=parts.path.removesuffix(SUFFIX) + ".json"))


def _read(path: Path, source: str) -> ModelCard:
    try:
        card = ModelCard.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise ModelError(f"The card of {source} is wrong at {field}: {first['msg']}.") from error
    if not _NAME.fullmatch(card.name):
        raise ModelError(
            f"The card of {source} names itself {card.name!r}. Use only letters, digits, dots and dashes."
        )
    if card.name in list_models():
        raise ModelError(
            f"A model {card.name} comes with wsipipe and would hide the fetched one. Rename it in its card."
        )
    return card


def _copy(source: str, to: Path, limit_bytes: int) -> None:
    """Copy a source into a file, in blocks, up to ``limit_bytes``."""
    try:
        with _opened(source) as stream, to.open("wb") as file:
            while block := stream.read(_BLOCK_BYTES):
                file.write(block)
                if file.tell() > limit_bytes:
                    raise ModelError(
                        f"{source} is larger than {limit_bytes:,} bytes, the limit; nothing was kept. Check "
                        "the address."
                    )
    except OSError as error:
        raise ModelError(
            f"{source} could not be read: {error}. A model is two files side by side, NAME{SUFFIX} and its "
            "card NAME.json. Check the address and the network connection."
        ) from error


def _opened(source: str) -> IO[bytes]:
    if urllib.parse.urlsplit(source).scheme != "https":
        return Path(source).expanduser().open("rb")
    opener = urllib.request.build_opener(_OnlyHttps)
    return opener.open(source, timeout=TIMEOUT_S)


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Redirect handler that follows only https."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the request to the new address.

        Raises:
            URLError: The address is not https.
        """
        if urllib.parse.urlsplit(newurl).scheme != "https":
            raise urllib.error.URLError(f"it redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
