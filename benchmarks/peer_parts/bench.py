"""Run tools by turns and collect what they took."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peer_parts.processes import Environment, ToolError, compile_bytecode, probe, run_job, timed
from peer_parts.table import Comparison, Run
from peer_parts.tools import Tool

MAIN = "from wsipipe.cli import main; main()"
NETWORKS = ("segment", "classify")


@dataclass
class Bench:
    """Environments and settings of a run.

    Attributes:
        environments: Environments in which tools are looked for, the project's first.
        folder: Folder for results.
        threads: Number of threads or workers of each tool.
        precision: float32 or bfloat16.
        rounds: Number of rounds.
        limit_s: Seconds after which a tool is stopped.
    """

    environments: tuple[Environment, ...]
    folder: Path
    threads: int
    precision: str
    rounds: int
    limit_s: float

    def __post_init__(self) -> None:
        self.versions: dict[str, dict[str, str]] = {}

    def look(self, packages: list[str]) -> None:
        """Compile and import all packages in all environments, and keep their versions.

        Imports without compiled bytecode take a minute, which would count as the time of a tool.
        """
        for where in self.environments:
            say(f"compiling bytecode in the environment of {where.name}")
            compile_bytecode(where, self.limit_s)
            say(f"importing packages in the environment of {where.name}")
            self.versions[where.name] = probe(where, packages, self.limit_s)

    def place(self, tool: Tool) -> Environment:
        """Return the first environment that has all packages of a tool.

        Raises:
            ToolError: None has; the message names what each of them lacks.
        """
        lacking = []
        for where in self.environments:
            missing = [
                text for name in tool.packages if (text := self.versions[where.name][name]).startswith("no ")
            ]
            if not missing:
                return where
            lacking.append(f"in the environment of {where.name}: {'; '.join(missing)}")
        raise ToolError("skipped, package missing " + "; ".join(lacking))

    def job(self, request: dict[str, Any]) -> Callable[[Tool], Run]:
        """Return a function that runs a tool on a request."""
        filled = request | {"threads": self.threads, "precision": self.precision}

        def run(tool: Tool) -> Run:
            where = self.place(tool)
            if tool.command:
                return self.wsipipe(tool.command, request["slide"])
            return run_job(where, tool.job, filled, self.limit_s)

        return run

    def wsipipe(self, command: tuple[str, ...], slide: str) -> Run:
        """Run a command of wsipipe on a slide, its start-up included."""
        where, out = self.environments[0], self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        given = [*command[:2], slide, *command[2:], "--out", str(out), "--device", "cpu"]
        given += ["--workers", str(self.threads), "--precision", self.precision]
        # wsipipe divides the cores among its workers by itself.
        variables = where.variables(self.threads)
        del variables["OMP_NUM_THREADS"]
        cost = timed([str(where.python), "-c", MAIN, *given], variables, self.limit_s)
        return with_stages(cost, json.loads((out / "run.json").read_text())["slides"][0])

    def command(self, tool: Tool) -> Run:
        """Run a command that does no work, or an import."""
        first, rest = tool.command[0], tool.command[1:]
        if first == "python":
            return self._import(*rest)
        if first == "wsipipe":
            where = self.environments[0]
            return timed([str(where.python), "-c", MAIN, *rest], where.variables(1), self.limit_s)
        for where in self.environments:
            script = where.python.parent / first
            if os.access(script, os.X_OK):
                return timed([str(script), *rest], where.variables(1), self.limit_s)
        raise ToolError(f"skipped, no command {first} beside the Python of any environment")

    def _import(self, module: str) -> Run:
        package = module.partition(".")[0]
        where = self.place(Tool(module, packages=(package,)))
        return timed([str(where.python), "-c", f"import {module}"], where.variables(1), self.limit_s)

    def compare(self, found: Comparison, tools: Sequence[Tool], run: Callable[[Tool], Run]) -> Comparison:
        """Let all tools do the work in each round; the order shifts from round to round."""
        say(f"\n{found.title}")
        for turn in range(self.rounds):
            shift = turn % len(tools)
            for tool in (*tools[shift:], *tools[:shift]):
                if tool.name not in found.absent and (turn == 0 or not tool.once):
                    self._once(found, tool, turn, run)
        order = {tool.name: tool for tool in tools}
        found.runs = {name: found.runs[name] for name in order if name in found.runs}
        found.notes |= {name: tool.note for name, tool in order.items() if tool.note}
        return found

    def _once(self, found: Comparison, tool: Tool, turn: int, run: Callable[[Tool], Run]) -> None:
        try:
            done = run(tool)
        except ToolError as error:
            when = f" in round {turn + 1}" if turn else ""
            found.absent[tool.name] = f"{error}{when}"
            say(f"  {tool.name}: {error}")
            return
        found.runs.setdefault(tool.name, {})[turn] = done
        say(f"  round {turn + 1}, {tool.name}: {done.wall_s:.2f} s, CPU {done.cpu_s:.2f} s")


def with_stages(cost: Run, slide: dict[str, Any]) -> Run:
    """Return the cost of a run with the seconds of its stages.

    Raises:
        ToolError: The slide failed.
    """
    if slide["status"] != "done":
        raise ToolError(f"the slide failed: {slide['message']}")
    seconds = slide["seconds"]
    network = sum(seconds.get(name, 0.0) for name in NETWORKS)
    before = sum(seconds.get(name, 0.0) for name in ("tissue", "tile"))
    after = sum(seconds.values()) - network - before
    facts = {"nuclei": float(slide["nuclei"])} if slide.get("nuclei") is not None else {}
    parts = {"network": network, "after the network": after}
    return Run(cost.wall_s, cost.cpu_s, cost.peak_mb, parts, facts)


def say(text: str) -> None:
    """Print progress on standard error, so that standard output holds the tables alone."""
    print(text, file=sys.stderr, flush=True)
