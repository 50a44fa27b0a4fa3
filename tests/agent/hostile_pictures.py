"""Five hundred files that no picture upload should accept: bombs, lies, other kinds, and good pictures spoilt."""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import Any

from api_kit import picture
from PIL import Image

MAGIC = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, rows: bytes, *, depth: int = 8, colour: int = 2, extra: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return MAGIC + body


def saved(fmt: str, *, animated: bool = False, **options: Any) -> bytes:
    frames = [Image.new("RGB", (64, 64), (i * 40, 80, 120)) for i in range(3)]
    out = io.BytesIO()
    more = {"save_all": True, "append_images": frames[1:]} if animated else {}
    frames[0].save(out, format=fmt, **more, **options)
    return out.getvalue()


def bombs() -> list[bytes]:
    """Small files that would unpack to much, or keep a decoder busy, or say of themselves what is not so."""
    good, wide = picture("JPEG", (512, 512)), picture("JPEG", (64, 64))
    frame = good.index(b"\xff\xc0") if b"\xff\xc0" in good else good.index(b"\xff\xc2")
    tall = good[: frame + 5] + struct.pack(">HH", 60_000, 60_000) + good[frame + 9 :]
    flat = wide.index(b"\xff\xc0") + 5
    scans = io.BytesIO()
    Image.new("RGB", (64, 64)).save(scans, format="JPEG", progressive=True)
    many = scans.getvalue()
    at = many.index(b"\xff\xda")
    webp = picture("WEBP")
    lines = bytes(1 + 3 * 64) * 64
    return [
        png(20_000, 20_000, bytes(1000)), png(60_000, 60_000, b""), png(2**31 - 1, 1, b""), png(5000, 5000, b"\0"),
        png(6000, 6000, bytes((1 + 3 * 6000) * 6000)), png(64, 64, lines + bytes(50_000_000)),
        png(64, 64, lines[:-500]), png(64, 64, lines * 2), png(0, 64, b""), png(64, 0, b""), png(8, 8, bytes(200)),
        png(64, 64, lines, colour=5), png(64, 64, lines, depth=3),
        png(64, 64, lines, extra=chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(100_000_000), 9))),
        png(64, 64, lines, extra=chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(80_000_000), 9)) * 3),
        png(64, 64, lines, extra=chunk(b"acTL", struct.pack(">II", 9, 0))),
        tall, wide[:flat] + struct.pack(">HH", 16_000, 16_000) + wide[flat + 4 :],
        many[:at] + (many[at:-2] * 40) + many[-2:],
        webp[:4] + struct.pack("<I", 2**31) + webp[8:], webp + bytes(5000), webp[:12] + b"VP8X" + webp[16:],
        saved("PNG", animated=True), saved("WEBP", animated=True), saved("GIF", animated=True),
    ]  # fmt: skip


def strangers() -> list[bytes]:
    """Files of other kinds."""
    other = [saved(fmt) for fmt in ("GIF", "BMP", "TIFF", "PPM", "ICO", "TGA", "PCX", "SGI")]
    written = [
        b"", b"\0", b"GIF89a", b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><svg>&e;</svg>", b"%PDF-1.7\n", b"PK\3\4" + bytes(200),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"#!/bin/sh\nid\n", b"http://127.0.0.1/x.png",
        b"MM\0*" + bytes(100), b"II*\0\xff\xff\xff\xff", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(64), b"RIFF\0\0\0\0WEBP",
        b"RIFF" + bytes(100), MAGIC, b"\xff\xd8\xff", b"\0\0\0 ftypavif" + bytes(64), b"push graphic-context\n",
    ]  # fmt: skip
    return other + written


def broken(n: int) -> list[bytes]:
    """Good pictures cut off, with a checksum spoilt, or with rubbish after the first bytes; always malformed."""
    rng, made = random.Random(7), []
    good = {fmt: picture(fmt, (96, 80)) for fmt in ("PNG", "JPEG", "WEBP")}
    for number in range(n):
        fmt = ("PNG", "JPEG", "WEBP")[number % 3]
        raw = bytearray(good[fmt])
        way = number // 3 % 3
        if way == 0:
            raw = raw[: rng.randrange(4, len(raw) * 9 // 10)]
        elif way == 1 and fmt == "PNG":
            raw[rng.randrange(16, len(raw) - 12)] ^= 1 << rng.randrange(8)
        else:
            keep = rng.randrange(3, 14)
            raw = raw[:keep] + bytearray(rng.randbytes(len(raw) - keep))
        made.append(bytes(raw))
    return made


def five_hundred() -> list[bytes]:
    files = bombs() + strangers()
    return files + broken(500 - len(files))
