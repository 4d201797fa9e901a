"""`show`, `status` and `version`: what FreeSWITCH tells of itself."""

import json
from typing import TYPE_CHECKING

from orchestrator.pbx.virtual.esl.fields import Fields

if TYPE_CHECKING:
    from orchestrator.pbx.virtual.esl.channel import EslChannel
    from orchestrator.pbx.virtual.esl.face import EslFace


def show(face: "EslFace", argument: str) -> str:
    """`show channels` and `show calls`, as JSON, as comma-separated text, or their number."""
    words = argument.split()
    if not words or words[0] not in ("channels", "calls", "bridged_calls", "detailed_calls"):
        return "-ERR no such thing to show here\n"
    rows = [_row(channel) for channel in face.channels.values()]
    if words[0] == "bridged_calls":
        rows = [_row(channel) for channel in face.channels.values() if channel.other is not None]
    if "count" in words:
        return f"\n{len(rows)} total.\n"
    if words[1:3] == ["as", "json"]:
        told: dict[str, object] = {"row_count": len(rows)}
        if rows:
            told["rows"] = rows
        return json.dumps(told)
    if not rows:
        return "\n0 total.\n"
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    return "\n".join(lines) + f"\n\n{len(rows)} total.\n"


def _row(channel: "EslChannel") -> Fields:
    leg = channel.leg
    running = channel.stack[-1] if channel.stack else None
    return {
        "uuid": leg.id,
        "direction": "outbound",
        "created": str(int(leg.created_at)),
        "created_epoch": str(int(leg.created_at)),
        "name": channel.name,
        "state": channel.state,
        "cid_name": channel.variables.get("origination_caller_id_name", ""),
        "cid_num": leg.caller,
        "ip_addr": "",
        "dest": leg.number,
        "application": running.application if running else "",
        "application_data": running.argument if running else "",
        "dialplan": "",
        "context": "default",
        "read_codec": "PCMU" if channel.has_media else "",
        "read_rate": "8000" if channel.has_media else "",
        "read_bit_rate": "64000" if channel.has_media else "",
        "write_codec": "PCMU" if channel.has_media else "",
        "write_rate": "8000" if channel.has_media else "",
        "write_bit_rate": "64000" if channel.has_media else "",
        "secure": "",
        "hostname": channel.face.globals["hostname"],
        "presence_id": "",
        "presence_data": "",
        "accountcode": "",
        "callstate": channel.call_state,
        "callee_name": "Outbound Call",
        "callee_num": leg.number,
        "callee_direction": "",
        "call_uuid": channel.other.leg.id if channel.other else "",
        "sent_callee_name": "",
        "sent_callee_num": "",
        "initial_cid_name": "",
        "initial_cid_num": leg.caller,
        "initial_ip_addr": "",
        "initial_dest": leg.number,
        "initial_dialplan": "",
        "initial_context": "default",
    }


def status(face: "EslFace", argument: str) -> str:
    """`status`."""
    seconds = int(face.now() - face.started_at)
    return (
        f"UP 0 years, {seconds // 86400} days, {seconds // 3600 % 24} hours, {seconds // 60 % 60} minutes, "
        f"{seconds % 60} seconds, 0 milliseconds, 0 microseconds\n"
        "FreeSWITCH (Version 1.10.12 -virtual 64bit) is ready\n"
        f"{face.switch.dialled} session(s) since startup\n"
        f"{len(face.channels)} session(s) - peak {len(face.channels)}, last 5min {len(face.channels)} \n"
        "0 session(s) per Sec out of max 0, peak 0, last 5min 0 \n"
        "1000000 session(s) max\n"
        "min idle cpu 0.00/100.00\n"
        "Current Stack Size/Max 240K/8192K\n"
    )


def version(face: "EslFace", argument: str) -> str:
    """`version`."""
    return "FreeSWITCH Version 1.10.12-virtual+64bit (-virtual 64bit)\n"
