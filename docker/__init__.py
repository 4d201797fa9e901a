"""The lab: a real Asterisk on this machine, from Docker or from Debian's package."""
