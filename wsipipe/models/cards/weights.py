"""Find, verify and write weights and their cards.

A model is files of one stem: ``NAME.safetensors``, ``NAME.json`` (the :class:`ModelCard`), its text
``NAME.md``, ``NAME.certificate.json`` once it is certified, and ``NAME.known.npy`` for a classifier with the
class "unknown". The network of another tool is ``NAME.onnx`` with its :class:`OnnxCard`. Cards are read
without torch, so that a workflow can be checked before any work is started.
"""

import json
import os
from pathlib import Path

from pydantic import ValidationError

from wsipipe.common.atomic_files import sha256_of
from wsipipe.errors import ModelError
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.markdown import card_text
from wsipipe.models.cards.onnx_card import OnnxCard

WEIGHTS_DIR = Path(__file__).parents[1] / "weights"
SUFFIX = ".safetensors"
ONNX_SUFFIX = ".onnx"
CERTIFICATE_SUFFIX = ".certificate.json"
KNOWN_SUFFIX = ".known.npy"


def user_folder() -> Path:
    """Return the folder of fetched models.

    It is ``$WSIPIPE_MODELS``, or ``wsipipe/models`` in ``$XDG_DATA_HOME`` or ``~/.local/share``.
    """
    if "WSIPIPE_MODELS" in os.environ:
        return Path(os.environ["WSIPIPE_MODELS"]).expanduser()
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "wsipipe" / "models"


def list_models(folder: Path = WEIGHTS_DIR) -> list[str]:
    """Return the names of the models in ``folder``, sorted."""
    return sorted(path.stem for path in folder.glob(f"*{SUFFIX}") if path.with_suffix(".json").is_file())


def known_models() -> list[str]:
    """Return the names of the shipped, then of the fetched models."""
    return [*list_models(), *(name for name in list_models(user_folder()) if name not in list_models())]


def find_weights(name_or_path: str | Path) -> Path:
    """Return the weight file of a model name or path.

    A shipped model takes precedence over a fetched one of the same name.

    Raises:
        ModelError: There is no such model or file, it has no card, or it is neither safetensors nor ONNX.
    """
    text = str(name_or_path)
    for folder in (WEIGHTS_DIR, user_folder()):
        if text in list_models(folder):
            return folder / f"{text}{SUFFIX}"
    path = Path(text).expanduser()
    if path.suffix not in (SUFFIX, ONNX_SUFFIX) and path.is_file():
        raise ModelError(
            f"{path} cannot be loaded: it is neither a {SUFFIX} nor an {ONNX_SUFFIX} file, and others can "
            "run "
            "code. Convert it with wsipipe models convert, or export it to ONNX."
        )
    if not path.is_file():
        raise ModelError(
            f"Weights {text!r} not found: there is no such file, and the available models are "
            f"{', '.join(known_models()) or 'none'}. Name one of these or a {SUFFIX} file with a card, or "
            "fetch the model with wsipipe models fetch."
        )
    if not path.with_suffix(".json").is_file():
        raise ModelError(f"{path} has no card. Put {path.with_suffix('.json').name} beside it.")
    return path


def read_card(weights: str | Path) -> ModelCard:
    """Read the card of a model name or weight file.

    Neither imports torch nor hashes the weights. That of an ONNX network is an :class:`OnnxCard`.

    Raises:
        ModelError: The weights are missing, or the card is invalid; names its first wrong field.
    """
    file = find_weights(weights)
    kind, path = OnnxCard if file.suffix == ONNX_SUFFIX else ModelCard, file.with_suffix(".json")
    try:
        card = kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise ModelError(
            f"The model card {path} is wrong at {field}: {first['msg']}. Restore or correct it."
        ) from error
    if kind is OnnxCard and card.name != path.stem:
        raise ModelError(
            f"The model card {path} is wrong at name: it is {card.name!r}, not {path.stem!r}. Correct it, or "
            "rename both files."
        )
    return card


def verified_card(weights: str | Path) -> ModelCard:
    """Read a card after checking the hashes of its weights.

    The file's SHA-256 must be that of the card and, if there is one, of the certificate. Does not import
    torch.

    Raises:
        ModelError: As :func:`read_card`, or the file is not the one that card and certificate describe.
    """
    path, card = find_weights(weights), read_card(weights)
    found = sha256_of(path)
    if found != card.sha256:
        raise ModelError(
            f"{path} has SHA-256 {found[:12]}..., its card says {card.sha256[:12]}...: the file is damaged "
            "or belongs to another card. Restore both from one source."
        )
    certificate = certificate_path(path)
    if certificate.is_file() and certified_sha256(certificate) != found:
        raise ModelError(
            f"{certificate} is of other weights than {path}. Delete it and run wsipipe certify {path} "
            "--write."
        )
    return card


def certificate_path(weights: Path) -> Path:
    """Return the path of a weight file's certificate."""
    return weights.with_name(f"{weights.stem}{CERTIFICATE_SUFFIX}")


def known_path(weights: Path) -> Path:
    """Return the path of a classifier's known features."""
    return weights.with_name(f"{weights.stem}{KNOWN_SUFFIX}")


def check_known(weights: str | Path, card: ModelCard) -> None:
    """Refuse a file of known features that is not the card's.

    Raises:
        ModelError: The file is missing, damaged or of other weights.
    """
    path = known_path(find_weights(weights))
    if card.known is None or (path.is_file() and sha256_of(path) == card.known.sha256):
        return
    raise ModelError(
        f"{path} is {'not the file that the card describes' if path.is_file() else 'missing'}. Restore it, "
        "the weights and the card from one source, or disable the class unknown with --set "
        "classify.unknown=false."
    )


def certified_sha256(certificate: Path) -> str | None:
    """Return the weights' SHA-256 in a certificate.

    None if the file does not state it.
    """
    try:
        content = json.loads(certificate.read_bytes())
    except ValueError:
        return None
    return content.get("weights_sha256") if isinstance(content, dict) else None


def write_card(card: ModelCard, folder: Path) -> Path:
    """Write ``NAME.json`` and ``NAME.md`` into ``folder``.

    A certificate of other weights is deleted.
    """
    path = folder / f"{card.name}.json"
    path.write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8", newline="\n")
    certificate = certificate_path(path)
    if certificate.is_file() and certified_sha256(certificate) != card.sha256:
        certificate.unlink()
    measured = json.loads(certificate.read_bytes()) if certificate.is_file() else None
    path.with_suffix(".md").write_text(card_text(card, measured), encoding="utf-8", newline="\n")
    return path


def write_certificate(weights: str | Path, certificate: str) -> Path:
    """Write a certificate beside its weights and update the card's text.

    Args:
        weights: Model name or weight file.
        certificate: JSON text.

    Raises:
        ModelError: There are no such weights.
    """
    card, path = read_card(weights), certificate_path(find_weights(weights))
    path.write_text(certificate + "\n", encoding="utf-8", newline="\n")
    write_card(card, path.parent)
    return path
