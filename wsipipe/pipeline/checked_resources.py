"""Checks of the resources of a run, before any work."""

from dataclasses import replace
from pathlib import Path

from wsipipe.errors import ConfigError
from wsipipe.pipeline.cluster.machine import gpu_names
from wsipipe.pipeline.options import Resources
from wsipipe.pipeline.work_folders import slurm_folder


def check_slurm_run(resources: Resources, out: Path, dry_run: bool) -> Resources:
    """Check a run on SLURM, and return its resources with the threads of a job.

    Raises:
        ConfigError: Options contradict each other, or SLURM or a package is missing.
    """
    if resources.slurm is None:
        return resources
    if dry_run:
        # Opening slides is quick; it takes no jobs.
        return replace(resources, slurm=None, workers=None)
    from wsipipe.pipeline.cluster.slurm import check_slurm

    if (
        resources.workers is None
        or resources.device == "cuda"
        or resources.scheduler
        or resources.memory_budget
    ):
        raise ConfigError(
            "--cluster slurm needs --workers, the number of jobs, and does not go with --scheduler, "
            "--memory-budget (give --cluster-option memory=8GB) or --device cuda (give --part in array jobs)."
        )
    check_slurm(slurm_folder(out))
    return replace(resources, threads=resources.threads or int(resources.slurm.cpus))


def check_scheduler(resources: Resources) -> None:
    """Check that the given scheduler, if any, can be reached.

    Raises:
        ConfigError: It is not encrypted, or does not answer.
    """
    if resources.scheduler is not None:
        from wsipipe.pipeline.cluster import client

        client.check_scheduler(resources.scheduler)


def gpu_processes(resources: Resources) -> int:
    """Return the number of GPU processes to start.

    Raises:
        ConfigError: The device is unknown or absent.
    """
    if resources.device not in {"auto", "cpu", "cuda"}:
        raise ConfigError(f"--device {resources.device!r}: choose cpu, cuda or auto.")
    if resources.device == "cpu" or resources.elsewhere:
        return 0
    found = len(gpu_names())
    if resources.device == "cuda" and not found:
        raise ConfigError("--device cuda: this machine shows no NVIDIA GPU; choose --device cpu or auto.")
    return found
