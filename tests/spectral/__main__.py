"""Start a server, fetch its documents, and have Spectral and AsyncAPI's parser look at them. Needs npm."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from loadtests.kit.client import open_http
from loadtests.kit.server import open_server

HERE = Path(__file__).parent
REST = ("/api/v2/openapi.json", "/api/v1/openapi.json")
FEED = "/api/v2/asyncapi.json"


async def fetch(folder: Path) -> list[Path]:
    """The documents that a server serves, as files."""
    found = []
    async with open_server(folder / "data") as server, open_http() as http:
        for path in (*REST, FEED):
            async with http.get(server.url + path) as response:
                if response.status == 404:
                    continue
                found.append(folder / path.removeprefix("/api/").replace("/", "-"))
                found[-1].write_bytes(await response.read())
    return found


def main(folder: Path) -> int:
    """Install into the folder, lint there; returns the exit code."""
    folder.mkdir(exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    for name in ("package.json", "oas.yaml", "owasp.yaml", "owasp-v1.yaml", "feed.mjs"):
        shutil.copy(HERE / name, folder)
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"]
    subprocess.run(install, cwd=folder, check=True)
    with tempfile.TemporaryDirectory(prefix="mall-spectral-") as name:
        documents = asyncio.run(fetch(Path(name)))
        failed = 0
        for document in documents:
            if document.name.endswith("asyncapi.json"):
                commands = [["node", "feed.mjs", str(document)]]
            else:
                owasp = "owasp-v1.yaml" if document.name.startswith("v1") else "owasp.yaml"
                lint = ["npx", "spectral", "lint", str(document)]
                commands = [
                    [*lint, "--fail-severity", "warn", "--ruleset", "oas.yaml"],
                    [*lint, "--fail-severity", "error", "--ruleset", owasp],
                ]
            for command in commands:
                print(document.name, command[-1] if "npx" in command else "", flush=True)
                failed += subprocess.run(command, cwd=folder, check=False).returncode != 0
    return min(1, failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
