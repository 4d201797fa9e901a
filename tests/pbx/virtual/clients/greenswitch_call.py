"""A call by the public package `greenswitch`, on gevent.

Called with the port; prints what happened as one line of JSON.
"""

import json
import sys
from typing import Any

import gevent
from gevent.event import Event
from greenswitch import InboundESL

UUID = "5f9c8d3a-9e0b-4c51-8a63-0d2a4e1b7c11"
PLAYED = "e1a1c1de-0000-4000-8000-000000000001"


def call(port: int) -> list[Any]:
    """Place, play, hang up."""
    told: list[Any] = []
    over = Event()
    client = InboundESL(host="127.0.0.1", port=port, password="virtual")
    client.connect()

    def parked(event: Any) -> None:
        if event.headers.get("Application") == "park":
            told.append(["answered", event.headers["Answer-State"]])
            gevent.spawn(
                client.send,
                f"sendmsg {UUID}\ncall-command: execute\nexecute-app-name: playback\n"
                f"execute-app-arg: orchestrator/en/digits/4.wav\nEvent-UUID: {PLAYED}",
            )

    def done(event: Any) -> None:
        if event.headers.get("Application-UUID") == PLAYED:
            told.append(["played", event.headers["Application-Response"]])
            gevent.spawn(client.send, f"api uuid_kill {UUID}")

    def ended(event: Any) -> None:
        told.append(["ended", event.headers["Hangup-Cause"]])
        over.set()

    client.register_handle("CHANNEL_EXECUTE", parked)
    client.register_handle("CHANNEL_EXECUTE_COMPLETE", done)
    client.register_handle("CHANNEL_HANGUP", ended)
    client.send("event plain CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_HANGUP BACKGROUND_JOB")
    client.send(
        f"bgapi originate {{origination_uuid={UUID},ignore_early_media=true}}"
        "sofia/gateway/lab/12025550100 &park()"
    )
    with gevent.Timeout(20):
        over.wait()
        gevent.sleep(0)
    told.append(["left", client.send("api show channels count").data.split()[0]])
    client.stop()
    return told


if __name__ == "__main__":
    print(json.dumps(call(int(sys.argv[1]))))
