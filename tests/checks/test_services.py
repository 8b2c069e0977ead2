"""The private servers of a test run: real ones, gone afterwards."""

import os
import signal
import subprocess

import psycopg
import pytest
import redis as client

from deploy.checks import services


def test_postgresql_is_fresh_private_and_gone_afterwards():
    if services.find_postgres() is None:
        pytest.skip("PostgreSQL is not installed")
    with services.postgres() as url, psycopg.connect(url.replace("postgres://", "postgresql://")) as connection:
        assert "@127.0.0.1:" in url
        question = "SELECT inet_server_addr()::text, current_setting('data_directory')"
        (address, where) = connection.execute(question).fetchone()
        assert address.startswith("127.0.0.1")
        assert os.path.isdir(where)
    assert not os.path.exists(where)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url.replace("postgres://", "postgresql://"), connect_timeout=2)


def test_redis_answers_and_is_gone_afterwards():
    if services.find_redis() is None:
        pytest.skip("Redis is not installed")
    with services.redis() as url:
        assert client.Redis.from_url(url).ping()
    with pytest.raises(client.exceptions.ConnectionError):
        client.Redis.from_url(url).ping()


def test_a_server_that_does_not_start_says_why(tmp_path):
    command = ["sh", "-c", "echo no such luck; exit 1"]
    server = services.Server(command, None, tmp_path / "log", lambda: False, signal.SIGTERM)
    with pytest.raises(services.Unavailable, match="sh did not start: no such luck"):
        server.start()


def test_a_killed_redis_starts_again_and_remembers_nothing():
    if services.find_redis() is None:
        pytest.skip("Redis is not installed")
    with services.redis_server() as (server, url):
        client.Redis.from_url(url).set("known", 1)
        server.kill()
        with pytest.raises(client.exceptions.ConnectionError):
            client.Redis.from_url(url).ping()
        server.start()
        assert client.Redis.from_url(url).get("known") is None


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(services, "find_postgres", lambda: None)
    monkeypatch.setattr(services, "find_redis", lambda: None)

    with pytest.raises(services.Unavailable, match="apt-get install postgresql"), services.postgres():
        pytest.fail("there is none")
    with pytest.raises(services.Unavailable, match="apt-get install redis-server"), services.redis():
        pytest.fail("there is none")


def test_the_command_line_names_itself():
    done = subprocess.run(
        [os.sys.executable, "-m", "deploy.checks", "nonsense"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "usage: python -m deploy.checks lint | test" in done.stderr
