"""Names of charsets as mails write them, and the codec that each means.

Decides which Python codec a label stands for; pure. Nothing is guessed from bytes here. Invariant: only codecs that
decode in linear time and mean text come out.

Source: IANA character sets, WHATWG Encoding §4.2; labels seen in mails.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

_TEXT_CODECS = re.compile(
    r"utf-?(7|8|8-sig|16|16-le|16-be|32|32-le|32-be)|iso8859-\d+|cp\d+|koi8-[rut]|gb18030|big5\w*|euc_\w+|"
    r"shift_jis\w*|iso2022_\w+|hz|johab|mac-\w+|tis-620|kz1048|ptcp154"
)
"""Not among them: punycode, idna, unicode_escape, zlib …"""

_ALIASES = {
    **dict.fromkeys(("gb2312", "gb-2312", "gb-2312-80", "gbk", "cp936", "euc-cn", "euccn", "cn-gb", "gb"), "gb18030"),
    **dict.fromkeys(("hz-gb-2312", "hz-gb2312"), "hz"),
    **dict.fromkeys(
        ("ks-c-5601-1987", "ks-c-5601-1989", "ks-c-5601", "ksc5601", "ksc-5601", "euc-kr", "euckr", "uhc", "korean"),
        "cp949",
    ),
    **dict.fromkeys(("shift-jis", "shiftjis", "sjis", "ms-kanji", "windows-31j", "cp943c", "cp943"), "cp932"),
    **dict.fromkeys(("eucjp", "ujis"), "euc-jp"),
    "big5-eten": "big5",
    **dict.fromkeys(("latin1", "latin-1", "l1", "iso88591", "8859-1"), "iso-8859-1"),
    **dict.fromkeys(("us-ascii", "usascii", "ansi-x3.4-1968", "ansi-x3.4-1986", "iso646-us", "us"), "ascii"),
    **dict.fromkeys(("iso-8859-8-i", "iso-8859-8-e"), "iso-8859-8"),
    "unicode-1-1-utf-7": "utf-7",
    **dict.fromkeys(
        (
            "utf8",
            "utf",
            "utf-8n",
            "utf8mb4",
            "utf8mb3",
            "utf-8mb4",
            "unicode-1-1-utf-8",
            "utf-8-bom",
            "unicode",
            "65001",
        ),
        "utf-8",
    ),
    **dict.fromkeys(("koi8", "koi", "koi8r", "koi-8-r", "koi8-rus", "cskoi8r"), "koi8-r"),
    **dict.fromkeys(("koi8u", "koi-8-u", "koi8-ru"), "koi8-u"),
    **dict.fromkeys(("cyrillic-windows", "windows-cyrillic", "win", "windows"), "cp1251"),
    **dict.fromkeys(("cyrillic-dos", "dos", "alt"), "cp866"),
    **dict.fromkeys(("cyrillic", "iso-ir-144", "csisolatincyrillic"), "iso-8859-5"),
    **dict.fromkeys(("mac", "macintosh", "macroman"), "mac-roman"),
    **dict.fromkeys(("maccyrillic", "mac-ukraine", "macukraine"), "mac-cyrillic"),
    **dict.fromkeys(("thai", "iso-8859-11", "tis620"), "cp874"),
}
_PAGE = re.compile(r"(?:microsoft-?cp|windows|window|win|wincp|cp|ansi|ms|msdos|dos|ibm|oem)?-?(\d{3,4})")
_ISO = re.compile(r"(?:iso)?-?8859-?(\d{1,2})")


@lru_cache(maxsize=256)
def codec_of(label: str) -> str | None:
    """Return the name of a text codec for a charset label, None for one that says nothing."""
    name = label.lower()[:80].removeprefix("charset=").strip(" \t\"'")
    name = re.split(r"[\s;:,(\"']", name, maxsplit=1)[0].replace("_", "-")
    for tried in (name, name.removeprefix("x-"), name.removeprefix("cs")):
        if (found := _codec(tried)) is not None:
            return found
    return None


def _codec(name: str) -> str | None:
    known = _ALIASES.get(name)
    if known is None and (page := _PAGE.fullmatch(name)):
        known = _ALIASES.get(f"cp{page[1]}", f"cp{page[1]}")
    elif known is None and (iso := _ISO.fullmatch(name)):
        known = "cp874" if iso[1] == "11" else f"iso-8859-{iso[1]}"
    try:
        found = codecs.lookup(known or name).name
    except (LookupError, ValueError, UnicodeError):
        return None
    found = {"iso8859-1": "cp1252", "gbk": "gb18030", "gb2312": "gb18030", "euc_kr": "cp949"}.get(found, found)
    return found if found == "ascii" or _TEXT_CODECS.fullmatch(found) else None
