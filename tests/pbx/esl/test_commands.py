"""What goes onto the wire, and what never does. Tier: unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.call.commands import Ask, Hangup, StopPlay
from orchestrator.pbx.esl import commands
from orchestrator.pbx.esl.commands import Command, build
from orchestrator.pbx.fit import Unfit
from orchestrator.pbx.port import Dial, PlaySounds
from tests.pbx.esl.fake_esl import C1, FOLDER, settings_for

SETTINGS = settings_for("esl://127.0.0.1", dial="sofia/gateway/carrier/{number}")


def text_of(request: Dial | PlaySounds | StopPlay | Hangup | Ask) -> str:
    return build(request, SETTINGS, FOLDER).text


def test_an_originate_says_all_that_the_call_needs() -> None:
    text = text_of(Dial(C1, "+12025550100", "+15550100", 29.2))
    assert text == (
        f"bgapi originate {{origination_uuid={C1},orchestrator_app=orchestrator,originate_timeout=31,"
        "ignore_early_media=true,playback_terminators=none,disable_app_log=true,"
        "execute_on_answer=sched_hangup:+600,park_timeout=14700,"
        "origination_caller_id_number=+15550100,origination_caller_id_name=+15550100}"
        "sofia/gateway/carrier/12025550100 &park()"
    )


def test_without_a_caller_id_the_switchs_own_is_shown() -> None:
    assert "caller_id" not in text_of(Dial(C1, "+12025550100", None, 30))


def test_the_template_may_keep_the_plus() -> None:
    plus = settings_for("esl://127.0.0.1", dial="sofia/carrier/{e164}@sip.example.com;transport=tcp")
    text = build(Dial(C1, "+12025550100", None, 30), plus, FOLDER).text
    assert text.endswith("}sofia/carrier/+12025550100@sip.example.com;transport=tcp &park()")


def test_several_sounds_are_one_play_under_our_id() -> None:
    assert text_of(PlaySounds(C1, f"{C1}-1", ("en/digits/4", "zh/digits/2"))) == (
        f"sendmsg {C1}\n"
        "call-command: execute\n"
        "execute-app-name: playback\n"
        f"execute-app-arg: file_string://{FOLDER}/orchestrator/en/digits/4.wav!"
        f"{FOLDER}/orchestrator/zh/digits/2.wav\n"
        "event-lock: true\n"
        f"Event-UUID: {C1}-1"
    )


def test_a_folder_with_a_full_path_is_taken_as_it_is() -> None:
    voices = settings_for("esl://127.0.0.1", sounds_folder="/srv/voices")
    assert commands.sound_path(voices, FOLDER, "en/digits/4") == "/srv/voices/en/digits/4.wav"


def test_the_other_requests_name_the_channel() -> None:
    assert text_of(StopPlay(C1, "p1")) == f"api uuid_break {C1} all"
    assert text_of(Hangup(C1)) == f"api uuid_kill {C1}"
    assert text_of(Ask(C1)) == f"api uuid_dump {C1} json"


def test_only_a_job_travels_with_a_name_of_its_own() -> None:
    assert Command("api status").wire("j") == b"api status\n\n"
    assert Command("bgapi status", background=True).wire("j") == b"bgapi status\nJob-UUID: j\n\n"


@given(st.text(max_size=30))
def test_only_digits_get_into_an_originate(number: str) -> None:
    try:
        text = text_of(Dial(C1, number, None, 30))
    except Unfit:
        return
    assert text.endswith(f"}}sofia/gateway/carrier/{number.removeprefix('+')} &park()")
    assert number.removeprefix("+").isascii()
    assert number.removeprefix("+").isdecimal()


@pytest.mark.parametrize(
    "number",
    [
        "1}sofia/x/2",
        "1,sip_h_X=1",
        "1|sofia/x/2",
        "1'2",
        "1[x=1]",
        "^^:x",
        "1 &system(ls)",
        "1\n\napi x",
        "1${x}",
    ],
)
def test_what_freeswitch_reads_otherwise_is_refused(number: str) -> None:
    with pytest.raises(Unfit):
        text_of(Dial(C1, number, None, 30))
    with pytest.raises(Unfit):
        text_of(Dial(C1, "12025550100", number, 30))


@pytest.mark.parametrize("id_", ["", "a b", "a\n\napi x", "a}b", "a,b=1", "a'b", "x" * 200, "-a"])
def test_an_id_that_could_be_something_else_is_refused(id_: str) -> None:
    for request in (Dial(id_, "1", None, 30), Hangup(id_), Ask(id_), StopPlay(id_, "p")):
        with pytest.raises(Unfit):
            text_of(request)
    with pytest.raises(Unfit):
        text_of(PlaySounds(C1, id_, ("en/a",)))


def test_an_id_that_would_make_two_originates_of_one_is_refused() -> None:
    with pytest.raises(Unfit):
        text_of(Dial("a:_:b", "12025550100", None, 30))


@pytest.mark.parametrize(
    "sound", ["", "../x", "a/../b", "a!b", "a,b", "/a", "a\nb", "a b", "${x}", "a{b}", "é"]
)
def test_a_sound_that_no_library_has_is_refused_and_not_named(sound: str) -> None:
    with pytest.raises(Unfit) as refusal:
        text_of(PlaySounds(C1, "p1", ("en/digits/4", sound)))
    assert len(sound) < 3 or sound not in str(refusal.value)


def test_more_sounds_than_freeswitch_counts_are_refused() -> None:
    for count in (0, 129):
        with pytest.raises(Unfit):
            text_of(PlaySounds(C1, "p1", ("en/a",) * count))
    assert text_of(PlaySounds(C1, "p1", ("en/a",) * 128)).count(".wav") == 128


def test_a_command_never_shows_what_is_in_it() -> None:
    play = build(PlaySounds(C1, "p1", ("en/digits/4",)), SETTINGS, FOLDER)
    dial = build(Dial(C1, "+12025550100", None, 30), SETTINGS, FOLDER)
    assert "digits" not in repr(play)
    assert "2025550100" not in repr(dial)
    assert repr(dial) == "Command(bgapi originate …)"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("/usr/share/freeswitch/sounds", True), ("", False), ("-ERR", False), ("/a!b", False), ("/a b", False)],
)
def test_a_folder_is_a_path_that_can_stand_in_a_list(text: str, is_one: bool) -> None:
    assert commands.is_folder(text) is is_one
