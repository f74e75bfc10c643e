"""What a process that this one starts is told of its settings."""

from __future__ import annotations

from pathlib import Path

from api.server.worker_slot import child_environment
from config.settings import load_settings
from storage.servers import Addresses

EMBEDDED = Addresses("postgresql://mall@/mall?host=/run", "unix:///run/valkey")


def test_instance_of_several_looks_at_the_disk_of_the_embedded_servers(tmp_path: Path) -> None:
    machine = load_settings({"MALL_DATA_DIR": str(tmp_path)})
    given = child_environment(machine, EMBEDDED)
    named = {name: given[name] for name in ("DATABASE_URL", "REDIS_URL", "MALL_DATA_DIR")}
    child = load_settings({**named, "MALL_ADMIN_PASSWORD": "long enough"})
    assert not child.embedded
    assert (child.data_dir, child.keeps_data) == (tmp_path, True)
