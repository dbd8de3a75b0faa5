"""Tables, ratios and turns of the comparison with other tools, on made figures."""

import importlib.util
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "peer_parts"


def load_parts() -> None:
    """Make the package importable without its folder on the path, where ``reading`` is a script."""
    spec = importlib.util.spec_from_file_location(
        "peer_parts", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])


load_parts()
table = importlib.import_module("peer_parts.table")
processes = importlib.import_module("peer_parts.processes")
bench = importlib.import_module("peer_parts.bench")
Tool = importlib.import_module("peer_parts.tools").Tool

HERE = processes.Environment("the project", Path(sys.executable))


def rounds(*walls: float):
    return {turn: table.Run(wall, 2 * wall, 100.0) for turn, wall in enumerate(walls)}


def made(**more):
    return table.Comparison("Work", "ours", "All of it.", 10.0, "tiles", **more)


def test_ratios_are_taken_within_a_round() -> None:
    own, other = rounds(1, 10, 2), rounds(3, 20, 2)
    assert table.ratios(own, other, table.wall) == [3, 2, 1]
    assert table.ratio_text([3, 2, 1]) == "2.00 (1.00 to 3.00)"
    # The ratio of the medians would be 1.5: a slow round would count for one tool alone.
    assert table.middle(other, table.wall) / table.middle(own, table.wall) == 1.5


def test_only_rounds_of_both_have_a_ratio() -> None:
    assert table.ratios(rounds(1, 2, 4), {1: table.Run(6, 6, 1)}, table.wall) == [3]
    assert table.ratio_text([3]) == "3.00"
    assert table.ratio_text(table.ratios({}, rounds(1), table.wall)) == ""


def test_sister_a_time_of_zero_gives_no_ratio() -> None:
    with pytest.raises(ValueError, match=r"No ratio of 1 to 0: both must be above 0"):
        table.ratios(rounds(0), rounds(1), table.wall)
    assert table.ratio_cell(rounds(0), rounds(1), table.wall) == "none: a time of 0"
    assert table.ratio_cell(rounds(2), rounds(1), table.wall) == "0.50"


def test_the_table_has_all_figures() -> None:
    found = made(
        runs={
            "ours": {0: table.Run(2, 3, 150, {"network": 1.0}, {"nuclei": 1234})},
            "theirs": {0: table.Run(5, 4.5, 1600, {"network": 4.0})},
        },
        compared=("network",),
        notes={"theirs": "random weights", "gone": "no note without a run"},
        absent={"gone": "no package"},
    )
    assert table.markdown(found) == (
        "### Work\n\n"
        "All of it. Ratio: time of the tool / time of ours.\n\n"
        "| tool | tiles/s | wall s | of these network | CPU s | peak MB | nuclei | wall, ratio | CPU, ratio "
        "| network, ratio | rounds |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|\n"
        "| ours | 5 | 2 | 1 | 3 | 150 | 1,234 | 1.00 | 1.00 | 1.00 | 1 |\n"
        "| theirs | 2 | 5 | 4 | 4.5 | 1,600 |  | 2.50 | 1.50 | 4.00 | 1 |\n\n"
        "- theirs: random weights\n"
        "- **gone**: no package\n"
    )


def test_a_table_without_the_baseline_says_so() -> None:
    text = table.markdown(made(runs={"theirs": rounds(1)}, absent={"ours": "exit code 1"}))
    assert "**No ratios: ours did not run.**" in text
    assert "| theirs | 10 | 1 | 2 | 100 |  |  | 1 |" in text
    assert "- **ours**: exit code 1" in text


def test_other_pixels_are_marked() -> None:
    grey = {
        name: {0: table.Run(1, 1, 1, {}, {"grey": level})} for name, level in (("ours", 200), ("near", 201))
    }
    found = made(runs=grey | {"far": {0: table.Run(1, 1, 1, {}, {"grey": 190})}, "none": rounds(1)})
    table.flag_differences(found, "grey", 2.0)
    assert found.notes == {"far": "**other pixels: grey 190 instead of 200**"}


def a_bench(folder: Path, count: int):
    return bench.Bench((HERE,), folder, 1, "float32", count, 60.0)


def test_tools_take_turns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calls = []

    def run(tool):
        calls.append(tool.name)
        if tool.name == "bad" and calls.count("bad") == 2:
            raise processes.ToolError("it broke")
        return table.Run(len(calls), 1, 1)

    tools = [Tool("ours", note="a note"), Tool("slow", once=True), Tool("bad")]
    found = a_bench(tmp_path, 3).compare(made(), tools, run)
    assert calls == ["ours", "slow", "bad", "bad", "ours", "ours"]
    assert {name: list(each) for name, each in found.runs.items()} == {
        "ours": [0, 1, 2],
        "slow": [0],
        "bad": [0],
    }
    assert found.absent == {"bad": "it broke in round 2"}
    assert found.notes == {"ours": "a note"}
    said = capsys.readouterr()
    assert "bad: it broke" in said.err
    assert said.out == ""


def test_a_tool_runs_where_its_packages_are(tmp_path: Path) -> None:
    found = a_bench(tmp_path, 1)
    other = processes.Environment("the other tools", Path("python"))
    found.environments = (HERE, other)
    found.versions = {
        "the project": {"a": "1.0", "b": "no b: ImportError: b"},
        "the other tools": {"a": "2.0", "b": "1"},
    }
    assert found.place(Tool("both", packages=("a",))) is HERE
    assert found.place(Tool("there", packages=("a", "b"))) is other
    found.versions["the other tools"]["b"] = "no b: ImportError: none here"
    with pytest.raises(processes.ToolError, match=r"the project: no b: .*the other tools: no b: .*none here"):
        found.place(Tool("nowhere", packages=("b",)))


def test_packages_are_looked_for_by_importing_them() -> None:
    found = processes.probe(HERE, ["json", "absent_package"], 60)
    assert found == {
        "json": "unknown version",
        "absent_package": "no absent_package: ModuleNotFoundError: No module named 'absent_package'",
    }


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt orphans")
def test_cpu_of_a_process_that_outlives_the_command_counts() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-S', '-c', {busy!r}])"
    done = processes.timed([sys.executable, "-S", "-c", code], HERE.variables(1), 60)
    assert done.cpu_s > 0.3
    assert done.wall_s < 60


def test_a_process_is_timed_or_its_error_told() -> None:
    def run(code: str, limit_s: float = 60):
        return processes.timed([sys.executable, "-S", "-c", code], HERE.variables(1), limit_s)

    done = run("x = sum(range(3_000_000))")
    assert 0 < done.cpu_s <= 60
    assert done.wall_s > 0
    assert done.peak_mb > 1
    with pytest.raises(processes.ToolError, match=r"^exit code 3: last words$"):
        run("print('last words'); raise SystemExit(3)")
    with pytest.raises(processes.ToolError, match=r"^stopped after 0 s$"):
        run("import time; time.sleep(60)", 0.05)
    with pytest.raises(processes.ToolError, match=r"^/absent/tool cannot be started"):
        processes.timed(["/absent/tool"], {}, 1)


def test_an_interrupt_ends_the_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def interrupted(process, limit_s):
        started.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, "waited", interrupted)
    with pytest.raises(KeyboardInterrupt):
        processes.timed([sys.executable, "-S", "-c", "import time; time.sleep(60)"], HERE.variables(1), 60)
    assert started[0].wait(10) == -9


def test_stages_of_a_run_are_parted_at_the_network() -> None:
    seconds = {"tissue": 1.0, "tile": 2.0, "segment": 8.0, "seeds": 0.5, "finish": 1.5}
    done = {"status": "done", "seconds": seconds, "nuclei": 7}
    found = bench.with_stages(table.Run(15, 20, 1), done)
    assert found == table.Run(15, 20, 1, {"network": 8.0, "after the network": 2.0}, {"nuclei": 7.0})
    with pytest.raises(processes.ToolError, match="the slide failed: no mpp"):
        bench.with_stages(table.Run(1, 1, 1), done | {"status": "failed", "message": "no mpp"})
