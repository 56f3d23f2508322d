"""A real Postfix for the tests: takes mail on a free loopback port and delivers it into maildirs, sends nothing on."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hub.settings import MailServer
from tests.testbed.packages import ensure_packages
from tests.testbed.valkey import free_port
from tests.testbed.waiting import wait_for


class Postfix:
    """One running instance; mail for any address of `domain` lands in its maildir."""

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self.home = Path(tempfile.mkdtemp(prefix="hub-postfix-"))
        self.port = free_port()
        self._process: asyncio.subprocess.Process | None = None
        self._write_configuration()

    def server(self) -> MailServer:
        return MailServer(host="127.0.0.1", port=self.port, tls="none")

    async def start(self) -> None:
        with (self.home / "console.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                "postfix", "-c", str(self.home / "etc"), "start-fg", stdout=log, stderr=log
            )
        await wait_for(self._answers, what=f"Postfix answers: {self.log()}", deadline_s=60)

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, self.log()
        with socket.socket() as probe:
            probe.settimeout(0.2)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            # The process started above is a shell that waits for the master.
            os.kill(int((self.home / "queue/pid/master.pid").read_text()), signal.SIGTERM)
            try:
                async with asyncio.timeout(10):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    def delivered(self, address: str) -> list[bytes]:
        """The messages that have arrived for an address, oldest first."""
        found = sorted((self.home / "mail" / "inbox" / "new").glob("*"), key=lambda path: path.stat().st_mtime_ns)
        header = f"Delivered-To: {address}\n".encode()
        return [raw for path in found if header in (raw := path.read_bytes())]

    def log(self) -> str:
        path = self.home / "console.log"
        return path.read_text("utf-8", "replace")[-3000:] if path.exists() else ""

    def _write_configuration(self) -> None:
        etc = self.home / "etc"
        self.home.chmod(0o755)
        for name in ("etc", "queue", "data", "mail"):
            (self.home / name).mkdir()
        shutil.chown(self.home / "data", "postfix", "postfix")
        mail = pwd.getpwnam("mail")
        os.chown(self.home / "mail", mail.pw_uid, mail.pw_gid)
        (etc / "main.cf").write_text(
            f"""compatibility_level = 3.6
queue_directory = {self.home}/queue
data_directory = {self.home}/data
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
default_transport = error:nothing leaves this machine
relay_transport = error:nothing leaves this machine
virtual_mailbox_domains = {self.domain}
virtual_mailbox_base = {self.home}/mail
virtual_mailbox_maps = static:inbox/
virtual_uid_maps = static:{mail.pw_uid}
virtual_gid_maps = static:{mail.pw_gid}
virtual_minimum_uid = 1
maillog_file = /dev/stdout
smtpd_recipient_restrictions = permit_mynetworks, reject
disable_dns_lookups = yes
""",
            "utf-8",
        )
        (etc / "master.cf").write_text(
            f"""127.0.0.1:{self.port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
""",
            "utf-8",
        )


@asynccontextmanager
async def running_postfix(domain: str) -> AsyncIterator[Postfix]:
    """Start an instance for `domain`, stop it at the end; skip the test, with the reason, where there is none."""
    if os.geteuid() != 0:
        pytest.skip("not root: Postfix needs to become its own users")
    if reason := await asyncio.to_thread(ensure_packages, ["postfix"]):
        pytest.skip(reason)
    postfix = Postfix(domain)
    try:
        await postfix.start()
        yield postfix
    finally:
        await postfix.stop()
        subprocess.run(["rm", "-rf", str(postfix.home)], check=False)
