"""HTML tables and pictures, for notebooks."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

_LEFT = ' style="text-align: left; vertical-align: top"'


def facts_table(title: str, facts: Mapping[str, object], picture: str = "") -> str:
    """Return names and values as a table of two columns.

    Args:
        title: Heading.
        facts: Values by name; empty ones are left out.
        picture: HTML beside the table, as of :func:`picture_html`.
    """
    shown = [(name, str(value)) for name, value in facts.items() if value not in ("", None)]
    rows = "".join(f"<tr><th{_LEFT}>{escape(name)}</th>{_cell(value)}</tr>" for name, value in shown)
    table = f"<strong>{escape(title)}</strong><table><tbody>{rows}</tbody></table>"
    if not picture:
        return f"<div>{table}</div>"
    return f'<div style="display: flex; gap: 1.5em"><div>{table}</div><div>{picture}</div></div>'


def rows_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows of values as a table.

    Args:
        title: Heading.
        columns: Names of the columns.
        rows: Values of each row.
    """
    head = "".join(f"<th{_LEFT}>{escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(_cell(str(value)) for value in row)}</tr>" for row in rows)
    return (
        f"<div><strong>{escape(title)}</strong>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def picture_html(picture: "Image.Image", text: str) -> str:
    """Return a picture as an element that contains its pixels.

    Args:
        picture: The picture.
        text: Text for those who do not see it.
    """
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{data}">'


def _cell(text: str) -> str:
    return f"<td{_LEFT}>{escape(text)}</td>"
