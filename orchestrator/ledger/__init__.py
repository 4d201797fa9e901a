"""What must survive a crash: jobs, calls, their journal, and the outbox."""
