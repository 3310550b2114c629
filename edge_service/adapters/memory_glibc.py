"""Has glibc keep freed memory for reuse.

glibc's allocator maps large blocks separately, and returns them, and free memory at the end of its heap, to the system.
What counts as large grows with the largest mapped block that was ever freed; heap of up to twice that size is kept
(mallopt(3), `M_MMAP_THRESHOLD`). At first that is 128 KiB. A request of 200 KB takes several such blocks, and would get
each page of them from the system anew, at a tenth of what the request costs.
"""

from __future__ import annotations

LARGEST_BYTES = 4 * 1024 * 1024
"""Only larger blocks are returned at once. Of free heap twice as much is kept."""


def keep() -> None:
    """Raises the threshold to `LARGEST_BYTES`. No effect with other allocators."""
    bytes(LARGEST_BYTES)  # Mapped, never touched, and freed.
