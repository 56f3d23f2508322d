"""Bytes of AMI that are not UTF-8: names that an old trunk, phone or phone book wrote in KOI8-R or windows-1251. Pure.

Decides line by line, by evidence: UTF-8 where most of the bytes are; else the Cyrillic charset whose letters and
capitals look like Russian words; else windows-1252 where the odd letters stand among Latin ones. Where a short word
could be two things, the charset that this connection has clearly spoken before decides. Invariant: never raises.
"""

from __future__ import annotations

import re

_CYRILLIC = ("cp1251", "koi8-r", "cp866")
_LETTERS = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё"
_SHARES = "110 85 80 74 67 63 55 47 45 44 35 32 30 28 26 20 19 17 17 16 16 14 12 10 9 7 6 5 4 3 3 1 1"
_OFTEN = dict(zip(_LETTERS, map(int, _SHARES.split()), strict=True))
"""How often each letter comes in a thousand of Russian text, rounded."""
_WORD = re.compile(r"[^\W\d_]+")
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH = re.compile(rb"[\x80-\xff]")
CLEAR = 25.0
"""By so much the best guess leads where a name speaks for itself."""
SPOKEN = 50.0
"""What having been spoken clearly before is worth."""


class LineDecoder:
    """Decodes what is not UTF-8, and remembers which charset this connection speaks."""

    def __init__(self) -> None:
        self._spoken = ""

    def decode(self, line: bytes) -> str:
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            pass
        whole = _MULTIBYTE.findall(line)
        rest = len(_HIGH.findall(_MULTIBYTE.sub(b"", line)))
        if whole and len(whole) >= rest:
            return line.decode("utf-8", "replace")  # cut in mid-letter, or one bad byte
        readings = {charset: line.decode(charset, "replace") for charset in _CYRILLIC}
        scores = {charset: _score(text) for charset, text in readings.items()}
        if self._spoken:
            scores[self._spoken] += SPOKEN
        best, second = sorted(scores, key=lambda charset: scores[charset], reverse=True)[:2]
        if scores[best] <= 0:
            latin = line.decode("cp1252", "replace")
            return latin if _is_latin(latin) else line.decode("utf-8", "replace")
        if scores[best] - scores[second] >= CLEAR:
            self._spoken = best
        return readings[best]


def _is_latin(text: str) -> bool:
    """Say whether each odd letter stands in a word with Latin ones."""
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    return bool(words) and all(any(letter.isascii() for letter in word) for word in words)


def decode_lines(data: bytes) -> str:
    """Decode a text that may hold lines in an old charset."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        decoder = LineDecoder()
        return "\n".join([decoder.decode(line) for line in data.split(b"\n")])


def _score(text: str) -> float:
    """Say how much a reading looks like Russian names: frequent letters, capitals only in front, no signs within."""
    score = 0.0
    for word in _WORD.findall(text):
        odd = [letter for letter in word if not letter.isascii()]
        if not odd:
            continue
        if len(odd) < len(word):
            score -= 60.0  # a Latin word with a Cyrillic letter in it
            continue
        score += sum(_OFTEN.get(letter.lower(), -60) - 22 for letter in word)
        if not (word.islower() or word.isupper() or word.istitle()):
            score -= 40.0 * len(word)
        elif word.istitle() and len(word) > 1:
            score += 20.0
    return score - 60.0 * sum(not letter.isascii() and not letter.isalpha() for letter in text)
