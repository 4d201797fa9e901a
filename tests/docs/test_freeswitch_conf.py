"""The FreeSWITCH configuration for operators says what the code and the pages need it to say. No FreeSWITCH
runs here: this finds what a slip of the pen would break."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONF = ROOT / "freeswitch-conf"
DIALPLAN = ROOT / "dialplan/freeswitch"
FILES = sorted([*CONF.rglob("*.xml*"), *DIALPLAN.rglob("*.xml")])


def parsed(path: Path) -> ElementTree.Element:
    return ElementTree.parse(path).getroot()  # noqa: S314


def params(path: Path) -> dict[str, str]:
    return {each.attrib["name"]: each.attrib["value"] for each in parsed(path).iter("param")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_is_xml(path: Path) -> None:
    assert len(list(parsed(path).iter())) > 0


def test_the_event_socket_is_open_to_this_machine_only_and_has_no_password_of_its_own() -> None:
    socket = params(CONF / "autoload_configs/event_socket.conf.xml")
    assert socket["listen-ip"] == "127.0.0.1"
    assert socket["apply-inbound-acl"] == "loopback.auto"
    assert socket["password"] == "$${esl_password}"
    assert "ClueCon" not in "".join(path.read_text("utf-8") for path in FILES)


def test_no_log_and_no_file_is_told_what_is_played() -> None:
    switch = params(CONF / "autoload_configs/switch.conf.xml")
    assert switch["loglevel"] == "notice"
    assert switch["core-db-name"].startswith("/dev/shm/")  # noqa: S108 - that it is in memory is the point
    logged = parsed(CONF / "autoload_configs/logfile.conf.xml").find(".//map")
    assert logged is not None
    assert not {"debug", "info", "console", "all"} & set(logged.attrib["value"].split(","))


def test_all_modules_that_the_adapter_needs_are_loaded_and_none_that_writes_call_records() -> None:
    loaded = {
        each.attrib["module"] for each in parsed(CONF / "autoload_configs/modules.conf.xml").iter("load")
    }
    needed = {
        "mod_event_socket",
        "mod_commands",
        "mod_dptools",
        "mod_sndfile",
        "mod_tone_stream",
        "mod_sofia",
    }
    assert loaded >= needed
    assert not any("cdr" in module for module in loaded)


def test_a_context_that_a_profile_names_is_in_the_dialplan() -> None:
    contexts = {
        each.attrib["name"] for path in DIALPLAN.glob("*.xml") for each in parsed(path).iter("context")
    }
    for profile in (CONF / "sip_profiles/external.xml", CONF / "lab/lab.xml"):
        assert params(profile)["context"] in contexts


def test_the_lab_has_the_same_numbers_on_both_switches() -> None:
    asterisk = (ROOT / "dialplan/asterisk/lab-callee.conf").read_text("utf-8")
    freeswitch = (DIALPLAN / "lab-callee.xml").read_text("utf-8")
    numbers = set(re.findall(r"12025550\d{3}", asterisk))
    assert numbers
    assert numbers == set(re.findall(r"12025550\d{3}", freeswitch))
