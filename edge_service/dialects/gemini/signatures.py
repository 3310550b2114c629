"""Thought signatures: where they stand, and what stands in for one that is missing.

Source: https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

SKIP = "skip_thought_signature_validator"
"""Instead of the signature of a call that no Gemini model has made. Google names it for conversations that come from
other models; a model of the third generation refuses a call with no signature at all."""

STAND_IN = SKIP.replace("_", "/")
"""The same bytes in the alphabet that every SDK can read. A client gets it with the first call of another family's
answer, and hands it back: its conversation may go on at Gemini, where nobody looks into it."""

STAND_INS = frozenset({SKIP, STAND_IN})
