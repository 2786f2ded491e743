"""PNG of every kind of colour, depth and transparency, also interlaced."""

from __future__ import annotations

import struct
import zlib

import numpy as np

GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6  # kinds of colour
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))


def png_bytes(
    samples: np.ndarray,
    bits: int,
    colour: int,
    *,
    interlaced: bool = False,
    transparent: bytes = b"",
    palette: bytes = b"",
) -> bytes:
    """Return samples (H, W) or (H, W, channels) as PNG of so many bits a sample."""
    height, width = samples.shape[:2]
    passes = [samples]
    if interlaced:
        steps = (*ADAM7, (0, 1, 1, 2))
        passes = [samples[y::down, x::right] for x, y, right, down in steps]
    rows = b"".join(b"\0" + _pack(row, bits) for part in passes for row in part if part.shape[1])
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    chunks = [(b"IHDR", header)]
    chunks += [(b"PLTE", palette)] if palette else []
    chunks += [(b"tRNS", transparent)] if transparent else []
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _pack(row: np.ndarray, bits: int) -> bytes:
    if bits == 16:
        return row.astype(">u2").tobytes()
    if bits == 8:
        return row.astype(np.uint8).tobytes()
    each_bit = (row.reshape(-1, 1).astype(np.uint8) >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(each_bit.astype(np.uint8).ravel()).tobytes()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
