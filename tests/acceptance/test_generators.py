"""Real generators make clients from the documents that a server serves, and these place, pay, track and deliver."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.kit.client import open_http
from loadtests.kit.server import ServerProcess, open_server

pytestmark = pytest.mark.long
HERE = Path(__file__).parent.parent / "generators"
PYTHON_GENERATOR = "openapi-python-client>=0.26,<1"


def run(folder: Path, *command: str, needs: str = "") -> str:
    """What a program says. One that cannot be installed is a loud skip."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode and needs:
        pytest.skip(f"needs {needs}, which could not be installed: {done.stderr[-300:]}")
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def generated_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generated")


@pytest.fixture(scope="module")
def server(generated_dir: Path) -> Iterator[ServerProcess]:
    """A sample mall with a sandbox for cards; its documents lie in the folder."""
    with asyncio.Runner() as runner:
        opened = open_server(generated_dir / "data", {"MALL_GATEWAY_URL": "sandbox"})
        found = runner.run(opened.__aenter__())
        runner.run(fetch(found, generated_dir))
        yield found
        runner.run(opened.__aexit__(None, None, None))


async def fetch(server: ServerProcess, folder: Path) -> None:
    async with open_http() as http:
        for name in ("openapi.json", "asyncapi.json"):
            async with http.get(f"{server.url}/api/v2/{name}") as response:
                (folder / name).write_bytes(await response.read())


def test_clients_in_typescript_place_pay_track_and_deliver(
    server: ServerProcess, generated_dir: Path
) -> None:
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    for path in (*HERE.glob("*.json"), *HERE.glob("*.mjs"), *HERE.glob("*.ts")):
        shutil.copy(path, generated_dir)
    npm = ("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error")
    run(generated_dir, *npm, needs="packages of npm")
    run(generated_dir, "npx", "openapi-typescript", "openapi.json", "-o", "api.ts")
    models = run(generated_dir, "node", "models.mjs").split()
    assert {"Hello", "FeedOrder", "OfferedOrder", "OfferEntry", "OrderResult", "Snapshot"} <= set(models)
    strictly = ("--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext")
    run(generated_dir, "npx", "tsc", *strictly, "--outDir", "made", "mall.ts")
    told = json.loads(run(generated_dir, "node", "made/mall.js", server.url))
    # Each offer is a change, too.
    followed = list(dict.fromkeys(told["followed"]))
    assert (told["status"], followed) == ("delivered", ["confirmed", "assigned", "picked_up", "delivered"])


def test_client_in_python_places_pays_and_delivers(server: ServerProcess, generated_dir: Path) -> None:
    venv.create(generated_dir / "venv", with_pip=True)
    python = str(generated_dir / "venv" / "bin" / "python")
    run(generated_dir, python, "-m", "pip", "install", "--quiet", PYTHON_GENERATOR, needs=PYTHON_GENERATOR)
    tool = str(generated_dir / "venv" / "bin" / "openapi-python-client")
    said = run(
        generated_dir,
        tool,
        "generate",
        "--path",
        "openapi.json",
        "--output-path",
        "pyclient",
        "--meta",
        "none",
    )
    assert "WARNING" not in said, said
    shutil.copy(HERE / "mall.py", generated_dir)
    assert run(generated_dir, python, "mall.py", server.url).split() == ["delivered"]
