"""A real Dovecot for the tests: a configuration of its own on a free loopback port, maildirs in a temporary folder."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hub.settings import MailServer, Secret
from tests.testbed.packages import ensure_packages
from tests.testbed.valkey import free_port
from tests.testbed.waiting import wait_for

PASSWORD = 'dovecot password \\ "quoted"'
USER = "mail"


class Dovecot:
    """One running server; every user has the same password and folders INBOX, Sent, Drafts, Junk."""

    def __init__(self, users: Sequence[str], *, capabilities: str = "", extra: str = "") -> None:
        self.home = Path(tempfile.mkdtemp(prefix="hub-dovecot-"))
        self.port = free_port()
        self.users = tuple(users)
        self._capabilities = f"imap_capability = {capabilities}" if capabilities else ""
        self._process: asyncio.subprocess.Process | None = None
        self._serial = 0
        self._extra = extra
        self._write_configuration()

    def server(self, user: str) -> MailServer:
        return MailServer(host="127.0.0.1", port=self.port, tls="none", username=user, password=Secret(PASSWORD))

    async def start(self) -> None:
        binary = shutil.which("dovecot") or "/usr/sbin/dovecot"
        with (self.home / "console.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                binary, "-F", "-c", str(self.home / "dovecot.conf"), stdout=log, stderr=log
            )
        await wait_for(self._answers, what=f"Dovecot answers: {self.log()}", deadline_s=60)

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, self.log()
        with socket.socket() as probe:
            probe.settimeout(0.2)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(5):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._process = None

    def remove(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)

    def log(self) -> str:
        logs = [self.home / name for name in ("console.log", "dovecot.log")]
        return "\n".join(path.read_text("utf-8", "replace")[-2000:] for path in logs if path.exists())

    def deliver(self, user: str, raw: bytes, *, folder: str = "INBOX") -> None:
        """Put a message into a maildir as a delivery agent does: written aside, then renamed into `new`."""
        box = self._maildir(user, folder)
        self._serial += 1
        name = f"{1_800_000_000 + self._serial}.{os.getpid()}_{self._serial}.test"
        (box / "tmp" / name).write_bytes(raw)
        shutil.chown(box / "tmp" / name, USER, USER)
        (box / "tmp" / name).rename(box / "new" / name)

    def stored(self, user: str, folder: str) -> list[bytes]:
        """The messages of a folder as they lie on the disk."""
        box = self._maildir(user, folder)
        return [path.read_bytes() for part in ("cur", "new") for path in sorted((box / part).glob("*"))]

    def renumber(self, user: str, folder: str = "INBOX") -> None:
        """Forget all UIDs: the next UIDVALIDITY is another, as after a restored backup."""
        for name in ("dovecot-uidlist", "dovecot.index", "dovecot.index.log", "dovecot.index.cache"):
            (self._maildir(user, folder) / name).unlink(missing_ok=True)

    def _maildir(self, user: str, folder: str) -> Path:
        box = self.home / "mail" / user if folder == "INBOX" else self.home / "mail" / user / f".{folder}"
        for part in (box, box / "tmp", box / "new", box / "cur"):
            if not part.exists():
                part.mkdir(parents=True)
                shutil.chown(part, USER, USER)
        return box

    def _write_configuration(self) -> None:
        home, me = self.home, getpass.getuser()
        home.chmod(0o755)
        for name in ("mail", "run"):
            (home / name).mkdir()
        shutil.chown(home / "mail", USER, USER)
        escaped = PASSWORD.replace("\\", "\\\\")
        users = "".join(f"{user}:{{PLAIN}}{escaped.replace(chr(92) * 2, chr(92))}::::::\n" for user in self.users)
        (home / "users").write_text(users)
        (home / "users").chmod(0o644)
        (home / "dovecot.conf").write_text(
            f"""
base_dir = {home}/run
log_path = {home}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
default_internal_user = {USER}
default_internal_group = {USER}
default_login_user = {USER if me == "root" else me}
mail_location = maildir:{home}/mail/%u
mail_uid = {USER}
mail_gid = {USER}
first_valid_uid = 1
first_valid_gid = 1
mailbox_list_index = no
maildir_very_dirty_syncs = no
{self._capabilities}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {home}/users
}}
userdb {{
  driver = static
  args = uid={USER} gid={USER} home={home}/mail/%u
}}
namespace inbox {{
  inbox = yes
  separator = .
  mailbox Sent {{
    auto = subscribe
    special_use = \\Sent
  }}
  mailbox Drafts {{
    auto = create
    special_use = \\Drafts
  }}
  mailbox Junk {{
    auto = create
    special_use = \\Junk
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {self.port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
{self._extra}
""",
            "utf-8",
        )


@asynccontextmanager
async def running_dovecot(*users: str, capabilities: str = "", extra: str = "") -> AsyncIterator[Dovecot]:
    """Start a server for `users` and stop it at the end; skip the test, with the reason, where there can be none.

    `capabilities` is what it says it can, where not all that it can; `extra` is added to its configuration.
    """
    if os.geteuid() != 0:
        pytest.skip("not root: Dovecot of the tests runs as root on a port of its own")
    if reason := await asyncio.to_thread(ensure_packages, ["dovecot-imapd"]):
        pytest.skip(reason)
    dovecot = Dovecot(users, capabilities=capabilities, extra=extra)
    try:
        await dovecot.start()
        yield dovecot
    finally:
        await dovecot.stop()
        dovecot.remove()
