"""Errors of the notify room.

NotifyError
├── SettingsError    a setting is out of its range
├── SecretError      a webhook secret cannot be used; the message never shows it
├── AddressError     a URL cannot be a webhook address, whoever asks
├── AddressRefused   the address that a name led to is not allowed (an OSError: raised while connecting)
├── NameNotFound     a receiver's name led to no address
├── ConnectionEnded  a receiver closed the connection instead of answering
├── BadAnswer        what a receiver answered is not HTTP, or too much of it
└── NotOurs          nothing was sent, as it is not certain that it is still ours to send
"""

import errno


class NotifyError(Exception):
    """Something about notifications. The message says what, to what, and the mend."""


class SettingsError(NotifyError, ValueError):
    """A setting of the notify section is out of its range."""


class SecretError(NotifyError, ValueError):
    """A webhook secret is malformed, too short or too long."""


class AddressError(NotifyError, ValueError):
    """A URL that can never be a webhook address."""


class AddressRefused(NotifyError, OSError):
    """A receiver's name led to an address that is not allowed."""

    def __init__(self, message: str) -> None:
        super().__init__(errno.EACCES, message)


class NameNotFound(NotifyError):
    """A receiver's name has no address, or its name server does not respond."""

    def __init__(self, host: str) -> None:
        super().__init__(f"the receiver's name {host} was not found")


class ConnectionEnded(NotifyError):
    """A receiver closed the connection before it answered."""

    def __init__(self) -> None:
        super().__init__("the receiver closed the connection without an answer")


class BadAnswer(NotifyError):
    """What a receiver answered cannot be read as HTTP/1.1, or its headers have no end."""


class NotOurs(NotifyError):
    """Another process may have the outbox by now."""

    def __init__(self) -> None:
        super().__init__("it is not certain that this is still ours to send")
