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
# As a notebook does, the value of a cell's last line is shown. All notebooks run in one process, and their
# runs use the cluster that all tests share: imports and starts of processes take longer than the work.
RUNNER = """
import ast, json, os, sys
address = f'wsipipe.Resources(scheduler="{sys.argv[1]}", device="cpu")'
home = os.getcwd()
for path in sys.argv[2:]:
    print("notebook", path, flush=True)
    folder = os.path.join(home, os.path.basename(path) + ".run")
    os.mkdir(folder)
    os.chdir(folder)
    names = {"__name__": "__main__"}
    for cell in json.load(open(path, encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"]).replace('@WORKERS@', address)
        *body, last = ast.parse(source).body
        shown = isinstance(last, ast.Expr)
        exec(compile(ast.Module([*body, *([] if shown else [last])], []), "cell", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if shown else None
        if value is not None:
            print(getattr(value, "_repr_html_", value.__repr__)())
"""


def execute(notebooks: list[Path], folder: Path, scheduler: str) -> subprocess.CompletedProcess[str]:
    """Run the code cells of notebooks in order, in a process of its own."""
    runner = RUNNER.replace("@WORKERS@", WORKERS)
    command = [sys.executable, "-c", runner, scheduler, *map(str, notebooks)]
    environment = os.environ | {"MPLBACKEND": "Agg", "WSIPIPE_MODELS": str(folder / "models")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280)


def test_every_cell_runs(scheduler: str, tmp_path: Path) -> None:
    assert [path.stem for path in NOTEBOOKS] == ["cohort", "first_slide", "own_training"]
    for notebook in NOTEBOOKS:
        assert WORKERS in notebook.read_text(encoding="utf-8").replace('\\"', '"')
    done = execute(NOTEBOOKS, tmp_path, scheduler)
    assert done.returncode == 0, f"{done.stdout[-300:]}{done.stderr}"
    shown = done.stdout.split("notebook ")[1:]
    for text in shown:
        assert "<strong>Run in " in text
        assert "FAILED" not in text
    assert "<strong>Result of slide-" in shown[1]
    assert "<strong>Weights nuclei_own</strong>" in shown[2]


def test_sister_a_wrong_cell_is_seen(tmp_path: Path) -> None:
    cells = [{"cell_type": "code", "source": [text]} for text in ("x = 1", "assert x == 2")]
    (tmp_path / "wrong.ipynb").write_text(json.dumps({"cells": cells}))
    done = execute([tmp_path / "wrong.ipynb"], tmp_path, "")
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
