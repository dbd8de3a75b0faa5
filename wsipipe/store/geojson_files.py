"""Read features of plain, gzipped or zipped GeoJSON files."""

import gzip
import io
import json
import zipfile
import zlib
from pathlib import Path

from wsipipe.errors import ConfigError

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"


def stored_features(path: Path) -> list[object]:
    """Return the features of a GeoJSON file in their order.

    The file holds a FeatureCollection, a list of features or one feature.

    Raises:
        ConfigError: The file cannot be read or holds no features.
    """
    try:
        texts = _texts(path.read_bytes())
        contents = [json.loads(text) for text in texts]
    except OSError as error:
        if isinstance(error, gzip.BadGzipFile):
            raise _damaged(path, error) from error
        raise ConfigError(f"{path} could not be opened: {error.strerror}. Check the name.") from error
    except (ValueError, EOFError, zlib.error, zipfile.BadZipFile, RecursionError) as error:
        raise _damaged(path, error) from error
    if not contents:
        raise ConfigError(f"{path} is a ZIP archive without a .geojson file; export objects from QuPath.")
    return [feature for content in contents for feature in _listed(path, content)]


def holds_geojson(path: Path) -> bool:
    """Return whether a ZIP archive holds a GeoJSON file.

    Only the directory of the archive is read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return bool(_members(archive))
    except (OSError, zipfile.BadZipFile):
        return False


def _texts(data: bytes) -> list[bytes]:
    if data.startswith(_GZIP):
        return [gzip.decompress(data)]
    if data.startswith(_ZIP):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [archive.read(name) for name in _members(archive)]
    return [data]


def _members(archive: zipfile.ZipFile) -> list[str]:
    names = [name for name in archive.namelist() if not name.startswith("__MACOSX/")]
    return [name for name in names if name.lower().endswith((".geojson", ".json"))]


def _listed(path: Path, content: object) -> list[object]:
    if isinstance(content, dict) and isinstance(content.get("features"), list):
        return list(content["features"])
    if isinstance(content, dict) and content.get("type") == "Feature":
        return [content]
    if isinstance(content, list):
        return content
    raise ConfigError(f"{path} holds no features; export objects from QuPath as GeoJSON.")


def _damaged(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{path} could not be read as GeoJSON ({error}); export it from QuPath again.")
