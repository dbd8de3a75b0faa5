"""The folder listing stays readable: few entries at the top, and only the two modules that all others use."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "wsipipe"
NO_ENTRY = {"__init__.py", "__pycache__", "py.typed"}
MODULES = {"errors.py", "geometry.py"}


def loose(package: Path) -> set[str]:
    """Modules at the top of a package that belong into a folder."""
    return {path.name for path in package.glob("*.py")} - NO_ENTRY - MODULES


def test_the_top_has_at_most_twelve_entries() -> None:
    entries = {path.name for path in PACKAGE.iterdir() if not path.name.startswith("_workflows")} - NO_ENTRY
    assert len(entries) <= 12
    assert loose(PACKAGE) == set()


def test_sister_a_loose_module_is_seen(tmp_path: Path) -> None:
    for name in ("__init__.py", "errors.py", "helpers.py"):
        (tmp_path / name).touch()
    assert loose(tmp_path) == {"helpers.py"}
