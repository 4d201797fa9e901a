"""The outcome tables: complete, within the contract, and weighing the evidence in the measured order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.call.outcome import DIAL, Q850, SIP, Outcome, judge_unanswered

UNANSWERED = {
    Outcome.BUSY,
    Outcome.NO_ANSWER,
    Outcome.REJECTED,
    Outcome.UNREACHABLE,
    Outcome.INVALID_NUMBER,
    Outcome.CONGESTED,
    Outcome.FAILED,
}


@pytest.mark.parametrize(
    ("cause", "sip_status", "dial_status", "timed_out", "outcome"),
    [
        # What Asterisk 22.10.1 gave for each lab number.
        (17, 486, "BUSY", False, Outcome.BUSY),
        (21, 603, "NOANSWER", False, Outcome.REJECTED),
        (21, 403, "NOANSWER", False, Outcome.REJECTED),
        (1, 404, "NOANSWER", False, Outcome.INVALID_NUMBER),
        (34, 503, "CONGESTION", False, Outcome.CONGESTED),
        (19, 480, "NOANSWER", True, Outcome.NO_ANSWER),
        # Older servers: no SIP status, and other causes when the originate times out.
        (0, None, "", True, Outcome.NO_ANSWER),
        (16, None, "NOANSWER", True, Outcome.NO_ANSWER),
        (21, None, "NOANSWER", False, Outcome.REJECTED),
        # A definite word from the far end outweighs our own clock.
        (17, 486, "BUSY", True, Outcome.BUSY),
        # 480 says little; its cause says more.
        (20, 480, "", False, Outcome.UNREACHABLE),
        (None, 480, "", False, Outcome.NO_ANSWER),
        # Nothing but a dial status, and nothing at all.
        (0, None, "BUSY", False, Outcome.BUSY),
        (0, None, "", False, Outcome.FAILED),
        # A status nobody has heard of counts as its class.
        (0, 699, "", False, Outcome.REJECTED),
        (0, 599, "", False, Outcome.CONGESTED),
        (0, 499, "", False, Outcome.FAILED),
        (0, 302, "", False, Outcome.UNREACHABLE),
    ],
)
def test_evidence_gives_the_outcome(
    cause: int | None, sip_status: int | None, dial_status: str, timed_out: bool, outcome: Outcome
) -> None:
    got, _ = judge_unanswered(
        cause=cause, sip_status=sip_status, dial_status=dial_status, ring_timed_out=timed_out
    )
    assert got is outcome


@given(
    st.one_of(st.none(), st.integers(-1, 300)),
    st.one_of(st.none(), st.integers(0, 999)),
    st.text(max_size=12),
    st.booleans(),
)
def test_any_evidence_gives_an_outcome_of_an_unanswered_call(
    cause: int | None, sip_status: int | None, dial_status: str, timed_out: bool
) -> None:
    outcome, reason = judge_unanswered(
        cause=cause, sip_status=sip_status, dial_status=dial_status, ring_timed_out=timed_out
    )
    assert outcome in UNANSWERED
    assert reason


def test_the_tables_hold_only_what_their_standards_define() -> None:
    assert all(1 <= cause <= 127 for cause in Q850)
    assert all(400 <= status <= 699 for status in SIP)
    assert {outcome for outcome, _ in (*Q850.values(), *SIP.values(), *DIAL.values())} <= UNANSWERED
