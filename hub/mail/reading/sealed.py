"""Signed and encrypted mail recognised, and what is signed in the open taken out. Pure, never raises.

Decides how a part or a text is sealed and what stands within a seal that anybody may open. Checks no signature and
decrypts nothing: that needs keys, and a wrong "valid" would be worse than none. Invariant: content comes only out
of signed data that carries it in the clear.

Source: RFC 8551 (S/MIME), 5652 (CMS), 3156 and 9580 (OpenPGP).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from asn1crypto import cms  # type: ignore[import-untyped]

Seal = Literal["smime", "pgp"]
How = Literal["", "signed", "encrypted"]

_SMIME = re.compile(r"application/(x-)?pkcs7-mime")
_SMIME_SIGNATURE = re.compile(r"application/(x-)?pkcs7-signature")
_SIGNED_TEXT = re.compile(
    r"-----BEGIN PGP SIGNED MESSAGE-----[ \t]*\n(?:[A-Za-z-]+:[^\n]*\n)*\n?"
    r"(.*?)(?:\n-----BEGIN PGP SIGNATURE-----.*|\Z)",
    re.DOTALL,
)


def of_part(kind: str, params: Mapping[str, str] = MappingProxyType({})) -> tuple[How, Seal]:
    """Tell how a message is sealed by the content type of a part."""
    if kind == "application/pgp-encrypted":
        return "encrypted", "pgp"
    if kind == "application/pgp-signature":
        return "signed", "pgp"
    if _SMIME_SIGNATURE.fullmatch(kind):
        return "signed", "smime"
    if _SMIME.fullmatch(kind):
        smime_type = params.get("smime-type", "").lower()
        if smime_type == "signed-data":
            return "signed", "smime"
        return ("", "smime") if smime_type == "certs-only" else ("encrypted", "smime")
    return "", "smime"


def is_smime(kind: str, name: str) -> bool:
    return _SMIME.fullmatch(kind) is not None or (
        kind == "application/octet-stream" and name.lower().endswith((".p7m", ".p7z"))
    )


def signed_content(raw: bytes) -> tuple[How, bytes | None]:
    """Return how CMS data is sealed and the content that signed data carries, None where none can be read."""
    try:
        info = cms.ContentInfo.load(raw)
        kind = info["content_type"].native
        if kind in ("enveloped_data", "authenticated_enveloped_data", "encrypted_data"):
            return "encrypted", None
        if kind != "signed_data":
            return "", None
        content = info["content"]["encap_content_info"]["content"].native
    except Exception:  # noqa: BLE001 a library reads what a stranger made up
        return "", None
    return "signed", content if isinstance(content, bytes) else None


def of_text(text: str) -> tuple[How, str]:
    """Tell inline PGP; return the text without the armour of a signature (RFC 9580 §7: dashes unescaped)."""
    if "-----BEGIN PGP " not in text:
        return "", text
    start = text.find("-----BEGIN PGP SIGNED MESSAGE-----")
    if start >= 0 and (match := _SIGNED_TEXT.match(text, start)):
        inner = re.sub(r"(?m)^- ", "", match[1])
        return "signed", text[:start] + inner
    return ("encrypted" if "-----BEGIN PGP MESSAGE-----" in text else ""), text
