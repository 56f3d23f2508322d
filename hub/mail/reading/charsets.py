"""From bytes to text when the label is missing, unknown or a lie.

Decides which reading of the bytes is the likeliest; pure. A label is believed until there is clear evidence against
it; UTF-8 proves itself; the Cyrillic encodings are told apart by letter frequency and by the case of letters within
words; charset-normalizer answers for the rest, and only where there are bytes enough. A byte that does not fit is one
replacement character, and no reason to read all others anew. Invariant: `decode` never raises, and what it returns
can be stored as UTF-8 and holds no NUL.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable

import charset_normalizer

from hub.mail.reading import japanese
from hub.mail.reading.charset_names import codec_of

SAMPLE_BYTES = 20_000
"""How much of a text is looked at to guess its encoding."""

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
_CYRILLIC_WORD = re.compile("[\u0400-\u04ff]+")
_LATIN_WORD = re.compile(rb"[A-Za-z][\xc0-\xff]|[\xc0-\xff][a-z]")
_LATIN_1 = "cp1252"
_LATIN = frozenset(
    {_LATIN_1, "cp1250", "cp1254", "cp1257", "cp1258", "cp437", "cp850", "cp852", "cp858", "mac-roman", "mac-latin2"}
    | {f"iso8859-{n}" for n in (1, 2, 3, 4, 9, 10, 13, 14, 15, 16)}
)
_SINGLE_BYTE = _LATIN | set(_CYRILLIC) | {"koi8-u", "koi8-t", "cp855", "kz1048", "ptcp154", "cp1253", "iso8859-7"}
_SEVEN_BIT = ("utf-7", "iso2022", "hz")
_EIGHT_BIT_TWIN = {
    **dict.fromkeys(("iso2022_jp", "iso2022_jp_1", "iso2022_jp_2", "iso2022_jp_3", "iso2022_jp_ext"), "cp932"),
    "iso2022_kr": "cp949",
    "hz": "gb18030",
}
"""What is meant where bytes of eight bits stand in an encoding of seven."""
_EIGHT_BIT = bytes(range(0x80, 0x100))
MIN_GUESS_BYTES = 12
"""From fewer 8-bit bytes no script but Cyrillic is guessed: two of them look Korean by chance."""
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def decode(raw: bytes, label: str | None) -> tuple[str, bool]:
    """Return the text of `raw` and whether `label` (a charset name or None) had to be set aside."""
    if not label and raw.isascii() and b"\0" not in raw and b"\x1b" not in raw:
        return raw.decode("ascii"), False  # Nearly every field of a head.
    codec = codec_of(label) if label else None
    is_wide = codec is not None and codec.startswith(("utf-16", "utf-32"))
    if not is_wide and (wide := _unlabelled_wide(raw)):
        return _storable(raw.decode(wide, "replace")), bool(label)
    if raw.isascii() and not (codec and (is_wide or codec.startswith(_SEVEN_BIT))):
        if b"\x1b$" in raw:
            text = _read(raw, "iso2022_jp_2")
            return _storable(japanese.to_text(raw) if text is None else text), bool(label)
        return _storable(raw.decode("ascii")), bool(label) and codec is None
    chosen = choose(raw, codec)
    if chosen == "iso2022_jp" and _read(raw, chosen) is None:
        text = japanese.to_text(raw)
    else:
        text = raw.decode(chosen, "replace")
    if (mended := _mended_twice_encoded(text)) is not None:
        return _storable(mended), True
    return _storable(text), bool(label) and chosen != codec


def choose(raw: bytes, codec: str | None) -> str:
    """Return the codec to read 8-bit `raw` with that is labelled `codec` (None: with nothing that is known).

    A Latin label is set aside only by clear evidence, any other 8-bit label by UTF-8 that proves itself or by much
    better Cyrillic words.
    """
    if codec is None or codec == "ascii":
        return "utf-8" if _is_utf8(raw, bad_per_good=0.2) else guess_codec(raw) or _LATIN_1
    if codec == "utf-8":
        if _is_utf8(raw, bad_per_good=0.5):
            return codec
        return guess_codec(raw) or (_LATIN_1 if _LATIN_WORD.search(raw) else codec)
    if codec in _EIGHT_BIT_TWIN and not raw.isascii():
        return _EIGHT_BIT_TWIN[codec]
    if codec.startswith(("utf", *_SEVEN_BIT)):
        return codec
    if _is_proven_utf8(raw, at_least=1 if codec == _LATIN_1 else 2 if codec in _SINGLE_BYTE else 4):
        return "utf-8"
    if codec in _LATIN:
        return _cyrillic(raw, letters=3) or codec
    if codec in _CYRILLIC:
        return guess_codec(raw) or codec if _looks_misread(raw, codec) else codec
    text = raw.decode(codec, "replace")
    # A few bytes that were damaged are replaced; where most are, the label is no help.
    if text.count("\ufffd") * 3 <= sum(1 for c in text[:SAMPLE_BYTES] if c > "\x7f"):
        return codec
    return "utf-8" if _is_utf8(raw, bad_per_good=0.2) else guess_codec(raw) or codec


def choose_among(raw: bytes, labels: Iterable[str]) -> str:
    """Return the codec for raw bytes of a head: the first of the charsets that the mail names which fits, else a
    guess from all of them together."""
    for label in labels:
        codec = codec_of(label)
        if codec is None or codec == "ascii" or codec.startswith(("utf-16", "utf-32", "utf-7")):
            continue
        codec = _EIGHT_BIT_TWIN.get(codec, codec)
        fits = choose(raw, codec) == codec and (codec not in _SINGLE_BYTE or _read(raw, codec) is not None)
        if fits and (codec not in _CYRILLIC or _cyrillic_score(raw[:SAMPLE_BYTES].decode(codec)) > 0):
            return codec
    return choose(raw, None)


def guess_codec(raw: bytes) -> str | None:
    """Return the likeliest encoding of 8-bit text that is not UTF-8, None where nothing is likely."""
    found = _cyrillic(raw, letters=2)
    if found is not None:
        return found
    sample = raw[:SAMPLE_BYTES]
    if len(sample) - len(sample.translate(None, _EIGHT_BIT)) < MIN_GUESS_BYTES:
        return None
    best = charset_normalizer.from_bytes(sample, threshold=0.3, enable_fallback=False).best()
    return codec_of(best.encoding) if best is not None else None


def _cyrillic(raw: bytes, *, letters: int) -> str | None:
    """Return the Cyrillic encoding that makes words of the 8-bit bytes: at least `letters` letters in words of so
    many, and those half of all such bytes."""
    sample = raw[:SAMPLE_BYTES]
    scores = {codec: _cyrillic_score(sample.decode(codec, "replace")) for codec in _CYRILLIC}
    best = max(scores, key=lambda codec: scores[codec])
    if scores[best] <= 1.0:
        return None
    words = (len(word[0]) for word in _CYRILLIC_WORD.finditer(sample.decode(best, "replace")))
    in_words = sum(length for length in words if length >= letters)
    eight_bit = len(sample) - len(sample.translate(None, _EIGHT_BIT))
    return best if in_words >= letters and in_words * 2 >= eight_bit else None


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


def _is_utf8(raw: bytes, *, bad_per_good: float) -> bool:
    """Tell UTF-8, also where a few bytes of it were cut or broken."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        is_cut = error.start >= len(raw) - 3 and error.start > 1
    else:
        return True
    text = raw.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = sum(1 for c in text[:SAMPLE_BYTES] if c > "\x7f") - bad
    return good >= 2 and (bad <= good * bad_per_good or (is_cut and bad == 1))


def _is_proven_utf8(raw: bytes, *, at_least: int) -> bool:
    """Tell whole UTF-8 with letters enough that no other text looks so by chance."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return len(raw) - len(raw.translate(None, _EIGHT_BIT)) >= 2 * at_least and not text.isascii()


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


def _storable(text: str) -> str:
    """Replace what no database column takes: NUL and lone surrogates."""
    return _UNSTORABLE.sub("\ufffd", text)
