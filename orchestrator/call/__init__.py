"""The heart: a call as a pure function of its events. No I/O, no clock, no asyncio."""
