"""A real Asterisk 22 for the tests, with the configuration that Hub ships.

Debian's testing and sid carry it, Debian 12 does not: it lives in a root of its own, built once in the cache folder
by debootstrap and started by chroot. Each instance has its own folders and free loopback ports, so several may run.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from hub.settings import Pbx, PbxTeam, Secret
from tests.testbed.packages import cache_folder, debian_mirror, ensure_packages
from tests.testbed.valkey import free_port
from tests.testbed.waiting import wait_for

SHIPPED = Path(__file__).parents[2] / "config" / "asterisk"
TESTBED = Path(__file__).parent / "pbx"
PACKAGES = "asterisk,asterisk-modules,asterisk-moh-opsound-wav,asterisk-core-sounds-en-wav"
MODULES = """
res_timing_timerfd res_musiconhold format_wav format_pcm codec_ulaw codec_alaw res_sorcery_config res_sorcery_memory
res_sorcery_astdb res_pjproject res_pjsip res_pjsip_session res_pjsip_pubsub res_pjsip_endpoint_identifier_ip
res_pjsip_endpoint_identifier_user res_pjsip_registrar res_pjsip_caller_id res_pjsip_sdp_rtp res_pjsip_refer
res_pjsip_rfc3326 res_pjsip_header_funcs res_rtp_asterisk chan_pjsip bridge_simple bridge_softmix bridge_holding
bridge_builtin_features app_queue app_dial app_stack app_userevent app_verbose app_playback pbx_config func_callerid
func_strings func_cut func_channel func_global func_logic
res_parking app_mixmonitor app_chanspy app_directed_pickup app_confbridge chan_bridge_media app_voicemail app_record
app_read app_exec app_transfer app_channelredirect app_bridgewait app_echo app_while func_db func_dialplan func_env
func_devstate func_timeout func_hangupcause func_uri func_curl res_curl func_json func_groupcount func_extstate
func_config app_senddtmf res_manager_devicestate bridge_native_rtp cdr_csv
func_pjsip_endpoint
res_pjsip_dtmf_info res_pjsip_diversion res_pjsip_send_to_voicemail
""".split()


def ensure_root() -> Path | str:
    """Return the folder of the Asterisk root, building it when it is not there (about 35 s); or the reason why not."""
    root = cache_folder() / "asterisk"
    if reason := _cannot(root):
        return reason
    with (cache_folder() / "asterisk.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "usr/sbin/asterisk").exists():
            if reason := ensure_packages(["debootstrap"]):
                return reason
            mirror = debian_mirror()
            if mirror is None:
                return "apt names no Debian mirror to take Asterisk from"
            for left_over in cache_folder().glob("asterisk-half-*"):
                _remove_root(left_over)
            half = Path(tempfile.mkdtemp(dir=cache_folder(), prefix="asterisk-half-"))
            command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "sid", str(half), mirror]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                _remove_root(half)
                return f"debootstrap: {(done.stdout.strip().splitlines() or ['failed'])[-1]}"
            _unmount(half)
            half.rename(root)
        # Without these two each PJSIP call waits seconds for a DNS that is not there.
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost {socket.gethostname()}\n")
        (root / "etc/resolv.conf").unlink(missing_ok=True)
        (root / "etc/resolv.conf").write_text("")
        for name in ("null", "zero", "random", "urandom"):
            device = root / "dev" / name
            if not device.exists():
                os.mknod(device, os.stat(f"/dev/{name}").st_mode, os.stat(f"/dev/{name}").st_rdev)
    return root


def _cannot(root: Path) -> str | None:
    if os.geteuid() != 0:
        return "not root: Asterisk runs in a root of its own (chroot)"
    if not (root / "usr/sbin/asterisk").exists() and shutil.which("apt-get") is None:
        return "not Debian: Asterisk 22 comes from Debian's sid"
    return None


def _unmount(folder: Path) -> None:
    """Unmount what debootstrap, when it was broken off, may have left mounted below `folder`, deepest first."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for path in sorted((path for path in mounted if path.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", path], capture_output=True, check=True)


def _remove_root(folder: Path) -> None:
    """Remove a root that was not finished; never what is mounted in it."""
    _unmount(folder)
    shutil.rmtree(folder, ignore_errors=True)


class Asterisk:
    """One running instance. Phones are the static contacts 101–103, the outside world is `trunk`."""

    SECRET = "ami-secret-of-the-tests"
    ASK_SECRET = "the dialplan's own word, & more =%"

    def __init__(
        self,
        root: Path,
        *,
        ring_s: int = 4,
        wait_s: int = 120,
        parking_s: int = 60,
        is_freepbx: bool = False,
        phones: Sequence[str] = ("101", "102", "103"),
        second_devices: Sequence[str] = (),
        calls_at_once: int = 50,
        settings: str = "",
    ) -> None:
        """`settings`: more lines of the dialplan's [globals]. `second_devices`: phones with two contacts on one AOR.

        The second device of 101 is the phone `101b` of `phone_ports`.
        """
        self._second_devices = tuple(second_devices)
        self._root = root
        self._ring_s, self._wait_s, self._parking_s = ring_s, wait_s, parking_s
        self._is_freepbx = is_freepbx
        self._settings = settings
        self._rtp_ports = calls_at_once * 4
        self.home = Path(tempfile.mkdtemp(dir=root / "tmp", prefix="hub-"))
        self.ami_port = free_port()
        self.sip_port = free_udp_port()
        names = (*phones, *(f"{one}b" for one in self._second_devices))
        self.phone_ports = {extension: free_udp_port() for extension in names}
        self.trunk_port = free_udp_port()
        self.process: asyncio.subprocess.Process | None = None
        self.log = self.home / "console.log"
        self._write_configuration()

    def pbx_settings(self, name: str = "office") -> Pbx:
        return Pbx(
            name=name,
            host="127.0.0.1",
            port=self.ami_port,
            username="hub",
            secret=Secret(self.SECRET),
            internal_contexts=("internal",),
            own_numbers=("+74950000100",),
            team=(PbxTeam(queue="hub-sales", team="sales"), PbxTeam(queue="hub-support", team="support")),
        )

    async def start(self) -> None:
        inside = f"/tmp/{self.home.name}/etc/asterisk.conf"
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                "chroot", str(self._root), "asterisk", "-f", "-n", "-C", inside, stdout=log, stderr=log
            )
        await wait_for(self._is_booted, what="Asterisk is fully booted", deadline_s=60)

    async def _is_booted(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, f"Asterisk ended: {self.log.read_text()[-2000:]}"
        return b"Asterisk Ready." in self.log.read_bytes()

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(how)
            try:
                # With calls up Asterisk would wait 15 s for their goodbyes; nothing here is worth that.
                async with asyncio.timeout(2):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        self.process = None

    async def restart(self) -> None:
        """Kill and start again: what a power cut looks like."""
        await self.stop(signal.SIGKILL)
        self.log.write_bytes(b"")
        await self.start()

    def remove(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)

    def _write_configuration(self) -> None:
        inside = f"/tmp/{self.home.name}"
        for name in ("etc", "db", "keys", "spool", "run", "log", "log/cdr-csv", "agi"):
            (self.home / name).mkdir()
        files = {
            "asterisk.conf": "[directories]\n"
            f"astetcdir => {inside}/etc\nastmoddir => {self._modules()}\nastvarlibdir => /usr/share/asterisk\n"
            f"astdbdir => {inside}/db\nastkeydir => {inside}/keys\nastdatadir => /usr/share/asterisk\n"
            f"astagidir => {inside}/agi\nastspooldir => {inside}/spool\nastrundir => {inside}/run\n"
            f"astlogdir => {inside}/log\n[options]\nverbose = 3\n",
            "modules.conf": "[modules]\nautoload = no\n" + "".join(f"load = {name}.so\n" for name in MODULES),
            "manager.conf": f"[general]\nenabled = yes\nport = {self.ami_port}\nbindaddr = 127.0.0.1\n"
            "timestampevents = yes\n#include manager_hub.conf\n",
            "manager_hub_secret.conf": f"secret = {self.SECRET}\n",
            "hub_ask.conf": f"[hub]\nsecret = {self.ASK_SECRET}\n",
            "features.conf": "[general]\npickupexten = *8\natxfernoanswertimeout = 4\n"
            "atxferloopdelay = 1\natxfercallbackretries = 1\n[featuremap]\nblindxfer = ##\natxfer = *2\n",
            "res_parking.conf": "[general]\n[default]\nparkext = 700\nparkpos = 701-720\n"
            f"context = parkedcalls\nparkingtime = {self._parking_s}\n",
            "confbridge.conf": "[general]\n",
            "cdr.conf": "[general]\nenable = yes\nunanswered = yes\n[csv]\nusegmtime = yes\nloguniqueid = yes\n",
            "voicemail.conf": "[general]\nformat = wav\n[default]\n101 => 1234,One\n",
            "musiconhold.conf": "[default]\nmode = files\ndirectory = /usr/share/asterisk/moh\n",
            "queues.conf": "[general]\n#include queues_hub.conf\n[hub-north-west](hub-template)\n"
            "#include queues_testbed.conf\n",
            "extensions.conf": self._dialplan(),
            "pjsip.conf": self._endpoints(),
            "rtp.conf": f"[general]\nrtpstart = {self._rtp_start()}\n"
            f"rtpend = {self._rtp_start() + self._rtp_ports - 1}\n",
        }
        for name, text in files.items():
            (self.home / "etc" / name).write_text(text)
        for path in (*SHIPPED.glob("*.conf"), *TESTBED.glob("*.conf")):
            shutil.copy(path, self.home / "etc" / path.name)

    def _rtp_start(self) -> int:
        """Below the ports that the system gives out by itself, and elsewhere for each instance."""
        return 10_000 + (self.ami_port % 200) * 100

    def _modules(self) -> str:
        found = next(self._root.glob("usr/lib/*/asterisk/modules"))
        return f"/{found.relative_to(self._root)}"

    def _dialplan(self) -> str:
        return (
            f"[globals]\nHUB_RING = {self._ring_s}\nHUB_WAIT = {self._wait_s}\nTESTBED_RING = {self._ring_s}\n"
            f"{self._settings}\n"
            "[from-trunk]\nexten => 74950000100,1,Goto(hub-in,sales,1)\n"
            "exten => 74950000101,1,Dial(PJSIP/101,20)\n"
            "exten => 74950000102,1,Goto(hub-in,north-west,1)\n"
            "exten => 74950000103,1,Goto(hub-in,nowhere,1)\n"
            "exten => 74950000104,1,Goto(hub-in,loop,1)\n"
            "exten => 74950000105,1,Set(HUB_RECORD=yes)\n same => n,Goto(hub-in,sales,1)\n"
            "include => testbed-dids\n"
            "[internal]\nexten => _1XX,1,Dial(PJSIP/${EXTEN},20)\ninclude => parkedcalls\n"
            "include => testbed-phones\n"
            "[hub-trunk]\nexten => _[+0-9]!,1,Dial(PJSIP/${FILTER(0-9,${EXTEN})}@trunk,60)\n same => n,Hangup()\n"
            "[hub-fallback]\nexten => loop,1,Goto(hub-in,loop,1)\n"
            "exten => _[a-zA-Z0-9]!,1,Dial(PJSIP/101&PJSIP/102,20,m)\n same => n,Hangup()\n"
            "exten => h,1,Hangup()\n"
            "#include extensions_hub.conf\n#include extensions_testbed.conf\n"
            + ("#include extensions_freepbx.conf\n" if self._is_freepbx else "")
        )

    def _endpoints(self) -> str:
        # A phone is known by its name; everything else that comes from this machine is the trunk.
        text = "[global]\ntype = global\nendpoint_identifier_order = username,ip\n"
        text += "[trunk-identify]\ntype = identify\nendpoint = trunk\nmatch = 127.0.0.1\n"
        text += f"[udp]\ntype = transport\nprotocol = udp\nbind = 127.0.0.1:{self.sip_port}\n"
        inside, outside = ("from-internal", "from-pstn") if self._is_freepbx else ("internal", "from-trunk")
        phones = {name: port for name, port in self.phone_ports.items() if not name.endswith("b")}
        contexts = dict.fromkeys(phones, inside) | {"trunk": outside}
        for name, port in {**phones, "trunk": self.trunk_port}.items():
            text += (
                f"[{name}]\ntype = endpoint\ncontext = {contexts[name]}\ndisallow = all\nallow = ulaw,alaw\n"
                f"direct_media = no\ndtmf_mode = auto_info\naors = {name}\ncall_group = 1\npickup_group = 1\n"
                f"[{name}]\ntype = aor\nmax_contacts = 2\nqualify_frequency = 0\n"
                f"contact = sip:{name}@127.0.0.1:{port}\n"
            )
            if name in self._second_devices:
                text += f"contact = sip:{name}@127.0.0.1:{self.phone_ports[f'{name}b']}\n"
        return text


def free_udp_port() -> int:
    """Return a loopback UDP port that was free a moment ago."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def running_asterisk(
    *,
    ring_s: int = 4,
    wait_s: int = 120,
    parking_s: int = 60,
    is_freepbx: bool = False,
    phones: Sequence[str] = ("101", "102", "103"),
    second_devices: Sequence[str] = (),
    calls_at_once: int = 50,
    settings: str = "",
) -> AsyncIterator[Asterisk]:
    """Start an instance and stop it at the end; skip the test, with the reason, where there can be none."""
    root = await asyncio.to_thread(ensure_root)
    if isinstance(root, str):
        pytest.skip(root)
    if reason := await asyncio.to_thread(ensure_packages, ["sip-tester"]):
        pytest.skip(reason)
    asterisk = Asterisk(
        root,
        ring_s=ring_s,
        wait_s=wait_s,
        parking_s=parking_s,
        is_freepbx=is_freepbx,
        phones=phones,
        second_devices=second_devices,
        calls_at_once=calls_at_once,
        settings=settings,
    )
    try:
        await asterisk.start()
        yield asterisk
    finally:
        await asterisk.stop()
        asterisk.remove()
