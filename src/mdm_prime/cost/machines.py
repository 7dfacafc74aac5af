"""Devices that hours are told for: those of data sheets, and this machine."""

from __future__ import annotations

import os
import platform
import time
from typing import NamedTuple

import torch

UTILISATION = 0.4  # share of a device's rate of matrix products that the work of a network is taken to reach
SECONDS = 0.3  # that the rate of this machine is measured for


class Machine(NamedTuple):
    """A device.

    Attributes:
        name: for tables.
        rate: floating-point operations a second in products of matrices.
        memory: bytes.
    """

    name: str
    rate: float
    memory: float


# Dense products of bfloat16 matrices, added up in float32, and memory: NVIDIA's data sheets of the H100 SXM and the
# A100 80 GB SXM, and its Ada whitepaper for the RTX 4090.
NAMED = (Machine("H100", 989e12, 80e9), Machine("A100", 312e12, 80e9), Machine("RTX 4090", 165e12, 24e9))


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def this_machine(device: torch.device, dtype: torch.dtype) -> Machine:
    """The device, with its rate as it is now, with the threads that torch has."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return Machine(properties.name, matrix_rate(device, dtype), properties.total_memory)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(platform.machine(), matrix_rate(device, dtype), memory)


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second in products of square matrices: the best of those within SECONDS."""
    size = 8192 if device.type == "cuda" else 1024
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    times, started = list[float](), clock(device)
    while clock(device) - started < SECONDS or len(times) < 3:
        start = clock(device)
        torch.mm(left, right)
        times.append(clock(device) - start)
    return 2 * size**3 / min(times)


def clock(device: torch.device) -> float:
    """Seconds, once a GPU has done what it was given.

    For one thread those of the processor, which are the same unless something else runs on it, and that is not counted.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.process_time() if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter()
