"""Measure the structure and the wording of the code.

Run ``python benchmarks/house.py`` for all figures, or with a folder or file of ``wsipipe/`` for its faults.
"""

import ast
import json
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "wsipipe"
NO_ENTRY = {"__init__.py", "__pycache__", "py.typed", "_workflows"}
LONGEST_FIRST_LINE = 90
MOST_WORDS = 16
BANNED = "|".join(
    rf"\b{words}\b"
    for words in (
        *("mend(?:s|ed|ing)?", "anew", "whence", "thereof", "of ours", "so many", "nobody", "told", "learnt"),
        *("goes on", "lets go", "put aside", "lying", "its way", "who hears", "looks? away", "shaken"),
        *("whole or absent", "said plainly", "complaints?", "teller", "diary"),
        *("turned (?:slide|tile|picture|image)s?", "a (?:slide|shard|file|line|task|row|nucleus|class) each"),
    )
)
"""Words to avoid: private idiom for which plain English, or the field, has another word."""
PREPOSITIONS = frozenset(
    [
        *(
            "of",
            "to",
            "in",
            "on",
            "by",
            "for",
            "from",
            "with",
            "at",
            "as",
            "after",
            "before",
            "between",
            "beyond",
        ),
        *("inside", "into", "over", "under", "until", "per", "about", "around", "within", "without", "along"),
        *("across", "against", "among", "beside", "beneath", "through", "toward", "towards", "upon"),
    ]
)
_SENTENCE_END = re.compile(r"[.!?:](?:``)?$")
_ARGUMENT = re.compile(r"^ {4}(?! )[*\w, ]+?(?: \([^)]*\))?:\s+(?P<text>\S.*)$")


@dataclass(frozen=True)
class Docstring:
    """A docstring and where it stands."""

    file: Path
    line: int
    kind: str
    text: str

    @property
    def first(self) -> str:
        """The first line."""
        return self.text.strip().splitlines()[0] if self.text.strip() else ""

    def arguments(self) -> Iterator[str]:
        """Texts of the entries under ``Args`` and ``Attributes``."""
        inside = False
        for line in self.text.splitlines():
            if re.fullmatch(r"[A-Z]\w+:", line):
                inside = line in ("Args:", "Attributes:")
            elif inside and (found := _ARGUMENT.match(line)):
                yield found["text"]


def modules(package: Path) -> list[Path]:
    """Python files of the package."""
    return sorted(package.rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(path.read_text())


type Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@cache
def definitions(path: Path) -> tuple[Definition, ...]:
    """Return the module, its classes and functions, nested ones too."""
    return tuple(_definitions(parsed(path)))


def _definitions(node: ast.AST) -> Iterator[Definition]:
    # Expressions hold no definitions, and are most of a tree.
    if isinstance(node, ast.expr):
        return
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield node
    for inner in ast.iter_child_nodes(node):
        yield from _definitions(inner)


@cache
def docstrings(path: Path) -> tuple[Docstring, ...]:
    """Docstrings of a module, its classes and functions."""
    found = ((node, ast.get_docstring(node)) for node in definitions(path))
    return tuple(
        Docstring(path, getattr(node, "lineno", 1), type(node).__name__, text) for node, text in found if text
    )


def word_count(sentence: str) -> int:
    """Words of a sentence; what stands in double backquotes is one word."""
    return len(re.sub(r"``[^`]*``", "code", sentence).split())


@cache
def wording_faults(path: Path) -> list[str]:
    """Wrong docstrings, and words to avoid in docstrings, comments and messages of a module."""
    faults = []
    for doc in docstrings(path):
        place = f"{path}:{doc.line}"
        if not _SENTENCE_END.search(doc.first):
            faults.append(f"{place}: the first line is not one sentence: {doc.first!r}")
        if len(doc.first) > LONGEST_FIRST_LINE or word_count(doc.first) > MOST_WORDS:
            faults.append(f"{place}: the first line has {word_count(doc.first)} words: {doc.first!r}")
        faults += [
            f"{place}: an argument's text begins with a preposition: {text!r}"
            for text in doc.arguments()
            if text.split()[0].lower() in PREPOSITIONS
        ]
    for number, line in enumerate(path.read_text().splitlines(), 1):
        # Names in code are the business of the review; prose is not code.
        if found := re.search(BANNED, line.replace("_", "."), re.IGNORECASE):
            faults.append(f"{path}:{number}: plain English has another word for {found[0]!r}")
    return faults


def function_lengths(path: Path) -> list[int]:
    """Lines of the body of every function, without its docstring."""
    lengths = []
    for node in definitions(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            last = body[-1].end_lineno or body[-1].lineno
            lengths.append(last - body[0].lineno + 1)
    return lengths


def class_names(package: Path) -> Counter[str]:
    """How many classes have each name."""
    return Counter(
        node.name for path in modules(package) for node in definitions(path) if isinstance(node, ast.ClassDef)
    )


def public_annotations(package: Path) -> tuple[int, int]:
    """Annotations of public functions and methods: those that name ``Any`` outside a container, and all."""
    wrong, total = 0, 0
    for path in modules(package):
        tree = parsed(path)
        bodies = [tree.body] + [
            node.body
            for node in tree.body
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        ]
        for body in bodies:
            for node in body:
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                    found = [item.annotation for item in arguments] + [node.returns]
                    texts = [ast.unparse(item) for item in found if item is not None]
                    wrong += sum(re.search(r"\bAny\b", text) is not None for text in texts)
                    total += len(texts)
    return wrong, total


def imports(package: Path) -> dict[str, set[str]]:
    """Modules of the package that each one imports at run time, wherever the import stands."""
    names = {_module_name(path, package): path for path in modules(package)}
    arrows: dict[str, set[str]] = {}
    for name, path in names.items():
        arrows[name] = set()
        for node in _run_time(parsed(path)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("wsipipe"):
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    arrows[name].add(inner if inner in names else node.module)
            elif isinstance(node, ast.Import):
                arrows[name] |= {item.name for item in node.names if item.name in names}
        arrows[name] &= names.keys() - {name}
    return arrows


def _module_name(path: Path, package: Path) -> str:
    parts = ("wsipipe", *path.relative_to(package).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def _run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes at module level that run on import: not those in functions, nor under TYPE_CHECKING."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.expr):
            yield node
            yield from _run_time(node)


def rooms(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """Arrows between the entries at the top of the package."""
    top: dict[str, set[str]] = {}
    for name, others in arrows.items():
        room = [*name.split("."), "__init__"][1]
        if room != "__init__":
            found = {[*other.split("."), "__init__"][1] for other in others} - {room, "__init__"}
            top[room] = top.get(room, set()) | found
    return top


def cycles(arrows: dict[str, set[str]]) -> list[str]:
    """Modules that import themselves through others."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [*arrows.get(start, ())]
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += arrows.get(name, ())
        return seen

    return [name for name in arrows if name in reached(name)]


def floors(arrows: dict[str, set[str]]) -> int:
    """Length of the longest chain of imports."""
    known: dict[str, int] = {}

    def height(name: str) -> int:
        if name not in known:
            # A module in a cycle counts once.
            known[name] = 1
            known[name] = 1 + max((height(other) for other in arrows.get(name, ())), default=0)
        return known[name]

    return max(map(height, arrows))


def repeated_lines(package: Path, window: int = 6) -> float:
    """Groups of ``window`` equal lines that stand in two places, per 1,000 lines; imports do not count."""
    seen: dict[tuple[str, ...], tuple[Path, int]] = {}
    total, found, last = 0, 0, {}
    for path in modules(package):
        lines = [
            (number, line.strip())
            for number, line in enumerate(path.read_text().splitlines())
            if line.strip() and not line.strip().startswith(("import ", "from ", "#", '"""', ")"))
        ]
        total += len(path.read_text().splitlines())
        for chunk in zip(*(lines[i:] for i in range(window)), strict=False):
            key = tuple(text for _, text in chunk)
            place = (path, chunk[0][0])
            if key in seen and seen[key] != place:
                if last.get(path, -window) + window <= chunk[0][0]:
                    found += 1
                    last[path] = chunk[0][0]
            else:
                seen[key] = place
    return 1000 * found / total


def quantile(values: list[int], share: float) -> int:
    """The value below which ``share`` of all values lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def figures(package: Path) -> dict[str, float]:
    """All figures by name."""
    files = modules(package)
    functions = [length for path in files for length in function_lengths(path)]
    docs = [doc for path in files for doc in docstrings(path)]
    classes = class_names(package)
    shared = sum(count for count in classes.values() if count > 1)
    wrong, annotations = public_annotations(package)
    arrows = imports(package)
    entries = {path.name for path in package.iterdir()} - {
        "__init__.py",
        "__pycache__",
        "py.typed",
        "_workflows",
    }
    prepositions = [t for doc in docs for t in doc.arguments() if t.split()[0].lower() in PREPOSITIONS]
    return {
        "entries at the top": len(entries),
        "floors of the top-level packages": floors(rooms(arrows)),
        "modules in import cycles": len(cycles(arrows)),
        "classes that share a name, %": round(100 * shared / classes.total(), 2),
        "repeated runs of six lines per 1,000 lines": round(repeated_lines(package), 2),
        "function body, p95 lines": quantile(functions, 0.95),
        "function body, longest": max(functions),
        "file, p95 lines": quantile([len(path.read_text().splitlines()) for path in files], 0.95),
        "first docstring line, median words": statistics.median(word_count(doc.first) for doc in docs),
        "argument texts that begin with a preposition": len(prepositions),
        "public annotations with Any, %": round(100 * wrong / annotations, 2),
        "wording faults": sum(len(wording_faults(path)) for path in files),
    }


if __name__ == "__main__":
    chosen = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else PACKAGE
    if chosen == PACKAGE:
        print(json.dumps(figures(chosen), indent=2))
    for file in modules(chosen) if chosen.is_dir() else [chosen]:
        print("\n".join(wording_faults(file)), end="\n" * bool(wording_faults(file)))
