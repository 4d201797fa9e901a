"""Playing and recording on the ARI face."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.pbx.virtual.callees import Callee
from tests.pbx.virtual.ari.desk import Desk, Listener, digits, said
from tests.pbx.virtual.world import samples_in, write_sound

STARTED, GOES_ON, FINISHED = "PlaybackStarted", "PlaybackContinuing", "PlaybackFinished"


def course(listener: Listener) -> list[tuple[str, str, str]]:
    return [
        (event["type"], event["playback"]["media_uri"].partition(":")[2], event["playback"]["state"])
        for event in listener.events
        if "playback" in event
    ]


def play(desk: Desk, *media: str, playback: str = "p") -> None:
    answer = desk.ask("POST", f"channels/c/play/{playback}", {"media": [f"sound:{each}" for each in media]})
    assert answer.status == 201
    assert said(answer)["state"] == "queued"


def test_a_list_is_played_sound_by_sound_in_its_time(tmp_path: Path) -> None:
    digits(tmp_path)
    desk = Desk(tmp_path)
    desk.up()
    play(desk, "digits/1", "digits/2")
    desk.pass_time(1.499)
    assert course(desk.listener) == [
        (STARTED, "digits/1", "playing"),
        (GOES_ON, "digits/1", "continuing"),
        (STARTED, "digits/2", "playing"),
    ]
    desk.pass_time(0.001)
    assert course(desk.listener)[3:] == [(FINISHED, "digits/2", "done")]
    assert desk.ask("GET", "playbacks/p").status == 404


@pytest.mark.parametrize(("place", "end"), [(0, "done"), (1, "done"), (2, "failed")])
def test_a_hole_in_a_list_is_hidden_unless_it_is_the_last(tmp_path: Path, place: int, end: str) -> None:
    digits(tmp_path)
    media = ["digits/1", "digits/2", "digits/1"]
    media[place] = "digits/none"
    desk = Desk(tmp_path)
    desk.up()
    play(desk, *media)
    desk.pass_time(5)
    assert [kind for kind, _, _ in course(desk.listener)].count(STARTED) == 3
    assert course(desk.listener)[-1] == (FINISHED, media[-1], end)


def test_a_list_of_a_thousand_holes_comes_to_its_end() -> None:
    desk = Desk()
    desk.up()
    play(desk, *["none"] * 1000)
    desk.pass_time(1)
    assert course(desk.listener)[-1] == (FINISHED, "none", "failed")


@pytest.mark.parametrize("media", ["bogus:1", "digits/1", "recording:none", "silence:1"])
def test_what_is_no_medium_begins_and_never_ends(media: str) -> None:
    desk = Desk()
    desk.up()
    assert desk.ask("POST", "channels/c/play/p", {"media": [media, "sound:none"]}).status == 201
    desk.pass_time(60)
    assert desk.listener.kinds == [STARTED]
    assert desk.ask("DELETE", "playbacks/p").status == 404


def test_nothing_to_play_is_refused() -> None:
    desk = Desk()
    desk.up()
    assert desk.ask("POST", "channels/c/play", {"media": []}).status == 500


def test_a_playback_that_is_stopped_is_done_and_a_second_one_begins(tmp_path: Path) -> None:
    digits(tmp_path)
    desk = Desk(tmp_path)
    desk.up()
    play(desk, "digits/1", "digits/1")
    play(desk, "digits/2", playback="q")
    desk.pass_time(0.5)
    assert said(desk.ask("GET", "playbacks/q"))["state"] == "queued"
    assert desk.ask("DELETE", "playbacks/p").status == 204
    desk.pass_time(0)
    assert course(desk.listener)[1:] == [(FINISHED, "digits/1", "done"), (STARTED, "digits/2", "playing")]


def test_a_queued_playback_that_is_stopped_never_begins(tmp_path: Path) -> None:
    digits(tmp_path)
    desk = Desk(tmp_path)
    desk.up()
    play(desk, "digits/1")
    play(desk, "digits/2", playback="q")
    desk.pass_time(0.5)
    desk.ask("DELETE", "playbacks/q")
    desk.pass_time(5)
    assert course(desk.listener) == [
        (STARTED, "digits/1", "playing"),
        (FINISHED, "digits/2", "done"),
        (FINISHED, "digits/1", "done"),
    ]


def test_a_hang_up_fails_what_plays_and_what_waits(tmp_path: Path) -> None:
    digits(tmp_path)
    desk = Desk(tmp_path)
    desk.up()
    play(desk, "digits/1", "digits/2")
    play(desk, "digits/2", playback="q")
    desk.pass_time(0.5)
    desk.ask("DELETE", "channels/c")
    desk.pass_time(0)
    assert desk.listener.kinds == [
        STARTED,
        "ChannelHangupRequest",
        FINISHED,
        STARTED,
        FINISHED,
        "StasisEnd",
        "ChannelVarset",
        "ChannelDestroyed",
    ]
    assert [state for kind, _, state in course(desk.listener) if kind == FINISHED] == ["failed", "failed"]
    desk.listener.events.clear()
    desk.pass_time(60)
    assert not desk.listener.events


def test_the_callee_hears_what_is_played_as_long_as_it_is_played(tmp_path: Path) -> None:
    digits(tmp_path)
    desk = Desk(tmp_path)
    desk.up("0108")
    play(desk, "digits/2", "digits/1")
    desk.pass_time(1)
    desk.ask("DELETE", "channels/c")
    desk.pass_time(0)
    heard = desk.switch.ended["c"]
    assert heard.ear is not None
    samples = samples_in(heard.ear.pcm(heard.ended_at))
    assert (samples.count(2), samples.count(1)) == (4000, 4000)
    assert samples.index(1) == samples.index(2) + 4000


def test_a_pause_is_heard_as_a_pause(tmp_path: Path) -> None:
    digits(tmp_path)
    desk = Desk(tmp_path)
    desk.up("0108")
    play(desk, "digits/1")
    desk.pass_time(0.5)
    assert desk.ask("POST", "playbacks/p/control", operation="pause").status == 204
    desk.pass_time(1)
    assert said(desk.ask("GET", "playbacks/p"))["state"] == "paused"
    assert desk.ask("POST", "playbacks/p/control", operation="unpause").status == 204
    desk.pass_time(0.499)
    assert desk.ask("GET", "playbacks/p").status == 200
    desk.pass_time(0.001)
    ear = desk.switch.legs["c"].ear
    assert ear is not None
    samples = samples_in(ear.pcm(desk.timeline.now()))
    silence = samples[samples.index(1) + 4000 :]
    assert silence[:8000] == [0] * 8000
    assert samples.count(1) == 8000
    assert desk.ask("POST", "playbacks/p/control", operation="bogus").status == 400


def test_numbers_digits_and_characters_are_spelled_and_cannot_be_stopped(tmp_path: Path) -> None:
    digits(tmp_path)
    write_sound(tmp_path, "en/letters/a", [3] * 800)
    desk = Desk(tmp_path)
    desk.up()
    for media, seconds in (("digits:12", 1.5), ("number:2", 0.5), ("characters:A1", 1.1)):
        desk.ask("POST", "channels/c/play/p", {"media": [media]})
        desk.pass_time(seconds - 0.001)
        assert desk.ask("DELETE", "playbacks/p").status == 500
        desk.pass_time(0.001)
        assert course(desk.listener)[-1][0] == FINISHED


def test_what_the_callee_says_is_recorded_and_can_be_fetched_and_played(tmp_path: Path) -> None:
    write_sound(tmp_path, "speech", [7] * 4000)
    desk = Desk(tmp_path, callees={"12025550110": Callee(says="speech")})
    desk.up()
    body = {"name": "r", "format": "sln", "maxDurationSeconds": 1}
    assert desk.ask("POST", "channels/c/record", body).status == 201
    desk.pass_time(0.1)
    assert said(desk.ask("GET", "recordings/live/r"))["state"] == "recording"
    desk.pass_time(0.9)
    ended = desk.listener.events[-1]
    assert (ended["type"], ended["recording"]["duration"]) == ("RecordingFinished", 1)
    assert said(desk.ask("GET", "recordings/stored")) == [{"name": "r", "format": "sln"}]
    samples = samples_in(desk.ask("GET", "recordings/stored/r/file").body)
    assert len(samples) == 8000
    assert samples.count(7) == pytest.approx(3930, abs=20)
    assert desk.ask("POST", "channels/c/record", body).status == 409
    desk.ask("POST", "channels/c/play/p", {"media": ["recording:r"]})
    desk.pass_time(1.001)
    assert course(desk.listener)[-1] == (FINISHED, "r", "done")
    assert desk.ask("DELETE", "recordings/stored/r").status == 204
    assert desk.ask("GET", "recordings/stored/r").status == 404


@pytest.mark.parametrize(("method", "path", "kept"), [("POST", "/stop", True), ("DELETE", "", False)])
def test_stopping_keeps_a_recording_and_deleting_discards_it(method: str, path: str, kept: bool) -> None:
    desk = Desk()
    desk.up()
    desk.ask("POST", "channels/c/record", {"name": "r", "format": "wav"})
    desk.pass_time(0.5)
    assert desk.ask(method, f"recordings/live/r{path}").status == 204
    desk.pass_time(0)
    assert desk.listener.kinds == ["RecordingStarted", "RecordingFinished"]
    assert (desk.ask("GET", "recordings/stored/r/file").body[:4] == b"RIFF") is kept


def test_a_key_ends_a_recording_that_may_be_ended_so() -> None:
    desk = Desk()
    desk.up("0106")
    desk.ask("POST", "channels/c/record", {"name": "r", "format": "wav", "terminateOn": "any"})
    desk.pass_time(3)
    assert desk.listener.kinds == ["RecordingStarted", "ChannelDtmfReceived", "RecordingFinished"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"format": "wav"}, 500),
        ({"name": "r"}, 400),
        ({"name": "r", "format": "bogus"}, 422),
        ({"name": "r", "format": "wav", "maxDurationSeconds": -1}, 400),
    ],
)
def test_an_unfit_recording_is_refused(body: dict[str, object], status: int) -> None:
    desk = Desk()
    desk.up()
    assert desk.ask("POST", "channels/c/record", body).status == status


def test_sounds_are_listed_by_language(tmp_path: Path) -> None:
    digits(tmp_path)
    write_sound(tmp_path, "own/en/a", [1])
    desk = Desk(tmp_path)
    assert said(desk.ask("GET", "sounds", lang="own")) == [
        {"id": "en/a", "formats": [{"language": "own", "format": "slin"}]}
    ]
    assert {sound["id"] for sound in said(desk.ask("GET", "sounds"))} == {"digits/1", "digits/2", "en/a"}
    assert desk.ask("GET", "sounds", lang="zz").status == 404
    assert said(desk.ask("GET", "sounds/digits%2F1"))["id"] == "digits/1"
    assert desk.ask("GET", "sounds/nosuch").status == 404


def test_a_ringing_tone_is_heard_as_it_rings_until_it_is_stopped() -> None:
    desk = Desk()
    desk.up()
    desk.ask("POST", "channels/c/play/p", {"media": ["tone:ring"]})
    desk.pass_time(7)
    assert desk.ask("DELETE", "playbacks/p").status == 204
    desk.pass_time(2)
    assert course(desk.listener) == [(STARTED, "ring", "playing"), (FINISHED, "ring", "done")]
    ear = desk.switch.legs["c"].ear
    assert ear is not None
    samples = samples_in(ear.pcm(desk.timeline.now()))
    rings = [any(samples[8000 * second + 100 : 8000 * second + 7900]) for second in range(9)]
    assert rings == [True, True, False, False, False, False, True, False, False]
