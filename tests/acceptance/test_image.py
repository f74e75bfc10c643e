"""The container image: the very steps of its Dockerfile, and a server started from what they make."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from redis.asyncio import Redis

from loadtests.chaos.proxy import open_proxies
from loadtests.kit.client import Mall, open_http
from loadtests.kit.server import ROOT, free_run
from storage.embedded import EmbeddedValkey
from tests.support.program import login

STEPS = ROOT / "config" / "deploy" / "image.sh"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PASSWORD = "a password for tests"


async def build(step: str, target: Path, python: str = sys.executable) -> None:
    """Run one step of the image into `target`, as the Dockerfile does."""
    process = await asyncio.create_subprocess_exec(
        "sh", str(STEPS), step, str(ROOT), str(target), env={**os.environ, "PYTHON": python},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


@pytest.fixture(scope="module")
def world_readable_dir() -> Iterator[Path]:
    """A folder that every user can reach."""
    with tempfile.TemporaryDirectory(prefix="mall-image-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def without_distribution(target: Path) -> Path:
    """The packages that are installed here, all but what would be installed of us."""
    target.mkdir()
    for folder in {Path(entry) for entry in sys.path if entry.endswith("site-packages")}:
        for path in folder.iterdir():
            if "mall_delivery" not in path.name.replace("-", "_"):
                (target / path.name).symlink_to(path)
    return target


async def run_in(program: Path, python: str, *arguments: str, environ: Mapping[str, str]) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        python, "run.py", *arguments, cwd=program, env={"PATH": "/usr/bin:/bin", **environ},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_program_of_the_image_works_where_nothing_of_ours_is_installed(
    world_readable_dir: Path, database_url: str, redis_url: str
) -> None:
    target = world_readable_dir / "quick"
    await build("program", target)
    packages = without_distribution(target / "packages")
    python = str(Path(getattr(sys, "_base_executable", sys.executable)))
    first = free_run(2)
    environ = {
        "PYTHONPATH": str(packages), "DATABASE_URL": database_url, "REDIS_URL": redis_url,
        "MALL_ADMIN_PASSWORD": PASSWORD, "MALL_PORT": str(first), "MALL_OPS_PORT": str(first + 1),
    }  # fmt: skip
    code, said = await run_in(target / "program", python, "--help", environ=environ)
    assert code == 0, said
    assert "DATABASE_URL" in said
    code, said = await run_in(target / "program", python, "check", environ=environ)
    assert code == 0, said
    assert "Nothing stands in the way" in said


def test_dockerfile_runs_the_steps_and_nothing_else_makes_the_folder() -> None:
    runs = re.findall(r"^RUN (.+)$", DOCKERFILE, re.MULTILINE)
    assert [run for run in runs if "image.sh" in run] == [
        "sh config/deploy/image.sh environment /src /srv/mall",
        "sh config/deploy/image.sh pages /src /srv/mall",
        "sh config/deploy/image.sh program /src /srv/mall",
    ]
    assert "COPY --from=build /srv/mall /srv/mall" in DOCKERFILE
    assert "pip" not in DOCKERFILE


def test_everything_that_the_steps_copy_reaches_the_build() -> None:
    rooms = re.search(r"for room in ([a-z ]+);", STEPS.read_text())
    assert rooms is not None
    wanted = {"run.py", *rooms[1].split()}
    let_in = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = {
        name for names in re.findall(r"^COPY ([a-z.]+) \S+$", DOCKERFILE, re.MULTILINE) for name in [names]
    }
    assert wanted <= let_in
    assert wanted <= copied


def as_ordinary_user() -> list[str]:
    """What goes before a command so that root is not who runs it; nothing where we are not root."""
    if os.geteuid() != 0:
        return []
    somebody = pwd.getpwnam("daemon")
    change = shutil.which("setpriv") or pytest.skip("needs setpriv (util-linux)")
    return [change, f"--reuid={somebody.pw_uid}", f"--regid={somebody.pw_gid}", "--clear-groups", "--"]


def a_python_for_everybody() -> str:
    """An interpreter that an ordinary user can start: one in root's home is none."""
    if os.geteuid() != 0:
        return sys.executable
    for name in ("python3.14", "python3.13", "python3.12", "python3.11"):
        found = shutil.which(name, path="/usr/local/bin:/usr/bin")
        if found is not None:
            return found
    pytest.skip("needs a Python outside of root's home")


@asynccontextmanager
async def outside_servers(database_url: str, valkey: EmbeddedValkey) -> AsyncIterator[dict[str, str]]:
    """Both servers over TCP, Redis with a password: addresses as a container has them."""
    redis_port, parts = free_run(1), urlsplit(database_url)
    client: Any = Redis.from_url(valkey.redis_url)
    await client.config_set("port", redis_port)
    await client.config_set("requirepass", "a-password-of-redis")
    await client.aclose()
    socket = Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432"
    async with open_proxies() as proxies:
        proxy = await proxies.add(free_run(1), socket)
        user = parts.netloc.rpartition("@")[0]
        yield {
            "DATABASE_URL": f"postgresql://{user}@127.0.0.1:{proxy.port}{parts.path}",
            "REDIS_URL": f"redis://:a-password-of-redis@127.0.0.1:{redis_port}/0",
        }


async def until_ready(http: aiohttp.ClientSession, url: str, process: asyncio.subprocess.Process) -> None:
    """Wait until the server takes requests; it has a minute, and a server that ended has none."""
    async with asyncio.timeout(60):
        while process.returncode is None:
            try:
                async with http.get(url + "/health/readiness") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.to_thread(os.sched_yield)
    pytest.fail(f"it ended with {process.returncode}")


async def is_alive(script: Path, ops_port: int) -> bool:
    """What the image's health check says."""
    process = await asyncio.create_subprocess_exec(
        "bash", str(script), env={"PATH": "/usr/bin:/bin", "MALL_OPS_PORT": str(ops_port)}
    )
    return await process.wait() == 0


async def order_one(mall: Mall) -> None:
    """An administrator makes a shop and a customer, who orders."""
    admin = await login(mall, "admin@mall.example", PASSWORD)
    zone = await admin.do("POST", "/api/v2/zones", {"name": "Image", "mode": "open"})
    store = await admin.do(
        "POST", "/api/v2/stores", {"name": "Shop", "zone_id": zone["id"], "lat": 52.5, "lon": 13.4}
    )
    product = await admin.do(
        "POST", "/api/v2/products",
        {"store_id": store["id"], "name": "Bread", "price": {"amount_minor": 450, "currency": "EUR"}},
    )  # fmt: skip
    account = {"email": "image@mall.example", "password": "a long password", "name": "Image"}
    await mall.do("POST", "/api/v2/auth/register", account)
    customer = await login(mall, account["email"], account["password"])
    body = {
        "items": [{"product_id": product["id"], "quantity": 1}], "payment": "cash",
        "dropoff": {"lat": 52.5, "lon": 13.4, "address": "x"},
    }  # fmt: skip
    order = await customer.do("POST", "/api/v2/orders", body, key="order-of-the-image-1")
    assert order["status"] == "confirmed"


@pytest.mark.long
async def test_server_from_the_image_takes_an_order_as_an_ordinary_user(
    world_readable_dir: Path, database_url: str, valkey: EmbeddedValkey
) -> None:
    target, python = world_readable_dir / "whole", a_python_for_everybody()
    await build("environment", target, python)
    await build("pages", target, python)
    await build("program", target)
    assert not list(target.glob("environment/lib/python*/site-packages/mall*"))
    first = free_run(2)
    async with outside_servers(database_url, valkey) as addresses:
        environ = {
            "PATH": "/usr/bin:/bin", "MALL_ADMIN_PASSWORD": PASSWORD, "MALL_GATEWAY_URL": "sandbox",
            "MALL_PORT": str(first), "MALL_OPS_PORT": str(first + 1), "MALL_LOG_FORMAT": "json",
            "PYTHONDONTWRITEBYTECODE": "1", **addresses,
        }  # fmt: skip
        program, own = target / "program", str(target / "environment" / "bin" / "python")
        code, said = await run_in(program, own, "check", environ=environ)
        assert code == 0, said
        process = await asyncio.create_subprocess_exec(
            *as_ordinary_user(), own, "run.py", "serve", cwd=program, env=environ,
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{first}"
            async with open_http() as http:
                await until_ready(http, url, process)
                await order_one(Mall(http, url))
                async with http.get(url + "/pages/vendor/preact.js") as answer:
                    assert answer.status == 200, "the pages are in the image"
                assert await is_alive(target / "alive.sh", first + 1)
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
