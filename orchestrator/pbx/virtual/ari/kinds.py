"""What kind of request one is, for faults that befall some kinds only."""

from orchestrator.pbx.virtual.ari.request import Request
from orchestrator.pbx.virtual.faults import Kind


def kind_of(request: Request) -> Kind:
    """An originate, a play, a hang-up, a question about channels, or something else."""
    match request.method, request.segments:
        case "POST", ["channels"] | ["channels", _]:
            return "originate"
        case "POST", [_, _, "play", *_]:
            return "play"
        case "DELETE", ["channels", _]:
            return "hangup"
        case "GET", ["channels", *_]:
            return "ask"
        case _:
            return "other"
