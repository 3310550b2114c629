"""Gateways that do the same work."""

from __future__ import annotations

LITELLM, PORTKEY, FERROGW, SMG = "LiteLLM", "Portkey", "ferrogw", "smg"
