"""How a call's end is judged: the PBX's evidence and our own timers in, one outcome out.

Sources
- Q.850 causes: ITU-T Q.850 (2018), table 1.
- SIP statuses: RFC 3261 section 21; their kinship with causes: RFC 3398 section 7.2.6.
- Dial statuses: Asterisk's `DIALSTATUS` as ARI's `Dial` event gives it.

Which evidence counts most was measured on Asterisk 22: `dialstatus` says NOANSWER for a declined and for an
unallocated number, so it is asked last. The SIP status is what the far end said in so many words; it is
asked first where the PBX tells it. A cause that Asterisk chose for want of a better (0, 16, 31) says nothing.
"""

from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """What a producer is told. The names are part of the public contract."""

    COMPLETED = "completed"
    HUNG_UP_EARLY = "hung_up_early"
    NOT_CONFIRMED = "not_confirmed"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    INVALID_NUMBER = "invalid_number"
    CONGESTED = "congested"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    BLOCKED = "blocked"


# SIP status -> (outcome, what it says)
SIP: Final[dict[int, tuple[Outcome, str]]] = {
    400: (Outcome.FAILED, "bad request"),
    401: (Outcome.FAILED, "the trunk wants other credentials"),
    402: (Outcome.FAILED, "payment required"),
    403: (Outcome.REJECTED, "forbidden"),
    404: (Outcome.INVALID_NUMBER, "not found"),
    405: (Outcome.FAILED, "method not allowed"),
    406: (Outcome.FAILED, "not acceptable"),
    407: (Outcome.FAILED, "the trunk wants other credentials"),
    408: (Outcome.UNREACHABLE, "request time-out"),
    410: (Outcome.INVALID_NUMBER, "gone"),
    415: (Outcome.FAILED, "unsupported media"),
    416: (Outcome.FAILED, "unsupported URI scheme"),
    420: (Outcome.FAILED, "bad extension"),
    480: (Outcome.NO_ANSWER, "temporarily unavailable"),
    481: (Outcome.FAILED, "no such transaction"),
    482: (Outcome.FAILED, "loop detected"),
    483: (Outcome.FAILED, "too many hops"),
    484: (Outcome.INVALID_NUMBER, "address incomplete"),
    485: (Outcome.INVALID_NUMBER, "ambiguous"),
    486: (Outcome.BUSY, "busy here"),
    487: (Outcome.NO_ANSWER, "request terminated"),
    488: (Outcome.FAILED, "no common codec"),
    500: (Outcome.CONGESTED, "server error"),
    501: (Outcome.FAILED, "not implemented"),
    502: (Outcome.UNREACHABLE, "bad gateway"),
    503: (Outcome.CONGESTED, "service unavailable"),
    504: (Outcome.UNREACHABLE, "server time-out"),
    513: (Outcome.FAILED, "message too large"),
    600: (Outcome.BUSY, "busy everywhere"),
    603: (Outcome.REJECTED, "declined"),
    604: (Outcome.INVALID_NUMBER, "does not exist anywhere"),
    606: (Outcome.FAILED, "not acceptable"),
    607: (Outcome.REJECTED, "unwanted"),
    608: (Outcome.REJECTED, "rejected by an intermediary"),
}

# Q.850 cause -> (outcome, what it says)
Q850: Final[dict[int, tuple[Outcome, str]]] = {
    1: (Outcome.INVALID_NUMBER, "unallocated number"),
    2: (Outcome.UNREACHABLE, "no route to the transit network"),
    3: (Outcome.UNREACHABLE, "no route to the destination"),
    4: (Outcome.INVALID_NUMBER, "special information tone"),
    5: (Outcome.INVALID_NUMBER, "misdialled trunk prefix"),
    17: (Outcome.BUSY, "user busy"),
    18: (Outcome.NO_ANSWER, "no user responding"),
    19: (Outcome.NO_ANSWER, "no answer"),
    20: (Outcome.UNREACHABLE, "subscriber absent"),
    21: (Outcome.REJECTED, "call rejected"),
    22: (Outcome.INVALID_NUMBER, "number changed"),
    23: (Outcome.UNREACHABLE, "redirected to a new destination"),
    25: (Outcome.UNREACHABLE, "exchange routing error"),
    26: (Outcome.NO_ANSWER, "answered elsewhere"),
    27: (Outcome.UNREACHABLE, "destination out of order"),
    28: (Outcome.INVALID_NUMBER, "invalid number format"),
    29: (Outcome.FAILED, "facility rejected"),
    34: (Outcome.CONGESTED, "no circuit available"),
    38: (Outcome.UNREACHABLE, "network out of order"),
    41: (Outcome.CONGESTED, "temporary failure"),
    42: (Outcome.CONGESTED, "switching equipment congestion"),
    43: (Outcome.FAILED, "access information discarded"),
    44: (Outcome.CONGESTED, "requested circuit not available"),
    47: (Outcome.CONGESTED, "resource unavailable"),
    50: (Outcome.FAILED, "facility not subscribed"),
    52: (Outcome.REJECTED, "outgoing calls barred"),
    54: (Outcome.REJECTED, "incoming calls barred"),
    55: (Outcome.REJECTED, "incoming calls barred"),
    57: (Outcome.FAILED, "bearer capability not authorised"),
    58: (Outcome.FAILED, "bearer capability not available"),
    63: (Outcome.FAILED, "service not available"),
    65: (Outcome.FAILED, "bearer capability not implemented"),
    69: (Outcome.FAILED, "facility not implemented"),
    79: (Outcome.FAILED, "service not implemented"),
    87: (Outcome.REJECTED, "not a member of the closed user group"),
    88: (Outcome.FAILED, "incompatible destination"),
    95: (Outcome.FAILED, "invalid message"),
    96: (Outcome.FAILED, "mandatory element missing"),
    97: (Outcome.FAILED, "message type not implemented"),
    98: (Outcome.FAILED, "message not compatible with the call state"),
    99: (Outcome.FAILED, "information element not implemented"),
    100: (Outcome.FAILED, "invalid element contents"),
    101: (Outcome.FAILED, "message not compatible with the call state"),
    102: (Outcome.UNREACHABLE, "timer expired"),
    111: (Outcome.FAILED, "protocol error"),
    127: (Outcome.FAILED, "interworking"),
}

# Asterisk's DIALSTATUS -> (outcome, what it says)
DIAL: Final[dict[str, tuple[Outcome, str]]] = {
    "BUSY": (Outcome.BUSY, "busy"),
    "NOANSWER": (Outcome.NO_ANSWER, "no answer"),
    "CONGESTION": (Outcome.CONGESTED, "congestion"),
    "CHANUNAVAIL": (Outcome.UNREACHABLE, "channel unavailable"),
    "CANCEL": (Outcome.NO_ANSWER, "cancelled before the answer"),
    "DONTCALL": (Outcome.REJECTED, "the callee wants no call"),
    "TORTURE": (Outcome.REJECTED, "the callee wants no call"),
    "INVALIDARGS": (Outcome.FAILED, "invalid dial arguments"),
}

# What a PBX may report when nothing but our own time-out ended the ringing.
_TIMED_OUT_SIP: Final = frozenset({None, 408, 480, 487})
_TIMED_OUT_CAUSE: Final = frozenset({0, 16, 18, 19, 26, 31, 102, 127})


def judge_unanswered(
    *, cause: int | None, sip_status: int | None, dial_status: str, ring_timed_out: bool
) -> tuple[Outcome, str]:
    """The outcome of a call that nobody answered, and a short reason.

    `ring_timed_out` is our own clock's word that the ring time-out had passed; causes for that differ from
    one Asterisk version to the next (0, 16 and 19 have been seen), so it overrides the ones that fit.
    """
    if ring_timed_out and sip_status in _TIMED_OUT_SIP and (cause or 0) in _TIMED_OUT_CAUSE:
        return Outcome.NO_ANSWER, "nobody answered within the ring time-out"
    if sip_status is not None and sip_status >= 300:
        known = SIP.get(sip_status)
        by_cause = Q850.get(cause or 0)
        if known is None:
            known = (_sip_class(sip_status), "unknown to us")
        # 480 is a catch-all; a cause that says more than "no answer" says it better.
        if sip_status == 480 and by_cause is not None:
            return by_cause[0], f"{by_cause[1]} (SIP 480, Q.850 {cause})"
        return known[0], f"{known[1]} (SIP {sip_status})"
    if cause in Q850:
        outcome, text = Q850[cause]
        return outcome, f"{text} (Q.850 {cause})"
    if dial_status in DIAL:
        outcome, text = DIAL[dial_status]
        return outcome, f"{text} (dial status {dial_status})"
    return Outcome.FAILED, f"the PBX gave no usable reason (Q.850 {cause or 0})"


def _sip_class(status: int) -> Outcome:
    """RFC 3261 section 8.1.3.2: an unknown status counts as the x00 of its class."""
    if status >= 600:
        return Outcome.REJECTED
    if status >= 500:
        return Outcome.CONGESTED
    if status >= 400:
        return Outcome.FAILED
    return Outcome.UNREACHABLE
