"""Build the wheel, install it alone into a new environment, and use it.

``python packaging/check_wheel.py OUT`` needs uv and a few minutes; OUT gets ``dist/`` (sdist and wheel),
``env/`` and ``work/``. It prints the size and the seconds of each step and ends with code 1 at the first
thing that fails. ``--quick`` leaves out the demo and the runs.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SLIDE = "demo/synthetic.svs"
REGION = "0,0,1024,1024"
USAGE = 64


def needed_files(root: Path = ROOT) -> Iterator[str]:
    """Yield the paths in the wheel of all files of package and workflows."""
    for folder, inside in (("wsipipe", "wsipipe"), ("workflows", "wsipipe/_workflows")):
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{inside}/{path.relative_to(root / folder).as_posix()}"


def missing(names: Iterable[str], root: Path = ROOT) -> list[str]:
    """Return what a wheel with these files lacks.

    Args:
        names: Paths of the files in the wheel.
        root: The checkout.
    """
    there = set(names)
    lacking = [name for name in needed_files(root) if name not in there]
    licences = [name for name in there if name.endswith(".dist-info/licenses/LICENSE")]
    return lacking if licences else [*lacking, "LICENSE"]


def build(out: Path) -> Path:
    """Build the sdist, and the wheel from it; return the wheel."""
    say(["uv", "build", "--quiet", "--out-dir", str(out / "dist"), str(ROOT)], ROOT)
    (wheel,), (source,) = (list((out / "dist").glob(kind)) for kind in ("*.whl", "*.tar.gz"))
    with zipfile.ZipFile(wheel) as archive:
        lacking = missing(archive.namelist())
    with tarfile.open(source) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    lacking += [name for name in ("pyproject.toml", "LICENSE", "tests/conftest.py") if name not in inside]
    if lacking:
        sys.exit(f"The distribution lacks {', '.join(lacking)}.")
    for path in (source, wheel):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    return wheel


def install(wheel: Path, out: Path, constraints: Path | None, torch: str | None) -> Path:
    """Install the wheel into a new environment; return the folder of its commands."""
    place = out / "env"
    commands = place / ("Scripts" if os.name == "nt" else "bin")
    into = ["uv", "pip", "install", "--quiet", "--python", str(commands / "python")]
    say(["uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(place)], ROOT)
    if torch:
        say([*into, "--index-url", torch, "torch"], ROOT)
    say([*into, str(wheel), *(["--constraints", str(constraints)] if constraints else [])], ROOT)
    size = sum(path.lstat().st_size for path in place.rglob("*"))
    print(f"environment: {size / 1e9:.2f} GB")
    return commands


def say(command: list[str], where: Path, expected: int = 0) -> str:
    """Run a command, print its seconds, and return what it printed.

    Args:
        command: Program and arguments.
        where: Folder to run it in.
        expected: Exit code without which this program ends.
    """
    free = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
    start = time.monotonic()
    done = subprocess.run(command, cwd=where, env=free, capture_output=True, text=True, encoding="utf-8")
    shown = " ".join(Path(word).name if os.sep in word else word for word in command)
    print(f"{time.monotonic() - start:7.1f} s  {shown}", flush=True)
    if done.returncode != expected:
        sys.exit(f"It ended with code {done.returncode}, not {expected}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def use(commands: Path, work: Path, quick: bool) -> None:
    """Use the installed command as a newcomer would."""
    wsipipe = str(commands / "wsipipe")
    work.mkdir(parents=True, exist_ok=True)
    say([wsipipe, "--version"], work)
    shipped = {path.stem for path in (ROOT / "wsipipe/models/weights").glob("*.safetensors")}
    listed = {card["name"] for card in json.loads(say([wsipipe, "models", "--json"], work))}
    code = "from wsipipe.training.recipe import *; [read_recipe(name) for name in recipe_names()]"
    say([str(commands / "python"), "-c", code], work)
    if not shipped <= listed:
        sys.exit(f"These weights are not found: {', '.join(shipped - listed)}.")
    if quick:
        return
    say([wsipipe, "doctor"], work)
    say([wsipipe, "demo", "--out", "demo"], work)
    if "pip install 'wsipipe-gmr[review]'" not in say([wsipipe, "view", SLIDE], work, USAGE):
        sys.exit("wsipipe view does not state how napari is installed.")
    for workflow in sorted(path.stem for path in (ROOT / "workflows").glob("*.yaml")):
        say([wsipipe, "run", workflow, SLIDE, "--out", workflow, "--region", REGION], work)


def main() -> None:
    """Read the command line and check the wheel."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("out", type=Path, help="Folder for the distribution and the environment.")
    options.add_argument("--constraints", type=Path, help="File of pinned versions, as constraints.txt.")
    options.add_argument("--torch-index", help="Index of the torch to install first, as its CPU build.")
    options.add_argument("--quick", action="store_true", help="Leave out the demo and the runs.")
    given = options.parse_args()
    out = given.out.absolute()
    wheel = build(out)
    commands = install(wheel, out, given.constraints, given.torch_index)
    use(commands, out / "work", given.quick)
    print("The wheel works when it is installed alone.")


if __name__ == "__main__":
    main()
