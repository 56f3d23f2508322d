"""Which files are shown and under which names they are saved: by their bytes, whatever their sender says."""

from __future__ import annotations

import pytest

from hub.mail.files.attachments import MAX_PICTURE_BYTES, Preview, is_held, names_in_zip, preview_of, saved_as

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
RTL = "\u202e"


@pytest.mark.parametrize(
    ("name", "given", "head", "shown"),
    [
        ("a.png", "image/png", PNG, Preview("picture", "image/png")),
        ("a.exe", "application/x-msdownload", b"\xff\xd8\xff\xe0", Preview("picture", "image/jpeg")),
        ("a", "text/html", b"GIF89a<script>", Preview("picture", "image/gif")),
        ("a", "image/png", b"RIFF\0\0\0\0WEBPVP8 ", Preview("picture", "image/webp")),
        ("a", "image/png", b"RIFF\0\0\0\0WAVEfmt ", None),
        ("a.png", "image/png", b"<svg xmlns='http://www.w3.org/2000/svg'>", None),
        ("a.svg", "image/svg+xml", b"<svg onload=alert(1)>", None),
        ("a.html", "text/html", b"<script>alert(1)</script>", None),
        ("a.html", "text/plain", b"<script>alert(1)</script>", None),
        ("a.xml", "text/plain", b"<?xml version='1.0'?>", None),
        ("a.ics", "text/plain", b"BEGIN:VCALENDAR", None),
        ("a.pdf", "application/octet-stream", b"%PDF-1.7", Preview("pdf", "application/pdf")),
        ("a.pdf", "application/pdf", b"<html>%PDF-1.7", None),
        ("смета.csv", "application/octet-stream", "Цена;Срок".encode(), Preview("text", "text/plain")),
        ("notes", "text/plain", b"words", Preview("text", "text/plain")),
        ("a.txt", "text/plain", b"MZ\x90\0\x03", None),
        ("a.txt", "text/plain", "\ufeffслова".encode("utf-16-le"), Preview("text", "text/plain")),
        ("a.txt", "text/plain", b"", Preview("text", "text/plain")),
    ],
)
def test_a_file_is_shown_by_what_its_bytes_are_never_by_what_its_sender_says(
    name: str, given: str, head: bytes, shown: Preview | None
) -> None:
    assert preview_of(name, given, head, 100) == shown


def test_a_picture_too_large_to_draw_is_only_saved() -> None:
    assert preview_of("a.png", "image/png", PNG, MAX_PICTURE_BYTES + 1) is None


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\windows\\system.ini", "system.ini"),
        ("a\0b\r\n.txt", "a b.txt"),
        (f"photo{RTL}gnp.exe", "photognp.exe"),
        ("", "file"),
        ("...", "file"),
        ("CON.txt", "_CON.txt"),
        ('a<b>:"c|?*.pdf', "a_b___c___.pdf"),
        ("договор.pdf", "договор.pdf"),
    ],
)
def test_a_saved_name_is_one_harmless_component(name: str, saved: str) -> None:
    assert saved_as(name) == saved


def test_a_name_of_4_kb_is_cut_and_keeps_its_suffix() -> None:
    saved = saved_as("ы" * 4096 + ".pdf")
    assert len(saved.encode()) <= 150
    assert saved.endswith(".pdf")


def test_names_in_an_archive_are_apart_on_a_disk_that_ignores_case_and_climb_nowhere() -> None:
    names = names_in_zip(["a.txt", "A.TXT", "../a.txt", "a (2).txt", "readme", "readme", "/etc/passwd"])
    assert len({name.casefold() for name in names}) == len(names)
    assert names[:3] == ["a.txt", "A (2).TXT", "a (3).txt"]
    assert not any("/" in name or name.startswith(".") for name in names)


@pytest.mark.parametrize(
    ("scan", "hold", "held"),
    [
        ("none", False, False),
        ("waiting", False, False),
        ("failed", False, False),
        ("infected", False, True),
        ("none", True, True),
        ("waiting", True, True),
        ("failed", True, True),
        ("clean", True, False),
    ],
)
def test_infected_is_always_held_and_the_rest_only_where_that_is_wanted(scan: str, hold: bool, held: bool) -> None:
    assert is_held(scan, hold_unscanned=hold) is held
