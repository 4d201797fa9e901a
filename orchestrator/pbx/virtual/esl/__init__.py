"""The ESL face: what FreeSWITCH 1.10 says and does on its event socket, as recorded on a real 1.10.12."""
