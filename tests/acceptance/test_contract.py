"""The server keeps to its own documents: Schemathesis, all checks, every operation, each role."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from api.auth.permissions import ROLE_SCOPES
from loadtests.kit.client import open_http
from loadtests.kit.server import ServerProcess, open_server
from tests.acceptance.contract_report import report
from tests.support.server_log import ServerLog

ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).parent / "schemathesis.toml"
DOCUMENTS = ("/api/v2/openapi.json", "/api/v1/openapi.json")
LOGOUT = ".*/auth/logout"


@dataclass
class Contract:
    """A server with rate limits off, and who runs against it."""

    server: ServerProcess
    http: aiohttp.ClientSession
    tokens: dict[str, str]

    async def run(self, document: str, role: str, *options: str) -> str:
        """Hold the server to a document as one role; returns a report of what failed, empty if nothing did."""
        async with self.http.get(self.server.url + document) as response:
            assert response.status == 200, "both versions are served"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG),
            "run", self.server.url + document, "--header", f"Authorization: Bearer {self.tokens[role]}",
            # contract_checks.py asks it, and knows what the documents say of stores and products.
            "--checks", "all", "--exclude-checks", "use_after_free",
            "--no-shrink", "--seed", "1", "--warnings", "off", *options,
            cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        if process.returncode != 0:
            return report(role, out.decode(errors="replace"))
        return "" if self.server.running else f"as {role}: the server has ended"


@pytest.fixture(scope="module")
async def contract() -> AsyncIterator[Contract]:
    """A server, and a token of each role."""
    with tempfile.TemporaryDirectory(prefix="mall-contract-") as folder:
        async with open_server(Path(folder)) as server, open_http() as http:
            tokens = {}
            for role in (*ROLE_SCOPES, "leaver"):
                minted = "customer" if role == "leaver" else role
                zone = ("--zone", "zon_1") if role == "driver" else ()
                [user] = await server.mint(minted, 1, "--prefix", f"contract-{role}", *zone)
                tokens[role] = user["access_token"]
            yield Contract(server, http, tokens)


@pytest.fixture(scope="module")
def log(contract: Contract) -> ServerLog:
    return ServerLog(contract.server.log_path)


@pytest.fixture(autouse=True)
def no_error_lines(log: ServerLog) -> Iterator[None]:
    """The server logs no error during the test."""
    yield
    log.assert_no_errors("during this test")


def check(*reports: str) -> None:
    """Fail with the reports alone: the failing operations and their requests are what is printed first."""
    failed = [report for report in reports if report]
    if failed:
        pytest.fail("\n\n".join(failed), pytrace=False)


# Every case is quick; on a busy machine there are many of them.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("document", DOCUMENTS)
async def test_server_keeps_to_its_document(contract: Contract, document: str) -> None:
    # Who logs out is refused from then on; that has a test of its own.
    options = ("--max-examples", "5", "--exclude-path-regex", LOGOUT)
    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(contract.run(document, role, *options), name=role) for role in ROLE_SCOPES]
    check(*(run.result() for run in runs))


@pytest.mark.parametrize("document", DOCUMENTS)
async def test_logging_out_keeps_to_the_document(contract: Contract, document: str) -> None:
    phases = ("--phases", "examples,coverage,fuzzing")  # nothing leads there
    check(
        await contract.run(
            document, "leaver", "--max-examples", "10", "--include-path-regex", LOGOUT, *phases
        )
    )


@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("role", ROLE_SCOPES)
@pytest.mark.parametrize("document", DOCUMENTS)
async def test_server_keeps_to_its_document_for_long(contract: Contract, document: str, role: str) -> None:
    check(await contract.run(document, role, "--max-examples", "100", "--exclude-path-regex", LOGOUT))
