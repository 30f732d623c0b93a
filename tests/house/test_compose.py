"""docker-compose.yml and deploy/nginx.conf: safe as written, and our own services run by them.

No container is started. The commands and health checks of our services are run as processes, with container addresses
translated to local ones and a stand-in for MongoDB.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pymongo
import pytest
import yaml

from tests import servers
from tests.house import dockerfile
from tests.house.dockerfile import ROOT, Directive

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
IMAGE = dockerfile.instructions()
PORTS = {"mongo": [27017], "server": [8080], "listener": [2575, 8081]}  # inside the containers
HEALTHY = 20.0  # seconds until a started service must be healthy


def _published(service: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(address, port outside, port inside) of every published port; the address '' when none is given."""
    found = []
    for port in service.get("ports", []):
        assert isinstance(port, str), f"{port}: the short form is used here, quoted"
        *address, outside, inside = port.split(":")
        found.append((":".join(address), outside, inside))
    return found


# --------------------------------------------------------------------------------------------- the file as written
def test_every_port_is_published_on_loopback_only() -> None:
    published = {name: _published(service) for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"gateway", "listener"}
    assert {address for ports in published.values() for address, _, _ in ports} == {"127.0.0.1"}
    assert not any("network_mode" in service for service in SERVICES.values()), "the host's network publishes all ports"
    taken = [outside for ports in published.values() for _, outside, _ in ports]
    assert len(set(taken)) == len(taken)


def test_the_database_has_no_way_out() -> None:
    assert COMPOSE["networks"]["store"]["internal"] is True
    assert SERVICES["mongo"]["networks"] == ["store"]
    assert {name for name, service in SERVICES.items() if "store" in service["networks"]} == {"mongo", "server"}


def test_every_image_is_pinned_to_a_tag() -> None:
    for name, service in SERVICES.items():
        tag = service["image"].rpartition("/")[2].partition(":")[2]
        assert tag not in ("", "latest"), f"{name}: {service['image']}"


def test_every_service_has_a_health_check_and_waits_for_healthy_ones() -> None:
    for name, service in SERVICES.items():
        kind, *command = service["healthcheck"]["test"]
        assert kind == "CMD" and command, name
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES and how["condition"] == "service_healthy", name


def test_our_services_run_without_rights() -> None:
    assert OURS == ["server", "listener"]
    for name in OURS:
        service = SERVICES[name]
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "user" not in service, f"{name}: the image's own user is used"


def test_what_is_mounted_exists() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source, target, *_ = volume.split(":")
            assert target.startswith("/")
            assert (ROOT / source).is_file() if source.startswith(".") else source in COMPOSE["volumes"], volume


def test_the_replica_set_is_the_one_the_server_asks_for() -> None:
    command = SERVICES["mongo"]["command"]
    name = command[command.index("--replSet") + 1]
    health = SERVICES["mongo"]["healthcheck"]["test"][-1]
    store = urlsplit(SERVICES["server"]["environment"]["TIERCARE_STORE"])
    assert re.search(r'rs\.initiate\(\{_id: "(\w+)"', health)[1] == name  # type: ignore[index]
    assert re.search(r'host: "([\w:]+)"', health)[1] == store.netloc == f"mongo:{PORTS['mongo'][0]}"  # type: ignore[index]
    assert parse_qs(store.query)["replicaSet"] == [name]


# ---------------------------------------------------------------------------------------------------- the gateway
@pytest.fixture(scope="module")
def gateway() -> list[Directive]:
    """The directives of the gateway's one `server` block, and of `http` around it."""
    read = dockerfile.nginx((ROOT / "deploy" / "nginx.conf").read_text("utf-8"))
    assert [one.name for one in read if one.block is not None] == ["events", "http"]
    (http,) = (one.block for one in read if one.name == "http")
    assert http is not None
    (server,) = (one.block for one in http if one.name == "server")
    assert server is not None
    return [*http, *server]


def test_the_gateway_passes_requests_to_the_server(gateway: list[Directive]) -> None:
    (upstream,) = (one for one in gateway if one.name == "upstream")
    assert upstream.block is not None
    assert [one.arguments for one in upstream.block if one.name == "server"] == [[f"server:{PORTS['server'][0]}"]]
    locations = {" ".join(one.arguments): one.block for one in gateway if one.name == "location" and one.block}
    passed = {path: one.arguments[0] for path, block in locations.items() for one in block if one.name == "proxy_pass"}
    assert passed == dict.fromkeys(["/fhir", "= /", "= /openapi.json", "= /health"], "http://" + upstream.arguments[0])
    assert [one.arguments for one in locations["/"]] == [["404"]]


def test_the_gateway_listens_where_it_is_published(gateway: list[Directive]) -> None:
    listens = [one.arguments for one in gateway if one.name == "listen"]
    assert [[inside] for _, _, inside in _published(SERVICES["gateway"])] == listens
    address, outside, _ = _published(SERVICES["gateway"])[0]
    assert SERVICES["server"]["environment"]["TIERCARE_BASE_URL"] == f"http://{address}:{outside}/fhir"
    assert SERVICES["gateway"]["healthcheck"]["test"][-1] == f"http://127.0.0.1:{listens[0][0]}/health"


def test_the_gateway_logs_no_search_values(gateway: list[Directive]) -> None:
    (form,) = (one.arguments for one in gateway if one.name == "log_format")
    assert [one.arguments[1] for one in gateway if one.name == "access_log"] == [form[0]]
    used = set(re.findall(r"\$(\w+)", " ".join(form[1:])))
    assert "uri" in used and used.isdisjoint({"request", "request_uri", "args", "query_string", "http_referer"})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("http {\n listen 80;\n", "line 2: the end comes before '}'"),
        ("listen 80", "line 1: the end comes before ';'"),
        ("listen 80;\n}", "line 2: '}' comes without '{'"),
        ("http {\n listen 80 }", "line 2: '}' comes before ';'"),
        ("return '404;", "line 1: a quote without end"),
        ("\n;", "line 2: ';' without a directive"),
    ],
)
def test_a_broken_gateway_configuration_is_noticed(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(fault) + "$"):
        dockerfile.nginx(text)


# ------------------------------------------------------------------------------------------ our services, running
class Stack:
    """Our services as processes: `ports` says where each container port is found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {(name, port): servers.free_port() for name, inside in PORTS.items() for port in inside}

    def translate(self, text: str, service: str) -> str:
        """Container addresses in `text` -> local ones. A port without a service's name is the service's own."""

        def local(found: re.Match[str]) -> str:
            port = self.ports.get((found["name"] or service, int(found["port"])))
            if port is None:
                return found[0]
            return f"127.0.0.1:{port}" if found["name"] else str(port)

        names = "|".join(PORTS)
        text = re.sub(rf"(?:\b(?P<name>{names}):)?\b(?P<port>\d{{4,5}})\b", local, text)
        return text.replace("0.0.0.0", "127.0.0.1")

    def words(self, command: list[str], service: str) -> list[str]:
        """A command inside the container -> one that runs here."""
        places = {
            copy.target: str(ROOT / copy.sources[0]) for copy in dockerfile.copies(IMAGE) if len(copy.sources) == 1
        }
        programs = {"python": sys.executable, "tiercare": str(Path(sys.executable).with_name("tiercare"))}
        programs["/data"] = str(self.folder / f"{service}-data")
        return [programs.get(word) or places.get(word) or self.translate(word, service) for word in command]

    def command(self, service: str) -> list[str]:
        given = SERVICES[service].get("command") or dockerfile.last(IMAGE, "CMD")
        return self.words([*dockerfile.last(IMAGE, "ENTRYPOINT"), *given], service)

    def environment(self, service: str, replica_set: str) -> dict[str, str]:
        given = SERVICES[service].get("environment", {})
        return {
            name: re.sub(r"replicaSet=\w+", f"replicaSet={replica_set}", self.translate(value, service))
            for name, value in given.items()
        }

    @contextmanager
    def database(self) -> Iterator[str]:
        """The stand-in for MongoDB; the name of its replica set."""
        with servers.secantusdb(self.folder / "mongo", port=self.ports["mongo", PORTS["mongo"][0]]) as url:
            with pymongo.MongoClient[Any](url, directConnection=True) as client:
                name = str(client.admin.command("hello")["setName"])
            yield name

    def running(self, service: str, replica_set: str) -> AbstractContextManager[object]:
        """One of our services as a process, from when its first port takes connections."""
        port, log = self.ports[service, PORTS[service][0]], self.folder / f"{service}.log"
        return servers.running(self.command(service), port, log, self.environment(service, replica_set))

    def health(self, service: str) -> subprocess.CompletedProcess[str]:
        """Runs the service's health check once."""
        command = self.words(SERVICES[service]["healthcheck"]["test"][1:], service)
        return subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The database's stand-in, the server and the listener, started in the order of `depends_on`."""
    whole = Stack(tmp_path_factory.mktemp("compose"))
    with ExitStack() as processes:
        replica_set = processes.enter_context(whole.database())
        for name in OURS:
            processes.enter_context(whole.running(name, replica_set))
        yield whole


@pytest.mark.parametrize("service", OURS)
def test_each_of_our_services_runs_by_its_command_and_is_healthy(stack: Stack, service: str) -> None:
    deadline = time.monotonic() + HEALTHY
    done = stack.health(service)
    while done.returncode and time.monotonic() < deadline:
        time.sleep(0.2)
        done = stack.health(service)
    assert (done.returncode, done.stderr) == (0, ""), (stack.folder / f"{service}.log").read_text("utf-8")


@pytest.mark.parametrize("service", OURS)
def test_a_service_that_does_not_run_is_not_healthy(tmp_path: Path, service: str) -> None:
    done = Stack(tmp_path).health(service)
    assert done.returncode == 1 and "does not answer" in done.stderr


@pytest.mark.long  # a server without its database takes its time to stop
def test_a_server_that_lost_its_database_is_not_healthy(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    with ExitStack() as processes:
        with stack.database() as replica_set:
            processes.enter_context(stack.running("server", replica_set))
            assert stack.health("server").returncode == 0
        done = stack.health("server")
        assert done.returncode == 1 and "/health" in done.stderr


def test_a_message_to_the_listener_is_found_on_the_server(stack: Stack) -> None:
    message = (ROOT / "adapters" / "samples" / "hl7v2" / "ADT_A01.hl7").read_bytes()
    number = re.split(rb"[|\r\n]", message)[9]
    with httpx.Client(trust_env=False) as client:
        answer = client.post(
            f"http://127.0.0.1:{stack.ports['listener', 8081]}/hl7v2",
            content=message,
            headers={"Content-Type": "x-application/hl7-v2+er7"},
        )
        assert answer.status_code == 200 and b"MSA|AA|" + number in answer.content, answer.text
        found = client.get(f"http://127.0.0.1:{stack.ports['server', 8080]}/fhir/Patient").json()
    assert found["total"] == 1
    base = stack.environment("server", "")["TIERCARE_BASE_URL"]
    assert found["entry"][0]["fullUrl"].startswith(f"{base}/Patient/")
