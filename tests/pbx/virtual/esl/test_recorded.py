"""The commands of a recorded session give what a real FreeSWITCH 1.10.12 once gave: replies, events, jobs.

The far ends of the recordings are the same FreeSWITCH; here they are callees that do the same. Compared
are all replies byte for byte, and of each event of our own leg what is the same in every recording.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from orchestrator.pbx.virtual.callees import Callee
from tests.pbx.esl.capture import Asked, Said, read
from tests.pbx.virtual.esl.client import Client, Frame, connected, virtual

NUMBERS = {
    "answer": ("1001", Callee(rings=0.5)),
    "busy": ("1002", Callee(cause=17)),
    "reject": ("1003", Callee(cause=21, sip_status=603)),
    "nosuch": ("1004", Callee(cause=3)),
    "ring": ("1005", Callee(rings=0.0, answers=False)),
    "hangup": ("1006", Callee(hangs_up=0.7)),
    "early": ("1007", Callee(early_media=1.0, presses="42#", presses_after=0.5)),
}
"""What the far ends are called in the recordings, and who stands for them here."""

SESSIONS = (
    "answer_json",
    "answer_play_hangup",
    "bad_gateway",
    "busy",
    "callee_hangs_up_during_playback",
    "duplicate_uuid",
    "early_media_dtmf",
    "no_answer",
    "reject_603",
    "unallocated",
    "wrong_password",
)
"""All but bridge_record, in which a channel is bridged before it is answered: a race that FreeSWITCH
loses."""

SAME = (
    "Event-Name",
    "Unique-ID",
    "Channel-State",
    "Channel-Call-State",
    "Channel-State-Number",
    "Call-Direction",
    "Channel-HIT-Dialplan",
    "Answer-State",
    "Hangup-Cause",
    "Application",
    "Application-Data",
    "Application-Response",
    "DTMF-Digit",
    "DTMF-Source",
    "Playback-File-Type",
    "Playback-File-Path",
    "Playback-Status",
    "Job-UUID",
    "Job-Command",
    "_body",
    "variable_uuid",
    "variable_origination_uuid",
    "variable_originate_timeout",
    "variable_hangup_cause",
    "variable_hangup_cause_q850",
    "variable_sip_term_status",
    "variable_proto_specific_hangup_cause",
    "variable_current_application_response",
)
_FAR_END = re.compile(r"sofia/lab/(\w+)@127\.0\.0\.1:5080")


def here(text: str) -> str:
    """A command of the recording for our callees."""
    return _FAR_END.sub(lambda found: f"sofia/lab/{NUMBERS[found[1]][0]}", text).replace("labpass", "virtual")


def told(frame: Frame) -> dict[str, str] | None:
    """What is compared of an event; None for one of a far end's own leg, which is not here."""
    event = frame.event
    if event.get("Call-Direction") == "inbound":
        return None
    shown = {name: event[name] for name in SAME if name in event}
    if shown["Event-Name"] == "BACKGROUND_JOB" and "Job-UUID" in shown:
        shown.pop("Job-UUID") if shown["Job-Command"] == "uuid_kill" else None
    if event.get("Application") == "park":
        shown.pop("Application-Data", None)
    return shown


def events(frames: list[Frame]) -> list[dict[str, str]]:
    found = [told(frame) for frame in frames if frame.kind.startswith("text/event")]
    return [each for each in found if each is not None]


def recorded(parts: list[Said | Asked]) -> list[Frame]:
    frames = []
    for part in parts:
        if isinstance(part, Said):
            headers = dict(line.split(": ", 1) for line in part.head.decode().split("\n"))
            frames.append(Frame(headers, part.body.decode()))
    return frames


def replies(frames: list[Frame]) -> list[tuple[dict[str, str], str]]:
    """Replies and answers whole, but for job ids that the server made up."""
    plain = []
    for frame in frames:
        if not frame.kind.startswith("text/event") and frame.kind != "auth/request":
            headers = {name: value for name, value in frame.headers.items() if name != "Job-UUID"}
            if frame.reply.startswith("+OK Job-UUID"):
                headers["Reply-Text"] = "+OK Job-UUID"
            plain.append((headers, frame.body))
    return plain


async def play(client: Client, parts: list[Said | Asked]) -> None:
    """Give each command when as much of our own leg was told as then."""
    told_so_far = 0
    for part in parts:
        if isinstance(part, Said):
            frames = recorded([part])
            told_so_far += len(events(frames)) + len(replies(frames))
        else:

            def caught_up(wanted: int = told_so_far) -> bool:
                return len(events(client.frames)) + len(replies(client.frames)) >= wanted

            await client.until(caught_up)
            client.send(here("\n".join(part.lines)))
    await client.until(lambda: len(events(client.frames)) + len(replies(client.frames)) >= told_so_far)


@pytest.mark.parametrize("name", SESSIONS)
async def test_a_recorded_session_goes_the_same_way(name: str) -> None:
    parts: Any = read(name)
    callees = dict(NUMBERS.values())
    async with (
        virtual(callees=callees, trunks=("lab",), speed=1.0) as pbx,
        connected(pbx, password=None) as client,
    ):
        await play(client, parts)
        ours, theirs = client.frames, recorded(parts)
        assert replies(ours) == replies(theirs)
        mine, real = events(ours), events(theirs)
        assert [each["Event-Name"] for each in mine] == [each["Event-Name"] for each in real]
        for one, other in zip(mine, real, strict=True):
            assert one == other
