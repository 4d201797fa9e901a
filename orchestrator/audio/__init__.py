"""Telephone audio: 8000 samples a second, one channel, 16-bit PCM or G.711."""
