"""Errors of the PBX adapters.

PbxError
├── PbxConfigError      waiting will not mend it: wrong password, wrong address path, no such application
├── RecordingNotFound   it has no recording of that name
├── PbxUnreachable      nobody answers there now
└── PbxProtocolError    the peer broke the protocol; the connection is closed
"""


class PbxError(Exception):
    """Something between us and a PBX. The message says what, with which node, and the mend."""


class PbxConfigError(PbxError):
    """The PBX refuses us, and will go on refusing until somebody changes a setting."""


class PbxUnreachable(PbxError):
    """No PBX answers at that address now."""


class RecordingNotFound(PbxError):
    """The PBX has no recording of that name: it was never made, or was deleted."""


class PbxProtocolError(PbxError):
    """The peer sent what its protocol does not allow."""


def weightiest(group: BaseExceptionGroup[PbxError]) -> PbxError:
    """The fault that ended a connection's task group. The others are its echoes, so one that is more than
    "nobody answers" goes before."""
    faults: list[PbxError] = []
    stack: list[BaseException] = [group]
    while stack:
        fault = stack.pop(0)
        if isinstance(fault, BaseExceptionGroup):
            stack.extend(fault.exceptions)
        elif isinstance(fault, PbxError):
            faults.append(fault)
    return min(faults, key=lambda fault: type(fault) is PbxUnreachable)
