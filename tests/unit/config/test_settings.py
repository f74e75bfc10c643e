"""Settings: read once, refused at start with the variable's name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config.cli import describe
from config.settings import Settings, SettingsError, load_settings

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
        ("MALL_CORS_ORIGINS", "https://"),
        ("MALL_CORS_ORIGINS", "capacitor://localhost/app"),
        ("MALL_CORS_ORIGINS", "capacitor://*"),
        ("MALL_CORS_ORIGINS", "localhost"),
        ("MALL_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("MALL_TRUSTED_PROXIES", "proxy.example"),
        ("MALL_LIMIT_AUTH_PER_MIN", "0"),
        ("MALL_LIMIT_ORDERS_PER_MIN", "1000000"),
        ("MALL_IN_FLIGHT_MAX", "-1"),
        ("MALL_CONNECTIONS_PER_IP", "-1"),
        ("MALL_UNCOUNTED_NETWORKS", "proxy.example"),
        ("MALL_UNCOUNTED_NETWORKS", "10.0.0.1/8"),
        ("MALL_POOL_SIZE", "0"),
        ("MALL_DRAIN_S", "nan"),
        ("MALL_ADMIN_PASSWORD", "change-me"),
        ("MALL_ADMIN_PASSWORD", "CHANGE_ME!"),
        ("MALL_ADMIN_PASSWORD", "Password123"),
        ("MALL_ADMIN_PASSWORD", "sample-customer"),
        ("MALL_ADMIN_PASSWORD", "sample-driver"),
        ("MALL_ADMIN_PASSWORD", "admin@mall.example"),
        ("MALL_ADMIN_PASSWORD", "aaaaaaaaaaaa"),
        ("MALL_KEY_LEAD_S", "1"),
        ("DATABASE_URL", "postgresql://mall:change-me@db/mall"),
        ("REDIS_URL", "redis://:your%2Dpassword@cache/0"),
        ("DATABASE_URL", "mysql://x"),
        ("REDIS_URL", "http://x"),
    ],
)
def test_wrong_value_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        load_settings({**OUTSIDE, variable: value})


@pytest.mark.parametrize("missing", ["MALL_PEER_TLS_CERT", "MALL_PEER_TLS_KEY", "MALL_PEER_TLS_CA"])
def test_papers_of_the_peers_lines_belong_together(missing: str) -> None:
    names = {"MALL_PEER_TLS_CERT", "MALL_PEER_TLS_KEY", "MALL_PEER_TLS_CA"}
    assert load_settings(dict.fromkeys(names, "x.pem")).peer_tls_key == Path("x.pem")
    with pytest.raises(SettingsError, match="belong together"):
        load_settings(dict.fromkeys(names - {missing}, "x.pem"))


def test_outside_database_needs_a_password() -> None:
    with pytest.raises(SettingsError, match="MALL_ADMIN_PASSWORD"):
        load_settings({"DATABASE_URL": "postgresql://mall@db/mall"})


def test_password_is_composed_as_a_login_composes_it() -> None:
    settings = load_settings({**OUTSIDE, "MALL_ADMIN_PASSWORD": "cafe\u0301 cafe\u0301"})
    assert settings.admin_password == "caf\u00e9 caf\u00e9"


def test_instance_of_a_supervisor_needs_no_password_for_an_administrator() -> None:
    assert load_settings({"DATABASE_URL": OUTSIDE["DATABASE_URL"]}, founds=False).admin_password is None


def test_every_setting_is_documented_once() -> None:
    text = describe()
    for field in Settings.model_fields.values():
        assert field.alias is not None
        assert text.count(f"  {field.alias} ") == 1
        assert field.description


def test_limits_are_those_of_the_contract_unless_said_otherwise() -> None:
    settings = load_settings({})
    limits = (settings.limit_auth_per_min, settings.limit_orders_per_min, settings.limit_reads_per_min)
    assert (settings.rate_limits, limits) == ("on", (5, 20, 100))
    assert load_settings({"MALL_LIMIT_AUTH_PER_MIN": "7"}).limit_auth_per_min == 7


def test_proxies_are_split() -> None:
    settings = load_settings({"MALL_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.7,2001:db8::/32"})
    assert settings.trusted_proxies == ("10.0.0.0/8", "192.0.2.7", "2001:db8::/32")


def test_origins_are_split() -> None:
    settings = load_settings({"MALL_CORS_ORIGINS": "https://a.example, http://localhost:3000"})
    assert settings.cors_origins == ("https://a.example", "http://localhost:3000")


@pytest.mark.parametrize(
    "origin", ["capacitor://localhost", "ionic://localhost", "file://", "http://[::1]:3000"]
)
def test_origin_of_any_scheme_can_be_allowed(origin: str) -> None:
    assert load_settings({"MALL_CORS_ORIGINS": origin}).cors_origins == (origin,)


def test_networks_are_split() -> None:
    settings = load_settings({"MALL_UNCOUNTED_NETWORKS": "10.0.0.0/8, ::1"})
    assert [str(network) for network in settings.uncounted_networks or ()] == ["10.0.0.0/8", "::1/128"]
    assert load_settings({}).uncounted_networks is None, "the private ones"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("MALL_PROT", "MALL_PORT"),
        ("MALL_ADMIN_PASWORD", "MALL_ADMIN_PASSWORD"),
        ("MALL_LIMIT_ORDERS_PER_MINUTE", "MALL_LIMIT_ORDERS_PER_MIN"),
        ("MALL_TRUSTED_PROXY", "MALL_TRUSTED_PROXIES"),
        ("MALL_LOGLEVEL", "MALL_LOG_LEVEL"),
        ("mall_prot", "MALL_PORT"),
    ],
)
def test_unknown_variable_is_refused_with_the_nearest_known_name(given: str, meant: str) -> None:
    with pytest.raises(
        SettingsError, match=f"^{given.upper()}: there is no such setting; did you mean {meant}"
    ):
        load_settings({given: "1"})


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"MALL_PROT": "80", "MALL_QQQQ": "", "MALL_PORT": "eighty", "OTHER_PROGRAM": "x"})
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "MALL_PROT",
        "MALL_QQQQ",
        "MALL_PORT",
    ]


def test_variables_of_the_embedded_programs_are_known_and_told() -> None:
    assert load_settings({"MALL_POSTGRES_BIN": "/x", "MALL_REDIS_SERVER": "/y"}).embedded
    assert "MALL_POSTGRES_BIN" in describe()


def test_no_variable_is_read_that_would_be_refused() -> None:
    """Whatever the program reads from the environment is a setting, or the start would refuse it."""
    root = Path(__file__).resolve().parents[3]
    rooms = ("config", "actors", "storage", "dispatch", "api")
    texts = [path.read_text() for room in rooms for path in (root / room).rglob("*.py")]
    read = {name for text in texts for name in re.findall(r"environ(?:\.get\(|\[)\"(MALL_[A-Z_]+)\"", text)}
    assert read == {"MALL_POSTGRES_BIN", "MALL_REDIS_SERVER"}
    for path in (root / "Dockerfile", root / "compose.yaml"):
        named = set(re.findall(r"\b(MALL_[A-Z0-9_]+)\b", path.read_text()))
        named = {name for name in named if not name.endswith("_IMAGE")}  # of compose itself
        assert named <= {str(field.alias) for field in Settings.model_fields.values()}


def test_disk_is_looked_at_where_a_data_folder_is_kept(tmp_path: Path) -> None:
    outside = {**OUTSIDE, "MALL_DATA_DIR": str(tmp_path)}
    assert load_settings({}).keeps_data
    assert load_settings(outside).keeps_data
    assert not load_settings(OUTSIDE).keeps_data
    assert not load_settings({**outside, "MALL_DATA_DIR": str(tmp_path / "none")}).keeps_data
