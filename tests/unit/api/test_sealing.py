"""Secrets of endpoints at rest."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from api.outbound.sealing import SealBroken, Sealing, key_id
from api.outbound.secrets_key import FILE, open_sealing
from config.settings import SettingsError, load_settings
from storage.embedded import EmbeddedError

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
SECRET = b"s" * 32


def test_sealed_secret_is_read_again_and_does_not_show_itself() -> None:
    sealing = Sealing([NEW])
    sealed = sealing.seal(7, SECRET)
    assert sealing.open(7, sealed) == SECRET
    assert SECRET not in sealed
    assert sealed[:4] == key_id(NEW)
    assert sealing.seal(7, SECRET) != sealed, "each has a nonce of its own"


def test_old_key_is_readable_and_the_new_one_seals() -> None:
    sealed = Sealing([OLD]).seal(7, SECRET)
    both = Sealing([NEW, OLD])
    assert both.open(7, sealed) == SECRET
    assert both.seal(7, SECRET)[:4] == key_id(NEW)


def test_secret_of_another_endpoint_is_refused() -> None:
    sealing = Sealing([NEW])
    with pytest.raises(SealBroken):
        sealing.open(8, sealing.seal(7, SECRET))


@pytest.mark.parametrize("at", [0, 5, 20, -1])
def test_changed_secret_is_refused(at: int) -> None:
    sealing = Sealing([NEW])
    sealed = bytearray(sealing.seal(7, SECRET))
    sealed[at] ^= 1
    with pytest.raises(SealBroken):
        sealing.open(7, bytes(sealed))


@pytest.mark.parametrize("sealed", [b"", b"abc", key_id(NEW), key_id(NEW) + b"n" * 12])
def test_what_is_too_short_is_refused(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        Sealing([NEW]).open(7, sealed)


def _settings(**more: str) -> dict[str, str]:
    return {"DATABASE_URL": "postgresql://mall@db/mall", "MALL_ADMIN_PASSWORD": "long enough for it", **more}


def test_keys_come_from_the_setting_the_newest_first() -> None:
    text = ",".join(base64.b64encode(key).decode() for key in (NEW, OLD))
    sealing = open_sealing(load_settings(_settings(MALL_SECRETS_KEY=text)))
    assert sealing is not None
    assert sealing.open(1, Sealing([OLD]).seal(1, SECRET)) == SECRET


@pytest.mark.parametrize("text", ["short", base64.b64encode(b"x" * 31).decode(), "Ää"])
def test_key_that_is_none_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(SettingsError, match="MALL_SECRETS_KEY: must be 32 bytes") as error:
        load_settings(_settings(MALL_SECRETS_KEY=text))
    assert text not in str(error.value)


def test_without_a_key_nothing_is_sealed_with_a_database_of_ones_own() -> None:
    assert open_sealing(load_settings(_settings())) is None


def test_embedded_mode_has_a_file_that_its_owner_alone_reads(tmp_path: Path) -> None:
    settings = load_settings({"MALL_DATA_DIR": str(tmp_path)})
    first, second = open_sealing(settings), open_sealing(settings)
    assert first is not None
    assert second is not None
    assert second.open(1, first.seal(1, SECRET)) == SECRET
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_spoiled_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("nothing\n")
    with pytest.raises(EmbeddedError, match="holds no key"):
        open_sealing(load_settings({"MALL_DATA_DIR": str(tmp_path)}))
