"""The part of ``certify`` for finished slides, and how a certificate is shown."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsipipe.cli.shared import console, print_json, print_rows, stderr
from wsipipe.errors import ExitCode, NoResultError

if TYPE_CHECKING:
    from wsipipe.pipeline.certificate.record import SlideCertificate

CertifiedSlide = Annotated[
    Path | None,
    typer.Option("--slide", metavar="OUT/SLIDE", help="Finished slide: compute a sample of it again."),
]
Sample = Annotated[
    int | None, typer.Option(min=1, help="With --slide: number of blocks of 512 px (default 3).")
]
Angles = Annotated[
    bool,
    typer.Option(
        "--angles",
        help="With --slide: also compare nuclei at 45 degrees, for the review queue 'orientation'.",
    ),
]


def certify_finished(
    slide: Path, sample: int | None, angles: bool, device: str, json_file: Path | None
) -> int:
    """Certify a finished slide, write the certificate into its folder and show it."""
    from wsipipe.pipeline.certificate.certify import SAMPLE, certify_slide
    from wsipipe.pipeline.certificate.record import write_certificate
    from wsipipe.pipeline.cluster.machine import worker_count

    folder = slide.parent if slide.name == "slide.zarr" else slide

    def report(text: str) -> None:
        stderr.print(text, soft_wrap=True)

    found = certify_slide(folder, sample or SAMPLE, device, worker_count(None), angles, report)
    path = write_certificate(folder, found)
    show_in_page(folder, found)
    if json_file == Path("-"):
        print_json(found.model_dump(mode="json"))
    elif json_file is not None:
        json_file.write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8", newline="\n")
    if json_file != Path("-"):
        print_certificate(found)
        console.print(f"Written to {path}", soft_wrap=True)
    return int(ExitCode.OK if found.passed else ExitCode.FAILED)


def show_in_page(folder: Path, found: "SlideCertificate") -> None:
    """Show a certificate in the page of the slide, if it has one."""
    from wsipipe.pipeline.reporting.slide_page import add_certificate

    facts: dict[str, object] = {
        "passed": found.passed,
        "blocks computed again": f"{len(found.blocks)} of {found.blocks_with_tissue} with tissue",
        "arrays compared": len(found.layers),
        "px that differ": sum(layer.worst_px for layer in found.layers),
    }
    if found.reasons:
        facts["reasons"] = "; ".join(found.reasons)
    with suppress(NoResultError):
        add_certificate(folder.parent, found.slide_id, facts)


def print_certificate(found: "SlideCertificate", is_current: bool = True) -> None:
    """Print the layers and the verdict of a certificate."""
    rows = [
        (layer.name, f"{layer.compared_px:,}", f"{layer.worst_px:,}", f"{layer.worst_share:.2g}", layer.exact)
        for layer in found.layers
    ]
    print_rows(("array", "px compared", "px that differ", "share", "exact"), rows)
    if found.angles is not None:
        angles = found.angles
        console.print(f"at {angles.degrees:g} degrees: mean difference of probabilities {angles.mean:.3f}")
    verdict = "passed" if found.passed else "; ".join(["failed", *found.reasons])
    if not is_current:
        verdict = f"void, since the result was changed after it was certified ({verdict})"
    blocks = f"{len(found.blocks)} of {found.blocks_with_tissue} blocks with tissue"
    console.print(f"certificate of {found.slide_id}, {blocks}: {verdict}", soft_wrap=True)


def print_result(folder: Path, as_json: bool) -> None:
    """Print plan and certificate of a finished slide."""
    from wsipipe.pipeline.certificate.record import is_current, read_certificate
    from wsipipe.store.result import open_result

    result, found = open_result(folder), read_certificate(folder)
    valid = found is not None and is_current(folder, found)
    if as_json:
        about = {
            "path": str(folder),
            "slide_id": result.attributes["slide_id"],
            "plan": result.manifest["plan"],
        }
        certificate = None if found is None else found.model_dump(mode="json") | {"is_current": valid}
        print_json(about | {"manifest_digest": result.manifest["digest"], "certificate": certificate})
        return
    console.print(f"{folder}: plan {result.manifest['plan'][:16]}", soft_wrap=True)
    if found is None:
        console.print("no certificate; wsipipe certify --slide makes one")
    else:
        print_certificate(found, valid)
