"""Which device computes, in which precision, and how its memory is treated."""

import contextlib
import ctypes
import gc
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from napari_microsr.errors import DeviceError


@dataclass(frozen=True)
class Device:
    """A computing device and what pays on it.

    Attributes
    ----------
    name : str
        "cpu", "cuda:0" or "mps".
    reduced : torch.dtype or None
        Type for autocast where it is faster than float32, None where it is not.
    channels_last : bool
        Whether convolutions run faster on channels-last tensors.
    """

    name: str
    reduced: torch.dtype | None
    channels_last: bool

    @property
    def kind(self) -> str:
        """Return "cpu", "cuda" or "mps"."""
        return self.name.partition(":")[0]

    @property
    def workers(self) -> int:
        """How many tiles are computed at once.

        On a CPU two tiles of one thread each are done sooner than one after the other with two threads,
        which wait for each other in every layer. Four tiles are enough for memory's sake.
        """
        return min(torch.get_num_threads(), 4) if self.kind == "cpu" else 1

    @contextlib.contextmanager
    def inference(self, reduced: bool) -> Iterator[None]:
        """Run a network without gradients, repeatably, in float32 or in the reduced type.

        TensorFloat-32 is switched off: it keeps 10 bits of the mantissa, which is not float32. cuDNN is
        held to deterministic algorithms, so that a repeated tile is the same to the bit.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if reduced and self.reduced is not None:
                stack.enter_context(torch.autocast(self.kind, self.reduced))
            if (
                self.kind == "cuda"
            ):  # these flags are the whole program's; one thread at a time computes there
                flags = torch.backends.cudnn.flags
                stack.enter_context(
                    flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
                )
            yield

    def memory(self) -> tuple[float, float] | None:
        """Free and total memory of a CUDA device in GB, None for other devices."""
        if self.kind != "cuda":
            return None
        free, total = torch.cuda.mem_get_info(self.name)
        return free / 1e9, total / 1e9

    def release(self) -> None:
        """Give cached memory back to the device and to the system."""
        if self.kind != "cpu":
            # On a CPU nothing is cached; in napari a collection holds up the window for a quarter second.
            gc.collect()
        if self.kind == "cuda":
            torch.cuda.empty_cache()
        elif self.kind == "mps":
            torch.mps.empty_cache()
        self.trim()

    def trim(self) -> None:
        """Give the system the memory between live blocks, which glibc keeps and fragments run by run."""
        if sys.platform == "linux":
            with contextlib.suppress(OSError, AttributeError):
                ctypes.CDLL(None).malloc_trim(0)


def resolve(name: str) -> Device:
    """Return the device that a user asked for.

    Parameters
    ----------
    name : str
        "auto" (CUDA, else MPS, else CPU), "cpu", "cuda", "cuda:1" or "mps".

    Raises
    ------
    DeviceError
        If there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu"
    if name == "cpu":
        return Device("cpu", torch.bfloat16 if _cpu_has_bf16() else None, channels_last=True)
    if name == "mps" and _has_mps():
        return Device("mps", torch.float16, channels_last=False)
    kind, _, number = name.partition(":")
    if kind == "cuda" and (number or "0").isdigit():
        index = int(number or 0)
        if index < torch.cuda.device_count():
            bf16 = torch.cuda.get_device_capability(index) >= (8, 0)
            return Device(f"cuda:{index}", torch.bfloat16 if bf16 else torch.float16, channels_last=True)
    raise DeviceError(
        f"There is no device {name!r} here.", f"Choose one of: {', '.join(available())}, or auto."
    )


def available() -> list[str]:
    """Return the names of the devices of this machine, the fastest first."""
    names = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return [*names, *(["mps"] if _has_mps() else []), "cpu"]


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether a computation failed for want of memory.

    torch has a class for CUDA only; the CPU's and Apple's allocators raise a RuntimeError.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and (
        "DefaultCPUAllocator" in str(error) or "MPS backend out of memory" in str(error)
    )


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def _cpu_has_bf16() -> bool:
    """Say whether the processor multiplies bfloat16 itself; emulated, it is slower than float32."""
    # torch has no public question for it, and before 2.6 none at all.
    questions = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, question, bool)() for question in questions)
