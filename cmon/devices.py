"""Where networks run and in which arithmetic: a `--device` to a device that is there."""

from __future__ import annotations

from cmon.errors import CmonError, require_known

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("fp32", "bf16")
NETWORK_PRECISIONS = ("fp32", "tf32", "bf16")
"""Of the networks that are looked at: 'tf32' is float32 with products of 10 bits of mantissa, on CUDA alone."""


def find_device(name: str) -> str:
    """'cpu', 'cuda' or 'mps'; 'auto' takes a GPU if there is one. Raises CmonError for one that is not there."""
    require_known("--device", name, DEVICES)
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if there[device])
    if not there[name]:
        raise CmonError(
            f"--device {name}: there is none on this machine",
            found="devices: " + ", ".join(device for device, here in there.items() if here),
            hint="use --device auto",
        )
    return name


def images_at_a_time(given: int | None, device: str) -> int:
    """A few images at a time keep a network's maps in a processor's cache; a GPU wants many at once.

    On CUDA as many as its free memory holds at 64 MiB each, which is ample for networks of 224 pixels: a power of two
    from 32 to 512.
    """
    if given:
        return given
    if device == "cpu":
        return 8
    if device != "cuda":
        return 64
    import torch

    free = torch.cuda.mem_get_info()[0] // (64 << 20)
    return max(32, min(512, 1 << (int(free).bit_length() - 1))) if free > 0 else 32
