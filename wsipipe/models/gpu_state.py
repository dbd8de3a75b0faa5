"""GPUs that torch can use, and what each of them has."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Gpu:
    """A CUDA device.

    Attributes:
        name: Name of the product.
        capability: Compute capability.
        memory_bytes: Installed memory.
        supported: Whether this build of torch has code for it.
    """

    name: str
    capability: tuple[int, int]
    memory_bytes: int
    supported: bool


def gpus() -> list[Gpu]:
    """Return the CUDA devices that torch sees."""
    if not torch.cuda.is_available():
        return []
    majors = {
        int(name.removeprefix("sm_").rstrip("af")) // 10
        for name in torch.cuda.get_arch_list()
        if "sm_" in name
    }
    found = []
    for index in range(torch.cuda.device_count()):
        facts, capability = torch.cuda.get_device_properties(index), torch.cuda.get_device_capability(index)
        found.append(Gpu(facts.name, capability, facts.total_memory, capability[0] in majors))
    return found


def torch_build() -> str:
    """Return the version of torch and of the CUDA that it was built for."""
    cuda = torch.version.cuda
    return f"torch {torch.__version__}, built for {f'CUDA {cuda}' if cuda else 'CPUs'}"
