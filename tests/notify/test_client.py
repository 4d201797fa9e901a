"""The HTTP client against peers that write what they like, byte by byte if need be."""

import asyncio
import socket
import ssl
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orchestrator.notify.client import Client
from orchestrator.notify.http11 import MAX_BODY, MAX_HEAD
from orchestrator.notify.schedule import Answered, Failed, Response
from orchestrator.notify.settings import NotifySettings
from tests.notify.world import SECRET, Names

ALLOW = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
HEADERS = {"webhook-id": "evt_1", "webhook-timestamp": "1", "webhook-signature": "v1,abc"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OK_200 = Answered(200)

Say = Callable[[Writer, int], Awaitable[None]]


class Peer:
    """Reads each request, then lets `say` write what it wants; `say` also learns the request's number."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self.connections = 0
        self.requests: list[bytes] = []
        self.port = 0
        self.ended = asyncio.Event()
        """A connection was closed."""
        self._now: set[asyncio.Task[None]] = set()

    async def _serve(self, reader: Reader, writer: Writer) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                await self._say(writer, len(self.requests))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.ended.set()
            writer.close()

    def _accept(self, reader: Reader, writer: Writer) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._now.add(task)
        task.add_done_callback(self._now.discard)

    @asynccontextmanager
    async def listening(
        self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> AsyncIterator["Peer"]:
        server = await asyncio.start_server(self._accept, host, 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(self._now):
                task.cancel()
            if self._now:
                await asyncio.wait(self._now)


def saying(*chunks: bytes, close: bool = False) -> Say:
    async def say(writer: Writer, number: int) -> None:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0)
        if close:
            writer.close()

    return say


def settings(**changes: object) -> NotifySettings:
    given: dict[str, object] = {"worker": "w", "secrets": (SECRET,), "allow": ALLOW} | changes
    return NotifySettings(**given)  # type: ignore[arg-type]


async def posted(peer: Peer, times: int = 1, path: str = "/hook", **changes: object) -> list[Response]:
    async with peer.listening(), Client(settings(**changes)) as client:
        url = f"http://127.0.0.1:{peer.port}{path}"
        return [await client.post(url, b"{}", HEADERS) for _ in range(times)]


async def test_the_request_is_what_a_receiver_expects() -> None:
    peer = Peer(saying(OK))
    assert await posted(peer, path="/a%20b?x=1&y=%C3%BC") == [OK_200]
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert first == "POST /a%20b?x=1&y=%C3%BC HTTP/1.1"
    assert headers.pop("User-Agent").startswith("call-orchestrator/")
    assert headers == HEADERS | {
        "Host": f"127.0.0.1:{peer.port}",
        "Content-Type": "application/cloudevents+json",
        "Content-Length": "2",
    }
    assert body == b"{}"


async def test_many_posts_need_one_connection() -> None:
    peer = Peer(saying(OK))
    assert await posted(peer, times=50) == [OK_200] * 50
    assert peer.connections == 1


async def test_posts_at_once_have_a_connection_each_and_no_more_are_kept_than_the_receiver_may_have() -> None:
    peer = Peer(saying(OK))
    async with peer.listening(), Client(settings(per_receiver=2)) as client:
        url = f"http://127.0.0.1:{peer.port}/"
        for _ in range(2):
            await asyncio.gather(*(client.post(url, b"", HEADERS) for _ in range(3)))
        assert len(peer.requests) == 6
        assert peer.connections == 4  # two of the first three are kept


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (OK, OK_200),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Answered(204)),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Answered(304)),
        (
            b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX: y\r\n\r\n",
            OK_200,
        ),
        (b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\nContent-Length: 0\r\n\r\n", Answered(503, "7")),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, OK_200),
        (
            b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\nHTTP/1.1 100 \r\n\r\n"
            b"HTTP/1.1 429 X\r\nRetry-After: 1\r\nRetry-After: 2\r\nContent-Length: 1\r\n\r\nx",
            Answered(429, "1"),
        ),
    ],
)
async def test_an_answer_is_understood_whole_and_byte_by_byte_and_the_connection_is_kept(
    answer: bytes, expected: Answered
) -> None:
    for chunks in ([answer], [bytes([byte]) for byte in answer]):
        peer = Peer(saying(*chunks))
        assert await posted(peer, times=3) == [expected] * 3
        assert peer.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        OK + b"garbage",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1) + b"x" * (MAX_BODY + 1),
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * (MAX_BODY + 1),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_BODY + 1),
    ],
)
async def test_a_connection_that_cannot_be_trusted_with_another_request_is_closed(answer: bytes) -> None:
    peer = Peer(saying(answer))
    first, second = await posted(peer, times=2)
    assert isinstance(first, Answered)
    assert first == second
    assert first.status in (200, 204)
    assert peer.connections == 2


async def test_101_is_an_answer_and_ends_the_connection() -> None:
    peer = Peer(saying(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00"))
    assert await posted(peer, times=2) == [Answered(101)] * 2
    assert peer.connections == 2


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n\r\nuntil the end", OK[:-1]])
async def test_a_status_counts_although_the_body_ends_with_the_connection(answer: bytes) -> None:
    peer = Peer(saying(answer, close=True))
    assert await posted(peer, times=2) == [OK_200] * 2
    assert len(peer.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        b"\x16\x03\x01\x00",
    ],
)
async def test_what_is_not_http_is_told_and_asked_for_once(answer: bytes) -> None:
    peer = Peer(saying(answer))
    (response,) = await posted(peer)
    assert isinstance(response, Failed)
    assert "not HTTP/1.1" in response.reason
    assert len(peer.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * MAX_HEAD + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10 * MAX_HEAD,
        b"HTTP/1.1 200 " + b"x" * 10 * MAX_HEAD,
        b"HTTP/1.1 100 Continue\r\n\r\n" * MAX_HEAD,
    ],
)
@pytest.mark.parametrize("step", [1000, 1_000_000])
async def test_headers_without_end_are_not_read(answer: bytes, step: int) -> None:
    peer = Peer(saying(*(answer[at : at + step] for at in range(0, len(answer), step))))
    (response,) = await posted(peer)
    assert isinstance(response, Failed)
    assert f"more than {MAX_HEAD} bytes of headers" in response.reason


async def test_a_receiver_that_trickles_its_headers_is_given_up_after_the_time_out() -> None:
    async def trickle(writer: Writer, number: int) -> None:
        for byte in OK[:15] + b"\r\nX: " + b"x" * 10_000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)  # the peer's pace

    peer = Peer(trickle)
    assert await posted(peer, timeout=0.2, connect_timeout=0.2) == [Failed("no answer within 0 s")]
    assert len(peer.requests) == 1


async def test_a_body_that_never_comes_changes_nothing_about_the_status() -> None:
    peer = Peer(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"))
    assert await posted(peer, times=2, timeout=0.1, connect_timeout=0.1) == [OK_200] * 2
    assert peer.connections == 2


async def test_a_receiver_that_always_hangs_up_is_asked_twice() -> None:
    peer = Peer(saying(b"HTTP/1.1 20", close=True))
    (response,) = await posted(peer)
    assert response == Failed("the receiver closed the connection without an answer")
    assert len(peer.requests) == 2


async def test_a_kept_connection_that_has_died_costs_no_attempt() -> None:
    async def say(writer: Writer, number: int) -> None:
        if number == 2:
            writer.transport.abort()
        else:
            writer.write(OK)

    peer = Peer(say)
    assert await posted(peer, times=3) == [OK_200] * 3
    assert (len(peer.requests), peer.connections) == (4, 2)


async def test_words_that_nobody_asked_for_end_a_kept_connection() -> None:
    unasked = asyncio.Event()

    async def say(writer: Writer, number: int) -> None:
        writer.write(OK)
        if number == 1:
            await unasked.wait()
            writer.write(b"HTTP/1.1 500 Smuggled\r\nContent-Length: 0\r\n\r\n")

    peer = Peer(say)
    async with peer.listening(), Client(settings()) as client:
        url = f"http://127.0.0.1:{peer.port}/"
        assert await client.post(url, b"", HEADERS) == OK_200
        unasked.set()
        async with asyncio.timeout(5):
            await peer.ended.wait()
        assert await client.post(url, b"", HEADERS) == OK_200
        assert peer.connections == 2


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\rb", "a\0b", "ü"])
async def test_a_header_cannot_bring_another_with_it(value: str) -> None:
    peer = Peer(saying(OK))
    async with peer.listening(), Client(settings()) as client:
        url = f"http://127.0.0.1:{peer.port}/"
        response = await client.post(url, b"", HEADERS | {"webhook-id": value})
        assert isinstance(response, Failed)
        assert "cannot be sent" in response.reason
        assert peer.connections == 0


async def test_a_receiver_may_speak_ipv6_and_the_next_address_is_tried_when_one_refuses() -> None:
    peer = Peer(saying(OK))
    names = Names(six=[["127.0.0.1", "::1"]])
    async with peer.listening("::1"), Client(settings(), resolver=names) as client:
        assert await client.post(f"http://[::1]:{peer.port}/", b"", HEADERS) == OK_200
        assert f"Host: [::1]:{peer.port}\r\n".encode() in peer.requests[0]
        assert await client.post(f"http://six.test:{peer.port}/", b"", HEADERS) == OK_200


async def test_an_address_that_swallows_the_connection_leaves_time_for_the_next() -> None:
    # A full queue of connections to accept: what comes further is left without any answer.
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        peer = Peer(saying(OK))
        names = Names(two=[["127.0.0.2", "127.0.0.1"]])
        async with (
            peer.listening(),
            Client(settings(connect_timeout=0.6), resolver=names) as client,
        ):
            full.bind(("127.0.0.2", peer.port))
            full.listen(0)
            for waiting in (first, second):
                waiting.setblocking(False)
                waiting.connect_ex(("127.0.0.2", peer.port))
            assert await client.post(f"http://two.test:{peer.port}/", b"", HEADERS) == OK_200


async def test_a_slow_name_server_is_asked_once_by_all_who_wait_and_answers_those_who_still_do() -> None:
    asked, gate = asyncio.Event(), asyncio.Event()

    class Slow(Names):
        async def resolve(self, host: str, port: int) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
            found = await super().resolve(host, port)
            asked.set()
            await gate.wait()
            return found

    names = Slow()
    peer = Peer(saying(OK))
    async with peer.listening(), Client(settings(), resolver=names) as client:
        url = f"http://slow.test:{peer.port}/"
        impatient, *patient = [asyncio.create_task(client.post(url, b"", HEADERS)) for _ in range(5)]
        await asked.wait()
        impatient.cancel()
        await asyncio.wait([impatient])
        gate.set()
        assert await asyncio.gather(*patient) == [OK_200] * 4
        assert names.asked == ["slow.test"]


async def test_a_cancelled_post_closes_its_connection() -> None:
    asked = asyncio.Event()

    async def say(writer: Writer, number: int) -> None:
        asked.set()

    peer = Peer(say)
    async with peer.listening(), Client(settings()) as client:
        post = asyncio.create_task(client.post(f"http://127.0.0.1:{peer.port}/", b"", HEADERS))
        await asked.wait()
        post.cancel()
        await asyncio.wait([post])
        async with asyncio.timeout(5):
            await peer.ended.wait()


def certificate(folder: Path, *names: x509.GeneralName) -> tuple[ssl.SSLContext, Path]:
    """A server's context, with a certificate that it signed itself, and the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    file, secret = folder / "cert.pem", folder / "key.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, secret)
    return context, file


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    tls, _ = certificate(tmp_path, x509.IPAddress(ip_address("127.0.0.1")))
    peer = Peer(saying(OK))
    async with peer.listening(tls=tls), Client(settings()) as client:
        response = await client.post(f"https://127.0.0.1:{peer.port}/", b"", HEADERS)
    assert isinstance(response, Failed)
    assert "certificate verify failed" in response.reason
    assert peer.requests == []


async def test_a_vouched_certificate_serves_its_own_names_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, file = certificate(tmp_path, x509.DNSName("good.test"))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    peer = Peer(saying(OK))
    async with peer.listening(tls=tls), Client(settings(), resolver=Names()) as client:
        for _ in range(3):
            assert await client.post(f"https://good.test:{peer.port}/", b"", HEADERS) == OK_200
        assert peer.connections == 1
        response = await client.post(f"https://other.test:{peer.port}/", b"", HEADERS)
    assert isinstance(response, Failed)
    assert "certificate verify failed" in response.reason
    assert len(peer.requests) == 3


async def test_a_receiver_that_does_not_shake_hands_is_given_up_after_the_connect_time_out() -> None:
    peer = Peer(saying(OK))
    async with peer.listening(), Client(settings(connect_timeout=0.1)) as client:
        response = await client.post(f"https://127.0.0.1:{peer.port}/", b"", HEADERS)
    assert response == Failed("no answer within 0 s")
