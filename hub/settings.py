"""What the operator wrote, typed: TOML file, then `HUB_…` environment over it.

Decides nothing at run time. Invariant: a value that reaches the rest of Hub has passed its type, and every
refusal is one line that names the key. Secrets are `Secret`, whose text never shows in a repr or a log.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from hub import clock
from hub.errors import ConfigError

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Network = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$")]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]


_DIAL_FORMAT = re.compile(r"e164|digits|national|subscriber|[0-9]{1,6}\{(digits|national|subscriber)\}")


class Secret(str):
    """A string that hides itself: `repr` and format print `***`; `reveal()` gives the text."""

    __slots__ = ()

    def reveal(self) -> str:
        return str.__str__(self)

    def __repr__(self) -> str:
        return "'***'" if self else "''"

    def __str__(self) -> str:
        return "***" if len(self) else ""

    def __format__(self, spec: str) -> str:
        return str(self)


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class HubSection(_Section, frozen=True, kw_only=True):
    """`[hub]`: where things live and how people are spoken to."""

    database: str = "sqlite:///var/hub.db"
    redis: str = ""
    data_dir: str = "var"
    default_region: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")] = "RU"
    language: Literal["ru", "en"] = "ru"
    time_zone: str = ""
    """The company's clock, e.g. Europe/Moscow: on pages, in forms and in what "today" means. Empty: this machine's."""
    log: Literal["text", "json"] = "text"
    """How the log is written to standard error: lines for people, or a JSON object a line."""
    secret_keys_file: str = ""
    """The keys that secrets in the database are sealed with; empty is keys/secrets.keys below data_dir."""
    page_networks: tuple[Network, ...] = ()
    """Networks whose mail servers everybody may name on a page; administrators may name any private one."""
    dial_per_user_per_min: Annotated[int, msgspec.Meta(ge=1)] = 10
    dial_per_user_per_hour: Annotated[int, msgspec.Meta(ge=1)] = 120
    dial_per_min: Annotated[int, msgspec.Meta(ge=1)] = 120
    """How often numbers outside may be called by click: by one person, and by the whole house."""
    clamd: Annotated[str, msgspec.Meta(pattern=r"^(unix:/.+|[^\s:/]+:[0-9]{1,5}|\[[0-9a-fA-F:.]+\]:[0-9]{1,5})?$")] = ""
    """A virus scanner for attachments: "unix:/run/clamav/clamd.ctl" or "127.0.0.1:3310". Empty: none."""
    clamd_hold: bool = False
    """Whether attachments are held back until the scanner found them clean; else only infected ones are."""

    @property
    def zone(self) -> ZoneInfo:
        """The time zone by its name, this machine's where none is named."""
        return ZoneInfo(self.time_zone or clock.machine_zone())


class WebSection(_Section, frozen=True, kw_only=True):
    """`[web]`: the address Hub listens on, and the address people type (for links and the Origin check)."""

    host: str = "127.0.0.1"
    port: Port = 8080
    public_url: str = ""
    """What stands in the browser's address bar, e.g. https://hub.example.com: pages are taken from nowhere else. https
    makes cookies Secure and adds HSTS."""
    trusted_proxies: tuple[Network, ...] = ()
    """Networks of the reverse proxies. X-Forwarded-For and Forwarded are believed from them alone."""
    metrics_token: Secret = Secret("")
    """What `/metrics` and the details of `/readyz` are read with, as a bearer token. Empty: from this machine only."""
    metrics_token_file: str = ""
    max_connections: Annotated[int, msgspec.Meta(ge=16)] = 8192
    """Open connections of browsers in all; at the bound the one that was idle the longest gives way."""
    max_connections_per_address: Annotated[int, msgspec.Meta(ge=4)] = 512
    """… of one address (of IPv6: one /64). This machine and trusted proxies have no such bound."""


class PbxTeam(_Section, frozen=True, kw_only=True):
    """`[[pbx.team]]`: the queue of the PBX whose callers this team takes."""

    queue: Name
    team: Name


class Pbx(_Section, frozen=True, kw_only=True):
    """`[[pbx]]`: one Asterisk and its AMI user."""

    name: Name
    host: str = "127.0.0.1"
    port: Port = 5038
    username: str
    secret: Secret = Secret("")
    secret_file: str = ""
    internal_contexts: tuple[str, ...] = ()
    """Contexts that the company's own phones dial from. Empty: the usual names count, FreePBX's among them."""
    own_numbers: tuple[str, ...] = ()
    """Numbers and trunks of the company itself: never a client."""
    phone_tech: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_]{1,20}$")] = "PJSIP"
    """Channel technology of the managers' phones: extension 101 is rung as `PJSIP/101`."""
    dial_context: Name = "hub-out"
    """Context of the shipped dialplan that click-to-call goes through."""
    dial_countries: tuple[Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")], ...] = ()
    """Where click-to-call and transfers may go, e.g. ["RU", "KZ"]; empty is everywhere. Premium numbers never."""
    region: Annotated[str, msgspec.Meta(pattern="^([A-Z]{2})?$")] = ""
    dial_format: str = "e164"
    """How the outbound routes want a number: e164 +7495…, digits 7495…, national 8495… and 810…, subscriber 495…, or
    digits before one of these: 9{national}."""
    dial_letters: Literal["refuse", "keypad"] = "refuse"
    """What happens to a number with letters, 1-800-FLOWERS: refused, or read off a telephone's keys."""
    emergency_numbers: tuple[Annotated[str, msgspec.Meta(pattern="^[0-9]{2,6}$")], ...] = ()
    """Numbers that Hub never calls and says so; empty: those of the region, and 112 and 911."""
    recordings_dir: str = ""
    """Where MixMonitor's files lie, as this machine sees it: absolute. Or else:"""
    recordings_url: str = ""
    """The address under which the PBX's own web server gives them out, http or https."""
    recordings_username: str = ""
    recordings_password: Secret = Secret("")
    recordings_password_file: str = ""
    recordings_ca_file: str = ""
    """A CA of the operator's own, beside the system's."""
    dialplan_secret: Secret = Secret("")
    """By which the dialplan shows that it may ask where a caller goes; without it, nobody may."""
    dialplan_secret_file: str = ""
    http_url: Annotated[str, msgspec.Meta(pattern=r"^(https?://[^\s/@?#]+(/[^\s?#]*)?)?$")] = ""
    """Asterisk's own web server (http.conf), where it is used: `hub doctor` asks its `httpstatus`."""
    cdr_csv: str = ""
    """Asterisk's Master.csv as this machine sees it: what was missed while the line was away is taken from it. Or:"""
    cdr_database: Secret = Secret("")
    """A database with Asterisk's `cdr` table, sqlite:///PATH or postgresql://…; its address may hold a password."""
    cdr_table: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$")] = "cdr"
    cdr_time_zone: str = "UTC"
    """What the records' times are written in: UTC by `usegmtime = yes`, else the PBX's own, e.g. Europe/Moscow."""
    team: tuple[PbxTeam, ...] = ()


class MailServer(_Section, frozen=True, kw_only=True):
    """One IMAP or SMTP sign-in."""

    host: str
    port: Port
    tls: Literal["tls", "starttls", "none"] = "tls"
    username: str = ""
    password: Secret = Secret("")
    password_file: str = ""
    ca_file: str = ""
    """A CA of the operator's own, beside the system's."""
    auth: Literal["auto", "plain", "login", "scram", "oauth"] = "auto"
    """How to sign in; auto is the strongest way that the server offers for a password."""
    tls_exception: Annotated[str, msgspec.Meta(pattern=r"^(sha256:([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2})?$")] = ""
    """The SHA-256 of the one certificate that is accepted though no authority vouches for it."""


class Mailbox(_Section, frozen=True, kw_only=True):
    """`[[mailbox]]`: one address Hub reads and writes for a team."""

    address: str
    team: Name
    name: str = ""
    """The display name that recipients see."""
    history_days: Annotated[int, msgspec.Meta(ge=0)] = 0
    """How far back the first load goes; 0 is everything."""
    folders: tuple[str, ...] = ()
    """Folders to read, by name or with `*`; empty is all but drafts, junk, trash and views of the whole mailbox."""
    copy_to_sent: Literal["auto", "always", "never"] = "auto"
    """Whether Hub files what it sends in Sent; `auto` looks first whether the provider has."""
    sends_per_min: Annotated[int, msgspec.Meta(ge=0)] = 0
    """At most so many messages a minute; 0 is what is known of the provider, else no limit."""
    oauth: Literal["", "google", "microsoft"] = ""
    """Whose tokens open it, where imap.auth and smtp.auth are "oauth"; a person signs in on the page /mailboxes."""
    imap: MailServer
    smtp: MailServer


class OauthClient(_Section, frozen=True, kw_only=True):
    """`[oauth.google]`, `[oauth.microsoft]`: what the company registered there. Empty addresses: the usual ones."""

    client_id: str = ""
    secret: Secret = Secret("")
    secret_file: str = ""
    tenant: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9.-]+$")] = "common"
    """Microsoft's: the company's directory; common is any."""
    authorize_url: Annotated[str, msgspec.Meta(pattern=r"^(https?://[^\s@#]+)?$")] = ""
    token_url: Annotated[str, msgspec.Meta(pattern=r"^(https?://[^\s@#]+)?$")] = ""


class OauthSection(_Section, frozen=True, kw_only=True):
    """`[oauth]`: who gives out tokens that open mailboxes."""

    google: OauthClient = OauthClient()
    microsoft: OauthClient = OauthClient()


class Settings(_Section, frozen=True, kw_only=True):
    """The whole configuration."""

    hub: HubSection = HubSection()
    web: WebSection = WebSection()
    oauth: OauthSection = OauthSection()
    pbx: tuple[Pbx, ...] = ()
    mailbox: tuple[Mailbox, ...] = ()

    @property
    def data_dir(self) -> Path:
        return Path(self.hub.data_dir)


def load(path: Path | None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read `path` (None: defaults only), lay `HUB_…` over it, read every `…_file`.

    Raises ConfigError whose message is one line.
    """
    raw: dict[str, Any] = {}
    if path is not None:
        try:
            raw = tomllib.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise ConfigError("config_missing", f"{path}: no such file") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError("config_unreadable", f"{path}: cannot be read: {error}") from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigError("config_syntax", f"{path}: {error}") from None
    _overlay(raw, os.environ if environ is None else environ)
    try:
        settings = msgspec.convert(raw, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise ConfigError("config_invalid", _name_the_key(str(error))) from None
    settings = _with_secrets(settings, path.parent if path else Path())
    _check(settings)
    return settings


def _decode(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise NotImplementedError(kind)


def _overlay(raw: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Lay `HUB_WEB__PORT=8081` over `raw["web"]["port"]`; list items go by number: `HUB_PBX__0__HOST`."""
    for variable in sorted(v for v in environ if v.startswith("HUB_")):
        path = variable.removeprefix("HUB_").lower().split("__")
        node: Any = raw
        kind: Any = Settings
        for depth, part in enumerate(path):
            last = depth == len(path) - 1
            if get_origin(kind) is tuple:
                kind = get_args(kind)[0]
                if not part.isdigit() or not isinstance(node, list) or int(part) >= len(node):
                    raise ConfigError("config_unknown_key", f"{variable}: there is no entry {part!r}")
                key: Any = int(part)
            else:
                fields = {f.name: f.type for f in msgspec.structs.fields(kind)} if _is_section(kind) else {}
                if part not in fields:
                    raise ConfigError("config_unknown_key", f"{variable}: unknown key {'.'.join(path)!r}")
                kind, key = fields[part], part
            if last:
                is_list = get_origin(kind) is tuple
                node[key] = [x for x in environ[variable].split(",") if x] if is_list else environ[variable]
            elif isinstance(node, dict):
                node = node.setdefault(key, {})
            else:
                node = node[key]


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _name_the_key(message: str) -> str:
    """Turn msgspec's `… - at `$.pbx[0].port`` into `pbx[0].port: …`."""
    what, _, where = message.partition(" - at ")
    place = where.strip("`").removeprefix("$").removeprefix(".")
    if unknown := re.match(r"Object contains unknown field `(.+)`", what):
        return f"unknown key {'.'.join(filter(None, (place, unknown[1])))!r}"
    if missing := re.match(r"Object missing required field `(.+)`", what):
        return f"{'.'.join(filter(None, (place, missing[1])))}: is required"
    return f"{place}: {what[0].lower()}{what[1:]}" if place else what


def _with_secrets(settings: Settings, base: Path) -> Settings:
    def server(one: MailServer, place: str) -> MailServer:
        if not one.password_file:
            return one
        text = _read_secret(base, one.password_file, f"{place}.password_file")
        return msgspec.structs.replace(one, password=text)

    pbxs = []
    for i, pbx in enumerate(settings.pbx):
        if pbx.secret_file:
            secret = _read_secret(base, pbx.secret_file, f"pbx[{i}].secret_file")
            pbx = msgspec.structs.replace(pbx, secret=secret)
        if pbx.recordings_password_file:
            place = f"pbx[{i}].recordings_password_file"
            secret = _read_secret(base, pbx.recordings_password_file, place)
            pbx = msgspec.structs.replace(pbx, recordings_password=secret)
        if pbx.dialplan_secret_file:
            secret = _read_secret(base, pbx.dialplan_secret_file, f"pbx[{i}].dialplan_secret_file")
            pbx = msgspec.structs.replace(pbx, dialplan_secret=secret)
        pbxs.append(pbx)
    mailboxes = [
        msgspec.structs.replace(
            box, imap=server(box.imap, f"mailbox[{i}].imap"), smtp=server(box.smtp, f"mailbox[{i}].smtp")
        )
        for i, box in enumerate(settings.mailbox)
    ]
    clients = {}
    for name in ("google", "microsoft"):
        client: OauthClient = getattr(settings.oauth, name)
        if client.secret_file:
            secret = _read_secret(base, client.secret_file, f"oauth.{name}.secret_file")
            client = msgspec.structs.replace(client, secret=secret)
        clients[name] = client
    web = settings.web
    if web.metrics_token_file:
        token = _read_secret(base, web.metrics_token_file, "web.metrics_token_file")
        web = msgspec.structs.replace(web, metrics_token=token)
    settings = msgspec.structs.replace(settings, web=web)
    return msgspec.structs.replace(settings, pbx=tuple(pbxs), mailbox=tuple(mailboxes), oauth=OauthSection(**clients))


def _read_secret(base: Path, name: str, key: str) -> Secret:
    try:
        return Secret((base / name).read_text("utf-8").rstrip("\r\n"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise ConfigError("secret_unreadable", f"{key}: {name}: {reason}") from None


def _check(settings: Settings) -> None:
    """Refuse what the types alone cannot: the same name twice, a URL that no engine takes."""
    url = settings.hub.database
    if not re.match(r"^(sqlite:///.+|postgres(ql)?://.*)$", url):
        raise ConfigError("config_invalid", "hub.database: must be sqlite:///PATH or postgresql://USER@HOST/NAME")
    if settings.hub.redis and not re.match(r"^(redis|rediss|unix)://", settings.hub.redis):
        raise ConfigError("config_invalid", "hub.redis: must be redis://HOST:PORT/N, or empty")
    for key, names in (
        ("pbx[].name", [p.name for p in settings.pbx]),
        ("mailbox[].address", [b.address.lower() for b in settings.mailbox]),
    ):
        twice = {n for n in names if names.count(n) > 1}
        if twice:
            raise ConfigError("config_invalid", f"{key}: {min(twice)!r} is there twice")
    if 0 < len(settings.web.metrics_token) < 16:
        raise ConfigError("config_invalid", "web.metrics_token: must have at least 16 characters")
    for i, pbx in enumerate(settings.pbx):
        _check_recordings(pbx, f"pbx[{i}]")
        _check_cdr(pbx, f"pbx[{i}]")
        if not _DIAL_FORMAT.fullmatch(pbx.dial_format):
            message = (
                f'{pbx.dial_format!r} is no form of a number: write "e164", "digits", "national" or "subscriber", or '
                'digits before one of the last three in braces: "9{national}"'
            )
            raise ConfigError("config_invalid", f"pbx[{i}].dial_format: {message}")
        if 0 < len(pbx.dialplan_secret) < 16:
            raise ConfigError("config_invalid", f"pbx[{i}].dialplan_secret: must have at least 16 characters")
    for i, box in enumerate(settings.mailbox):
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", box.address):
            raise ConfigError("config_invalid", f"mailbox[{i}].address: {box.address!r} is not an address")
        for side, server in (("imap", box.imap), ("smtp", box.smtp)):
            if server.auth == "oauth" and not box.oauth:
                message = f'mailbox[{i}].oauth: {side}.auth is "oauth": say whose, oauth = "google" or "microsoft"'
                raise ConfigError("config_invalid", message)
    for key, networks in (
        ("hub.page_networks", settings.hub.page_networks),
        ("web.trusted_proxies", settings.web.trusted_proxies),
    ):
        for network in networks:
            try:
                ip_network(network)
            except ValueError as error:
                raise ConfigError("config_invalid", f"{key}: {error}") from None
    _check_public_url(settings.web.public_url)
    try:
        _ = settings.hub.zone
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = f"hub.time_zone: {settings.hub.time_zone!r} is no time zone; write it as Europe/Moscow"
        raise ConfigError("config_invalid", message) from None


def _check_public_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_origin = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_origin = False
    if url and (not is_origin or "@" in url or not re.fullmatch(r"https?://[^\s/?#]+/?", url)):
        message = "must be http(s)://HOST[:PORT], as the browser's address bar shows it, without a path"
        raise ConfigError("config_invalid", f"web.public_url: {message}")


def _check_recordings(pbx: Pbx, place: str) -> None:
    if pbx.recordings_dir and pbx.recordings_url:
        raise ConfigError("config_invalid", f"{place}: recordings_dir or recordings_url, not both")
    if pbx.recordings_dir and not Path(pbx.recordings_dir).is_absolute():
        raise ConfigError("config_invalid", f"{place}.recordings_dir: must be an absolute path")
    if ":" in pbx.recordings_username:
        raise ConfigError("config_invalid", f"{place}.recordings_username: must not contain a colon")
    if pbx.recordings_url and not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#]*)?", pbx.recordings_url):
        raise ConfigError("config_invalid", f"{place}.recordings_url: must be http(s)://HOST[:PORT][/PATH]")


def _check_cdr(pbx: Pbx, place: str) -> None:
    if pbx.cdr_csv and pbx.cdr_database:
        raise ConfigError("config_invalid", f"{place}: cdr_csv or cdr_database, not both")
    if pbx.cdr_csv and not Path(pbx.cdr_csv).is_absolute():
        raise ConfigError("config_invalid", f"{place}.cdr_csv: must be an absolute path")
    url = pbx.cdr_database.reveal()
    if url and not re.match(r"^(sqlite:///.+|postgres(ql)?://.+)$", url):
        message = "must be sqlite:///PATH or postgresql://USER@HOST/NAME; cdr_csv reads what Asterisk writes by itself"
        raise ConfigError("config_invalid", f"{place}.cdr_database: {message}")
    try:
        ZoneInfo(pbx.cdr_time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = f"{pbx.cdr_time_zone!r} is no time zone; write it as Europe/Moscow"
        raise ConfigError("config_invalid", f"{place}.cdr_time_zone: {message}") from None
