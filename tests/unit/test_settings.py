"""A configuration that cannot work is refused in one line that names the key."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from hub.errors import ConfigError
from hub.settings import HubSection, Mailbox, Pbx, Secret, Settings, WebSection, load

MAILBOX = """
[[mailbox]]
address = "sales@example.com"
team = "sales"
imap = { host = "i", port = 993, username = "u", password_file = "pw" }
smtp = { host = "s", port = 465 }
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "hub.toml"
    path.write_text(text, "utf-8")
    return path


def test_without_a_file_the_defaults_hold() -> None:
    assert load(None, {}) == Settings()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[web]\nprt = 1\n", "unknown key 'web.prt'"),
        ("[webb]\nport = 1\n", "unknown key 'webb'"),
        ("[web]\nport = 'x'\n", "web.port: "),
        ("[web]\nport = 70000\n", "web.port: "),
        ("[[pbx]]\nname = 'office'\n", "pbx[0].username: is required"),
        ("[[pbx]]\nname = 'a'\nusername = 'h'\n[[pbx]]\nname = 'a'\nusername = 'h'\n", "'a' is there twice"),
        ("[[pbx]]\nname = 'a'\nusername = 'h'\nsecret_file = 'gone'\n", "pbx[0].secret_file: gone: No such file"),
        ("[hub]\ndatabase = 'mysql://x'\n", "hub.database: "),
        ("[hub]\nredis = 'localhost'\n", "hub.redis: "),
        ("[hub]\nlanguage = 'de'\n", "hub.language: "),
        ("[web]\ntrusted_proxies = ['10.0.0.1/8']\n", "web.trusted_proxies: 10.0.0.1/8 has host bits set"),
        ("[web]\npublic_url = 'hub.example.com'\n", "web.public_url: must be http(s)://HOST"),
        ("[web]\npublic_url = 'https://hub.example.com/hub'\n", "web.public_url: "),
        ("[web]\npublic_url = 'https://a@hub.example.com'\n", "web.public_url: "),
        ("[web]\npublic_url = 'https://hub.example.com:99999'\n", "web.public_url: "),
        ("[hub\n", "hub.toml: "),
        (MAILBOX.replace("sales@example.com", "sales"), "mailbox[0]"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "pw").write_text("secret\n")
    with pytest.raises(ConfigError) as refusal:
        load(written(tmp_path, text), {})
    assert named in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ("recordings_dir = '/a'\nrecordings_url = 'https://pbx'", "pbx[0]: recordings_dir or recordings_url"),
        ("recordings_dir = 'var/monitor'", "pbx[0].recordings_dir"),
        ("recordings_url = 'file:///var'", "pbx[0].recordings_url"),
        ("recordings_url = 'https://hub:secret@pbx/'", "pbx[0].recordings_url"),
        ("recordings_url = 'https://pbx/?x=1'", "pbx[0].recordings_url"),
        ("recordings_url = 'https://pbx'\nrecordings_username = 'a:b'", "pbx[0].recordings_username"),
        ("recordings_password_file = 'nowhere'", "pbx[0].recordings_password_file"),
        ("cdr_csv = 'Master.csv'", "pbx[0].cdr_csv: must be an absolute path"),
        ("cdr_csv = '/a'\ncdr_database = 'sqlite:///b'", "pbx[0]: cdr_csv or cdr_database, not both"),
        ("cdr_database = 'mysql://hub:hunter2@pbx/asterisk'", "pbx[0].cdr_database: must be sqlite:///PATH"),
        ("cdr_table = 'cdr; DROP TABLE calls'", "pbx[0].cdr_table"),
        ("cdr_time_zone = 'Mars/Olympus'", "pbx[0].cdr_time_zone: 'Mars/Olympus' is no time zone"),
        ("cdr_time_zone = '../../etc/passwd'", "pbx[0].cdr_time_zone"),
    ],
)
def test_a_place_of_recordings_or_records_that_cannot_be_is_named(tmp_path: Path, lines: str, named: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(written(tmp_path, f"[[pbx]]\nname = 'a'\nusername = 'h'\n{lines}\n"), {})
    assert named in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_the_environment_lies_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "[web]\nport = 1\n[[pbx]]\nname = 'a'\nusername = 'h'\n")
    settings = load(path, {"HUB_WEB__PORT": "8081", "HUB_PBX__0__HOST": "10.0.0.5", "OTHER": "x"})
    assert (settings.web.port, settings.pbx[0].host) == (8081, "10.0.0.5")


@pytest.mark.parametrize("variable", ["HUB_WEB__PRT", "HUB_NOTHING", "HUB_PBX__0__HOST", "HUB_WEB__PORT__X"])
def test_an_unknown_variable_is_refused_by_its_name(variable: str) -> None:
    with pytest.raises(ConfigError, match=variable):
        load(None, {variable: "1"})


def test_secrets_come_from_files_and_never_show(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("hunter2\n")
    settings = load(written(tmp_path, MAILBOX), {})
    password = settings.mailbox[0].imap.password
    assert password.reveal() == "hunter2"
    assert "hunter2" not in f"{settings!r} {password} {password!r} {password:>10}"


def test_a_secret_compares_and_hides() -> None:
    assert Secret("a") == "a"
    assert (str(Secret("a")), str(Secret(""))) == ("***", "")


def test_the_example_loads_as_it_is_and_needs_no_other_file(tmp_path: Path) -> None:
    settings = load(written(tmp_path, Path("config/hub.example.toml").read_text("utf-8")), {})
    assert (settings.pbx, settings.mailbox) == ((), ())


def test_the_example_names_every_key_and_loads_with_every_section_in_use(tmp_path: Path) -> None:
    example = re.sub(r"(?m)^#(?=[\[A-Za-z])", "", Path("config/hub.example.toml").read_text("utf-8"))
    for name in ("ami.secret", "sales.secret", "dialplan.secret"):
        (tmp_path / name).write_text("a word of sixteen or more")
    settings = load(written(tmp_path, example), {})
    assert (len(settings.pbx), len(settings.mailbox), len(settings.pbx[0].team)) == (1, 1, 1)
    for section in (Settings, HubSection, WebSection, Pbx, Mailbox):
        for field in msgspec.structs.fields(section):
            if not (field.name.endswith("secret") or field.name == "password"):
                assert re.search(rf"\b{field.name}\b", example), (
                    f"{section.__name__}.{field.name} is not in the example"
                )


@pytest.mark.parametrize(
    "form", ["", "E164", "9{e164}", "{national}", "9national", "9{}", "8XXXXXXXXXX", "9{national},1"]
)
def test_a_form_of_numbers_that_is_none_is_refused_with_those_that_are(tmp_path: Path, form: str) -> None:
    text = f"[[pbx]]\nname = 'a'\nusername = 'h'\ndial_format = '{form}'\n"
    with pytest.raises(ConfigError, match=r'pbx\[0\].dial_format: .* no form of a number: write "e164", "digits"'):
        load(written(tmp_path, text), {})
