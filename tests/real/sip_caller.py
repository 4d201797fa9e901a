"""A telephone of a page: it calls the lab over SIP and sends RTP packets that it numbers itself."""

from __future__ import annotations

import socket
import struct
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tests.real.lab import LabInfo

SAMPLES = 160  # in a packet: 20 ms at 8 kHz
SECONDS = 5.0  # for any answer


def _udp() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    made.settimeout(SECONDS)
    return made


class _Call:
    """One dialog, as the caller sees it."""

    def __init__(self, lab: LabInfo, number: str, caller: str, rtp_port: int) -> None:
        self.lab, self.number, self.caller, self.rtp_port = lab, number, caller, rtp_port
        self.id, self.to = uuid.uuid4().hex, f"<sip:{number}@127.0.0.1:{lab.sip_port}>"

    def request(self, sip: socket.socket, method: str, sequence: int, body: str = "") -> None:
        port = sip.getsockname()[1]
        lines = [
            f"{method} sip:{self.number}@127.0.0.1:{self.lab.sip_port} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{method}{self.id}",
            f"From: <sip:{self.caller}@127.0.0.1>;tag={self.id}",
            f"To: {self.to}",
            f"Call-ID: {self.id}",
            f"CSeq: {sequence} {method}",
            f"Contact: <sip:{self.caller}@127.0.0.1:{port}>",
            "Max-Forwards: 70",
            "Content-Type: application/sdp",
            f"Content-Length: {len(body)}",
        ]
        sip.sendto("\r\n".join([*lines, "", body]).encode(), ("127.0.0.1", self.lab.sip_port))

    def invite(self, sip: socket.socket) -> int:
        """Call until answered; the RTP port of the callee."""
        offer = [
            "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0",
            f"m=audio {self.rtp_port} RTP/AVP 0", "",
        ]  # fmt: skip
        self.request(sip, "INVITE", 1, "\r\n".join(offer))
        while not (answer := sip.recv(65535).decode()).startswith("SIP/2.0 200"):
            assert answer.startswith("SIP/2.0 1"), answer
        lines = answer.split("\r\n")
        self.to = next(line.partition(":")[2].strip() for line in lines if line.startswith("To:"))
        self.request(sip, "ACK", 1)
        return int(next(line.split()[1] for line in lines if line.startswith("m=audio")))


@contextmanager
def _dialog(sip: socket.socket, call: _Call) -> Iterator[int]:
    port = call.invite(sip)
    try:
        yield port
    finally:
        call.request(sip, "BYE", 2)


def send_packets(
    lab: LabInfo, number: str, caller: str, payloads: Iterable[bytes], first_sequence: int
) -> None:
    """Call `number`, send each payload (160 bytes of mu-law) as one RTP packet, and hang up.

    The callee's own packets are the clock: one goes out for each that comes in.
    """
    with (
        _udp() as sip,
        _udp() as rtp,
        _dialog(sip, _Call(lab, number, caller, rtp.getsockname()[1])) as port,
    ):
        for n, payload in enumerate(payloads):
            rtp.recv(65535)
            head = struct.pack(">BBHII", 0x80, 0, (first_sequence + n) & 0xFFFF, n * SAMPLES, 0x5EED)
            rtp.sendto(head + payload, ("127.0.0.1", port))
        for _ in range(5):  # so that the last one has been read before the callee hears of the end
            rtp.recv(65535)
