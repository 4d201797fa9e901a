"""The ARI face: what Asterisk 22 says and does over HTTP and WebSocket, as measured on a real one."""
