"""Which webhook addresses are allowed: by their form, and at the socket."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.notify import names
from orchestrator.notify.address import check_form, check_url, checked_sockets, is_allowed
from orchestrator.notify.errors import AddressError, AddressRefused
from tests.notify.world import Names, World, status

ONE = (ipaddress.ip_network("127.0.0.1/32"),)

PRIVATE = [
    "0.0.0.0",  # noqa: S104 - not bound to
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:c0a8:101::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]


def addr_info(address: str) -> tuple[object, ...]:
    return (10 if ":" in address else 2, 1, 6, "", (address, 80))


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused_at_the_socket_and_at_submission(address: str) -> None:
    assert not is_allowed(ipaddress.ip_address(address))
    with pytest.raises(AddressRefused, match=r"notify\.allow"):
        checked_sockets(())(addr_info(address))
    host = f"[{address.replace('%', '%25')}]" if ":" in address else address
    assert isinstance(check_url(f"https://{host}/hook"), AddressError)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    assert is_allowed(ipaddress.ip_address(address))
    checked_sockets(())(addr_info(address)).close()
    assert check_url(f"http://{f'[{address}]' if ':' in address else address}/hook") is None


@given(st.ip_addresses(v=4))
def test_wrapping_an_ipv4_address_in_ipv6_changes_nothing(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for wrapped in (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert is_allowed(ipaddress.IPv6Address(wrapped)) == is_allowed(address)


@given(st.ip_addresses())
def test_nothing_is_allowed_that_python_calls_private(address: ipaddress.IPv4Address) -> None:
    if is_allowed(address):
        assert not address.is_multicast
        assert not address.is_loopback
        assert not address.is_link_local
        assert not address.is_unspecified


def test_the_operator_may_allow_a_network_also_in_its_ipv6_forms() -> None:
    allow = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8"))
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1"):
        assert is_allowed(ipaddress.ip_address(address), allow)
    assert not is_allowed(ipaddress.ip_address("10.2.0.1"), allow)
    assert check_url("http://10.1.2.3/hook", allow) is None


@pytest.mark.parametrize("not_an_address", ["localhost", "0177.0.0.1", "127.1", "2130706433", ""])
def test_a_socket_for_what_is_no_address_is_refused(not_an_address: str) -> None:
    with pytest.raises(AddressRefused):
        checked_sockets(ONE)(addr_info(not_an_address))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/hook?token=1&x=%20",
        "http://example.com:8080/hook",
        "https://bücher.example/hook",
        "HTTPS://EXAMPLE.COM/",
        "https://1e100.example/",
    ],
)
def test_an_ordinary_url_passes(url: str) -> None:
    assert check_url(url) is None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "must start with"),
        ("example.com/hook", "must start with"),
        ("ftp://example.com/", "must start with"),
        ("file:///etc/passwd", "must start with"),
        ("//example.com/", "must start with"),
        ("http://", "names no host"),
        ("http:///hook", "names no host"),
        ("http://user:hunter2@example.com/", "credentials"),
        ("http://user@example.com/", "credentials"),
        ("http://@example.com/", "credentials"),
        ("http://example.com/#part", "fragment"),
        ("http://example.com/#", "fragment"),
        ("http://example.com:0/", "port"),
        ("http://example.com:65536/", "cannot be parsed"),
        ("http://example.com:x/", "cannot be parsed"),
        ("http://[::1", "cannot be parsed"),
        ("http://example.com/a b", "space"),
        ("http://example.com/a\r\nx: y", "space"),
        ("http://example.com\\@127.0.0.1/", "backslash"),
        ("http://127.1/", "is a number"),
        ("http://2130706433/", "is a number"),
        ("http://0x7f000001/", "is a number"),
        ("http://0177.0.0.1/", "is a number"),
        ("http://127.0.0.1./", "is a number"),
        ("http://example.com/" + "x" * 2048, "2048"),
    ],
)
def test_a_url_that_cannot_be_a_webhook_address_is_refused_with_the_reason(url: str, words: str) -> None:
    fault = check_url(url)
    assert isinstance(fault, AddressError)
    assert words in str(fault)
    assert "hunter2" not in str(fault)
    assert check_form(url) is not None


@given(st.text(max_size=80).map(lambda tail: "http://" + tail) | st.text(max_size=80))
def test_no_text_breaks_the_check(url: str) -> None:
    fault = check_url(url)
    assert fault is None or isinstance(fault, AddressError)


async def refused(world: World, url: str) -> str:
    async with world.notifier() as notifier:
        (event,) = world.job(url, events=1)
        world.commit(notifier, [event])
        await world.bell.until(lambda: event.id in world.outbox.errors)
        return world.outbox.errors[event.id]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "[::ffff:127.0.0.1]", "[::1]"])
async def test_a_private_address_is_refused_when_the_connection_is_made(host: str) -> None:
    world = World(allow=())
    async with world.receiver().listening() as receiver:
        error = await refused(world, receiver.url(host=host))
        assert "is not a public address" in error
        assert receiver.got == []


async def test_a_name_that_leads_elsewhere_the_second_time_is_refused_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(names, "TTL", 0.0)
    # 127.0.0.1 stands for a public address, 127.0.0.2 for one of the operator's own.
    resolver = Names(rebind=[["127.0.0.1"], ["127.0.0.2"]])
    world = World(allow=ONE, resolver=resolver)
    async with world.receiver().listening("127.0.0.1", "127.0.0.2") as receiver, world.notifier() as notifier:
        receiver.answer = status(200, Connection="close")
        first, second = world.job(receiver.url(host="rebind.test"), events=2)
        world.commit(notifier, [first, second])
        await world.bell.until(lambda: second.id in world.outbox.errors)
        assert "127.0.0.2 is not a public address" in world.outbox.errors[second.id]
        assert [got.id for got in receiver.got] == [first.event_id]
        assert resolver.asked == ["rebind.test", "rebind.test"]


async def test_of_a_names_addresses_only_the_public_ones_are_tried() -> None:
    world = World(allow=ONE, resolver=Names(mixed=[["127.0.0.2", "::1", "127.0.0.1"]]))
    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        world.commit(notifier, world.job(receiver.url(host="mixed.test")))
        await world.arrived(3)


async def test_a_name_that_does_not_exist_is_named_in_the_error() -> None:
    world = World(resolver=Names(nowhere=[[]]))
    assert await refused(world, "http://nowhere.test/") == "the receiver's name nowhere.test was not found"


async def test_the_operators_own_url_may_be_private_but_no_other_on_the_same_host() -> None:
    world = World()
    async with world.receiver().listening() as receiver:
        world = World(allow=(), url=receiver.url("/own"))
        async with world.notifier() as notifier:
            world.commit(notifier, world.job(receiver.url("/own"), "own"))
            await world.arrived(3)
            (other,) = world.job(receiver.url("/other"), "other", events=1)
            world.commit(notifier, [other])
            await world.bell.until(lambda: other.id in world.outbox.errors)
        assert "is not a public address" in world.outbox.errors[other.id]
        assert {got.path for got in receiver.got} == {"/own"}


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    async with world.receiver().listening() as proxy, world.receiver().listening() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(""))
        async with world.notifier() as notifier:
            world.commit(notifier, world.job(receiver.url()))
            await world.arrived(3)
        assert proxy.got == []


async def test_cookies_are_not_kept() -> None:
    world = World()
    async with world.receiver().listening() as receiver, world.notifier() as notifier:
        receiver.answer = status(200, Set_Cookie="track=1")
        world.commit(notifier, world.job(receiver.url()))
        await world.arrived(3)
        assert all("cookie" not in got.headers for got in receiver.got)


def test_a_refused_address_names_the_key_that_would_allow_it() -> None:
    assert "notify.allow_networks" in str(check_url("http://10.0.0.1/"))
