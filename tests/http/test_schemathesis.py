"""Schemathesis against the served document: whatever is sent, no 5xx, no answer that is not documented."""

import asyncio
import sys
from pathlib import Path

from orchestrator.http.operations import EXAMPLES
from orchestrator.http.settings import Http
from tests.http.world import world

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method,ignored_auth"
)
CASES = 10
PATIENCE = 60.0


async def test_whatever_is_sent_is_answered_as_the_document_says(tmp_path: Path) -> None:
    async with world(tmp_path, Http(keys="keys.json")) as it:
        key = it.add_key("shop")
        await it.ask("POST", "/v1/jobs", key, json=EXAMPLES["Job"])
        await it.call()
        tester = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from schemathesis.cli import schemathesis; schemathesis()",
            "run",
            str(it.server.make_url("/openapi.json")),
            f"--header=Authorization: Bearer {key}",
            f"--checks={CHECKS}",
            "--phases=examples,coverage,fuzzing",
            f"--max-examples={CASES}",
            "--seed=1",
            "--no-shrink",
            "--warnings=off",
            "--no-color",
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(PATIENCE):
                said, _ = await tester.communicate()
        finally:
            if tester.returncode is None:
                tester.kill()
                await tester.wait()
    assert tester.returncode == 0, said.decode()
    counted = it.meters.http_requests.labels
    for method, route in (("GET", "/v1/jobs/{id}"), ("GET", "/v1/jobs/{id}/events"), ("POST", "/v1/jobs")):
        assert counted(method, route, 200).value > 0  # it has seen more than refusals
