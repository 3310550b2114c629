"""How much of what was freed this process keeps.

glibc's allocator maps large blocks for themselves, and gives what is free at the end of its heap back to the system:
the former from the size of the largest mapped block that it has seen freed, the latter from twice that (mallopt(3),
`M_MMAP_THRESHOLD`). At first that is 128 KiB. A request of 200 KB takes several such blocks, and would get each page of
them from the system anew, at a tenth of what the request costs.
"""

from __future__ import annotations

LARGEST_BYTES = 4 * 1024 * 1024
"""Larger blocks go back to the system at once. Of what smaller ones leave free at the end, twice as much is kept."""


def keep() -> None:
    """Other allocators take no notice."""
    bytes(LARGEST_BYTES)  # Mapped, never touched, and freed.
