"""Structure and wording of the code stay within the limits of ``benchmarks/house.py``."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "wsipipe"
MODULES = {"errors.py", "geometry.py"}


def measures() -> ModuleType:
    """The script that measures the code."""
    spec = importlib.util.spec_from_file_location("house", ROOT / "benchmarks" / "house.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    # Its dataclasses look their module up.
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


house = measures()


def loose(package: Path) -> set[str]:
    """Modules at the top of a package that belong into a folder."""
    return {path.name for path in package.glob("*.py")} - house.NO_ENTRY - MODULES


def test_the_structure_keeps_its_limits() -> None:
    figures = house.figures(PACKAGE)
    most = {
        "entries at the top": 13,
        "floors of the top-level packages": 8,
        "modules in import cycles": 0,
        "classes that share a name, %": 2,
        "repeated runs of six lines per 1,000 lines": 0.7,
        "function body, p95 lines": 20,
        "function body, longest": 50,
        "file, p95 lines": 250,
        "first docstring line, median words": 9,
        "argument texts that begin with a preposition": 0,
        "public annotations with Any, %": 1,
    }
    assert {name: value for name, value in figures.items() if value > most.get(name, 0)} == {}
    assert loose(PACKAGE) == set()


@pytest.mark.parametrize("folder", sorted(path.name for path in PACKAGE.iterdir() if path.is_dir()))
def test_the_wording_is_plain(folder: str) -> None:
    assert [fault for path in house.modules(PACKAGE / folder) for fault in house.wording_faults(path)] == []


def test_sister_a_loose_module_is_seen(tmp_path: Path) -> None:
    for name in ("__init__.py", "errors.py", "helpers.py"):
        (tmp_path / name).touch()
    assert loose(tmp_path) == {"helpers.py"}


def test_sister_bad_structure_is_seen(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").touch()
    body = "\n".join(f"    x{i} = {i}" for i in range(60))
    head = '"""Test module."""\nfrom typing import Any\n\nclass Twin:\n    pass\n'
    code = f"{head}\ndef long(a: Any) -> int:\n{body}\n    return 1\n"
    (tmp_path / "one.py").write_text(f"{code}\nimport wsipipe.two\n")
    (tmp_path / "two.py").write_text(f"{code}\nimport wsipipe.one\n")
    figures = house.figures(tmp_path)
    assert figures["modules in import cycles"] == 2
    assert figures["classes that share a name, %"] == 100
    assert figures["function body, longest"] == 61
    assert figures["public annotations with Any, %"] == 50
    assert figures["repeated runs of six lines per 1,000 lines"] > 0.7


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "Read the slides, and this first line of a docstring has so very many words that no one reads.",
            "words",
        ),
        ("No end", "not one sentence"),
        ("Mend the file.", "mend"),
        ("Return it.\n\nArgs:\n    x: Of the slide.\n", "preposition"),
    ],
)
def test_sister_bad_wording_is_seen(tmp_path: Path, text: str, fault: str) -> None:
    module = tmp_path / "module.py"
    indented = text.replace("\n", "\n    ")
    module.write_text(f'"""Good sentence."""\n\n\ndef read(x: int) -> None:\n    """{indented}"""\n')
    assert any(fault in found.lower() for found in house.wording_faults(module))
    plain = tmp_path / "plain.py"
    plain.write_text('"""Good sentence."""\n')
    assert house.wording_faults(plain) == []
