"""One picture from a stranger: checked, decoded and written anew, in a process of its own with little memory and time.

Run as ``python -m agent.api.reencode`` by :mod:`agent.api.decoder`: it reads frames from standard input and answers on
standard output, until the input ends. Nothing of the file but its pixels comes through: no metadata, no position.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import warnings
import zlib
from typing import BinaryIO

from PIL import Image, ImageOps, PngImagePlugin

MAX_PIXELS = 40_000_000
MAX_SIDE = 16_384
LEAST_SIDE = 16
KEPT_SIDE = 2048
"""Pictures are kept no larger than this."""
MAX_DENSITY = 200
"""Pixels for each byte of a file, above a million pixels; photographs and maps stay below 50, bombs are far above."""
MAX_SCANS = 64
"""Of a progressive JPEG; each one is a pass over the whole picture."""
MEMORY_BYTES = 1_000_000_000
CPU_S = 10
_MAGIC = {"PNG": b"\x89PNG\r\n\x1a\n", "JPEG": b"\xff\xd8\xff", "WEBP": b"RIFF"}
_PIECE = 1 << 16


class BadImage(ValueError):
    """``code`` says what is wrong: unsupported, animated, too_many_pixels, too_small, bomb, lying or damaged."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def reencode(raw: bytes, mark: str) -> bytes:
    """A PNG in RGB of the one picture in ``raw``, upright, at most 2048 pixels a side. Raises ``BadImage``.

    ``mark`` is written into the file, so that equal pictures of two users have different hashes.
    """
    kind = format_of(raw)
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(raw), formats=(kind,)) as picture:
            warnings.simplefilter("error")
            _checked(picture, kind, raw)
            if kind == "JPEG":
                picture.draft("RGB", (KEPT_SIDE, KEPT_SIDE))
            picture.load()
            small = ImageOps.exif_transpose(_small(picture))
    except BadImage:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadImage("too_many_pixels", f"the picture has too many pixels; at most {MAX_PIXELS:,} are read") from None
    except MemoryError:
        raise BadImage("bomb", "the picture unpacks to more memory than one picture may take") from None
    except Exception as error:  # a decoder given rubbish may raise anything; all of it means the same
        raise BadImage("damaged", f"the file is not a whole {kind} picture ({type(error).__name__})") from None
    return _png(small, mark)


def format_of(raw: bytes) -> str:
    """PNG, JPEG or WEBP by the file's first bytes. Raises ``BadImage`` for anything else."""
    for kind, magic in _MAGIC.items():
        if raw.startswith(magic) and (kind != "WEBP" or raw[8:12] == b"WEBP"):
            return kind
    raise BadImage("unsupported", "the file is no PNG, JPEG or WebP picture")


def _checked(picture: Image.Image, kind: str, raw: bytes) -> None:
    """Everything that the header alone tells, before a pixel is unpacked."""
    width, height = picture.size
    pixels = width * height
    if getattr(picture, "n_frames", 1) != 1 or getattr(picture, "is_animated", False):
        raise BadImage("animated", "the file holds several pictures; send one")
    if min(width, height) < LEAST_SIDE:
        raise BadImage("too_small", f"the picture has {width} x {height} pixels; each side needs {LEAST_SIDE}")
    if pixels > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise BadImage("too_many_pixels", f"the picture has {width} x {height} pixels; at most {MAX_PIXELS:,} are read")
    if pixels > 1_000_000 and pixels > MAX_DENSITY * len(raw):
        raise BadImage("bomb", f"{len(raw):,} bytes cannot hold a picture of {width} x {height} pixels")
    if kind == "JPEG" and raw.count(b"\xff\xda") > MAX_SCANS:
        raise BadImage("bomb", f"the JPEG file has more than {MAX_SCANS} scans")
    if kind == "WEBP" and not 0 <= len(raw) - 8 - int.from_bytes(raw[4:8], "little") <= 1:
        raise BadImage("lying", "the WebP header names another length than the file has")
    if kind == "PNG":
        _check_png(raw)


def _check_png(raw: bytes) -> None:
    """Every chunk's checksum, and that the pixels unpack to exactly what the header says."""
    unpacker, unpacked, at, ended = zlib.decompressobj(), 0, len(_MAGIC["PNG"]), False
    expected = _png_bytes(raw[16:29])
    while not ended:
        size, name = struct.unpack_from(">I4s", raw, at)
        body = raw[at + 8 : at + 8 + size]
        if zlib.crc32(name + body) != struct.unpack_from(">I", raw, at + 8 + size)[0]:
            raise BadImage("damaged", "a part of the PNG file is damaged")
        if name == b"acTL":
            raise BadImage("animated", "the file holds several pictures; send one")
        if name == b"IDAT":
            unpacked += _unpacked(unpacker, body, expected - unpacked)
        if unpacked > expected:
            raise BadImage("lying", "the PNG file holds more pixels than its header says")
        at, ended = at + 12 + size, name == b"IEND"
    if unpacked != expected:
        raise BadImage("lying", "the PNG file holds fewer pixels than its header says")


def _unpacked(unpacker: zlib._Decompress, packed: bytes, room: int) -> int:
    """How many bytes come out, piece by piece; stops as soon as they are more than ``room``."""
    size = 0
    while packed and size <= room:
        size += len(unpacker.decompress(packed, _PIECE))
        packed = unpacker.unconsumed_tail
    return size


def _png_bytes(header: bytes) -> int:
    """Bytes of the unpacked pixel rows with their filter bytes (PNG specification, third edition, 7.2 and 8.1)."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    total = 0
    for x, y, dx, dy in passes:
        columns, rows = -(-(width - x) // dx), -(-(height - y) // dy)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def _small(picture: Image.Image) -> Image.Image:
    """RGB, made small; what is transparent becomes white."""
    if picture.mode.startswith("I"):
        # Sixteen bits a pixel: Pillow's own conversion would cut them off at 255.
        picture = picture.convert("I").point(lambda value: value / 256).convert("L")
    exif = picture.info.get("exif")
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture.thumbnail((KEPT_SIDE, KEPT_SIDE))
        small = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    else:
        small = picture.convert("RGB")
        small.thumbnail((KEPT_SIDE, KEPT_SIDE))
    if exif:
        small.info["exif"] = exif
    return small


def _png(picture: Image.Image, mark: str) -> bytes:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Sightline", mark)
    out, clean = io.BytesIO(), Image.new("RGB", picture.size)
    clean.paste(picture)
    clean.save(out, format="PNG", pnginfo=notes, compress_level=1)
    return out.getvalue()


def _bounded() -> None:
    """Memory of this process, and no files written by it; where the system knows such limits."""
    if sys.platform == "win32":
        return
    import resource

    for limit, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_FSIZE, 0)):
        try:
            resource.setrlimit(limit, (most, most))
        except (ValueError, OSError) as error:  # macOS refuses some: the checks above hold there all the same
            print(f"no limit {limit} here: {error}", file=sys.stderr)


def _more_time() -> None:
    """Ends this process by signal if the next picture takes more than :data:`CPU_S` seconds of a core."""
    if sys.platform == "win32":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + CPU_S + 1, resource.RLIM_INFINITY))


def serve(given: BinaryIO, out: BinaryIO) -> None:
    """Frames in: mark and file, each with its length before it. Frames out: ``k`` and a PNG, or ``e`` and JSON."""
    Image.init()
    _bounded()
    while header := given.read(8):
        marked, size = struct.unpack(">II", header)
        mark, raw = given.read(marked).decode(), given.read(size)
        _more_time()
        try:
            status, answer = b"k", reencode(raw, mark)
        except BadImage as error:
            status, answer = b"e", json.dumps({"code": error.code, "message": str(error)}).encode()
        out.write(status + struct.pack(">I", len(answer)) + answer)
        out.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
