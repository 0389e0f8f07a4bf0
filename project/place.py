"""Where a started Marshlight listens, and how other machines of this network call it."""

import contextlib
import errno
import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

PORTS_TRIED = 50  # more in a row that are taken are no coincidence


@dataclass(frozen=True)
class Place:
    """Kept in the data directory, so that `./run link` prints the address in use."""

    url: str
    hosts: str
    needs: tuple[
        str, ...
    ] = ()  # variables that chose the database or the key; they may hold secrets, so only their names

    def keep(self, data: Path) -> None:
        (data / "place.json").write_text(json.dumps(asdict(self)))

    def put_into_environment(self) -> None:
        """What the surroundings say already stays."""
        os.environ.setdefault("MARSHLIGHT_URL", self.url)
        os.environ.setdefault("MARSHLIGHT_HOSTS", self.hosts)

    def missing(self) -> list[str]:
        """Variables that were set at the start and are not now: with another database a link would be worth nothing."""
        return [name for name in self.needs if name not in os.environ]


def current() -> Place:
    """As the surroundings have it now."""
    needs = tuple(name for name in ("DATABASE_URL", "SECRET_KEY") if name in os.environ)
    return Place(os.environ["MARSHLIGHT_URL"], os.environ["MARSHLIGHT_HOSTS"], needs)


def kept(data: Path) -> Place | None:
    try:
        read = json.loads((data / "place.json").read_text())
        return Place(str(read["url"]), str(read["hosts"]), tuple(read["needs"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def local(port: int) -> Place:
    return Place(f"http://127.0.0.1:{port}", "")


def on_network(port: int) -> Place:
    """As other machines reach us: by the first address of the network, by all others, and by name."""
    addresses = network_addresses()
    name = socket.gethostname().partition(".")[0].lower()
    names = [*addresses[1:], "127.0.0.1", "localhost", name, f"{name}.local"]
    return Place(f"http://{addresses[0] if addresses else '127.0.0.1'}:{port}", ",".join(names))


def network_addresses() -> list[str]:
    """This machine's IPv4 addresses but loopback; the one that leads outside first."""
    found = []
    # Nothing is sent: connecting a datagram socket only asks the routing table which address would be ours.
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        found.append(str(probe.getsockname()[0]))
    with contextlib.suppress(OSError):
        found += [str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    return [address for address in dict.fromkeys(found) if not address.startswith(("127.", "0."))]


def free_port(wanted: int, host: str) -> int:
    """`wanted`, or the next port that nobody listens on."""
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            try:
                probe.bind((host, port))
                probe.listen()
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                raise
            return port
    raise OSError(f"ports {wanted} to {wanted + PORTS_TRIED - 1} are all taken")
