"""Renders the shipped sounds with an open-weight voice. Not part of the installed package."""
