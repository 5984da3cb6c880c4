"""Read the body of an answer within a limit, counted as it is received and as it is inflated. Keeps no more than that.

httpx inflates every coding of a chunk whole before anyone can count: two kilobytes of gzip in gzip become gigabytes.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from app.core.messages import T
from app.integrations.http.errors import InvalidResponse

# The only coding that is asked for, and the only one that is taken besides none.
ACCEPTED_CODING = "gzip"
# https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1.3
GZIP_NAMES = frozenset({"gzip", "x-gzip"})
# zlib reads the header and the checksum of gzip itself: https://docs.python.org/3/library/zlib.html#zlib.decompressobj
GZIP_WINDOW = 16 + zlib.MAX_WBITS
TOO_LARGE = T("The answer is larger than we accept.")
OTHER_CODING = T("The answer is packed in a way that we did not ask for, so it was not read.")
DAMAGED = T("The answer is packed, and cannot be unpacked: it is damaged or breaks off.")


async def read_body(received: AsyncIterator[bytes], content_encoding: str, largest: int) -> bytes:
    """The body, unpacked. `received` are its bytes as they arrive; `largest` holds for both forms.

    Raises InvalidResponse when it is too large, damaged, or packed otherwise than once with gzip.
    """
    unpack = _unpacker(content_encoding)
    parts: list[bytes] = []
    taken = size = 0
    async for chunk in received:
        taken += len(chunk)
        if taken > largest:
            raise InvalidResponse(TOO_LARGE)
        part = unpack.feed(chunk, largest - size)
        size += len(part)
        if size > largest:
            raise InvalidResponse(TOO_LARGE)
        parts.append(part)
    if taken and not unpack.is_complete:
        raise InvalidResponse(DAMAGED)
    return b"".join(parts)


class _AsIs:
    # Its end is the message's end.
    is_complete = True

    def feed(self, chunk: bytes, space: int) -> bytes:  # noqa: ARG002 - as the other one's.
        return chunk


class _Gzip(_AsIs):
    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(GZIP_WINDOW)

    def feed(self, chunk: bytes, space: int) -> bytes:
        """At most one byte more than `space`."""
        if self._inflater.eof:
            raise InvalidResponse(DAMAGED)
        try:
            part = self._inflater.decompress(chunk, space + 1)
        except zlib.error as error:
            raise InvalidResponse(DAMAGED) from error
        # A second stream behind the first would be another way to hide what is large.
        if self._inflater.unused_data:
            raise InvalidResponse(DAMAGED)
        return part

    @property
    def is_complete(self) -> bool:  # type: ignore[override]
        return self._inflater.eof


def _unpacker(content_encoding: str) -> _AsIs:
    codings = [name for part in content_encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    if not codings:
        return _AsIs()
    if len(codings) > 1 or codings[0] not in GZIP_NAMES:
        raise InvalidResponse(OTHER_CODING)
    return _Gzip()
