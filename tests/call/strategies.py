"""Events as Hypothesis draws them: every kind, with values that a PBX can give."""

from hypothesis import strategies as st

from orchestrator.call import events as ev

CALL = "c1"
PLANNED = ev.Planned(
    pbx="ast1", number="+12025550100", plays=2, play_seconds=10, ring_timeout=30.0, max_duration=120.0
)
NOTICE = ev.Planned(
    pbx="ast1",
    number="+12025550100",
    plays=1,
    play_seconds=10,
    ring_timeout=30.0,
    max_duration=120.0,
    notice=ev.Notice((ev.Collect(2), None, ev.Collect(4, 3.0, "*", "", 0)), ev.Gate("5", 2)),
)

playbacks = st.sampled_from([f"{CALL}-1", f"{CALL}-2", f"{CALL}-1r1", f"{CALL}-2r1", f"{CALL}-3", "another"])
timers = st.sampled_from(["ring", "ask", "ready", "play", "digits", "duration", "hangup", "unknown"])
causes = st.one_of(st.integers(0, 127), st.sampled_from([0, 16, 17, 19, 21, 34]))
sip = st.one_of(st.none(), st.sampled_from([200, 404, 480, 486, 487, 503, 603]), st.integers(100, 699))

BY_TYPE: dict[type[ev.Event], st.SearchStrategy[ev.CallEvent]] = {
    ev.Planned: st.just(PLANNED),
    ev.Accepted: st.just(ev.Accepted()),
    ev.Refused: st.builds(ev.Refused, status=st.sampled_from([400, 500, 503]), reason=st.just("no")),
    ev.OriginateLost: st.builds(ev.OriginateLost, stage=st.sampled_from(["not_sent", "unconfirmed"])),
    ev.PlayRefused: st.builds(
        ev.PlayRefused, playback=playbacks, status=st.sampled_from([0, 404, 500]), reason=st.just("no")
    ),
    ev.HangupRefused: st.builds(ev.HangupRefused, gone=st.booleans()),
    ev.Ringing: st.builds(ev.Ringing, early_media=st.booleans()),
    ev.Dialed: st.builds(ev.Dialed, status=st.sampled_from(["BUSY", "NOANSWER", "CONGESTION", "ODD"])),
    ev.Answered: st.just(ev.Answered()),
    ev.Ready: st.just(ev.Ready()),
    ev.PlayStarted: st.builds(ev.PlayStarted, playback=playbacks),
    ev.PlayFinished: st.builds(ev.PlayFinished, playback=playbacks, ok=st.booleans()),
    ev.Digit: st.builds(ev.Digit, digit=st.sampled_from("0123456789*#")),
    ev.HangupRequested: st.builds(ev.HangupRequested, by_us=st.booleans(), cause=causes),
    ev.Ended: st.builds(ev.Ended, cause=causes, sip_status=sip),
    ev.Alive: st.builds(ev.Alive, ringing=st.booleans(), up=st.booleans(), ready=st.booleans()),
    ev.Gone: st.just(ev.Gone()),
    ev.CancelRequested: st.just(ev.CancelRequested()),
    ev.TimerFired: st.builds(ev.TimerFired, timer=timers),
}
any_event: st.SearchStrategy[ev.CallEvent] = st.one_of(*BY_TYPE.values())
steps = st.lists(st.tuples(any_event, st.floats(0.0, 40.0)), max_size=40)
"""Events, each with the seconds since the one before it."""
