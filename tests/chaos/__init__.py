"""The chaos suite: real servers and real workers, and all that can fail failing. See docs/operators.md."""
