"""Where a server listens, and what it is called there."""

import socket
from pathlib import Path

import pytest

from project import place


def test_a_taken_port_means_the_next() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < place.free_port(port, "127.0.0.1") < port + place.PORTS_TRIED


def test_ports_end_at_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 65535))
        taken.listen()
        with pytest.raises(OSError, match="all taken"):
            place.free_port(65535, "127.0.0.1")


def test_on_the_network_every_name_of_this_machine_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "network_addresses", lambda: ["192.0.2.7", "198.51.100.7"])
    monkeypatch.setattr(socket, "gethostname", lambda: "Shed.example.org")
    found = place.on_network(8000)
    assert found.url == "http://192.0.2.7:8000"
    assert found.hosts == "198.51.100.7,127.0.0.1,localhost,shed,shed.local"


def test_a_machine_without_network_is_called_by_its_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "network_addresses", list)
    assert place.on_network(8000).url == "http://127.0.0.1:8000"


def test_addresses_of_this_machine_are_no_loopback_ones() -> None:
    assert not [address for address in place.network_addresses() if address.startswith("127.")]


def test_the_place_is_remembered(tmp_path: Path) -> None:
    assert place.kept(tmp_path) is None
    place.local(8123).keep(tmp_path)
    assert place.kept(tmp_path) == place.Place("http://127.0.0.1:8123", "")
    (tmp_path / "place.json").write_text("{")
    assert place.kept(tmp_path) is None


def test_what_the_surroundings_say_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARSHLIGHT_URL", "https://panel.example.org")
    monkeypatch.setenv("MARSHLIGHT_HOSTS", "")
    place.local(8123).put_into_environment()
    assert place.current().url == "https://panel.example.org"


def test_a_server_on_another_database_is_known_by_the_names_of_its_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MARSHLIGHT_HOSTS", "")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hush@h/n")
    place.current().keep(tmp_path)
    known = place.kept(tmp_path)
    assert known is not None
    assert known.missing() == []
    monkeypatch.delenv("DATABASE_URL")
    assert known.missing() == ["DATABASE_URL"]
    assert "hush" not in (tmp_path / "place.json").read_text()
