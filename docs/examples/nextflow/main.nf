// nextflow run main.nf --slides '/data/slides/*.svs' --out /data/results
params.slides = 'slides/*.svs'
params.out = 'results'
params.workflow = 'nuclei'

include { WSIPIPE } from './wsipipe.nf'

workflow {
    WSIPIPE(channel.fromPath(params.slides), params.workflow)
    WSIPIPE.out.summary.collectFile(name: 'cohort.csv', storeDir: params.out, keepHeader: true)
}
