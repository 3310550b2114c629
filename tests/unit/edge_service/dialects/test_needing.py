from __future__ import annotations

import base64
import json
import random
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_service.adapters.tokenizer_bpe_openai import BpeTokenizer
from edge_service.dialects import needing
from edge_service.domain.errors import InvalidRequestError
from tests.support import golden, needed
from tests.support.golden import DIALECTS

ROOT = Path(__file__).parents[4]
REQUESTS = sorted(golden.ROOT.glob("*/requests/*.json"))

TEXTS = {
    "prose": (ROOT / "README.md").read_text(),
    "code": (ROOT / "edge_service/app/walk.py").read_text(),
    "json": json.dumps(json.loads((golden.ROOT / "openai_chat/requests/tools.json").read_text()), indent=2),
    "german": "Der Stausee liegt vor der Turbine, und was hinter dem Namen steht, darf sich jederzeit ändern. " * 20,
    "russian": "Водохранилище находится перед турбиной, и приложения видят только имена моделей за ним. " * 20,
    "greek": "Η λεκάνη βρίσκεται μπροστά από τον στρόβιλο και οι εφαρμογές βλέπουν μόνο τα ονόματα. " * 20,  # noqa: RUF001 - Greek is what it is
    "arabic": "يقع الخزان أمام التوربين ولا ترى التطبيقات سوى الأسماء التي تقف أمام النماذج. " * 20,
    "chinese": "前池是水轮机前的水池，应用程序只看到名称，名称背后的一切都可以改变。" * 40,  # noqa: RUF001 - likewise
    "hindi": "जलाशय टरबाइन के सामने होता है और अनुप्रयोग केवल नाम देखते हैं। " * 20,
}


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_an_estimate_is_rather_too_low_than_too_high_and_not_by_far(text: str, *, escaped: bool) -> None:
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": [{"type": "text", "text": text}]}]
    counted = 2 * BpeTokenizer().count(text)
    estimated = needing.tokens(json.dumps(messages, ensure_ascii=escaped).encode())
    assert counted / 4 < estimated <= counted


def test_short_messages_are_not_more_than_what_stands_around_them_costs() -> None:
    messages = [{"role": "user", "content": "yes"}] * 1000
    assert needing.tokens(msgspec.json.encode(messages)) <= 1000 * 5


BLOB = base64.b64encode(random.Random(1).randbytes(60_000)).decode()  # noqa: S311


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{BLOB}"}},
        {"type": "input_audio", "input_audio": {"data": BLOB, "format": "wav"}},
        {"type": "file", "file": {"file_data": BLOB}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": BLOB}},
        {"type": "thinking", "thinking": "Hm.", "signature": BLOB},
        {"type": "redacted_thinking", "data": BLOB},
        {"inlineData": {"mimeType": "image/png", "data": BLOB.replace("+", "-").replace("/", "_")}},
        {"text": "Hm.", "thoughtSignature": BLOB},
        {"type": "reasoning", "encrypted_content": BLOB},
        {"type": "image_generation_call", "result": BLOB},
        {"type": "input_file", "file_data": "\n".join(BLOB[i : i + 76] for i in range(0, len(BLOB), 76))},
    ],
    ids=str,
)
@pytest.mark.parametrize("slash", ["/", "\\/"])
def test_what_is_no_text_counts_for_nothing(part: dict[str, object], slash: str) -> None:
    words = {"type": "text", "text": "word " * 4000}
    sent = json.dumps([{"content": [part, words, part]}]).replace("/", slash).encode()
    assert abs(needing.tokens(sent) - needing.tokens(json.dumps([words]).encode())) < 100


def test_a_long_text_without_spaces_is_one() -> None:
    assert needing.tokens(json.dumps([{"content": "x" * 80_000}]).encode()) >= 8_000


def test_a_text_is_one_beside_media_too() -> None:
    media = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{BLOB}"}}
    words = {"type": "text", "text": "x" * 80_000}
    sent = json.dumps([{"content": [media, words, media]}]).encode()
    assert abs(needing.tokens(sent) - needing.tokens(json.dumps([words]).encode())) < 100


def plainly(text: bytes) -> int:
    """The same, by looking behind each quotation mark."""
    size = len(text)
    for mark in re.finditer(b'"', text):
        before, behind = text[: mark.start()], text[mark.end() :]
        is_opaque = behind.startswith(b"data:") or re.search(rb'"(?:data|result)"\s*:\s*\Z', before)
        if is_opaque and re.match(rb"[!#-~]{512}", behind):
            size -= len(re.split(rb'["\s]|\\u', behind, maxsplit=1)[0])
    return max(0, size - 4 * text.count(b"\\u")) // needing.BYTES_PER_TOKEN


pieces = st.sampled_from([b"", b'"', b" ", b"\\u0041", b"\\", b'"data": ', b","])
runs = st.builds(lambda size, of: of * size, st.integers(508, 516), st.sampled_from([b"x", b"x", b"\xc3"]))
names = st.sampled_from([b'"data": "', b'"result" :\n"', b'"data:', b'"other": "'])
strings = st.tuples(names, runs, pieces, st.sampled_from([b'"', b'", ', b" "])).map(b"".join)


@given(st.lists(pieces | runs | strings, max_size=10).map(b"".join))
def test_what_is_no_text_is_found_wherever_it_stands(text: bytes) -> None:
    assert needing.tokens(text) == plainly(text)


@pytest.mark.parametrize(
    ("raw", "limit"),
    [
        ("17", 17),
        ("0", 0),
        ("-3", 0),
        ("null", 0),
        ('"17"', 0),
        ("1.5", 0),
        ("[" * 5000, 0),
        ("9" * 40, needing.LARGEST),
    ],
)
def test_a_limit_is_what_can_be_one(raw: str, limit: int) -> None:
    assert needing.limit(msgspec.Raw(raw.encode())) == limit


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_needs_are_those_of_all_that_was_read_and_those_of_every_translation(path: Path) -> None:
    dialect, body = path.parts[-3], path.read_bytes()
    try:
        request = DIALECTS[dialect].read(body)
    except InvalidRequestError:
        return
    if request.bound:
        return  # Nobody else can say it, so that there is nothing to compare with.
    needs = needed.READERS[dialect](body).needs
    assert set(needs.capabilities) == needed.capabilities(request)
    assert needs.max_output_tokens == (request.max_tokens or 0)
    for snapshot in (path.parent / path.stem).glob("*.json"):
        other = snapshot.stem
        if other not in DIALECTS or any("reasoning" in name for name in json.loads(snapshot.read_text())["dropped"]):
            continue
        translated = needed.READERS[other](golden.written_body(snapshot)).needs
        assert translated.capabilities == needs.capabilities, other
        if request.max_tokens is not None:
            least = 16 if other == "openai_responses" else 0
            assert translated.max_output_tokens == max(least, needs.max_output_tokens), other
