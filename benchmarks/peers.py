r"""Compare wsipipe with the tools that a user would take instead, in one run.

The whole, on a quiet machine, about half an hour on two cores; writes the tables of docs/performance.md:

    uv venv /tmp/peers/venv
    uv pip install --compile-bytecode --python /tmp/peers/venv/bin/python \
        tiatoolbox fastslide tiffslide pyvips pyvips-binary
    python benchmarks/peers.py --peers-python /tmp/peers/venv/bin/python --real CMU-1-Small-Region.svs \
        --markdown peers.md --json peers.json

A check of the script in some minutes, whose figures mean nothing: the same with ``--small``.

Tools take turns, each in a process of its own, for three rounds; ratios are taken within a round, and their
medians printed with the least and the largest. A tool runs in the project's environment if that has its
packages, else in that of ``--peers-python``; without them it is left out, and the table says so. Reading and
conversion count the work alone, after imports and start-up; nuclei, tissue and fixed costs count the whole
process. No weights are fetched: networks of other tools have random weights.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from peer_parts.bench import Bench, say
from peer_parts.machine import cores, describe, load
from peer_parts.processes import BENCHMARKS, CHECKOUT, Environment, ToolError, run_job
from peer_parts.table import Comparison, flag_differences, markdown
from peer_parts.tools import COMMANDS, CONVERTERS, NUCLEI, READERS, TISSUE, Tool, packages

PARTS = ("reading", "pyramid", "nuclei", "tissue", "fixed")
TILE_PX, LEAST_TILES, MPP, NETWORK_MPP = 512, 256, 0.25, 0.5
MOST_GREY_LEVELS = 2.0
ALONE = "The work alone, in a process that has imported its libraries."
WHOLE = "The whole process, start-up included."


def main() -> int:
    """Parse, measure, write; return 1 if wsipipe itself failed in a part."""
    asked = parsed()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the tool that runs is ended too
    project = Environment("the project", Path(sys.executable), (BENCHMARKS, CHECKOUT))
    others = (Environment("the other tools", asked.peers_python.absolute()),) if asked.peers_python else ()
    with tempfile.TemporaryDirectory(prefix="wsipipe-peers-") as folder:
        bench = Bench((project, *others), Path(folder), cores(), asked.precision, asked.rounds, asked.limit_s)
        before = describe()
        bench.look(packages())
        found: list[Comparison] = []
        for each in comparisons(bench, asked):
            found.append(each)
            save(asked, bench, before, found)  # half an hour of figures survives an error later on
    print(page(bench, before, found))
    return int(any(each.baseline not in each.runs for each in found))


def save(asked: argparse.Namespace, bench: Bench, before: str, found: list[Comparison]) -> None:
    """Write what has been found so far to the files that were asked for."""
    if asked.markdown:
        asked.markdown.write_text(page(bench, before, found))
    if asked.json:
        figures = [asdict(each) for each in found]
        content = {"machine": before, "versions": bench.versions, "comparisons": figures}
        asked.json.write_text(json.dumps(content, indent=1))


def parsed() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers-python", type=Path, help="Python of the environment of the other tools")
    parser.add_argument("--real", type=Path, help="a slide in SVS that is read too, at its own scale")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--side", type=int, default=8192, help="px of the slide that is read and converted")
    parser.add_argument("--network-side", type=int, default=4096, help="px of the slide for the networks")
    parser.add_argument(
        "--without", nargs="+", default=(), metavar="TEXT", help="leave out tools for nuclei so named"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--limit-s", type=float, default=1800, help="seconds after which a tool is stopped")
    parser.add_argument("--small", action="store_true", help="check the script on tiny slides, one round")
    parser.add_argument("--markdown", type=Path, help="file for the tables")
    parser.add_argument("--json", type=Path, help="file for all figures")
    asked = parser.parse_args()
    for path in (asked.peers_python, asked.real):
        if path and not path.exists():
            parser.error(f"{path} does not exist")
    asked.real = asked.real.absolute() if asked.real else None
    if asked.rounds < 1:
        parser.error("--rounds must be 1 or more")
    if asked.small:
        asked.side, asked.network_side, asked.rounds = 1024, 512, 1
    return asked


def comparisons(bench: Bench, asked: argparse.Namespace) -> Iterator[Comparison]:
    """Yield the comparisons that were asked for, one after another."""
    if {"reading", "pyramid"} & set(asked.only):
        slide = made(bench, asked.side)
    if "reading" in asked.only:
        yield from reading(bench, slide, asked.small)
        if asked.real:
            yield from reading(bench, asked.real, asked.small)
        else:
            say("\nNo real slide was given by --real: only the synthetic one is read.")
    if "pyramid" in asked.only:
        yield pyramid(bench, slide)
    if {"nuclei", "tissue"} & set(asked.only):
        slide = made(bench, asked.network_side)
        warm(bench)
    if "nuclei" in asked.only:
        chosen = tuple(tool for tool in NUCLEI if not any(text in tool.name for text in asked.without))
        yield networks(bench, slide, chosen, "Nuclei")
    if "tissue" in asked.only:
        yield networks(bench, slide, TISSUE, "Tissue classes")
    if "fixed" in asked.only:
        yield bench.compare(
            Comparison("Fixed costs", COMMANDS[0].name, "Commands that do no work, and imports."),
            COMMANDS,
            bench.command,
        )


def made(bench: Bench, side: int) -> Path:
    """Write a synthetic slide, 0.25 um/px, and return its path."""
    path = bench.folder / f"synthetic_{side}.svs"
    if not path.exists():
        say(f"composing {path.name}")
        run_job(bench.environments[0], "reading:compose", request(bench, path, side=side), bench.limit_s)
    return path


def request(bench: Bench, slide: Path, **more: object) -> dict[str, object]:
    """Return a request for a job on a slide."""
    return {"slide": str(slide), "threads": bench.threads, "precision": bench.precision} | more


def facts_of(bench: Bench, slide: Path) -> dict[str, float]:
    """Return height, width and um/px of a slide."""
    return run_job(bench.environments[0], "reading:facts", request(bench, slide), bench.limit_s).facts


def reading(bench: Bench, slide: Path, small: bool) -> Iterator[Comparison]:
    """Compare readers at the scale of the slide and at half of it."""
    with slide.open("rb") as file:  # into the page cache, but not into memory: peak memory is inherited
        while file.read(1 << 20):
            pass
    facts = facts_of(bench, slide)
    for factor in (1, 2):
        height, width = (int(facts[name]) // factor // TILE_PX * TILE_PX for name in ("height", "width"))
        tiles = [(y, x) for y in range(0, height, TILE_PX) for x in range(0, width, TILE_PX)]
        if not tiles:
            say(f"\n{slide.name} has no tile of {TILE_PX} px at {factor} times its scale: not read")
            continue
        passes = 1 if small else -(-LEAST_TILES // len(tiles))
        found = Comparison(
            f"Reading tiles of {TILE_PX} px at {facts['mpp'] * factor:.3g} um/px, {slide.name}",
            "wsipipe",
            f"Tiles: {len(tiles)}; passes, each of which opens the slide again: {passes}. {ALONE}",
            len(tiles),
            "tiles",
        )
        asked = request(bench, slide, factor=factor, tiles=tiles, passes=passes)
        bench.compare(found, READERS, bench.job(asked))
        flag_differences(found, "mean grey level", MOST_GREY_LEVELS)
        yield found


def pyramid(bench: Bench, slide: Path) -> Comparison:
    """Compare conversions to a pyramid."""
    facts = facts_of(bench, slide)
    mpx = facts["height"] * facts["width"] / 1e6
    text = f"{ALONE} {bench.threads} workers or threads."
    found = Comparison(f"{slide.name} to a sharded Zarr pyramid", "wsipipe", text, mpx, "Mpx")
    return bench.compare(found, CONVERTERS, bench.job(request(bench, slide, warm=str(made(bench, 512)))))


def networks(bench: Bench, slide: Path, tools: tuple[Tool, ...], title: str) -> Comparison:
    """Compare networks on a slide from start to end."""
    facts = facts_of(bench, slide)
    factor = round(NETWORK_MPP / facts["mpp"])
    mpx = facts["height"] * facts["width"] / factor**2 / 1e6
    text = (
        f"{WHOLE} On the CPU, {bench.precision}, {bench.threads} workers or threads; Mpx of the whole slide."
    )
    found = Comparison(
        f"{title} of {slide.name} at {NETWORK_MPP} um/px", "wsipipe", text, mpx, "Mpx", ("network",)
    )
    asked = request(bench, slide, factor=factor, mpp=NETWORK_MPP)
    return bench.compare(found, tools, bench.job(asked))


def warm(bench: Bench) -> None:
    """Run wsipipe once on a tiny slide, so that its compiled parts are built."""
    say("running wsipipe once on a tiny slide")
    bench.wsipipe(("run", "nuclei_and_tissue"), str(made(bench, 512)))


def page(bench: Bench, before: str, found: list[Comparison]) -> str:
    """Return the description of the machine and all tables."""
    lines = [f"Machine: {before} (at the end {load()}).", ""]
    for where, versions in bench.versions.items():
        held = ", ".join(f"{name} {text}" for name, text in versions.items() if not text.startswith("no "))
        lines.append(f"Packages of {where}: {held}.")
    return "\n".join([*lines, "", *map(markdown, found)])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ToolError as error:
        sys.exit(f"The comparison stopped: {error}.")
