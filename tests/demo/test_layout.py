import pytest

from deploy.demo.layout import ROOT, Trouble, read, surroundings


def test_defaults_are_the_documented_ones():
    layout = read({})

    assert (layout.base_url, layout.sandbox_url) == ("http://127.0.0.1:8000", "http://127.0.0.1:8001")
    assert layout.var == ROOT / "var"


def test_the_environment_moves_everything(tmp_path):
    layout = read({
        "PAYCENTER_PORT": "9001", "PAYCENTER_SANDBOX_PORT": "9002", "PAYCENTER_VAR": str(tmp_path),
        "DATABASE_URL": "postgres://x", "CELERY_BROKER_URL": "amqp://y", "REDIS_URL": "redis://z",
    })  # fmt: skip

    assert (layout.port, layout.sandbox_port, layout.var) == (9001, 9002, tmp_path)
    assert layout.document == tmp_path / "demo.json"
    assert (layout.database_url, layout.broker_url, layout.redis_url) == ("postgres://x", "amqp://y", "redis://z")


def test_a_relative_directory_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert read({"PAYCENTER_VAR": "here"}).document == tmp_path / "here" / "demo.json"


@pytest.mark.parametrize("port", ["0", "65536", "-1", "eighty", "８０００", "8000.0", " "])
def test_an_unusable_port_is_named(port):
    with pytest.raises(Trouble, match=r"PAYCENTER_SANDBOX_PORT.*from 1 to 65535"):
        read({"PAYCENTER_SANDBOX_PORT": port})


def test_the_two_ports_must_differ():
    with pytest.raises(Trouble, match="are the same"):
        read({"PAYCENTER_PORT": "9000", "PAYCENTER_SANDBOX_PORT": "9000"})


def test_programs_see_the_demo_whatever_the_shell_had_set(tmp_path):
    layout = read({"PAYCENTER_VAR": str(tmp_path), "PAYCENTER_PORT": "9001"})

    seen = surroundings(layout, {"CELERY_BROKER_URL": "filesystem://"}, {
        "PATH": "/bin", "PAYCENTER_MODE": "production", "PAYCENTER_ENTRANCE": "public", "DJANGO_SETTINGS_MODULE": "x",
        "PAYCENTER_EGRESS_ALLOWED": "0.0.0.0/0",
    })  # fmt: skip

    assert (seen["PAYCENTER_MODE"], seen["PAYCENTER_ENTRANCE"]) == ("embedded", "all")
    assert seen["DJANGO_SETTINGS_MODULE"] == "paycenter.settings"
    assert seen["PAYCENTER_EGRESS_ALLOWED"] == "127.0.0.0/8,::1/128"
    assert seen["PAYCENTER_PUBLIC_URL"] == "http://127.0.0.1:9001"
    assert (seen["PAYCENTER_VAR"], seen["CELERY_BROKER_URL"], seen["PATH"]) == (str(tmp_path), "filesystem://", "/bin")
