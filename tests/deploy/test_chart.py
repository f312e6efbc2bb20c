"""The chart in deploy/helm renders by Helm's own engine into what Kubernetes takes, and starts what compose starts."""

import json
import re
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client

from auditsite import hand_out

helm = pytest.importorskip("helm_python", reason="Helm's engine is packed for no such machine")
kubernetes_validate = pytest.importorskip("kubernetes_validate")

# Helm's engine renders everything for each of them.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "deploy" / "helm" / "auditsite"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
LONG_RUNNING = ("web", "ingest", "worker", "drain", "seal", "stream")
LEAST: dict[str, Any] = {"serverName": "audit.example.com"}
# With every process that compose has.
NAMED = LEAST | {"stream": {"enabled": True}}
PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "clients"}}}
EVERYTHING = NAMED | {
    "allowedHosts": ["audit.internal"],
    "image": {"repository": "registry.example.com/auditsite", "tag": "7", "pullSecrets": ["one", "two"]},
    "settings": {"WRITER_RATE": "1000/s", "SEAL_KEEP_S": 30, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio"},
    "secretSettings": {"EMAIL_URL": {"secret": "mail", "key": "url"}},
    "ingest": {"autoscaling": {"enabled": True}},
    "drain": {"autoscaling": {"enabled": True}},
    "witness": {"enabled": True, "name": "witness.example.org", "logs": ["audit.example.com/audit+1234abcd+AQ=="]},
    "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "tls", "writersName": "ingest.example.com"},
    "networkPolicy": {
        "clients": [PEER],
        "scrapers": [PEER],
        "servers": [PEER],
        "egress": [{"to": [PEER], "ports": [{"port": 443}]}],
    },
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "podAnnotations": {"example.com/team": "audit"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "audit", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca", "readOnly": True}],
}
# Of others than Kubernetes: their schemas are not in its release.
OF_OTHERS = {"monitoring.coreos.com/v1", "keda.sh/v1alpha1"}
KEDA = EVERYTHING | {"drain": {"autoscaling": {"enabled": True, "kind": "keda"}}}
# The oldest that Chart.yaml takes, and the newest of which there is a schema.
VERSIONS = ("1.27", "1.37")


def rendered(values: dict[str, Any]) -> list[dict[str, Any]]:
    """All objects that a release with these values has; its notes left out."""
    return deepcopy(_rendered(json.dumps(values)))


@cache
def _rendered(values: str) -> list[dict[str, Any]]:
    """Once for each values: most tests look at those of every process."""
    with helm.Chart.load(FOLDER) as chart:
        texts = chart.render(json.loads(values), name="audit", namespace="records")
    manifests = [text for name, text in texts.items() if name.endswith(".yaml")]
    # The parser in C: the one in Python takes most of the time of all these tests.
    return [entry for text in manifests for entry in yaml.load_all(text, Loader=yaml.CSafeLoader) if entry]


def named(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """Those of a kind, by their names without the release's."""
    found = {entry["metadata"]["name"]: entry for entry in objects if entry["kind"] == kind}
    return {name.removeprefix("audit-auditsite").removeprefix("-"): entry for name, entry in found.items()}


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The template of each pod, by the process in it."""
    found = named(objects, "Deployment") | named(objects, "Job")
    return {name: entry["spec"]["template"] for name, entry in found.items()}


def container(process: str, values: dict[str, Any] = NAMED) -> dict[str, Any]:
    (only,) = pods(rendered(values))[process]["spec"]["containers"]
    return dict(only)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("values", [LEAST, EVERYTHING, KEDA], ids=["least", "everything", "keda"])
def test_kubernetes_takes_every_object(values: dict[str, Any], version: str) -> None:
    objects = rendered(values)
    assert len(objects) > 15
    for entry in objects:
        if entry["apiVersion"] not in OF_OTHERS:
            kubernetes_validate.validate(entry, version, strict=True)


def test_the_validation_that_the_tests_rely_on_refuses_what_is_wrong() -> None:
    broken = named(rendered(NAMED), "Deployment")["web"]
    broken["spec"]["template"]["spec"]["containers"][0]["livenessProb"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)


def test_helm_has_nothing_to_say_against_it() -> None:
    report = helm.lint(FOLDER, EVERYTHING, strict=True)
    assert report["errors"] == []
    assert [message["error"] for message in report["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({}, "serverName"),
        (NAMED | {"sevrerName": "x"}, "sevrerName"),
        (NAMED | {"settings": {"WRITER_RAT": "1/s"}}, "WRITER_RAT"),
        (NAMED | {"ingest": {"replicas": 0}}, "replicas"),
        (NAMED | {"drain": {"autoscaling": {"kind": "magic"}}}, "kind"),
        (NAMED | {"witness": {"enabled": True, "name": "w"}}, "witness.logs"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(values: dict[str, Any], complaint: str) -> None:
    with helm.Chart.load(FOLDER) as chart, pytest.raises(helm.HelmError, match=re.escape(complaint)):
        chart.validate_schema(chart.merge_values(values))
        chart.render(values, name="audit", namespace="records")


def test_it_knows_the_settings_that_compose_passes_on() -> None:
    with helm.Chart.load(FOLDER) as chart:
        known = chart.schema["definitions"]["setting"]["enum"]
    # Those of OpenTelemetry are taken by their beginning.
    assert set(known) == {name for name in COMPOSE["x-settings"] if not name.startswith("OTEL_")}


def test_it_is_of_the_version_of_the_site() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert version is not None
    assert yaml.safe_load((FOLDER / "Chart.yaml").read_text("utf-8"))["appVersion"] == version[1]


@pytest.mark.parametrize("process", LONG_RUNNING)
def test_each_process_is_started_as_compose_starts_it(process: str) -> None:
    command, there = container(process)["command"], COMPOSE["services"][process]["command"]
    # A pod sees all cores of its node: here the values say how many processes, there the cores do.
    assert [word for word in command if process != "ingest" or word != "--workers=2"] == there


def test_the_migration_does_what_that_of_compose_does() -> None:
    there = COMPOSE["services"]["migrate"]["command"]
    assert container("migrate")["command"] == [*there[:2], there[2].replace("$$", "$")]
    without = container("migrate", NAMED | {"migrate": {"roles": False}})
    assert "auditsite.roles" not in without["command"][2]
    assert "DATABASE_ADMIN_URL_FILE" not in {entry["name"] for entry in without["env"]}


def test_nothing_is_changed_before_the_migration_ended_well() -> None:
    job = named(rendered(NAMED), "Job")["migrate"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    mounted = {entry["name"] for entry in pods(rendered(NAMED))["migrate"]["spec"]["volumes"]}
    claims = {
        entry["metadata"]["name"] for entry in rendered(NAMED) if entry["kind"] in ("PersistentVolumeClaim", "Secret")
    }
    # It comes before all that the chart makes, so it may need nothing of that.
    assert mounted and claims == set()


@pytest.mark.parametrize("process", [*LONG_RUNNING, "migrate"])
def test_each_process_has_the_settings_of_compose(process: str) -> None:
    here = {entry["name"]: entry["value"] for entry in container(process)["env"]}
    assert len(here) == len(container(process)["env"]), "a name stands twice"
    there = {k: v for k, v in COMPOSE["services"][process]["environment"].items() if v is not None}
    here["ALLOWED_HOSTS"] = here["ALLOWED_HOSTS"].partition(",")[0]
    there["ALLOWED_HOSTS"] = there["ALLOWED_HOSTS"].partition(":")[0].replace("${SERVER_NAME", "audit.example.com")
    there["PROXY_HOPS"] = re.sub(r"\$\{\w+:-(\d)\}", r"\1", there["PROXY_HOPS"])
    if process == "migrate":
        there |= {"LOG_ORIGIN": "", "SERVER_NAME": "audit.example.com"}
        # The file counts. Backups of PostgreSQL are its operator's, here.
        there = {k: v for k, v in there.items() if k not in ("DATABASE_OWNER_URL", "DATABASE_BACKUP_URL_FILE")}
    assert here == there


def test_what_is_set_by_name_reaches_every_process() -> None:
    for process in (*LONG_RUNNING, "migrate"):
        env = {entry["name"]: entry for entry in container(process, EVERYTHING)["env"]}
        assert env["SEAL_KEEP_S"]["value"] == "30" and env["WRITER_RATE"]["value"] == "1000/s"
        assert env["EMAIL_URL"]["valueFrom"]["secretKeyRef"] == {"name": "mail", "key": "url"}


@pytest.mark.parametrize("process", [*LONG_RUNNING, "migrate"])
def test_each_process_has_the_folders_of_compose_and_writes_where_it_does(process: str) -> None:
    mounts = {entry["mountPath"]: entry.get("readOnly", False) for entry in container(process)["volumeMounts"]}
    there = [volume.split(":") for volume in COMPOSE["services"][process]["volumes"]]
    wanted = {path: bool(mode) for _, path, *mode in there} | {"/tmp": False, "/tmp/metrics": False}
    assert mounts == wanted


@pytest.mark.parametrize("process", [*LONG_RUNNING, "migrate"])
def test_each_process_reads_the_secrets_that_compose_hands_it(process: str) -> None:
    holder = {"ingest": "web"}.get(process, process)
    volumes = {entry["name"]: entry for entry in pods(rendered(NAMED))[process]["spec"]["volumes"]}
    assert volumes["secrets"]["secret"]["secretName"] == f"auditsite-{holder}"
    facts = container(process)
    text = yaml.dump([facts["env"], facts["command"]])
    read = {name.split("/")[-1] for name in re.findall(r"/run/secrets/\w+(?!\.toml)\b", text)}
    assert read == set(hand_out.HOLDERS[holder].secrets) - {"database_backup_url"} or holder == "backup"


@pytest.mark.parametrize("process", LONG_RUNNING)
def test_each_probe_asks_what_compose_asks(process: str) -> None:
    facts, there = container(process), COMPOSE["services"][process]["healthcheck"]["test"][-1]
    ports = {entry["name"]: entry["containerPort"] for entry in facts["ports"]}
    for probe in ("startupProbe", "livenessProbe"):
        asked = facts[probe]["httpGet"]
        assert f"'http://127.0.0.1:{ports[asked['port']]}{asked['path']}'" in there
        assert "httpHeaders" not in asked
    assert ("readinessProbe" in facts) == (process in ("web", "ingest"))


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize("urls", ["auditsite.urls", "auditsite.ingest_urls"])
def test_a_probe_is_answered_whatever_it_calls_the_host(path: str, urls: str, settings: Any) -> None:
    settings.ALLOWED_HOSTS, settings.ROOT_URLCONF = ["audit.example.com"], urls
    assert Client().get(path, headers={"host": "10.1.2.3:8000"}).status_code == 200
    assert Client().get("/", headers={"host": "10.1.2.3:8000"}).status_code == 400


@pytest.mark.parametrize("process", LONG_RUNNING)
def test_each_has_the_time_to_end_that_compose_gives_it(process: str) -> None:
    spec = pods(rendered(NAMED))[process]["spec"]
    there = int(COMPOSE["services"][process]["stop_grace_period"].removesuffix("s"))
    waits = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    assert spec["terminationGracePeriodSeconds"] == there + int(waits[1])


def test_no_container_has_a_right_that_it_does_not_need() -> None:
    templates = pods(rendered(EVERYTHING))
    assert templates.keys() == {*LONG_RUNNING, "migrate", "witness"}
    for process, template in templates.items():
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False, process
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == hand_out.APP == spec["securityContext"]["fsGroup"]
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["containers"][0]["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert spec["containers"][0]["resources"]["limits"]["memory"]


def labels_hold(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    plain = selector.get("matchLabels", {}).items() <= labels.items()
    return plain and all(labels.get(entry["key"]) in entry["values"] for entry in selector.get("matchExpressions", []))


def test_what_names_something_names_something_that_is_there() -> None:
    objects = rendered(EVERYTHING)
    templates, services = pods(objects), named(objects, "Service")
    for name, service in services.items():
        spec = templates[name]["spec"]["containers"][0]
        assert labels_hold({"matchLabels": service["spec"]["selector"]}, templates[name]["metadata"]["labels"])
        assert service["spec"]["ports"][0]["targetPort"] in {port["name"] for port in spec["ports"]}
    for name, budget in named(objects, "PodDisruptionBudget").items():
        assert labels_hold(budget["spec"]["selector"], templates[name]["metadata"]["labels"])
    for name, scaler in named(objects, "HorizontalPodAutoscaler").items():
        assert scaler["spec"]["scaleTargetRef"]["name"] == f"audit-auditsite-{name}"
        assert "replicas" not in named(objects, "Deployment")[name]["spec"]
    for rule in named(objects, "Ingress")[""]["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            assert path["backend"]["service"]["name"].removeprefix("audit-auditsite-") in services
    monitor = named(objects, "ServiceMonitor")[""]["spec"]
    scraped = {
        name for name, entry in services.items() if labels_hold(monitor["selector"], entry["metadata"]["labels"])
    }
    assert scraped == {*LONG_RUNNING}
    ports = {endpoint["port"] for endpoint in monitor["endpoints"]}
    assert all(services[name]["spec"]["ports"][0]["name"] in ports for name in scraped)


def test_a_drainer_is_added_by_what_waits() -> None:
    external = named(rendered(EVERYTHING), "HorizontalPodAutoscaler")["drain"]["spec"]["metrics"][0]["external"]
    assert external["metric"]["name"] == "dlq_depth"
    keda = named(rendered(KEDA), "ScaledObject")["drain"]["spec"]
    assert keda["triggers"][0]["metadata"]["query"] == 'max(dlq_depth{namespace="records"})'
    assert "drain" not in named(rendered(KEDA), "HorizontalPodAutoscaler")


def test_a_streamer_is_there_where_it_is_asked_for() -> None:
    assert "stream" not in pods(rendered(LEAST))
    spec = pods(rendered(NAMED | {"claims": {"lake": ""}}))["stream"]["spec"]
    assert "lake" not in {entry["name"] for entry in spec["volumes"]}
    assert "/lake" not in {entry["mountPath"] for entry in spec["containers"][0]["volumeMounts"]}


def test_nothing_comes_in_or_goes_out_but_what_a_policy_names() -> None:
    objects = rendered(EVERYTHING)
    policies, templates = named(objects, "NetworkPolicy"), pods(objects)
    for template in templates.values():
        assert labels_hold(policies[""]["spec"]["podSelector"], template["metadata"]["labels"])
    assert policies[""]["spec"]["policyTypes"] == ["Ingress", "Egress"] and "ingress" not in policies[""]["spec"]
    open_to = {
        name: {
            process
            for process, template in templates.items()
            if labels_hold(policies[name]["spec"]["podSelector"], template["metadata"]["labels"])
        }
        for name in ("clients", "scrapers")
    }
    assert open_to == {"clients": {"web", "ingest", "witness"}, "scrapers": {*LONG_RUNNING}}
    assert all(rule["from"] == [PEER] for name in open_to for rule in policies[name]["spec"]["ingress"])


def test_a_witness_can_be_run_by_itself() -> None:
    others = {process: {"enabled": False} for process in (*LONG_RUNNING, "migrate")}
    objects = rendered(others | {"witness": EVERYTHING["witness"]})
    assert pods(objects).keys() == {"witness"} == named(objects, "Service").keys()
    text = yaml.dump(objects)
    assert "/run/secrets" not in text and "keys" not in text


def test_the_notes_name_what_is_there() -> None:
    with helm.Chart.load(FOLDER) as chart:
        texts = chart.render(EVERYTHING, name="audit", namespace="records")
    notes = texts["auditsite/templates/NOTES.txt"]
    there = {entry["metadata"]["name"] for entry in rendered(EVERYTHING)}
    assert set(re.findall(r"(?:deploy|deployment|job)/([\w-]+)", notes)) <= there
    for command in re.findall(r"python manage\.py (\w+)", notes):
        ours = ROOT / "audit" / "management" / "commands" / f"{command}.py"
        assert ours.exists() or command == "check"
