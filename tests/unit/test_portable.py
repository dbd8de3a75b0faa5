"""Nothing needs Linux, and files have the same bytes on every system."""

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import wsipipe

PACKAGE = Path(wsipipe.__file__).parent
ABSENT = runpy.run_path(str(Path(__file__).parents[1] / "other_systems" / "absent.py"))
WITH_ANOTHER_WAY = {
    ("common/disk_sync.py", "O_DIRECTORY"),
    ("common/disk_sync.py", "fcntl"),
    ("common/kernel_locks.py", "fcntl"),
    ("common/machine.py", "sched_getaffinity"),
    ("common/random_access.py", "pread"),
    ("pipeline/cluster/peak_memory.py", "resource"),
    ("pipeline/doctor/machine.py", "resource"),
}


def linux_only(tree: ast.AST) -> Iterator[str]:
    """Yield the modules and names of code that other systems lack."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names if each.name in ABSENT["MODULES"])
            case ast.ImportFrom(module=str(module), names=names):
                if module in ABSENT["MODULES"]:
                    yield module
                yield from (each.name for each in names if each.name in ABSENT["NAMES"].get(module, ()))
            case ast.Attribute(value=ast.Name(id=module), attr=name):
                if name in ABSENT["NAMES"].get(module, ()):
                    yield name


def loose_texts(tree: ast.AST) -> Iterator[int]:
    """Yield the lines whose text depends on the system."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="read_text"), keywords=named) if not given(
                named, "encoding"
            ):
                yield node.lineno
            case ast.Call(func=ast.Attribute(attr="write_text"), keywords=named):
                if not given(named, "encoding", "newline"):
                    yield node.lineno
            case ast.Call(
                func=ast.Attribute(attr="open"), args=[ast.Constant(value="w" | "x")], keywords=named
            ):
                if not given(named, "encoding", "newline"):
                    yield node.lineno


def given(named: list[ast.keyword], *wanted: str) -> bool:
    return {each.arg for each in named} >= set(wanted)


def trees(*words: str) -> Iterator[tuple[str, ast.AST]]:
    """Yield the modules of the package that hold one of some words."""
    wanted = re.compile(rf"\b({'|'.join(words)})\b")
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if wanted.search(text):
            yield path.relative_to(PACKAGE).as_posix(), ast.parse(text)


def test_what_linux_alone_has_is_used_where_there_is_another_way() -> None:
    words = [*ABSENT["MODULES"], *ABSENT["NAMES"]["os"], *ABSENT["NAMES"]["signal"]]
    found = {(name, each) for name, tree in trees(*words) for each in linux_only(tree)}
    assert found == WITH_ANOTHER_WAY


def test_text_has_the_same_bytes_on_every_system() -> None:
    found = trees("read_text", "write_text", "open")
    assert [(name, line) for name, tree in found for line in loose_texts(tree)] == []


def test_the_checks_see_faults() -> None:
    code = "import pwd\nfrom os import fork\nos.getuid()\nsignal.SIGKILL\nos.replace\nos.path"
    assert {*linux_only(ast.parse(code))} == {"pwd", "fork", "getuid", "SIGKILL"}
    code = "p.read_text()\np.write_text(t, encoding='utf-8')\np.open('w', newline='')\np.open('wb')\np.open()"
    assert [*loose_texts(ast.parse(code))] == [1, 2, 3]
