"""The fields of a channel's events, in the order in which FreeSWITCH 1.10.12 writes them."""

from typing import TYPE_CHECKING, Final

from orchestrator.pbx.virtual.causes import cause_of

if TYPE_CHECKING:
    from orchestrator.pbx.virtual.esl.channel import EslChannel

Fields = dict[str, str]

_CODEC: Final[Fields] = {
    f"Channel-{way}-Codec-{what}": value
    for way in ("Read", "Write")
    for what, value in (("Name", "PCMU"), ("Rate", "8000"), ("Bit-Rate", "64000"))
}
_NUMBERS: Final = {
    "CS_NONE": "0",
    "CS_INIT": "2",
    "CS_SOFT_EXECUTE": "3",
    "CS_EXECUTE": "4",
    "CS_EXCHANGE_MEDIA": "5",
    "CS_PARK": "6",
    "CS_CONSUME_MEDIA": "7",
    "CS_HANGUP": "10",
    "CS_REPORTING": "11",
}


def channel_fields(channel: "EslChannel") -> Fields:
    """What every event of a channel says of it, its variables left out."""
    leg = channel.leg
    created = micros(leg.created_at)
    fields: Fields = {
        "Channel-State": channel.state,
        "Channel-Call-State": channel.call_state,
        "Channel-State-Number": channel.ending or _NUMBERS.get(channel.state, "4"),
        "Channel-Name": channel.name,
        "Unique-ID": leg.id,
        "Call-Direction": "outbound",
        "Presence-Call-Direction": "outbound",
        "Channel-HIT-Dialplan": "true" if channel.in_dialplan else "false",
        "Channel-Call-UUID": leg.id,
        "Answer-State": channel.answer_state,
    }
    if channel.hung_up:
        fields["Hangup-Cause"] = channel.cause
    if channel.has_media:
        fields |= _CODEC
    fields |= {
        "Caller-Direction": "outbound",
        "Caller-Logical-Direction": "outbound",
        "Caller-Caller-ID-Name": channel.variables.get("origination_caller_id_name", ""),
        "Caller-Caller-ID-Number": leg.caller,
        "Caller-Orig-Caller-ID-Number": leg.caller,
        "Caller-Callee-ID-Name": "Outbound Call",
        "Caller-Callee-ID-Number": leg.number,
        "Caller-ANI": leg.caller,
        "Caller-Destination-Number": leg.number,
        "Caller-Unique-ID": leg.id,
        "Caller-Source": "src/switch_ivr_originate.c",
        "Caller-Context": "default",
        "Caller-Channel-Name": channel.name,
        "Caller-Profile-Index": "1",
        "Caller-Profile-Created-Time": created,
        "Caller-Channel-Created-Time": created,
        "Caller-Channel-Answered-Time": micros(leg.answered_at),
        "Caller-Channel-Progress-Time": micros(channel.progress_at),
        "Caller-Channel-Progress-Media-Time": micros(channel.media_at),
        "Caller-Channel-Hangup-Time": micros(channel.hung_up_at),
        "Caller-Channel-Transfer-Time": "0",
        "Caller-Channel-Resurrect-Time": "0",
        "Caller-Channel-Bridged-Time": "0",
        "Caller-Channel-Last-Hold": "0",
        "Caller-Channel-Hold-Accum": "0",
        "Caller-Screen-Bit": "true",
        "Caller-Privacy-Hide-Name": "false",
        "Caller-Privacy-Hide-Number": "false",
    }
    if channel.other is not None:
        fields["Other-Type"] = "originatee"
        fields["Other-Leg-Unique-ID"] = channel.other.leg.id
    return fields


def variable_fields(channel: "EslChannel") -> Fields:
    """The variables of a channel, its own and those that it was given."""
    fields: Fields = {
        "variable_direction": "outbound",
        "variable_is_outbound": "true",
        "variable_uuid": channel.leg.id,
        "variable_call_uuid": channel.leg.id,
        "variable_channel_name": channel.name,
        "variable_sip_destination_url": f"sip:{channel.leg.number}@127.0.0.1",
        "variable_sip_to_user": channel.leg.number,
        "variable_sip_from_user": channel.leg.caller,
        "variable_originate_endpoint": "sofia",
    }
    for name, value in channel.variables.items():
        fields[f"variable_{name}"] = value
    if channel.sip_status:
        fields["variable_sip_term_status"] = str(channel.sip_status)
        fields["variable_proto_specific_hangup_cause"] = f"sip:{channel.sip_status}"
        fields["variable_sip_term_cause"] = str(channel.cause_code)
    return fields


def ending_fields(channel: "EslChannel") -> Fields:
    """What is known once a channel is over."""
    leg = channel.leg
    ended = channel.hung_up_at or leg.created_at
    since = ended - leg.created_at
    talked = 0.0 if leg.answered_at is None else ended - leg.answered_at
    return {
        "variable_hangup_cause": channel.cause,
        "variable_hangup_cause_q850": str(channel.cause_code),
        "variable_start_uepoch": micros(leg.created_at),
        "variable_answer_uepoch": micros(leg.answered_at),
        "variable_progress_uepoch": micros(channel.progress_at),
        "variable_progress_media_uepoch": micros(channel.media_at),
        "variable_end_uepoch": micros(ended),
        "variable_duration": str(int(since)),
        "variable_billsec": str(int(talked)),
        "variable_mduration": str(int(since * 1000)),
        "variable_billmsec": str(int(talked * 1000)),
    }


def micros(moment: float | None) -> str:
    """A time in microseconds since the epoch, 0 for none."""
    return "0" if moment is None else str(int(moment * 1_000_000))


def cause_name(code: int) -> str:
    """FreeSWITCH's name of a Q.850 cause."""
    return cause_of(code).freeswitch
