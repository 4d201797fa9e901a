"""A FreeSWITCH node's settings. Tier: unit."""

import pytest

from orchestrator.pbx.errors import PbxConfigError
from tests.pbx.esl.fake_esl import PASSWORD, settings_for

URL = "esl://127.0.0.1:8021"


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        (URL, "127.0.0.1", 8021),
        ("esl://fs.example.com", "fs.example.com", 8021),
        ("esl://[::1]:8022/", "::1", 8022),
    ],
)
def test_an_address_has_a_host_and_a_port(url: str, host: str, port: int) -> None:
    settings = settings_for(url)
    assert (settings.host, settings.port) == (host, port)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8021",
        "127.0.0.1:8021",
        "esl://",
        "esl://h:x",
        "esl://u:p@h",
        "esl://h/path",
        "esl://h?q",
    ],
)
def test_an_address_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(PbxConfigError, match="fs1"):
        settings_for(url)


@pytest.mark.parametrize(
    "dial",
    [
        "sofia/gateway/carrier/{number}",
        "sofia/lab/{e164}@127.0.0.1:5080",
        "sofia/external/{number}@sip.example.com;fs_path=sip:10.0.0.1;transport=tcp",
        "user/{number}@default",
        "loopback/{number}/default",
    ],
)
def test_a_dial_string_of_any_endpoint_is_taken(dial: str) -> None:
    assert settings_for(URL, dial=dial).dial == dial


@pytest.mark.parametrize(
    "dial",
    [
        "sofia/gateway/carrier/5",
        "{number}",
        "sofia/{number}/{number}",
        "sofia/{number}/{e164}",
        "{x=1}sofia/gateway/carrier/{number}",
        "[x=1]sofia/gateway/carrier/{number}",
        "sofia/a/{number}|sofia/b/1",
        "sofia/a/{number},sofia/b/1",
        "sofia/a/{number}:_:sofia/b/1",
        "sofia/a/{number} &echo",
        "sofia/a/{number}'",
        "sofia/${x}/{number}",
    ],
)
def test_a_dial_string_that_says_more_than_one_place_is_refused(dial: str) -> None:
    with pytest.raises(PbxConfigError, match="dial"):
        settings_for(URL, dial=dial)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("app", "a b"),
        ("app", "a}b"),
        ("app", ""),
        ("sounds_folder", "../x"),
        ("sounds_folder", "a!b"),
        ("sounds_folder", ""),
        ("password", ""),
        ("password", "a\nb"),
        ("request_timeout", 0),
        ("abandoned_after", -1.0),
        ("max_inflight", 0),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(PbxConfigError, match=field.removesuffix("_folder")):
        settings_for(URL, **{field: value})


def test_settings_never_show_the_password() -> None:
    settings = settings_for(URL)
    assert PASSWORD not in repr(settings) + repr(settings.__rich_repr__())
