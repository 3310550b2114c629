"""Server-sent events at the level of bytes.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import re

MAX_EVENT_BYTES = 1024 * 1024

# Two line ends in a row: CRLF, LF or CR. A line feed that would make CRLF of a closing CR is left out: it counts as a
# blank line of its own, so that an event ends at the same byte however the stream is cut.
_BLANK_LINE = re.compile(rb"\r\n\r\n|\r\n\n|\n\n|\n\r|\r\r")
_LINE_END = re.compile(rb"\r\n|\n|\r")
CR, LF = b"\r\n"  # As integers: `in` is faster for these than for bytes.
_BOM = b"\xef\xbb\xbf"


class EventTooLargeError(Exception):
    """A single event is larger than `MAX_EVENT_BYTES`."""

    code = "event_too_large"


class EventSplitter:
    """Cuts a stream, however it arrives, into events as they were sent, line ends and blank line included.

    Blank lines before an event are dropped. What follows the last blank line when the stream ends is not an event.
    """

    __slots__ = ("_searched", "_started", "kept")

    def __init__(self) -> None:
        self.kept = bytearray()
        """The part of an event that has arrived. Not to be changed."""
        self._searched = 0
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        """The events that are complete now. Raises `EventTooLargeError`."""
        kept = self.kept
        end = data.rfind(b"\n\n") + 2
        if end > 1 and CR not in data and (self._started or not kept) and len(data) <= MAX_EVENT_BYTES:
            whole = bytes(kept) + data[:end] if kept else data[:end]
            events = _plain_events(whole)
            if events is not None:
                self._started = True
                if kept or end < len(data):
                    kept[:] = data[end:]
                    self._searched = max(0, len(kept) - 3)
                return events
        # With nothing kept from before, events are cut out of the piece itself, which spares a copy.
        buffer: bytes | bytearray = data
        if kept or not self._started:
            kept += data
            buffer = kept
        if not self._started:
            while kept.startswith(_BOM):  # All of them: the client would take a second one for the first.
                del kept[: len(_BOM)]
            if len(kept) < len(_BOM) and kept == _BOM[: len(kept)]:
                return []
            self._started = True
        events = []
        start, search = 0, self._searched
        while True:
            while start < len(buffer) and buffer[start] in b"\r\n":
                start += 1
            search = max(search, start)
            found = _BLANK_LINE.search(buffer, search)
            if found is None:
                break
            end = found.end()
            if end == len(buffer) and buffer.endswith(b"\r\n\r"):
                break  # Three quarters of CRLF CRLF.
            if end - start > MAX_EVENT_BYTES:
                raise EventTooLargeError(f"an event of {end - start} bytes")
            events.append(bytes(buffer[start:end]))
            start = search = end
        if buffer is kept:
            del kept[:start]
        else:
            kept += buffer[start:]
        if len(kept) > MAX_EVENT_BYTES:
            raise EventTooLargeError(f"an event of more than {MAX_EVENT_BYTES} bytes")
        # A line end at the very end may be the first half of a blank line: look at the last three bytes again.
        self._searched = max(0, len(kept) - 3)
        return events


def _plain_events(whole: bytes) -> list[bytes] | None:
    """The events of a piece that ends with a blank line, if it is of the usual form: two line feeds behind each event,
    and no others between them. None if not."""
    if whole[0] in b"\n\xef" or CR in whole or len(whole) > MAX_EVENT_BYTES:
        return None
    if whole.find(b"\n\n") == len(whole) - 2:
        return [whole]  # As they come when each is sent as it is made.
    lines = whole.split(b"\n")
    if all(lines[:-1:2]) and not any(lines[1::2]):
        return [line + b"\n\n" for line in lines[:-1:2]]
    if b"\n\n\n" in whole:
        return None
    return [event + b"\n\n" for event in whole[:-2].split(b"\n\n")]


def first_end(piece: bytes) -> int:
    """The index behind the first blank line (LF LF, or CRLF CRLF); 0 if there is none. An event ends there, whatever is
    before it."""
    end = piece.find(b"\n\n") + 2
    if end > 1:
        return end
    end = piece.find(b"\r\n\r\n") + 4
    return end if end > 3 else 0


def data_of(event: bytes) -> bytes | None:
    """The event's data: the values of its `data` fields, joined by line feeds; None if it has none."""
    if _is_one_data_line(event):
        return event[6:-2]
    if _is_one_data_line_of_crlf(event):
        return event[6:-4]
    values = []
    for line in _LINE_END.split(event):
        if line.startswith(b"data"):
            name, _, value = line.partition(b":")
            if name == b"data":
                values.append(value.removeprefix(b" "))
    return b"\n".join(values) if values else None


def with_data(event: bytes, data: bytes) -> bytes:
    """The event with other data; its other fields and comments stay, and stand before the data."""
    field = b"data: " + data
    if LF in data or CR in data:
        field = b"\n".join(b"data: " + line for line in _LINE_END.split(data))
    if _is_one_data_line(event) or _is_one_data_line_of_crlf(event):
        return field + b"\n\n"
    kept = [line for line in _LINE_END.split(event) if line and line.partition(b":")[0] != b"data"]
    return b"\n".join([*kept, field, b"", b""])


def replaced(event: bytes, was: bytes, data: bytes) -> bytes:
    """As `with_data`, for an event whose data `was` is known, and new data of one line: the event is not parsed
    again."""
    if event == b"data: %b\n\n" % was:
        return b"data: %b\n\n" % data
    return with_data(event, data)


def _is_one_data_line(event: bytes) -> bool:
    """Whether the event is what nearly all are: `data: `, a value, two line feeds."""
    return event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and CR not in event


def _is_one_data_line_of_crlf(event: bytes) -> bool:
    """Likewise with the line ends that Google sends."""
    end = len(event) - 4
    return (
        event.startswith(b"data: ")
        and event.endswith(b"\r\n\r\n")
        and event.find(b"\r") == end
        and event.find(b"\n") == end + 1
    )
