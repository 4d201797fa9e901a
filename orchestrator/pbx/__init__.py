"""PBX adapters behind one port."""
