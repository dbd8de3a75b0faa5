"""Commands about weights: models and certify."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from wsipipe.cli.certify_slide import Angles, CertifiedSlide, Sample, certify_finished
from wsipipe.cli.shared import AsJson, DeviceName, app, console, print_json, print_rows, stderr
from wsipipe.errors import ConfigError, ExitCode

models_app = typer.Typer()
app.add_typer(models_app, name="models")


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """List installed weights with outputs, licence and intended use.

    Subcommands add weights (fetch), convert pickled ones (convert) and write networks for other programs
    (export).
    """
    if context.invoked_subcommand is not None:
        return
    from wsipipe.models.cards.weights import known_models, read_card

    cards = [read_card(name) for name in known_models()]
    if as_json:
        print_json([card.model_dump(mode="json") for card in cards])
        return
    rows = [
        (card.name, f"{card.mpp:g}", " ".join(card.output_names), card.licence, card.intended_use)
        for card in cards
    ]
    print_rows(("name", "um/px", "outputs", "licence", "use"), rows)


@models_app.command("fetch")
def fetch_model(
    source: Annotated[
        str, typer.Argument(metavar="URL|PATH", help="A .safetensors file, with its card (.json) beside it.")
    ],
    sha256: Annotated[
        str | None, typer.Option(help="Expected SHA-256 of the weights, from a source that you trust.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Download or copy weights and their card.

    They are stored in the user's folder if their SHA-256 matches, and are then found by name.
    """
    from wsipipe.models.cards.fetch import fetch

    path = fetch(source, sha256)
    if as_json:
        print_json({"name": path.stem, "path": str(path)})
        return
    console.print(f"{path}: use it as --set segment.weights={path.stem}, or any WEIGHTS", soft_wrap=True)


@models_app.command("convert")
def convert_weights(
    source: Annotated[Path, typer.Argument(help="A .pt, .pth or .ckpt file that you trust.")],
    to: Annotated[Path, typer.Option("--to", dir_okay=False, help="The .safetensors file to write.")],
    as_json: AsJson = False,
) -> None:
    """Convert pickled weights to safetensors.

    No other part of wsipipe reads pickle files.
    """
    from wsipipe.models.cards.unpickle import unpickle

    names = unpickle(source, to)
    if as_json:
        print_json({"path": str(to), "tensors": names})
        return
    console.print(f"{to}: {len(names)} tensors. Write its card beside it before use.", soft_wrap=True)


@app.command()
def certify(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="WEIGHTS|MODEL",
            help="Name of installed weights, a .safetensors or .onnx file with its card, or "
            "package.module:factory, a function that returns any torch model; that module is imported, so "
            "its code runs.",
        ),
    ] = None,
    tiled: Annotated[bool, typer.Option("--tiled", help="Also compare tiled with whole inference.")] = False,
    dtype: Annotated[
        Literal["float32", "float64", "bfloat16"], typer.Option(help="Numerical precision.")
    ] = "float32",
    lattice: Annotated[
        int | None,
        typer.Option(min=1, help="Side lengths are multiples of this, px; default from the model."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Certificate to write; - for standard output.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Figure to write, PNG.")] = None,
    write: Annotated[
        bool,
        typer.Option("--write", help="Write the certificate beside the weights and into their card."),
    ] = False,
    slide: CertifiedSlide = None,
    sample: Sample = None,
    angles: Angles = False,
    device: DeviceName = "cpu",
) -> int:
    """Measure whether results depend on orientation or tiling.

    A network is tested in all eight orientations. Of a slide, with --slide, a sample of blocks is computed
    again. Exits with an error code if the network or the slide fails.
    """
    if slide is not None:
        own = (model, tiled or None, lattice, picture, write or None)
        if any(value is not None for value in own) or dtype != "float32":
            raise ConfigError(
                "--slide certifies a finished slide, and goes with --sample, --angles, --device and --json "
                "only. Leave out the other options."
            )
        return certify_finished(slide, sample, angles, device, json_file)
    if model is None:
        raise ConfigError("certify needs a network or a slide. Give WEIGHTS, or --slide OUT/SLIDE.")
    if sample is not None or angles or device != "cpu":
        raise ConfigError(
            "--sample, --angles and --device need --slide OUT/SLIDE. Add it, or leave them out."
        )
    from wsipipe.models.cards.weights import find_weights, write_certificate
    from wsipipe.models.certificate.certify import certify as measure
    from wsipipe.models.certificate.figure import draw_certificate, summary

    if write:
        find_weights(model)
    to_stdout = json_file == Path("-")
    for path in (None if to_stdout else json_file, picture):
        _check_folder(path)

    certificate = measure(model, dtype=dtype, tiled=tiled, lattice_px=lattice)
    if to_stdout:
        print_json(certificate.model_dump(mode="json"))
    elif json_file is not None:
        json_file.write_text(certificate.model_dump_json(indent=2) + "\n", encoding="utf-8", newline="\n")
    if picture is not None:
        draw_certificate(certificate, picture)
    if write:
        write_certificate(model, certificate.model_dump_json(indent=2))
    for line in summary(certificate):
        (stderr if to_stdout else console).print(line, soft_wrap=True)
    return int(ExitCode.OK if certificate.passed else ExitCode.FAILED)


def _check_folder(path: Path | None) -> None:
    """Check that a file can be written, before minutes of computation.

    Raises:
        ConfigError: The folder does not exist, or the path is a folder.
    """
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise ConfigError(f"{path} cannot be written: name a file in an existing folder.")


@models_app.command("export")
def export_model(
    weights: Annotated[str, typer.Argument(help="Name of installed weights, or a .safetensors file.")],
    to: Annotated[
        Path,
        typer.Option("--to", dir_okay=False, help="model.pt (TorchScript) or model.onnx."),
    ],
    tile: Annotated[
        bool,
        typer.Option("--tile", help="Export a classifier's logits of one tile, as WSInfer needs."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Export a network as plain convolutions for other programs.

    Its card is written beside it as JSON.
    """
    from wsipipe.models.conversion.deployment import export_network

    written = export_network(weights, to, tile=tile)
    if as_json:
        print_json([{"path": str(path), "size_bytes": path.stat().st_size} for path in written])
        return
    for path in written:
        console.print(f"{path}: {path.stat().st_size / 1e6:.1f} MB", soft_wrap=True)
