"""What an operator is told of a PBX's recordings before somebody misses one: for `hub doctor`. Changes nothing."""

from __future__ import annotations

import asyncio
import os
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from hub.errors import HubError, NotFound
from hub.settings import Pbx
from hub.telephony.recordings.recording_files import DirectorySource, HttpSource, RecordingPath, source_of


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and the line that mends it. `is_error` ones keep recordings from being heard."""

    problem: str
    mend: str
    is_error: bool = True


async def check(pbx: Pbx) -> list[Finding]:
    """Return what is wrong with where the recordings of a PBX lie; nothing where none are configured."""
    try:
        source = source_of(pbx)
    except HubError as error:
        return [Finding(error.message, 'recordings_url = "https://pbx.example.com/monitor"')]
    if isinstance(source, DirectorySource):
        return await asyncio.to_thread(_check_directory, source.root)
    if isinstance(source, HttpSource):
        return await _check_http(source)
    return []


def _check_directory(root: Path) -> list[Finding]:
    try:
        told = root.stat()
    except OSError as error:
        return [Finding(f"recordings_dir {root}: {error.strerror}", f"mkdir -p {root} && chown asterisk: {root}")]
    if not stat.S_ISDIR(told.st_mode):
        return [Finding(f"recordings_dir {root}: is not a directory", 'recordings_dir = "/var/spool/asterisk/monitor"')]
    found = []
    if not os.access(root, os.R_OK | os.X_OK):
        found.append(Finding(f"recordings_dir {root}: Hub may not read it", "usermod -aG asterisk hub"))
    elif not os.access(root, os.W_OK):
        text = f"recordings_dir {root}: Hub may not delete there, so no recording's time ever ends on the disk"
        found.append(Finding(text, f"chmod -R g+w {root}", is_error=False))
    if told.st_mode & stat.S_IROTH and told.st_mode & stat.S_IXOTH:
        text = f"recordings_dir {root}: everybody on this machine can listen to it"
        found.append(Finding(text, f"chmod o-rwx {root}", is_error=False))
    return found


async def _check_http(source: HttpSource) -> list[Finding]:
    """Ask for a recording that cannot be there: 404 is the answer of a server that would give out one that is."""
    if source.ca_file:
        try:
            await asyncio.to_thread(ssl.create_default_context().load_verify_locations, source.ca_file)
        except (OSError, ssl.SSLError) as error:
            return [Finding(f"recordings_ca_file {source.ca_file}: {error}", "recordings_ca_file = a PEM file")]
    try:
        async with source.opened(RecordingPath("hub-doctor/no-such-recording.wav")):
            return [Finding(f"{source.base}: answers to every name", "serve the directory of MixMonitor's files there")]
    except NotFound:
        return []
    except HubError as error:
        cause = error.__cause__
        mend = "systemctl status httpd, and the firewall between Hub and the PBX"
        if isinstance(cause, aiohttp.ClientConnectorCertificateError):
            mend = "recordings_ca_file = the PEM file of the authority that signed the PBX's certificate"
        elif "401" in error.message or "403" in error.message:
            mend = "recordings_username and recordings_password_file as the PBX's web server knows them"
        elif "redirect" in error.message:
            mend = "recordings_url must be where the files are given out, not where a redirect begins"
        return [Finding(f"{source.base}: {error.message}", mend)]
