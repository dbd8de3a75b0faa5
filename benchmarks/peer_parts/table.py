"""Tables and ratios of the comparison with other tools."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Run:
    """What one run of one tool took.

    Attributes:
        wall_s: Seconds of the work alone, or of the whole process, as the comparison says.
        cpu_s: CPU seconds of the same, of all processes that took part.
        peak_mb: Peak memory of the largest process, start-up included.
        parts: Seconds of parts of the work by name.
        facts: Numbers that tell whether the same work was done.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    parts: dict[str, float] = field(default_factory=dict)
    facts: dict[str, float] = field(default_factory=dict)


Rounds = dict[int, Run]
Value = Callable[[Run], float | None]


@dataclass
class Comparison:
    """Tools that did the same work by turns.

    Attributes:
        title: Heading of the table.
        baseline: Name of the tool that the ratios refer to.
        text: What is timed, one sentence or more.
        amount: Amount of work in ``unit``; 0 for no column of rates.
        unit: Unit of ``amount``.
        compared: Names of parts that get a ratio too.
        runs: Runs by tool and round.
        absent: Reason by tool that took no part, or not in all rounds.
        notes: Notes by tool.
    """

    title: str
    baseline: str
    text: str = ""
    amount: float = 0.0
    unit: str = ""
    compared: tuple[str, ...] = ()
    runs: dict[str, Rounds] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def ratios(own: Rounds, other: Rounds, value: Value) -> list[float]:
    """Return the ratio other / own of each round that both have.

    Raises:
        ValueError: A value is not positive, so that its ratio means nothing.
    """
    found = []
    for turn in sorted(own.keys() & other.keys()):
        mine, its = value(own[turn]), value(other[turn])
        if mine is None or its is None:
            continue
        if mine <= 0 or its <= 0:
            raise ValueError(f"No ratio of {its} to {mine}: both must be above 0. Measure again.")
        found.append(its / mine)
    return found


def ratio_text(values: list[float]) -> str:
    """Return the median, with the least and the largest of several."""
    if not values:
        return ""
    middle = f"{median(values):.2f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.2f} to {max(values):.2f})"


def ratio_cell(own: Rounds, other: Rounds, value: Value) -> str:
    """Return the text of the ratios, or that there is none."""
    try:
        return ratio_text(ratios(own, other, value))
    except ValueError:
        return "none: a time of 0"


def middle(runs: Rounds, value: Value) -> float | None:
    """Return the median of a value; None if no run has it."""
    values = [found for found in map(value, runs.values()) if found is not None]
    return median(values) if values else None


def number(value: float | None) -> str:
    """Return three digits of a number, an empty text for None."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def part(name: str) -> Value:
    """Return a function that takes the seconds of a part."""
    return lambda run: run.parts.get(name)


def fact(name: str) -> Value:
    """Return a function that takes a fact."""
    return lambda run: run.facts.get(name)


def wall(run: Run) -> float:
    """Return the wall seconds."""
    return run.wall_s


def cpu(run: Run) -> float:
    """Return the CPU seconds."""
    return run.cpu_s


def peak(run: Run) -> float:
    """Return the peak memory in MB."""
    return run.peak_mb


def names(runs: dict[str, Rounds], of: str) -> list[str]:
    """Return names of parts or facts in order of appearance."""
    return list(
        dict.fromkeys(name for each in runs.values() for run in each.values() for name in getattr(run, of))
    )


def columns(found: Comparison) -> Iterator[tuple[str, Callable[[str], str]]]:
    """Yield the head of each column, and a function that returns a tool's cell."""
    runs, own = found.runs, found.runs.get(found.baseline, {})

    def value(of: Value) -> Callable[[str], str]:
        return lambda tool: number(middle(runs[tool], of))

    def against(of: Value) -> Callable[[str], str]:
        return lambda tool: ratio_cell(own, runs[tool], of)

    yield "tool", lambda tool: tool
    if found.amount:
        yield f"{found.unit}/s", lambda tool: rate_text(found.amount, middle(runs[tool], wall))
    yield "wall s", value(wall)
    for name in names(runs, "parts"):
        yield f"of these {name}", value(part(name))
    yield "CPU s", value(cpu)
    yield "peak MB", value(peak)
    for name in names(runs, "facts"):
        yield name, value(fact(name))
    yield "wall, ratio", against(wall)
    yield "CPU, ratio", against(cpu)
    for name in found.compared:
        yield f"{name}, ratio", against(part(name))
    yield "rounds", lambda tool: str(len(runs[tool]))


def flag_differences(found: Comparison, name: str, most: float) -> None:
    """Add a note to each tool whose fact differs from the baseline's by more than ``most``."""
    if found.baseline not in found.runs:
        return
    expected = middle(found.runs[found.baseline], fact(name))
    for tool, runs in found.runs.items():
        got = middle(runs, fact(name))
        if got is None or expected is None or abs(got - expected) <= most:
            continue
        text = f"**other pixels: {name} {number(got)} instead of {number(expected)}**"
        found.notes[tool] = "; ".join(filter(None, (found.notes.get(tool), text)))


def rate_text(amount: float, seconds: float | None) -> str:
    """Return the amount a second, an empty text without seconds."""
    return number(amount / seconds) if seconds else ""


def markdown(found: Comparison) -> str:
    """Return heading, table, and notes; ratios above 1 mean that the baseline is faster."""
    shown = list(columns(found))
    lines = [
        f"### {found.title}",
        "",
        f"{found.text} Ratio: time of the tool / time of {found.baseline}.".strip(),
        "",
    ]
    if found.runs:
        lines.append("| " + " | ".join(head for head, _ in shown) + " |")
        lines.append("|---" * len(shown) + "|")
        lines += ["| " + " | ".join(cell(tool) for _, cell in shown) + " |" for tool in found.runs]
        lines.append("")
    if found.baseline not in found.runs:
        lines += [f"**No ratios: {found.baseline} did not run.**", ""]
    lines += [f"- {tool}: {text}" for tool, text in found.notes.items() if tool in found.runs]
    lines += [f"- **{tool}**: {reason}" for tool, reason in found.absent.items()]
    return "\n".join(lines).rstrip() + "\n"
