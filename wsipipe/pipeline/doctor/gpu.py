"""GPUs: those of the machine, and those that torch can use."""

from wsipipe.models.gpu_state import Gpu, gpus, torch_build
from wsipipe.models.kernels.build import gpu_library
from wsipipe.pipeline.cluster.client import gpu_names
from wsipipe.pipeline.doctor.compiled_parts import loads
from wsipipe.pipeline.doctor.finding import Finding

TOPIC = "GPU"
_LEAST_BYTES = 4 << 30


def gpu() -> list[Finding]:
    """Compare the GPUs of the machine with those that torch can use."""
    present, usable = gpu_names(), gpus()
    findings = [Finding(TOPIC, "torch", "ok", torch_build())]
    if present and not usable:
        remedy = "Install a driver and a torch built for its CUDA; until then networks run on the CPU."
        return [*findings, Finding(TOPIC, "devices", "note", f"{len(present)} present, none usable", remedy)]
    if not usable:
        return [*findings, Finding(TOPIC, "devices", "ok", "none; networks run on the CPU")]
    return [*findings, *(_device(i, each) for i, each in enumerate(usable)), _kernel(usable[0].capability)]


def _device(index: int, each: Gpu) -> Finding:
    major, minor = each.capability
    value = f"{each.name}, {each.memory_bytes / 1e9:.0f} GB, compute capability {major}.{minor}"
    if not each.supported:
        remedy = "Install a torch that supports this GPU, or run with --device cpu."
        return Finding(TOPIC, f"device {index}", "failed", value, remedy)
    if each.memory_bytes < _LEAST_BYTES:
        return Finding(
            TOPIC, f"device {index}", "note", value, "Set smaller patches: --set segment.patch_px=512."
        )
    return Finding(TOPIC, f"device {index}", "ok", value)


def _kernel(capability: tuple[int, int]) -> Finding:
    reason = loads(lambda: gpu_library(capability) is not None)
    if reason is None:
        return Finding(TOPIC, "ring kernel", "ok", "built")
    return Finding(
        TOPIC, "ring kernel", "note", reason, "Install the CUDA toolkit; without it torch computes."
    )
