"""From bytes to text when the label is missing, unknown or a lie.

Decides which reading of the bytes is the likeliest; pure. A label is believed while its reading looks like a
language; UTF-8 proves itself; the Cyrillic encodings are told apart by letter frequency and by the case of letters
within words; charset-normalizer answers for the rest. Invariant: `decode` never raises, and what it returns can be
stored as UTF-8 and holds no NUL.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

import charset_normalizer

SAMPLE_BYTES = 20_000
"""How much of a text is looked at to guess its encoding."""

_ALIASES = {
    "gb2312": "gb18030",
    "gb_2312-80": "gb18030",
    "gbk": "gb18030",
    "cp936": "gb18030",
    "x-gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "us-ascii": "cp1252",
    "ascii": "cp1252",
    "ansi_x3.4-1968": "cp1252",
    "iso-8859-8-i": "iso-8859-8",
    "unicode-1-1-utf-7": "utf-7",
    "unicode-1-1-utf-8": "utf-8",
    "utf8mb4": "utf-8",
    "x-cp1251": "cp1251",
    "win-1251": "cp1251",
    "ansi-1251": "cp1251",
    "x-mac-cyrillic": "mac-cyrillic",
    "windows-874": "cp874",
}
_TEXT_CODECS = re.compile(
    r"utf-?(7|8|8-sig|16|16-le|16-be|32|32-le|32-be)|iso8859-\d+|cp\d+|koi8-[rut]|gb18030|big5\w*|euc_\w+|"
    r"shift_jis\w*|iso2022_\w+|hz|johab|mac-\w+|tis-620|kz1048|ptcp154"
)
"""Codecs that decode in linear time and mean text: not punycode, idna, unicode_escape, zlib …"""

_CYRILLIC = ("cp1251", "koi8-r", "cp866", "iso8859-5", "mac-cyrillic")
_FREQUENCY = dict(
    zip(
        "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфёъіїєґ",
        [
            *(109, 85, 80, 73, 67, 63, 55, 47, 45, 44, 35, 32, 30, 28, 26, 20, 19, 17, 17, 16, 16, 14, 12, 10, 9, 7),
            *(6, 5, 4, 3, 3, 1, 0.5, 6, 3, 3, 0.5),
        ],
        strict=True,
    )
)
_WORD = re.compile(r"[^\W\d_]+")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def decode(raw: bytes, label: str | None) -> tuple[str, bool]:
    """Return the text of `raw` and whether `label` (a charset name or None) had to be set aside."""
    if not label and raw.isascii() and b"\0" not in raw and b"\x1b" not in raw:
        return raw.decode("ascii"), False  # Nearly every field of a head.
    codec = _codec(label) if label else None
    is_wide = codec is not None and codec.startswith(("utf-16", "utf-32"))
    if not is_wide and (wide := _unlabelled_wide(raw)):
        return _storable(raw.decode(wide, "replace")), bool(label)
    if raw.isascii() and not (codec and (is_wide or codec.startswith(("utf-7", "iso2022", "hz")))):
        if b"\x1b$" in raw and (text := _read(raw, "iso2022_jp_2")) is not None:
            return _storable(text), bool(label)
        return _storable(raw.decode("ascii")), bool(label) and codec is None
    text, was_lie = _decoded(raw, label, codec)
    if (mended := _mended_twice_encoded(text)) is not None:
        return _storable(mended), True
    return text, was_lie


def _decoded(raw: bytes, label: str | None, codec: str | None) -> tuple[str, bool]:
    if codec not in (None, "utf-8", "cp1252"):
        assert codec is not None
        text = _read(raw, codec)
        if text is not None and not (codec in _CYRILLIC and _looks_misread(raw, codec)):
            return _storable(text), False
    text = _read_utf8(raw)
    if text is not None:
        return _storable(text), bool(label) and codec != "utf-8"
    guess = guess_codec(raw)
    if guess is None or (codec == "cp1252" and guess not in _CYRILLIC):
        guess = codec or "cp1252"
    return _storable(raw.decode(guess, "replace")), guess != codec and bool(label)


def guess_codec(raw: bytes) -> str | None:
    """Return the likeliest encoding of 8-bit text that is not UTF-8, None where nothing is likely."""
    sample = raw[:SAMPLE_BYTES]
    scores = {codec: _cyrillic_score(sample.decode(codec, "replace")) for codec in _CYRILLIC}
    best = max(scores, key=lambda codec: scores[codec])
    if scores[best] > 1.0:
        return best
    found = charset_normalizer.from_bytes(sample, threshold=0.3, enable_fallback=False).best()
    if found is not None and _TEXT_CODECS.fullmatch(codecs.lookup(found.encoding).name):
        return str(found.encoding)
    return None


def _looks_misread(raw: bytes, codec: str) -> bool:
    """Tell whether Cyrillic bytes make much better words in another encoding than in the one they are labelled."""
    sample = raw[:SAMPLE_BYTES]
    labelled = _cyrillic_score(sample.decode(codec, "replace"))
    best = max(_cyrillic_score(sample.decode(other, "replace")) for other in _CYRILLIC)
    return best > 1.0 and best > labelled + 0.7


def _cyrillic_score(text: str) -> float:
    """Rate a reading from below 0 (nonsense) to about 3 (Russian or Ukrainian prose), per non-ASCII character.

    A letter counts by its frequency; a word of two scripts or of mixed case, and a sign that is no letter, count
    against. Letter frequencies: Russian national corpus, rounded.
    """
    total, counted = 0.0, 0
    for match in _WORD.finditer(text):
        word = match[0]
        if word.isascii():
            continue
        foreign = sum(1 for c in word if c.isascii())
        counted += len(word) - foreign
        if foreign:
            total -= 3 * (len(word) - foreign)
            continue
        rest = word[1:]
        weight = 1.0 if rest.islower() or not rest else 0.85 if word.isupper() else 0.0
        for c in word.lower():
            frequency = _FREQUENCY.get(c)
            if frequency is None:
                total -= 3
            else:
                total += min(3.0, frequency / 15) * weight if weight else -1
    signs = sum(1 for c in text if not c.isascii() and not c.isalpha() and c not in "«»—–№…’“”„•\xa0")
    total -= 3 * signs
    counted += signs
    return total / counted if counted else 0.0


def _read_utf8(raw: bytes) -> str | None:
    """Read UTF-8, also where a few bytes of it were cut or broken."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        is_cut = error.start >= len(raw) - 3 and error.start > 1
    text = raw.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = sum(1 for c in text[:SAMPLE_BYTES] if c > "\x7f") - bad
    return text if good >= 2 and (bad * 20 <= good or (is_cut and bad == 1)) else None


def _unlabelled_wide(raw: bytes) -> str | None:
    """Tell UTF-16 and UTF-32 that nobody labelled: by their mark, or by zeros in every other byte."""
    if raw.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")) and len(raw) % 4 == 0:
        return "utf-32"
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" not in raw[:400]:
        return None
    sample = raw[: SAMPLE_BYTES & ~1]
    if len(sample) < 8:
        return None
    # The upper byte of Latin and Cyrillic letters is 0 or 4, the lower one seldom.
    even, odd = ((half.count(0) + half.count(4)) * 2 / len(sample) for half in (sample[::2], sample[1::2]))
    if even > 0.8 and odd < 0.2:
        return "utf-16-be"
    return "utf-16-le" if odd > 0.8 and even < 0.2 else None


def _bytes_of(codec: str) -> dict[int, int]:
    """Map characters back to the bytes that were misread as `codec`; a byte that it lacks came out as itself."""
    back = {}
    for byte in range(256):
        text = bytes([byte]).decode(codec, "replace")
        back[byte if text == "\ufffd" else ord(text)] = byte
    return back


_MISREAD_AS = {codec: _bytes_of(codec) for codec in ("cp1252", "cp1251", "latin-1")}
_LATIN_PAIR = re.compile("[\xc2-\xf4][\x80-\xbf\u0152-\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]")


def _mended_twice_encoded(text: str) -> str | None:
    """Undo UTF-8 that was taken for an 8-bit encoding and encoded again ("ÐŸÑ€Ð¸Ð²ÐµÑ‚", "РџСЂРёРІРµС‚").

    Only where all of it turns back: text that was meant so does not survive the strict decoding.
    """
    if text.isascii():
        return None
    if _LATIN_PAIR.search(text):
        tried: tuple[str, ...] = ("cp1252", "latin-1")
    elif (text.count("Р") + text.count("С")) * 4 > len(text) - text.count(" ") > 6:
        tried = ("cp1251",)
    else:
        return None
    for codec in tried:
        try:
            raw, _ = codecs.charmap_encode(text, "strict", _MISREAD_AS[codec])
            mended = raw.decode("utf-8")
            # "Â" and a hard blank turn back to a blank alone, which is no word that anybody meant.
            return mended if any(not c.isascii() and c.isalpha() for c in mended) else None
        except ValueError:
            continue
    return None


def _read(raw: bytes, codec: str) -> str | None:
    try:
        return raw.decode(codec)
    except (UnicodeDecodeError, ValueError):
        return None


@lru_cache(maxsize=256)
def _codec(label: str) -> str | None:
    """Return the name of a known text codec for a charset label, or None."""
    name = label.strip().strip("\"'").lower()[:60]
    name = _ALIASES.get(name, _ALIASES.get(name.replace("_", "-"), name))
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError, UnicodeError):
        return None
    found = {"ascii": "cp1252", "iso8859-1": "cp1252"}.get(found, found)
    return found if _TEXT_CODECS.fullmatch(found) else None


def _storable(text: str) -> str:
    """Replace what no database column takes: NUL and lone surrogates."""
    return _UNSTORABLE.sub("\ufffd", text)
