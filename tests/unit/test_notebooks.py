"""The notebooks of the docs run, cell by cell, and are stored without outputs."""

import ast
import importlib.util
import json
import warnings
from contextlib import chdir
from pathlib import Path
from typing import Any

import matplotlib.pyplot
import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "docs" / "notebooks").glob("*.ipynb"))
WORKERS = 'wsipipe.Resources(workers=1, device="cpu")'
SIZES = {"cohort": ("(path, 512,", "(path, 320,"), "first_slide": ("(path, 768,", "(path, 640,")}
"""Smaller slides, where the sizes do not matter to what the cells show."""


def execute(notebook: Path, folder: Path, changes: dict[str, str]) -> list[str]:
    """Run the code cells in order, as a notebook does; return what is shown of the last line of each cell.

    Args:
        notebook: The notebook.
        folder: Folder of the notebook's files, which is made.
        changes: Texts that are replaced in the cells; each must be there.
    """
    folder.mkdir()
    content = json.loads(notebook.read_text(encoding="utf-8"))
    sources = ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]
    for old in changes:
        assert any(old in source for source in sources), old
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    with chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("default")
        for source in sources:
            for old, new in changes.items():
                source = source.replace(old, new)
            *body, last = ast.parse(source).body
            ends = isinstance(last, ast.Expr)
            exec(compile(ast.Module([*body, *([] if ends else [last])], []), "cell", "exec"), names)
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if ends else None
            if value is not None:
                shown.append(str(getattr(value, "_repr_html_", value.__repr__)()))
    return shown


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["cohort", "first_slide", "own_training"]


@pytest.mark.parametrize(
    ("notebook", "head"),
    list(zip(NOTEBOOKS, ["Run in ", "Result of slide-", "Weights nuclei_own</strong>"], strict=True)),
    ids=lambda value: getattr(value, "stem", ""),
)
def test_every_cell_runs(
    notebook: Path, head: str, scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process and on the cluster that all tests share: to start others takes longer than the work."""
    monkeypatch.setenv("WSIPIPE_MODELS", str(tmp_path / "models"))
    matplotlib.use("Agg")
    changes = {WORKERS: f'wsipipe.Resources(scheduler="{scheduler}", device="cpu")'}
    old, new = SIZES.get(notebook.stem, ("", ""))
    shown = "\n".join(execute(notebook, tmp_path / "run", changes | ({old: new} if old else {})))
    assert "<strong>Run in " in shown
    assert f"<strong>{head}" in shown
    assert "FAILED" not in shown
    matplotlib.pyplot.close("all")


def test_sister_a_wrong_cell_is_seen(tmp_path: Path) -> None:
    cells = [{"cell_type": "code", "source": [text]} for text in ("x = 1", "assert x == 2")]
    (tmp_path / "wrong.ipynb").write_text(json.dumps({"cells": cells}))
    with pytest.raises(AssertionError):
        execute(tmp_path / "wrong.ipynb", tmp_path / "run", {})


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_not_stored(notebook: Path) -> None:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert [(cell["outputs"], cell["execution_count"]) for cell in code] == [([], None)] * len(code)
    assert content["nbformat"] == 4
    assert len({cell["id"] for cell in content["cells"]}) == len(content["cells"])


@pytest.mark.skipif(
    importlib.util.find_spec("nbclient") is None, reason="LOUD SKIP: no nbclient here; a kernel is NOT tested"
)
@pytest.mark.parametrize("notebook", NOTEBOOKS[-1:], ids=lambda path: path.stem)
def test_it_runs_in_a_kernel(notebook: Path, tmp_path: Path) -> None:
    import nbclient
    import nbformat

    book = nbformat.read(notebook, as_version=4)
    nbclient.NotebookClient(book, timeout=200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert "<progress" in json.dumps(book)
