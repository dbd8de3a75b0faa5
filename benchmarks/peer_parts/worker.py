"""Run one job of the comparison, or tell the versions of packages.

Usage: python -m peer_parts.worker REQUEST.json RESULT.json
       python -m peer_parts.worker --probe FOUND.json PACKAGE...
"""

import importlib
import importlib.metadata
import json
import sys
from pathlib import Path

PACKAGE_OF = {
    "openslide": "openslide-python",
    "skimage": "scikit-image",
    "PIL": "pillow",
    "ome_zarr": "ome-zarr",
}


def version(module: str) -> str:
    """Import a module and return its version, or the reason why it cannot be imported."""
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever a package raises at import, the tool takes no part
        return f"no {module}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    try:
        return importlib.metadata.version(PACKAGE_OF.get(module, module))
    except importlib.metadata.PackageNotFoundError:
        return "unknown version"


def main(arguments: list[str]) -> None:
    """Do what the arguments ask for, and write the result."""
    if arguments[0] == "--probe":
        found = {module: version(module) for module in arguments[2:]}
        Path(arguments[1]).write_text(json.dumps(found))
        return
    request = json.loads(Path(arguments[0]).read_text())
    module, _, function = request["job"].partition(":")
    result = getattr(importlib.import_module(f"peer_parts.{module}"), function)(request)
    Path(arguments[1]).write_text(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
