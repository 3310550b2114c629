"""OpenAI's APIs that are no conversations. All but that for vectors pass through and nothing else: nobody but providers
of this dialect has them.

Sources: https://platform.openai.com/docs/api-reference; for rerank, which is not OpenAI's own but common among those
who speak like it, https://docs.vllm.ai/en/latest/serving/openai_compatible_server/#re-rank-api
"""

from __future__ import annotations

from edge_service.dialects.openai_plain import embedding, multipart, needs
from edge_service.dialects.openai_plain.apis import APIS, EMBEDDINGS, TEXT_COMPLETIONS, Api

__all__ = ["APIS", "EMBEDDINGS", "TEXT_COMPLETIONS", "Api", "embedding", "multipart", "needs"]
