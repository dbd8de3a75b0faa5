"""Links to other hosts are listed, and none is malformed; none is fetched."""

import runpy
from pathlib import Path

LINKS = runpy.run_path(str(Path(__file__).resolve().parents[2] / "docs" / "external_links.py"))
TEXT = """See [a](https://a.org/x_(y)) (https://b.org/c), <https://d.org>, and https://e.org.

[name]: https://f.org/g
```sh
curl https://in.code/block
```
[i](inside.md) and [**https://h.org**](https://h.org/)"""


def test_addresses_of_a_text_are_found() -> None:
    hosts = ("a.org/x_(y)", "b.org/c", "d.org", "e.org", "f.org/g", "h.org", "h.org/")
    assert LINKS["links_in"](TEXT) == {f"https://{host}" for host in hosts}


def test_every_address_of_the_pages_is_well_formed(tmp_path: Path) -> None:
    found = LINKS["external_links"](LINKS["pages"]())
    assert "https://qupath.github.io" in found
    assert LINKS["malformed"](found) == []
    wrong = ["http://a.org", "https://localhost/x", "https://a.org/x y", "https://a..org"]
    assert LINKS["malformed"]([*wrong, "https://a.org/x"]) == wrong
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "a.md"
    page.write_text(TEXT)
    assert LINKS["external_links"](LINKS["pages"](tmp_path))["https://b.org/c"] == [page]
