"""FreeSWITCH's hang-up causes: what each is in Q.850, and which of them say that no channel was made.

Names: switch_types.h and switch_channel.c (1.10). Up to 127 they are ITU-T Q.850's own; beyond it
FreeSWITCH's, which are given the nearest number: for those with a SIP status by RFC 3398 section 7.2.6.
"""

from typing import Final

Q850: Final[dict[str, int]] = {
    "NONE": 0,
    "UNALLOCATED_NUMBER": 1,
    "NO_ROUTE_TRANSIT_NET": 2,
    "NO_ROUTE_DESTINATION": 3,
    "CHANNEL_UNACCEPTABLE": 6,
    "CALL_AWARDED_DELIVERED": 7,
    "NORMAL_CLEARING": 16,
    "USER_BUSY": 17,
    "NO_USER_RESPONSE": 18,
    "NO_ANSWER": 19,
    "SUBSCRIBER_ABSENT": 20,
    "CALL_REJECTED": 21,
    "NUMBER_CHANGED": 22,
    "REDIRECTION_TO_NEW_DESTINATION": 23,
    "EXCHANGE_ROUTING_ERROR": 25,
    "DESTINATION_OUT_OF_ORDER": 27,
    "INVALID_NUMBER_FORMAT": 28,
    "FACILITY_REJECTED": 29,
    "RESPONSE_TO_STATUS_ENQUIRY": 30,
    "NORMAL_UNSPECIFIED": 31,
    "NORMAL_CIRCUIT_CONGESTION": 34,
    "NETWORK_OUT_OF_ORDER": 38,
    "NORMAL_TEMPORARY_FAILURE": 41,
    "SWITCH_CONGESTION": 42,
    "ACCESS_INFO_DISCARDED": 43,
    "REQUESTED_CHAN_UNAVAIL": 44,
    "PRE_EMPTED": 45,
    "FACILITY_NOT_SUBSCRIBED": 50,
    "OUTGOING_CALL_BARRED": 52,
    "INCOMING_CALL_BARRED": 54,
    "BEARERCAPABILITY_NOTAUTH": 57,
    "BEARERCAPABILITY_NOTAVAIL": 58,
    "SERVICE_UNAVAILABLE": 63,
    "BEARERCAPABILITY_NOTIMPL": 65,
    "CHAN_NOT_IMPLEMENTED": 66,
    "FACILITY_NOT_IMPLEMENTED": 69,
    "SERVICE_NOT_IMPLEMENTED": 79,
    "INVALID_CALL_REFERENCE": 81,
    "INCOMPATIBLE_DESTINATION": 88,
    "INVALID_MSG_UNSPECIFIED": 95,
    "MANDATORY_IE_MISSING": 96,
    "MESSAGE_TYPE_NONEXIST": 97,
    "WRONG_MESSAGE": 98,
    "IE_NONEXIST": 99,
    "INVALID_IE_CONTENTS": 100,
    "WRONG_CALL_STATE": 101,
    "RECOVERY_ON_TIMER_EXPIRE": 102,
    "MANDATORY_IE_LENGTH_ERROR": 103,
    "PROTOCOL_ERROR": 111,
    "INTERWORKING": 127,
    # FreeSWITCH's own.
    "SUCCESS": 16,
    "ORIGINATOR_CANCEL": 16,
    "CRASH": 41,
    "SYSTEM_SHUTDOWN": 41,
    "LOSE_RACE": 26,
    "MANAGER_REQUEST": 16,
    "BLIND_TRANSFER": 16,
    "ATTENDED_TRANSFER": 16,
    "ALLOTTED_TIMEOUT": 16,
    "USER_CHALLENGE": 21,
    "MEDIA_TIMEOUT": 41,
    "PICKED_OFF": 26,
    "USER_NOT_REGISTERED": 20,
    "PROGRESS_TIMEOUT": 18,
    "INVALID_GATEWAY": 25,
    "GATEWAY_DOWN": 38,
    "INVALID_URL": 28,
    "INVALID_PROFILE": 25,
    "NO_PICKUP": 19,
    "SRTP_READ_ERROR": 41,
    "BOWOUT": 16,
    "BUSY_EVERYWHERE": 17,  # SIP 600
    "DECLINE": 21,  # SIP 603
    "DOES_NOT_EXIST_ANYWHERE": 1,  # SIP 604
    "NOT_ACCEPTABLE": 31,  # SIP 606
    "UNWANTED": 21,  # SIP 607
    "NO_IDENTITY": 21,
    "BAD_IDENTITY_INFO": 21,
    "UNSUPPORTED_CERTIFICATE": 21,
    "INVALID_IDENTITY": 21,
    "STALE_DATE": 21,
    "REJECT_ALL": 21,  # SIP 608
}

NO_SESSION: Final = "DESTINATION_OUT_OF_ORDER"
"""All that `originate` says when the core makes no session: the uuid is taken, the throttle or the limit of
sessions is reached, or outbound calls are paused (switch_core_session.c)."""

REFUSALS: Final[dict[str, int]] = {
    "INVALID_GATEWAY": 404,
    "INVALID_PROFILE": 404,
    "INVALID_URL": 400,
    "CHAN_NOT_IMPLEMENTED": 501,
    "GATEWAY_DOWN": 503,
    "NETWORK_OUT_OF_ORDER": 503,
    "SWITCH_CONGESTION": 503,
    "NORMAL_TEMPORARY_FAILURE": 503,
    "SYSTEM_SHUTDOWN": 503,
}
"""Causes with which an originate fails before anything was sent to anybody, and the status that says so in
the words of SIP: 503 is worth another try later, the others want a correction."""

BY_THE_SWITCH: Final = frozenset(
    {"MEDIA_TIMEOUT", "SRTP_READ_ERROR", "ALLOTTED_TIMEOUT", "MANAGER_REQUEST", "SYSTEM_SHUTDOWN", "CRASH"}
)
"""Causes with which FreeSWITCH itself ends an answered call."""


def q850(name: str) -> int:
    """The cause's number in Q.850, 0 for one that is not known."""
    return Q850.get(name, 0)
