"""Settings: read once, refused at start with the variable's name."""

from __future__ import annotations

import pytest

from config.settings import Settings, SettingsError, describe, load_settings

OUTSIDE = {"DATABASE_URL": "postgresql://mall@db/mall", "MALL_ADMIN_PASSWORD": "long enough"}


def test_empty_environment_is_the_embedded_mode() -> None:
    settings = load_settings({})
    assert settings.embedded
    assert (settings.port, settings.ops_port, str(settings.data_dir)) == (8080, 8081, ".mall")


def test_empty_variable_counts_as_absent() -> None:
    assert load_settings({"DATABASE_URL": "", "MALL_PORT": ""}).embedded


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MALL_PORT", "eighty"),
        ("MALL_PORT", "70000"),
        ("MALL_OPS_PORT", "-1"),
        ("MALL_INSTANCE", "No Spaces"),
        ("MALL_ADMIN_EMAIL", "nobody"),
        ("MALL_ADMIN_PASSWORD", "short"),
        ("MALL_LOG_FORMAT", "xml"),
        ("MALL_LOG_LEVEL", "loud"),
        ("MALL_RATE_LIMITS", "maybe"),
        ("MALL_SAMPLE", "true"),
        ("MALL_CORS_ORIGINS", "*"),
        ("MALL_CORS_ORIGINS", "https://shop.example/"),
        ("MALL_CONNECTIONS_PER_IP", "-1"),
        ("MALL_UNCOUNTED_NETWORKS", "proxy.example"),
        ("MALL_UNCOUNTED_NETWORKS", "10.0.0.1/8"),
        ("MALL_POOL_SIZE", "0"),
        ("MALL_DRAIN_S", "nan"),
        ("DATABASE_URL", "mysql://x"),
        ("REDIS_URL", "http://x"),
    ],
)
def test_wrong_value_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        load_settings({**OUTSIDE, variable: value})


def test_outside_database_needs_a_password() -> None:
    with pytest.raises(SettingsError, match="MALL_ADMIN_PASSWORD"):
        load_settings({"DATABASE_URL": "postgresql://mall@db/mall"})


def test_every_setting_is_documented_once() -> None:
    text = describe()
    for field in Settings.model_fields.values():
        assert field.alias is not None
        assert text.count(f"  {field.alias} ") == 1
        assert field.description


def test_origins_are_split() -> None:
    settings = load_settings({"MALL_CORS_ORIGINS": "https://a.example, http://localhost:3000"})
    assert settings.cors_origins == ("https://a.example", "http://localhost:3000")


def test_networks_are_split() -> None:
    settings = load_settings({"MALL_UNCOUNTED_NETWORKS": "10.0.0.0/8, ::1"})
    assert [str(network) for network in settings.uncounted_networks or ()] == ["10.0.0.0/8", "::1/128"]
    assert load_settings({}).uncounted_networks is None, "the private ones"
