"""Durable, paced, observable outbound voice calls beside Asterisk or FreeSWITCH."""

__version__ = "0.1.0"
