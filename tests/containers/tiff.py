"""TIFF of any photometric interpretation, depth, byte order and layout of samples."""

from __future__ import annotations

import struct
import zlib

import numpy as np

UNCOMPRESSED, DEFLATE = 1, 8
SHORT, LONG, ASCII = 3, 4, 2

Value = tuple[int, tuple[int, ...] | bytes]  # type, numbers or text


def palette_tag(colours: np.ndarray) -> dict[int, Value]:
    """Return the tag of a palette of so many colours (N, 3)."""
    return {320: (SHORT, tuple(map(int, colours.T.ravel())))}


def tiff_bytes(
    samples: np.ndarray,
    bits: int,
    photometric: int | None,
    *,
    big_endian: bool = False,
    compression: int = UNCOMPRESSED,
    separate: bool = False,
    extra: tuple[int, ...] = (),
    tags: dict[int, Value] | None = None,
) -> bytes:
    """Return samples (H, W) or (H, W, channels) as TIFF in one strip.

    The sample format is told by their type. Fewer bits than 8 are packed; 12 as well.
    """
    samples = samples if samples.ndim == 3 else samples[..., None]
    height, width, channels = samples.shape
    order = ">" if big_endian else "<"
    planes = [samples[..., k] for k in range(channels)] if separate else [samples]
    strips = [_pack(plane, bits, order) for plane in planes]
    if compression == DEFLATE:
        strips = [zlib.compress(strip) for strip in strips]
    places = [8 + sum(map(len, strips[:k])) for k in range(len(strips))]
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    fields: dict[int, Value] = {
        256: (LONG, (width,)),
        257: (LONG, (height,)),
        258: (SHORT, (bits,) * channels),
        259: (SHORT, (compression,)),
        273: (LONG, tuple(places)),
        277: (SHORT, (channels,)),
        278: (LONG, (height,)),
        279: (LONG, tuple(map(len, strips))),
        284: (SHORT, (2 if separate else 1,)),
        339: (SHORT, (kind,) * channels),
    }
    if photometric is not None:
        fields[262] = (SHORT, (photometric,))
    if extra:
        fields[338] = (SHORT, extra)
    fields |= tags or {}
    body = b"".join(strips)
    body += b"\0" * (len(body) % 2)
    return _with_directory(body, fields, order)


def _with_directory(body: bytes, fields: dict[int, Value], order: str) -> bytes:
    start = 8 + len(body)
    room = start + 2 + 12 * len(fields) + 4
    entries, values = b"", b""
    for tag, (kind, content) in sorted(fields.items()):
        code = {SHORT: "H", LONG: "I", ASCII: "s"}[kind]
        data = (
            content
            if isinstance(content, bytes)
            else struct.pack(f"{order}{len(content)}{code}", *content)
        )
        inline = data.ljust(4, b"\0")
        if len(data) > 4:
            inline = struct.pack(f"{order}I", room + len(values))
            values += data + b"\0" * (len(data) % 2)
        entries += struct.pack(f"{order}HHI", tag, kind, len(content)) + inline
    magic = b"MM\0*" if order == ">" else b"II*\0"
    directory = struct.pack(f"{order}H", len(fields)) + entries + bytes(4)
    return magic + struct.pack(f"{order}I", start) + body + directory + values


def _pack(plane: np.ndarray, bits: int, order: str) -> bytes:
    if bits % 8 == 0:
        return plane.astype(plane.dtype.newbyteorder(order)).tobytes()
    rows = plane.reshape(len(plane), -1, 1).astype(np.uint16)
    each_bit = ((rows >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8)
    return b"".join(np.packbits(row.ravel()).tobytes() for row in each_bit)
