"""The compose file and the Dockerfile say what they mean to: they cannot run here, so what can be read is checked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import __version__
from app.__main__ import parser
from app.settings import Settings
from sandbox.compose import settings_file
from tests.conventions.files import ROOT, files_with, named

KNOWN_KEYS = {
    "build", "cap_drop", "command", "depends_on", "env_file", "environment", "healthcheck", "image", "logging",
    "mem_limit", "networks", "pids_limit", "ports", "profiles", "read_only", "restart", "security_opt", "shm_size",
    "stop_grace_period", "stop_signal", "tmpfs", "volumes",
}  # fmt: skip
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_services_are_those_of_the_product_and_demo_adds_the_sandbox(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert {name for name, service in services.items() if not service.get("profiles")} == {
        "db",
        "migrate",
        "web",
        "worker",
    }
    assert {name for name, service in services.items() if service.get("profiles") == ["demo"]} == {"sandbox"}


def test_every_key_is_one_that_compose_knows(compose: dict[str, Any]) -> None:
    assert set(compose) <= {"name", "services", "volumes", "x-product"}
    for name, service in compose["services"].items():
        assert set(service) <= KNOWN_KEYS, name
        assert "image" in service, name


def test_what_services_refer_to_is_there(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for other, how in service.get("depends_on", {}).items():
            assert other in compose["services"], f"{name} waits for {other}"
            assert how["condition"] in CONDITIONS
            if how["condition"] == "service_healthy":
                assert "healthcheck" in compose["services"][other]
        volumes = {volume.split(":")[0] for volume in service.get("volumes", [])}
        assert volumes <= set(compose["volumes"])


def test_commands_are_commands_of_the_product(compose: dict[str, Any]) -> None:
    for name in ("migrate", "web", "worker"):
        assert parser().parse_args(compose["services"][name]["command"]).command == name


def test_nothing_is_published_beyond_this_machine(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert "ports" not in compose["services"]["db"]


def test_every_variable_is_explained_in_the_example(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{([A-Z_]+)", text))
    assert asked
    assert all(re.search(rf"^#?{name}=", example, re.MULTILINE) for name in asked)


def test_a_password_of_any_letters_reaches_the_database(compose: dict[str, Any]) -> None:
    """It stands beside the address, where nothing has to be encoded; libpq reads it from there."""
    for name in ("migrate", "web", "worker"):
        environment = compose["services"][name]["environment"]
        assert "PASSWORD" not in environment["DATABASE_URL"]
        assert environment["PGPASSWORD"] == "${POSTGRES_PASSWORD:-}"


def test_a_missing_password_stops_compose_with_a_sentence(compose: dict[str, Any]) -> None:
    assert compose["services"]["db"]["environment"]["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?Set ")


def test_every_service_has_a_memory_limit_and_logs_that_end(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name


def test_every_process_of_the_product_is_asked_for_its_health(compose: dict[str, Any]) -> None:
    for name in ("web", "worker"):
        _, *command = compose["services"][name]["healthcheck"]["test"]
        assert command[:3] == ["python", "-m", "app"]
        assert parser().parse_args(command[3:]).command == "healthy"
    assert compose["services"]["migrate"]["healthcheck"] == {"disable": True}


def test_base_images_name_their_debian_release(compose: dict[str, Any], dockerfile: str) -> None:
    bases = [*re.findall(r"^ARG \w+_IMAGE=(\S+)", dockerfile, re.MULTILINE), database_image(compose)]
    assert len(bases) == 3
    assert all(re.fullmatch(r"[a-z]+:\d+(\.\d+)*-.*(bookworm|trixie).*", base) for base in bases)


def database_image(compose: dict[str, Any]) -> str:
    """The image of the database unless another one is chosen."""
    found = re.fullmatch(r"\$\{POSTGRES_IMAGE:-(\S+)\}", compose["services"]["db"]["image"])
    assert found, "the image can be chosen, for instance by digest"
    return found[1]


def test_every_base_image_can_be_chosen_by_digest_and_the_files_say_how(
    compose: dict[str, Any], dockerfile: str
) -> None:
    defaults = dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)", dockerfile, re.MULTILINE))
    defaults["POSTGRES_IMAGE"] = database_image(compose)
    assert set(defaults) == {"PYTHON_IMAGE", "NODE_IMAGE", "POSTGRES_IMAGE"}
    explained = "\n".join(re.findall(r"^#.*", dockerfile, re.MULTILINE))
    assert all(f"{name}={image}@sha256:…" in explained for name, image in defaults.items())
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert f"POSTGRES_IMAGE={defaults['POSTGRES_IMAGE']}@sha256:…" in text
    assert f"#POSTGRES_IMAGE={defaults['POSTGRES_IMAGE']}\n" in example


def test_demo_settings_fit_the_compose_file(compose: dict[str, Any]) -> None:
    """`python -m sandbox env` names the alias and the ports that compose gives the sandbox."""
    given = dict(line.split("=", 1) for line in settings_file().splitlines())
    alias = compose["services"]["sandbox"]["networks"]["default"]["aliases"][0]
    ports = [port.rsplit(":", 1)[1] for port in compose["services"]["sandbox"]["ports"]]
    assert given["SERVICENOW_ALLOWED_ORIGINS"] == f"http://{alias}:{ports[0]}"
    assert given["ENTRA_AUTHORITY"] == given["GRAPH_URL"] == f"http://{alias}:{ports[1]}"
    settings = Settings(_env_file=None, **{name.lower(): value for name, value in given.items()})  # type: ignore[arg-type]
    assert settings.public_url == "http://localhost:8000"
    assert settings_file() != settings_file(), "each call makes new secrets"


def test_everything_the_image_copies_is_there(dockerfile: str) -> None:
    sources = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert sources
    tracked = {named(path) for path in files_with("")}
    for source in sources:
        name = source.removeprefix("./")
        assert name in tracked or any(path.startswith(f"{name}/") for path in tracked), f"{name} is not in git"


def test_the_image_runs_without_root_and_from_the_lock(dockerfile: str) -> None:
    stages = re.split(r"^FROM ", dockerfile, flags=re.MULTILINE)[1:]
    product = next(stage for stage in stages if " AS product" in stage.splitlines()[0])
    assert "--require-hashes -r requirements.lock" in product
    assert [stage.splitlines()[0] for stage in stages] == [
        "${NODE_IMAGE} AS static",
        "${PYTHON_IMAGE} AS product",
        "product AS demo",
        "product",
    ]


def test_the_image_names_its_user_by_number_and_brings_no_installer(dockerfile: str) -> None:
    """Kubernetes' runAsNonRoot refuses a name; volumes need a group that is the same everywhere."""
    users = re.findall(r"^USER (\S+)", dockerfile, re.MULTILINE)
    assert users == ["10001:10001", "root", "10001:10001"]
    assert "--gid 10001" in dockerfile
    assert "pip uninstall --yes pip" in dockerfile
    assert "HEALTHCHECK --interval" in dockerfile


def test_the_image_says_what_it_is(dockerfile: str) -> None:
    """Of the pre-defined keys: https://github.com/opencontainers/image-spec/blob/main/annotations.md"""
    instruction = re.search(r"^LABEL ((?:.*\\\n)*.*)", dockerfile, re.MULTILINE)
    assert instruction
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', instruction[1]))
    assert set(labels) >= {"title", "version", "revision", "licenses"}
    assert labels["title"] == "Security center with a ServiceNow connector"
    assert (labels["version"], labels["revision"], labels["licenses"]) == ("${VERSION}", "${REVISION}", "Apache-2.0")
    product = dockerfile[dockerfile.index(" AS product") :]
    given = dict(re.findall(r"^ARG (VERSION|REVISION)=(\S+)", product[: product.index("LABEL ")], re.MULTILINE))
    assert given == {"VERSION": __version__, "REVISION": "unknown"}, (
        "an ARG counts only in its own stage, and from there on"
    )


def test_the_image_leaves_local_files_out() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".env", ".git", ".venv", "var", "node_modules"} <= set(ignored)


def test_ci_file_can_be_run() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert Path(script).read_text(encoding="utf-8").startswith("#!")


def test_secrets_as_files_replace_every_secret_of_the_compose_file(compose: dict[str, Any]) -> None:
    override = yaml.safe_load((ROOT / "deploy/compose.secrets.yml").read_text(encoding="utf-8"))
    assert set(override["services"]) <= set(compose["services"])
    files = {f"/run/secrets/{name}" for name in override["secrets"]}
    for name, service in override["services"].items():
        given = {key: value for key, value in service["environment"].items() if value}
        assert all(key.endswith("_FILE") and value in files for key, value in given.items()), name
        assert {value.rsplit("/", 1)[1] for value in given.values()} == set(service["secrets"]), name


@pytest.mark.parametrize("part", ["web", "worker"])
def test_units_of_systemd_run_the_product_with_its_settings(part: str) -> None:
    unit = (ROOT / f"deploy/systemd/security-center-{part}.service").read_text(encoding="utf-8")
    assert f"-m app {part}\n" in unit
    loaded = dict(re.findall(r"^LoadCredential=(\w+):(\S+)$", unit, re.MULTILINE))
    given = dict(re.findall(r"^Environment=(\w+)=%d/(\w+)$", unit, re.MULTILINE))
    assert set(given.values()) == set(loaded)
    assert {name.removesuffix("_FILE").lower() for name in given} <= set(Settings.model_fields)


def kubernetes() -> list[dict[str, Any]]:
    text = (ROOT / "deploy/kubernetes/security-center.yaml").read_text(encoding="utf-8")
    return list(yaml.safe_load_all(text))


def test_pods_run_commands_of_the_product_as_an_unprivileged_user() -> None:
    pods = [one["spec"]["template"]["spec"] for one in kubernetes() if one["kind"] in {"Deployment", "Job"}]
    assert len(pods) == 3
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == 10001
        (container,) = pod["containers"]
        assert parser().parse_args(container["args"]).command == container["name"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert "memory" in container["resources"]["limits"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_the_settings_of_the_pods_are_settings() -> None:
    (settings,) = [one["data"] for one in kubernetes() if one["kind"] == "ConfigMap"]
    known = {name.upper() for name in Settings.model_fields}
    assert {name.removesuffix("_FILE") for name in settings} <= known


def test_probes_ask_ports_that_the_containers_have() -> None:
    for one in kubernetes():
        if one["kind"] != "Deployment":
            continue
        (container,) = one["spec"]["template"]["spec"]["containers"]
        ports = {port["name"] for port in container["ports"]}
        for probe in ("readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"]["port"] in ports
            assert container[probe]["timeoutSeconds"] >= 5
