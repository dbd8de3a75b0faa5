"""Join the records of the parts of a batch.

Each part writes ``run.I-of-N.json``; readers join these with ``run.json``.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from wsipipe.errors import NoResultError
from wsipipe.pipeline.parts import Part
from wsipipe.pipeline.reporting.run_json import RUN_JSON, RunEntry, SlideEntry, read_file

_MOST_NAMED = 20


def part_files(out: Path) -> dict[Path, Part]:
    """Return the records of parts in OUT."""
    found = {path: Part.of_stem(path.stem) for path in sorted(out.glob("run.*-of-*.json"))}
    return {path: part for path, part in found.items() if part}


def has_record(out: Path) -> bool:
    """Return whether OUT has a record of a run or of a part."""
    return (out / RUN_JSON).is_file() or bool(part_files(out))


def read_records(out: Path) -> list[RunEntry]:
    """Read all records of OUT, later ones last.

    ``run.json`` is first: a whole run removes the records of parts that ran before it.

    Raises:
        NoResultError: There is no record.
        StorageError: A file is not JSON.
    """
    parts: list[RunEntry] = []
    for path in part_files(out):
        # A whole run that starts just now may have removed it.
        with suppress(NoResultError):
            parts.append(read_file(path))
    parts.sort(key=lambda record: record["began"])
    if parts and not (out / RUN_JSON).is_file():
        return parts
    return [read_file(out / RUN_JSON), *parts]


def read_record(out: Path) -> RunEntry:
    """Read the record of OUT; those of parts are joined.

    Raises:
        NoResultError: There is no record.
        StorageError: A file is not JSON.
    """
    return joined(read_records(out))


def joined(records: Sequence[RunEntry]) -> RunEntry:
    """Join records: the last entry of each slide, and facts about the newest batch."""
    newest = records[-1]
    if "batch" not in newest:
        return newest
    batch = batch_of(records)
    ends = [record["ended"] for record in batch.values()]
    run = {key: value for key, value in newest.items() if key != "batch"}
    return cast(
        RunEntry,
        run
        | {
            "began": min(record["began"] for record in batch.values()),
            "ended": None if None in ends else max(filter(None, ends)),
            "processors": sorted({name for each in batch.values() for name in each.get("processors", [])}),
            "peak_memory_mb": {
                f"part {part}, {worker}": peak
                for part, record in batch.items()
                for worker, peak in record["peak_memory_mb"].items()
            },
            "asked": {key: asked for record in records for key, asked in record["asked"].items()},
            "slides": list(last_entries(records).values()),
            "notes": notes(records),
        },
    )


def last_entries(records: Sequence[RunEntry]) -> dict[str, SlideEntry]:
    """Return the last entry of each slide, by id."""
    return {slide["slide_id"]: slide for record in records for slide in record["slides"]}


def batch_of(records: Sequence[RunEntry]) -> dict[Part, RunEntry]:
    """Return the records of the newest batch by part; empty after a whole run."""
    if "batch" not in records[-1]:
        return {}
    found = {Part.parse(record["batch"]["part"]): record for record in records if "batch" in record}
    count = Part.parse(records[-1]["batch"]["part"]).count
    return {part: found[part] for part in sorted(found, key=lambda part: part.number) if part.count == count}


def notes(records: Sequence[RunEntry]) -> list[str]:
    """Return sentences about what the newest batch lacks.

    Parts may not have started, or may have been given other slides.
    """
    batch = batch_of(records)
    if not batch:
        return []
    count = next(iter(batch)).count
    present = {part.number for part in batch}
    missing = [f"{number}/{count}" for number in range(1, count + 1) if number not in present]
    found = []
    if missing:
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        found.append(
            f"Parts that have not started: {', '.join(missing[:_MOST_NAMED])}{more}. Their slides are not "
            f"listed; run these parts."
        )
    if len({record["batch"]["sha256"] for record in batch.values()}) > 1:
        sizes = ", ".join(f"{part}: {record['batch']['slides']}" for part, record in batch.items())
        found.append(
            f"The parts were given different slides (slides of the batch by part: {sizes}), so some slides "
            f"may be in no part. Run all parts again with the same slides; finished ones are kept."
        )
    return found
