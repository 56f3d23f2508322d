"""What a phone says within a call that a sipp process keeps: REFER, hold, digits.

Sipp's scenarios are lines of text that cannot act when a test wants them to, nor know another call's tags, which an
attended transfer names. The answers come here, what Asterisk itself sends (NOTIFY, BYE) goes on to sipp.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
from dataclasses import dataclass
from urllib.parse import quote

from tests.testbed.asterisk import Asterisk
from tests.testbed.sipp import SippCall
from tests.testbed.waiting import wait_for

_cseq = itertools.count(200)


@dataclass(frozen=True, slots=True)
class Dialog:
    """One side's view of a call: its Call-ID, its own and the other's address with tags."""

    call_id: str
    own: str
    other: str
    port: int

    def tag(self, side: str) -> str:
        return str(re.findall(r"tag=([^;>\s]+)", side)[0])


async def dialog_of(call: SippCall, *, early: bool = False) -> Dialog:
    """Return the newest dialog of a sipp process; `early` takes one that only rings."""

    async def found() -> Dialog | None:
        wanted = "SIP/2.0 (?:180|183|200)" if early else "SIP/2.0 200"
        for message in reversed(re.split(r"^-{20,}.*$", call.messages(), flags=re.MULTILINE)):
            if re.search(rf"^{wanted}", message, re.MULTILINE) and re.search(
                r"^CSeq: *\d+ INVITE", message, re.MULTILINE
            ):
                sides = [re.findall(rf"^{name}: *(.*?)\s*$", message, re.MULTILINE)[0] for name in ("From", "To")]
                if "tag=" not in sides[1]:
                    continue
                own, other = sides if "message received" in message else reversed(sides)
                return Dialog(re.findall(r"^Call-ID: *(\S+)", message, re.MULTILINE)[0], own, other, call.port)
        return None

    found_one = await wait_for(found, what="the call has a dialog")
    assert found_one is not None
    return found_one


async def refer(asterisk: Asterisk, call: SippCall, to: str, *, replaces: Dialog | None = None) -> str:
    """Transfer the other side of `call` to an extension; with `replaces`, to the party of that dialog."""
    target = f"sip:{to}@127.0.0.1:{asterisk.sip_port}"
    if replaces is not None:
        ids = f"{replaces.call_id};to-tag={replaces.tag(replaces.other)};from-tag={replaces.tag(replaces.own)}"
        target += "?Replaces=" + quote(ids, safe="")
    dialog = await dialog_of(call)
    headers = [f"Refer-To: <{target}>", f"Referred-By: {dialog.own.partition(';')[0]}"]
    return await _ask(asterisk, dialog, "REFER", headers)


async def hold(asterisk: Asterisk, call: SippCall, *, way: str = "sendonly") -> str:
    """Put the other side on hold by re-INVITE; `way="sendrecv"` takes it back."""
    await call.established()
    # Port 4 is as good as any: nobody listens to what Asterisk plays there.
    sdp = [f"v=0\r\no=hold 1 {next(_cseq)} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0"]
    sdp += ["m=audio 4004 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", f"a={way}", ""]
    headers = ["Content-Type: application/sdp"]
    return await _ask(asterisk, await dialog_of(call), "INVITE", headers, body="\r\n".join(sdp))


async def press(asterisk: Asterisk, call: SippCall, digits: str) -> None:
    """Press the digits, one INFO each."""
    for digit in digits:
        body = f"Signal={digit}\r\nDuration=100\r\n"
        await _ask(asterisk, await dialog_of(call), "INFO", ["Content-Type: application/dtmf-relay"], body=body)


async def _ask(asterisk: Asterisk, dialog: Dialog, method: str, headers: list[str], *, body: str = "") -> str:
    """Send one request within the dialog; return the first line of its final answer."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.bind(("127.0.0.1", 0))
        here.setblocking(False)
        await loop.sock_connect(here, ("127.0.0.1", asterisk.sip_port))
        number = next(_cseq)
        branch = f"z9hG4bKwithin{number}"

        def lines(word: str, extra: list[str], text: str) -> bytes:
            said = [
                f"{word} sip:asterisk@127.0.0.1:{asterisk.sip_port} SIP/2.0",
                f"Via: SIP/2.0/UDP 127.0.0.1:{here.getsockname()[1]};branch={branch}{word};rport",
                f"From: {dialog.own}",
                f"To: {dialog.other}",
                f"Call-ID: {dialog.call_id}",
                f"CSeq: {number} {word}",
                f"Contact: <sip:phone@127.0.0.1:{dialog.port}>",
                "Max-Forwards: 70",
                *extra,
                f"Content-Length: {len(text)}",
                "",
                text,
            ]
            return "\r\n".join(said).encode()

        await loop.sock_sendall(here, lines(method, headers, body))
        async with asyncio.timeout(5):
            while (answer := (await loop.sock_recv(here, 65536)).decode()).startswith("SIP/2.0 1"):
                pass
        if method == "INVITE":
            await loop.sock_sendall(here, lines("ACK", [], ""))
        first = answer.partition("\r\n")[0]
        assert first.startswith("SIP/2.0 2"), answer
        return first


async def speak(asterisk: Asterisk, *calls: SippCall, packets: int) -> None:
    """Send RTP of silence from each of the calls, 20 ms a packet: Local channels only merge under sound."""
    loop = asyncio.get_running_loop()
    for call in calls:
        await dialog_of(call)  # its answer names the port
    ports = [_media_port(call) for call in calls]
    for number in range(packets):
        for call, port in zip(calls, ports, strict=True):
            stamp = (call.sequence + number) & 0xFFFF
            header = b"\x80\x00" + stamp.to_bytes(2, "big") + (stamp * 160).to_bytes(4, "big") + b"hub!"
            await loop.sock_sendto(call.media, header + b"\xff" * 160, ("127.0.0.1", port))
        await asyncio.sleep(0.02)
    for call in calls:
        call.sequence += packets


def _media_port(call: SippCall) -> int:
    """Where Asterisk wants this call's sound: from the last SDP that came in."""
    received = re.findall(
        r"message received.*?(?=^-{20,})", call.messages() + "\n" + "-" * 30, re.MULTILINE | re.DOTALL
    )
    return [int(port) for message in received for port in re.findall(r"^m=audio (\d+)", message, re.MULTILINE)][-1]
