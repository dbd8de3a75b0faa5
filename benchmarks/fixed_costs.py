"""Measure what each command costs before it does any work.

Usage: python benchmarks/fixed_costs.py [--old CHECKOUT] [--repeats 7] [--json FILE] [--skip-runs]

Each command runs in a process of its own, bytecode compiled before, with the package of this checkout and, if
--old is given, of another one, in turn. Printed: medians of wall seconds and of CPU seconds (of the process
and of all that it started), and the median of the ratios old / new of each turn. Wall seconds mean something
on a quiet machine only. The last two rows are ``run tiling_only`` of a 1,024 px synthetic slide: a first run,
and the same command again, with nothing to do.
"""

import argparse
import compileall
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parents[1]
LIMITS_S = {"--help": 0.7, "status": 0.7, "unknown option": 0.7, "missing file": 0.7, "nothing to do": 1.5}
MAIN = 'import sys\nfrom wsipipe.cli import main\nif __name__ == "__main__":\n    main()\n'


@dataclass(frozen=True)
class Cost:
    """Wall and CPU seconds of one command."""

    wall_s: float
    cpu_s: float


def cost_of(package: Path, arguments: list[str], main: Path) -> Cost:
    """Run a command with the package of a checkout, and return its cost."""
    environment = os.environ | {"PYTHONPATH": str(package)}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, str(main), *arguments], env=environment, capture_output=True, check=False)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


class Bench:
    """Commands on one slide, with results in a folder for each checkout.

    Args:
        folder: Folder for the slide and all results.
        packages: Checkouts by name.
    """

    def __init__(self, folder: Path, packages: dict[str, Path]) -> None:
        self.folder, self.packages = folder, packages
        self.main = folder / "main.py"
        self.main.write_text(MAIN)
        self.slide = folder / "slide.svs"
        self._checked(["synth", str(self.slide), "--size", "1024"], HERE)
        for name, package in packages.items():
            self._checked(self.run_in(name), package)

    def _checked(self, arguments: list[str], package: Path) -> None:
        environment = os.environ | {"PYTHONPATH": str(package)}
        command = [sys.executable, str(self.main), *arguments]
        subprocess.run(command, env=environment, capture_output=True, check=True)

    def run_in(self, name: str) -> list[str]:
        """Return the command that runs the slide for one checkout."""
        out = str(self.folder / name)
        return ["run", "tiling_only", str(self.slide), "--out", out, "--device", "cpu", "--workers", "2"]

    def commands(self, runs: bool) -> dict[str, Callable[[str], list[str]]]:
        """Return the arguments of each command for the checkout of that name."""
        found: dict[str, Callable[[str], list[str]]] = {
            "--help": lambda _: ["--help"],
            "status": lambda name: ["status", str(self.folder / name)],
            "unknown option": lambda _: ["run", "--nonsense"],
            "missing file": lambda name: ["run", "nuclei", "/nowhere.svs", "--out", str(self.folder / name)],
        }
        if runs:
            found["nothing to do"] = self.run_in
            found["first run"] = self._again
        return found

    def _again(self, name: str) -> list[str]:
        shutil.rmtree(self.folder / name)
        return self.run_in(name)

    def measure(self, repeats: int, runs: bool) -> dict[str, dict[str, list[Cost]]]:
        """Return the costs by command and checkout, measured in turn."""
        found: dict[str, dict[str, list[Cost]]] = {}
        for command, arguments in self.commands(runs).items():
            costs: dict[str, list[Cost]] = {name: [] for name in self.packages}
            for _ in range(repeats):
                for name, package in self.packages.items():
                    costs[name].append(cost_of(package, arguments(name), self.main))
            found[command] = costs
            print(row(command, costs), flush=True)
        return found


def row(command: str, costs: dict[str, list[Cost]]) -> str:
    """Return one line of the table."""
    cells = [f"{command:15}"]
    for each in costs.values():
        cells.append(f"{median(c.wall_s for c in each):8.2f} {median(c.cpu_s for c in each):8.2f}")
    if "old" in costs:
        pairs = list(zip(costs["old"], costs["new"], strict=True))
        wall, cpu = (median(getattr(o, k) / getattr(n, k) for o, n in pairs) for k in ("wall_s", "cpu_s"))
        cells.append(f"{wall:8.1f} {cpu:8.1f}")
    limit = LIMITS_S.get(command)
    return "   ".join([*cells, f"limit {limit} s" if limit else ""]).rstrip()


def main() -> None:
    """Measure, print the table and write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--old", type=Path, help="another checkout, to be compared")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--skip-runs", action="store_true", help="only commands that start no cluster")
    options = parser.parse_args()
    packages = ({"old": options.old.resolve()} if options.old else {}) | {"new": HERE}
    for package in packages.values():
        compileall.compile_dir(package / "wsipipe", quiet=1)
    compileall.compile_path(quiet=1)
    heads = [f"{name + ' wall s':>8} {'CPU s':>8}" for name in packages]
    print("   ".join([f"{'command':15}", *heads, *(["wall x   CPU x"] if options.old else [])]))
    with tempfile.TemporaryDirectory(prefix="wsipipe-fixed-") as folder:
        found = Bench(Path(folder), packages).measure(options.repeats, not options.skip_runs)
    if options.json:
        content = {
            command: {name: [asdict(cost) for cost in costs] for name, costs in each.items()}
            for command, each in found.items()
        }
        options.json.write_text(json.dumps({"processors": os.cpu_count(), "commands": content}, indent=1))


if __name__ == "__main__":
    main()
