"""The user guide holds together: twins, links, pictures, headings, its index, and the words of Hub's own pages."""

from __future__ import annotations

import itertools
import re
from functools import cache
from pathlib import Path

import pytest

from hub.web.crm.routes import KINDS
from hub.web.guide.book import INDEX, find_folder, image_files, read_book
from hub.web.guide.page import GuidePage, read_page
from hub.web.guide.screens import RECORDS, SCREENS, page_of
from hub.web.guide.search import search
from hub.web.i18n import LANGUAGES, translator
from hub.web.pages.routes import PAGE_ROUTES
from tests.unit.test_i18n import asked_for

PIECES = ("count", "names", "filter", "columns", "views", "views/new", "views/{id}")
"""Of each list; their guide is the one of the list."""
NO_SCREENS = {
    "pieces of a page": [
        "/attachments/{id}/preview",
        "/call-intents/{id}",
        "/calls/{id}/colleagues",
        "/clients/{id}/timeline",
        "/clients/{id}/waiting",
        "/compose/people",
        "/desk/call",
        "/desk/team",
        "/desk/waiting",
        "/messages/found",
        "/messages/{id}/body",
        "/messages/{id}/part",
        "/messages/{id}/waiting",
        "/outbox/stuck",
        "/palette",
        *(f"{web.path}/{piece}" for web in KINDS for piece in PIECES),
        *(f"{web.path}/bulk" for web in KINDS if web.entity.is_editable),
        *(f"{web.path}/{{id}}/properties" for web in KINDS if web.entity.is_editable),
        "/pbx/states",
        "/presence",
        "/templates/{id}/filled",
        "/threads/{id}/answering",
        "/views/pinned",
    ],
    "files and streams": [
        "/attachments/{id}",
        "/drafts/{id}/files/{file}",
        "/help/images/{name}",
        "/live",
        "/messages/export",
        *(f"{web.path}/export" for web in KINDS),
        "/messages/{id}/files",
        "/messages/{id}/raw",
        "/recordings/{id}",
    ],
    "ways to another page": ["/", "/mailboxes/{id}/sign-in", "/oauth/callback", "/threads/{id}"],
    "the guide itself, and the page of components for developers": ["/help", "/help/{page}", "/styleguide"],
}
ROOT = Path(__file__).parents[2]
MAX_PICTURE_BYTES = 60 * 1024
MAX_PICTURES_BYTES = 1536 * 1024
BOTH = pytest.mark.parametrize("language", list(LANGUAGES))


def test_every_screen_has_a_page_of_the_guide() -> None:
    """A new page of Hub is a line of `SCREENS` with its page; only pieces, files and the like are listed here."""
    shown = {route.path for route in PAGE_ROUTES if route.method == "GET" and route.who != "anyone"}
    excused = {path for paths in NO_SCREENS.values() for path in paths}
    lacking = [path for path in sorted(shown - excused) if page_of(path) == INDEX]
    assert lacking == [], "screens without a page of the guide"
    assert sorted(set(SCREENS) - shown) == [], "lines of SCREENS without a screen"
    assert sorted(set(SCREENS) & excused) == []
    for language in LANGUAGES:
        assert sorted({*SCREENS.values(), RECORDS} - set(read_book(language).pages)) == []


def test_every_page_has_its_twin_in_the_other_language_with_the_same_parts() -> None:
    books = [read_book(language).pages for language in LANGUAGES]
    assert sorted(books[0]) == sorted(books[1])
    for name, page in books[0].items():
        assert [one.level for one in page.sections] == [one.level for one in books[1][name].sections], name
        assert [re.sub(r"\.ru\.", ".en.", one) for one in page.images] == list(books[1][name].images), name


@BOTH
def test_every_link_leads_somewhere(language: str) -> None:
    pages = read_book(language).pages
    broken = []
    for page in pages.values():
        for link in page.links:
            name, _, anchor = link.partition("#")
            target = pages.get(name.removesuffix(".md")) if name else page
            if re.match(r"https?://", link):
                continue
            if target is None or (anchor and anchor not in [one.anchor for one in target.sections]):
                broken.append(f"{language}/{page.name}.md: {link}")
    assert broken == []


@BOTH
def test_every_picture_is_there_small_and_used(language: str) -> None:
    files = image_files()
    named = {one.removeprefix("../images/") for page in read_book(language).pages.values() for one in page.images}
    assert sorted(named) == sorted(name for name in files if name.endswith(f".{language}.webp"))
    sizes = {name: path.stat().st_size for name, path in files.items()}
    assert {name: size for name, size in sizes.items() if size > MAX_PICTURE_BYTES} == {}
    assert sum(sizes.values()) <= MAX_PICTURES_BYTES


@BOTH
def test_headings_are_in_order(language: str) -> None:
    for page in read_book(language).pages.values():
        levels = [one.level for one in page.sections]
        assert levels[:1] == [1] and levels.count(1) == 1, f"{language}/{page.name}.md: one title, and first"
        for before, after in itertools.pairwise(levels):
            assert after <= before + 1, f"{language}/{page.name}.md: a level is left out"
        anchors = [one.anchor for one in page.sections]
        assert len(set(anchors)) == len(anchors), f"{language}/{page.name}.md: two headings with one name"


@BOTH
def test_the_index_names_every_page_once_by_its_title(language: str) -> None:
    book = read_book(language)
    named = [page.name for chapter in book.chapters for page in chapter.pages]
    assert sorted(named) == sorted(set(book.pages) - {INDEX})
    for chapter in book.chapters:
        assert chapter.pages, chapter.title


@cache
def texts_of_hub(language: str) -> frozenset[str]:
    asked = [one if isinstance(one, str) else one[0] for one in asked_for()]
    return frozenset(map(translator(language).gettext, asked))


@BOTH
def test_what_is_in_bold_stands_on_hubs_own_pages(language: str) -> None:
    """A button that is renamed is renamed in the guide too."""
    unknown = [
        f"{language}/{page.name}.md: {text}"
        for page in read_book(language).pages.values()
        for text in page.bold
        if text not in texts_of_hub(language)
    ]
    assert unknown == []


@BOTH
def test_no_page_names_an_address_or_a_file_that_is_not_there(language: str) -> None:
    """Files of the project that the guide mentions, such as `config/hub.service`."""
    for page in (find_folder() / language).glob("*.md"):
        for named in re.findall(r"`((?:config|docs|requirements)/[\w./-]+)`", page.read_text("utf-8")):
            assert (ROOT / named).exists(), f"{page.name}: {named}"


def test_markup_and_strange_links_of_a_page_are_text() -> None:
    page = read_page("x", "# A\n\n<script>alert(1)</script>\n\n[b](javascript:alert(1)) ![c](https://x.example/p.png)")
    assert "<script" not in page.html
    assert "javascript:" not in re.sub(r">[^<]*<", "><", str(page.html))
    assert [one for one in page.links if "javascript" in one] == []


def test_links_and_pictures_become_addresses_of_hub() -> None:
    page = read_page("x", "# Title\n\n## If it fails?\n\n[b](take-a-call.md#who) ![c](../images/desk.en.webp)")
    assert 'href="/help/take-a-call#who"' in page.html
    assert 'src="/help/images/desk.en.webp"' in page.html
    assert '<h2 id="if-it-fails">' in page.html


@pytest.mark.parametrize(
    ("language", "question", "name"),
    [
        ("ru", "перевод звонка", "during-a-call"),
        ("ru", "ОТЛОЖЕННОЕ письмо", "drafts"),
        ("ru", "припарк", "during-a-call"),
        ("ru", "ещё не ответили", "wallboard"),
        ("ru", "еще не ответили", "wallboard"),
        ("ru", "doctor ничего не меняет", "troubles"),
        ("en", "transferring calls", "during-a-call"),
        ("en", "signat", "signatures"),
        ("en", "restore a backup", "backup"),
    ],
)
def test_a_search_finds_words_in_any_form_and_by_their_beginnings(language: str, question: str, name: str) -> None:
    found = [hit.page.name for hit in search(read_book(language).pages.values(), question)]
    assert name in found[:3], found


def test_every_word_of_the_question_has_to_be_on_the_page() -> None:
    pages = read_book("en").pages.values()
    assert search(pages, "transfer") != []
    assert search(pages, "transfer zyzzyva") == []
    assert search(pages, " … ") == []


def test_a_hit_names_the_part_that_fits_and_shows_its_words() -> None:
    pages: list[GuidePage] = [read_page("x", "# Calls\n\nGeneral.\n\n## Park\n\n" + "word " * 80 + "parking lot 701.")]
    (hit,) = search(pages, "lot")
    assert (hit.section.title, hit.section.anchor) == ("Park", "park")
    assert "lot 701" in hit.excerpt and hit.excerpt.startswith("…") and len(hit.excerpt) < 300
