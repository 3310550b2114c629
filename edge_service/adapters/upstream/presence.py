"""What the system is told to do so that a connection on which nothing is said for minutes stays known to be there.

An answer that comes whole takes as long as its generation, ten minutes by default. Whatever keeps count of connections
on the way, such as a NAT, forgets silent ones after four to six, and tells neither side. Nor does a machine that is
gone.
"""

from __future__ import annotations

import socket

ASK_S = 30
"""How often a silent provider's machine is asked whether it is there."""
GONE_S = 120
"""How long it may leave anything unanswered before the connection counts as broken."""

_OF_TCP = {
    "TCP_KEEPIDLE": ASK_S,
    "TCP_KEEPINTVL": ASK_S,
    "TCP_KEEPCNT": GONE_S // ASK_S,
    "TCP_USER_TIMEOUT": GONE_S * 1000,  # Of what was sent: without it, it is sent again for a quarter of an hour.
}

SOCKET_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *((socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in _OF_TCP.items() if hasattr(socket, name)),
)
"""As arguments of `setsockopt`, as far as this system has them."""
