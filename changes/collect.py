"""Move the fragments of this folder into ``CHANGELOG.md``: ``python changes/collect.py VERSION DATE``."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHANGELOG = HERE.parent / "CHANGELOG.md"
KINDS = ("Added", "Changed", "Fixed", "Removed")
UNRELEASED = "## [Unreleased]\n"


def fragments() -> list[Path]:
    """Return the fragments, by name."""
    return sorted(path for path in HERE.glob("*.*.md") if kind_of(path) in KINDS)


def kind_of(path: Path) -> str:
    """Return the section of a fragment, from its name ``NAME.KIND.md``."""
    return path.name.split(".")[-2].capitalize()


def merged(changelog: str, texts: dict[str, list[str]]) -> str:
    """Return the changelog with bullets added to the sections of its unreleased part.

    Args:
        changelog: Text of the changelog.
        texts: Bullets by section.
    """
    before, after = changelog.split(UNRELEASED, 1)
    part, *rest = re.split(r"(?m)^(?=## )", after, maxsplit=1)
    intro, *sections = re.split(r"(?m)^### (.+)\n", part)
    bullets = dict(zip(sections[::2], (text.strip() for text in sections[1::2]), strict=True))
    for kind in KINDS:
        lines = [bullets.get(kind, ""), *(text.strip() for text in texts.get(kind, []))]
        bullets[kind] = "\n".join(line for line in lines if line)
    body = "".join(f"### {kind}\n\n{bullets[kind]}\n\n" for kind in KINDS if bullets[kind])
    return re.sub(r"\n{3,}", "\n\n", f"{before}{UNRELEASED}\n{intro.strip()}\n\n{body}{''.join(rest)}")


def with_fragments() -> str:
    """Return the changelog with all fragments in its unreleased part."""
    texts: dict[str, list[str]] = {}
    for path in fragments():
        texts.setdefault(kind_of(path), []).append(path.read_text(encoding="utf-8"))
    return merged(CHANGELOG.read_text(encoding="utf-8"), texts)


def main(version: str, date: str) -> None:
    """Write the changelog with a new release, and delete the fragments."""
    text = with_fragments().replace(UNRELEASED, f"{UNRELEASED}\n## [{version}] - {date}\n", 1)
    CHANGELOG.write_text(text, encoding="utf-8")
    for path in fragments():
        path.unlink()


if __name__ == "__main__":
    main(*sys.argv[1:])
