"""How jobs arrive."""
