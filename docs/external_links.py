"""List the links of README, documentation and package metadata to other hosts; fetch none.

``python docs/external_links.py`` prints each address with the files that have it, for a check by hand before
a release. With ``--hosts`` it prints the hosts alone.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"""\bhttps?://[^\s<>"'`\\[\]*]+""")
_CODE = re.compile(r"(?ms)^ *```.*?^ *```$")


def pages(root: Path = ROOT) -> list[Path]:
    """Return the files that are searched."""
    named = [root / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff")]
    return [*(path for path in named if path.is_file()), *sorted((root / "docs").rglob("*.md"))]


def links_in(text: str) -> set[str]:
    """Return the addresses in a text, code blocks aside."""
    return {_closed(link) for link in _LINK.findall(_CODE.sub("", text))}


def _closed(link: str) -> str:
    """Cut what follows an address in Markdown: punctuation, and a bracket that it does not open."""
    while link[-1] in ".,;:!?" or (link[-1] == ")" and link.count("(") < link.count(")")):
        link = link[:-1]
    return link


def external_links(files: Iterable[Path]) -> dict[str, list[Path]]:
    """Return the files that have each address."""
    found: dict[str, list[Path]] = {}
    for path in files:
        for link in sorted(links_in(path.read_text(encoding="utf-8"))):
            found.setdefault(link, []).append(path)
    return dict(sorted(found.items()))


def malformed(links: Iterable[str]) -> list[str]:
    """Return addresses that are not https, or without a host of two parts."""
    return [link for link in links if not re.fullmatch(r"https://[\w-]+(\.[\w-]+)+(:\d+)?(/\S*)?", link)]


def main() -> None:
    """Print the list; end with code 1 where an address is malformed."""
    found = external_links(pages())
    if "--hosts" in sys.argv[1:]:
        print("\n".join(sorted({urlsplit(link).netloc for link in found})))
        return
    for link, files in found.items():
        print(link, *(path.relative_to(ROOT) for path in files))
    if wrong := malformed(found):
        sys.exit(f"These addresses are malformed: {', '.join(wrong)}. Correct them.")


if __name__ == "__main__":
    main()
