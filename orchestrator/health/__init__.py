"""How well each PBX node does, and what it gets of the calls therefore."""
