"""Hang-up causes: the number of ITU-T Q.850 table 1, Asterisk's text, FreeSWITCH's name, and SIP's status.

The SIP status is what chan_pjsip puts into `tech_cause` for a cause (its `hangup_cause2sip`), both measured
on Asterisk 22.10.1 for 0 to 127.
"""

from typing import Final

import msgspec

NORMAL: Final = 16
BUSY: Final = 17
NO_ANSWER: Final = 19
CONGESTION: Final = 34
SOFT: Final = 32
"""What Asterisk's ChannelHangupRequest says when the request came from its own side: AST_SOFTHANGUP_EXPLICIT,
no cause of Q.850."""


class Cause(msgspec.Struct, frozen=True, gc=False):
    """One cause. `sip` is 0 where SIP has no status for it."""

    code: int
    asterisk: str
    freeswitch: str
    sip: int = 0


_TABLE: Final = (
    Cause(0, "Unknown", "NONE"),
    Cause(1, "Unallocated (unassigned) number", "UNALLOCATED_NUMBER", 404),
    Cause(2, "No route to specified transmit network", "NO_ROUTE_TRANSIT_NET", 404),
    Cause(3, "No route to destination", "NO_ROUTE_DESTINATION", 404),
    Cause(5, "Misdialed trunk prefix", "5"),
    Cause(6, "Channel unacceptable", "CHANNEL_UNACCEPTABLE"),
    Cause(7, "Call awarded and being delivered in an established channel", "CALL_AWARDED_DELIVERED"),
    Cause(8, "Pre-empted", "8"),
    Cause(14, "Number ported elsewhere", "14"),
    Cause(16, "Normal Clearing", "NORMAL_CLEARING"),
    Cause(17, "User busy", "USER_BUSY", 486),
    Cause(18, "No user responding", "NO_USER_RESPONSE", 408),
    Cause(19, "User alerting, no answer", "NO_ANSWER", 480),
    Cause(20, "Subscriber absent", "SUBSCRIBER_ABSENT", 480),
    Cause(21, "Call Rejected", "CALL_REJECTED", 403),
    Cause(22, "Number changed", "NUMBER_CHANGED", 410),
    Cause(23, "Redirected to new destination", "REDIRECTION_TO_NEW_DESTINATION", 302),
    Cause(25, "Unknown", "EXCHANGE_ROUTING_ERROR"),
    Cause(26, "Answered elsewhere", "NON_SELECTED_USER_CLEARING"),
    Cause(27, "Destination out of order", "DESTINATION_OUT_OF_ORDER", 502),
    Cause(28, "Invalid number format", "INVALID_NUMBER_FORMAT", 484),
    Cause(29, "Facility rejected", "FACILITY_REJECTED", 501),
    Cause(30, "Response to STATus ENQuiry", "RESPONSE_TO_STATUS_ENQUIRY"),
    Cause(31, "Normal, unspecified", "NORMAL_UNSPECIFIED", 480),
    Cause(34, "Circuit/channel congestion", "NORMAL_CIRCUIT_CONGESTION", 503),
    Cause(38, "Network out of order", "NETWORK_OUT_OF_ORDER", 500),
    Cause(41, "Temporary failure", "NORMAL_TEMPORARY_FAILURE"),
    Cause(42, "Switching equipment congestion", "SWITCH_CONGESTION", 503),
    Cause(43, "Access information discarded", "ACCESS_INFO_DISCARDED"),
    Cause(44, "Requested channel not available", "REQUESTED_CHAN_UNAVAIL"),
    Cause(45, "Unknown", "PRE_EMPTED"),
    Cause(50, "Facility not subscribed", "FACILITY_NOT_SUBSCRIBED"),
    Cause(52, "Outgoing call barred", "OUTGOING_CALL_BARRED"),
    Cause(54, "Incoming call barred", "INCOMING_CALL_BARRED"),
    Cause(57, "Bearer capability not authorized", "BEARERCAPABILITY_NOTAUTH"),
    Cause(58, "Bearer capability not available", "BEARERCAPABILITY_NOTAVAIL", 488),
    Cause(63, "Unknown", "SERVICE_UNAVAILABLE"),
    Cause(65, "Bearer capability not implemented", "BEARERCAPABILITY_NOTIMPL"),
    Cause(66, "Channel not implemented", "CHAN_NOT_IMPLEMENTED", 503),
    Cause(69, "Facility not implemented", "FACILITY_NOT_IMPLEMENTED"),
    Cause(79, "Unknown", "SERVICE_NOT_IMPLEMENTED"),
    Cause(81, "Invalid call reference value", "INVALID_CALL_REFERENCE"),
    Cause(88, "Incompatible destination", "INCOMPATIBLE_DESTINATION"),
    Cause(95, "Invalid message unspecified", "INVALID_MSG_UNSPECIFIED"),
    Cause(96, "Mandatory information element is missing", "MANDATORY_IE_MISSING"),
    Cause(97, "Message type nonexist.", "MESSAGE_TYPE_NONEXIST"),
    Cause(98, "Wrong message", "WRONG_MESSAGE"),
    Cause(99, "Info. element nonexist or not implemented", "IE_NONEXIST"),
    Cause(100, "Invalid information element contents", "INVALID_IE_CONTENTS"),
    Cause(101, "Message not compatible with call state", "WRONG_CALL_STATE"),
    Cause(102, "Recover on timer expiry", "RECOVERY_ON_TIMER_EXPIRE"),
    Cause(103, "Mandatory IE length error", "MANDATORY_IE_LENGTH_ERROR"),
    Cause(111, "Protocol error, unspecified", "PROTOCOL_ERROR"),
    Cause(127, "Interworking, unspecified", "INTERWORKING", 500),
    # FreeSWITCH's own, beyond Q.850.
    Cause(487, "Unknown", "ORIGINATOR_CANCEL"),
    Cause(502, "Unknown", "LOSE_RACE"),
    Cause(503, "Unknown", "MANAGER_REQUEST"),
    Cause(602, "Unknown", "ALLOTTED_TIMEOUT"),
    Cause(604, "Unknown", "MEDIA_TIMEOUT"),
    Cause(607, "Unknown", "PROGRESS_TIMEOUT"),
)
_BY_CODE: Final = {cause.code: cause for cause in _TABLE}
_BY_NAME: Final = {cause.freeswitch: cause for cause in _TABLE}


def cause_of(code: int) -> Cause:
    """The cause of this number; of an unknown one the number alone is known."""
    return _BY_CODE.get(code) or Cause(code, "Unknown", str(code))


def cause_named(name: str) -> Cause | None:
    """The cause of FreeSWITCH's name or number for it, or None."""
    if name.isascii() and name.isdecimal():
        return _BY_CODE.get(int(name[:6]))
    return _BY_NAME.get(name.upper())
