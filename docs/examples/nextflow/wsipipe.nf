// The module: one process for each slide. Include it with: include { WSIPIPE } from './wsipipe.nf'
// Formats of several files (MIRAX, DICOM folders) are given as the folder that holds them.
process WSIPIPE {
    tag "${slide.baseName}"
    cpus 4
    memory '8 GB'
    publishDir params.out, mode: 'copy'
    // 75: locked, or the disk is full; 137 and 143: stopped from outside. Everything else needs a person.
    errorStrategy { task.exitStatus in [75, 137, 143] ? 'retry' : 'finish' }
    maxRetries 2

    input:
    path slide
    val workflow

    output:
    path "${slide.baseName}/*/slide.zarr", emit: zarr
    path "${slide.baseName}/*/nuclei.parquet", emit: nuclei, optional: true
    path "${slide.baseName}/summary.csv", emit: summary

    script:
    """
    wsipipe run ${workflow} '${slide}' --out '${slide.baseName}' --workers ${task.cpus}
    """
}
