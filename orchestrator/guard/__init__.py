"""Who may be called, and what must stay secret."""
