"""HTML of notebooks is escaped and leaves out what is empty."""

from PIL import Image

from wsipipe.common.html_tables import facts_table, picture_html, rows_table

LEFT = ' style="text-align: left; vertical-align: top"'


def test_facts_are_escaped_and_empty_ones_left_out() -> None:
    assert facts_table("A & B", {"file": "<x>", "none": None, "empty": "", "zero": 0}) == (
        f"<div><strong>A &amp; B</strong><table><tbody><tr><th{LEFT}>file</th><td{LEFT}>&lt;x&gt;</td></tr>"
        f"<tr><th{LEFT}>zero</th><td{LEFT}>0</td></tr></tbody></table></div>"
    )
    assert "<div><img></div>" in facts_table("A", {}, "<img>")


def test_rows_have_a_head() -> None:
    assert rows_table("T", ("a",), [("1<",), (2,)]) == (
        f"<div><strong>T</strong><table><thead><tr><th{LEFT}>a</th></tr></thead>"
        f"<tbody><tr><td{LEFT}>1&lt;</td></tr><tr><td{LEFT}>2</td></tr></tbody></table></div>"
    )


def test_a_picture_contains_its_pixels() -> None:
    html = picture_html(Image.new("RGB", (2, 1)), 'a "b"')
    assert html.startswith('<img alt="a &quot;b&quot;" src="data:image/png;base64,iVBOR')
