"""A virtual PBX: one switch, two faces on real sockets (ARI and ESL), callees by number, faults at will."""
