"""Render the pages of a run: one for the batch, one for each slide."""

import base64
import hashlib
from functools import cache
from pathlib import Path

import jinja2

FOLDER = Path(__file__).with_name("pages")
"""Templates, style and script, which every page holds in itself."""


def render(template: str, **values: object) -> str:
    """Return a page.

    Args:
        template: Name of the file in :data:`FOLDER`.
        values: What the template shows; texts are escaped.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> jinja2.Environment:
    # Autoescape is a constant: a slide's name may hold anything.
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def script_of(name: str) -> tuple[str, str]:
    """Return a script and its source for the content security policy, which allows no other."""
    script = (FOLDER / name).read_text(encoding="utf-8")
    digest = hashlib.sha256(script.encode()).digest()
    return script, f"'sha256-{base64.b64encode(digest).decode()}'"
