"""The notebooks of the docs run, cell by cell, and are stored without outputs."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "docs" / "notebooks").glob("*.ipynb"))
WORKERS = 'wsipipe.Resources(workers=1, device="cpu")'
# As a notebook does, the value of a cell's last line is shown. Runs use the cluster that all tests share, as
# starting processes and importing torch in them takes longer than the work.
RUNNER = """
import ast, json, sys
address = f'wsipipe.Resources(scheduler="{sys.argv[2]}", device="cpu")'
names = {"__name__": "__main__"}
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] != "code":
        continue
    source = "".join(cell["source"]).replace('@WORKERS@', address)
    *body, last = ast.parse(source).body
    shown = isinstance(last, ast.Expr)
    exec(compile(ast.Module([*body, *([] if shown else [last])], []), "cell", "exec"), names)
    value = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if shown else None
    if value is not None:
        print(getattr(value, "_repr_html_", value.__repr__)()[:200])
"""


def execute(notebook: Path, folder: Path, scheduler: str) -> subprocess.CompletedProcess[str]:
    """Run the code cells in order, in a process of its own."""
    command = [sys.executable, "-c", RUNNER.replace("@WORKERS@", WORKERS), str(notebook), scheduler]
    environment = os.environ | {"MPLBACKEND": "Agg", "WSIPIPE_MODELS": str(folder / "models")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(notebook: Path, scheduler: str, tmp_path: Path) -> None:
    assert WORKERS in notebook.read_text(encoding="utf-8").replace('\\"', '"')
    done = execute(notebook, tmp_path, scheduler)
    assert done.returncode == 0, done.stderr
    assert "<table>" in done.stdout
    assert "failed" not in done.stdout


def test_sister_a_wrong_cell_is_seen(tmp_path: Path) -> None:
    cells = [{"cell_type": "code", "source": [text]} for text in ("x = 1", "assert x == 2")]
    (tmp_path / "wrong.ipynb").write_text(json.dumps({"cells": cells}))
    done = execute(tmp_path / "wrong.ipynb", tmp_path, "")
    assert done.returncode == 1
    assert "AssertionError" in done.stderr


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_not_stored(notebook: Path) -> None:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert [(cell["outputs"], cell["execution_count"]) for cell in code] == [([], None)] * len(code)
    assert content["nbformat"] == 4
    assert len({cell["id"] for cell in content["cells"]}) == len(content["cells"])


@pytest.mark.skipif(
    importlib.util.find_spec("nbclient") is None, reason="nbclient is not installed: pip install nbclient"
)
@pytest.mark.parametrize("notebook", NOTEBOOKS[-1:], ids=lambda path: path.stem)
def test_it_runs_in_a_kernel(notebook: Path, tmp_path: Path) -> None:
    import nbclient
    import nbformat

    book = nbformat.read(notebook, as_version=4)
    nbclient.NotebookClient(book, timeout=200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert "<progress" in json.dumps(book)
