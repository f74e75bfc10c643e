"""What every manifest has to keep. A policy returns what is broken, in words; nothing means that it is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from config.settings import Settings
from config.version import VERSION
from tests.house.deploy.manifests import Manifest, containers, of_kind, pod_of, settings_of

# The program's own promise: an instance is gone after 15 s, a worker after 12.
GONE_S = 15
# A container's ports, and the settings that say which they are.
PORTS = {"http": "port", "ops": "ops_port", "peers": "peer_port"}
MONITORING = "monitoring"
SECRET = "mall-secrets"

Policy = Callable[[Sequence[Manifest]], list[str]]


def _deployments(objects: Sequence[Manifest]) -> list[Manifest]:
    return of_kind(objects, "Deployment")


def _serving(objects: Sequence[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """The containers that stay, by name."""
    for deployment in _deployments(objects):
        for container in pod_of(deployment)["containers"]:
            yield deployment["metadata"]["name"], container


def probes(objects: Sequence[Manifest]) -> list[str]:
    """Start and life ask for the process alone; readiness asks for more, and is asked more often than life."""
    broken = []
    for name, container in _serving(objects):
        asked: dict[str, Manifest] = {
            kind: container.get(f"{kind}Probe", {}) for kind in ("startup", "liveness", "readiness")
        }
        missing = [kind for kind, probe in asked.items() if not probe]
        if missing:
            broken.append(f"{name}: no probe of {', '.join(missing)}")
            continue
        paths = {kind: probe["httpGet"]["path"] for kind, probe in asked.items()}
        wanted = {
            "startup": "/health/liveness", "liveness": "/health/liveness", "readiness": "/health/readiness",
        }  # fmt: skip
        broken += [f"{name}: {kind} asks {paths[kind]}" for kind in paths if paths[kind] != wanted[kind]]
        broken += [
            f"{name}: {kind} at port {probe['httpGet']['port']}"
            for kind, probe in asked.items()
            if probe["httpGet"]["port"] != "ops"
        ]
        start_s = asked["startup"]["periodSeconds"] * asked["startup"]["failureThreshold"]
        if start_s < 60:  # it waits 30 s for Postgres and 10 s for Redis before it opens its ports
            broken.append(f"{name}: a start has {start_s} s")
        if asked["liveness"]["failureThreshold"] < 3:
            broken.append(f"{name}: one late answer would restart it")
    return broken


def endings(objects: Sequence[Manifest]) -> list[str]:
    """The grace covers the pause before SIGTERM and what the program needs; instances have the pause."""
    broken = []
    for deployment in _deployments(objects):
        name, pod = deployment["metadata"]["name"], pod_of(deployment)
        for container in pod["containers"]:
            pause_s = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            if "serve" in container["args"] and pause_s < 3:
                broken.append(f"{name}: ends before balancers know")
            if pod.get("terminationGracePeriodSeconds", 30) < pause_s + GONE_S + 5:
                broken.append(f"{name}: killed while it drains")
        rolling = deployment["spec"]["strategy"].get("rollingUpdate", {})
        if rolling != {"maxSurge": 1, "maxUnavailable": 0}:
            broken.append(f"{name}: updates by {rolling}")
    return broken


def limits(objects: Sequence[Manifest]) -> list[str]:
    """Each container asks for processor and memory, and has a limit of memory; none of the processor."""
    broken = []
    for deployment in _deployments(objects):
        for container in containers(deployment):
            name = f"{deployment['metadata']['name']}/{container['name']}"
            given = container.get("resources", {})
            if set(given.get("requests", {})) != {"cpu", "memory"}:
                broken.append(f"{name}: asks for {sorted(given.get('requests', {}))}")
            if set(given.get("limits", {})) != {"memory"}:
                broken.append(f"{name}: limits of {sorted(given.get('limits', {}))}")
    return broken


def images(objects: Sequence[Manifest]) -> list[str]:
    """Each image has a digest, or the tag of this version."""
    return [
        f"{container['name']}: image {container['image']}"
        for deployment in _deployments(objects)
        for container in containers(deployment)
        if "@sha256:" not in container["image"] and not container["image"].endswith(f":{VERSION}")
    ]


def restricted(objects: Sequence[Manifest]) -> list[str]:
    """The profile `restricted` of Kubernetes, a root that is read-only, and no token."""
    broken = []
    for deployment in _deployments(objects):
        name, pod = deployment["metadata"]["name"], pod_of(deployment)
        context = pod.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            broken.append(f"{name}: may run as root")
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            broken.append(f"{name}: no seccomp profile")
        if pod.get("automountServiceAccountToken") is not False:
            broken.append(f"{name}: has a token")
        broken += [f"{name}: {key}" for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
        broken += [f"{name}: a folder of the host" for v in pod.get("volumes", []) if "hostPath" in v]
        for container in containers(deployment):
            own = container.get("securityContext", {})
            wanted = {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }  # fmt: skip
            if own != wanted:
                broken.append(f"{name}/{container['name']}: {own}")
    accounts = of_kind(objects, "ServiceAccount")
    broken += [
        "the account has a token" for a in accounts if a.get("automountServiceAccountToken") is not False
    ]
    spaces = of_kind(objects, "Namespace")
    if [s["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") for s in spaces] != ["restricted"]:
        broken.append("the namespace does not enforce `restricted`")
    return broken


def known_settings(objects: Sequence[Manifest]) -> list[str]:
    """Each variable is a setting of the program, and what ConfigMaps say is valid."""
    aliases = {str(field.alias) for field in Settings.model_fields.values()}
    broken = []
    for deployment in _deployments(objects):
        for container in containers(deployment):
            given = settings_of(objects, container)
            names = [*given, *(entry["name"] for entry in container.get("env", []))]
            broken += [f"{container['name']}: {name} is no setting" for name in names if name not in aliases]
            broken += [f"{container['name']}: {name} twice" for name in set(names) if names.count(name) > 1]
            try:
                Settings.model_validate({k: v for k, v in given.items() if k in aliases})
            except ValueError as error:
                broken.append(f"{container['name']}: {error}")
    return broken


def secrets(objects: Sequence[Manifest]) -> list[str]:
    """Secrets come from one secret under the names of the settings, and stand in no manifest."""
    broken = [f"a secret in the manifests: {s['metadata']['name']}" for s in of_kind(objects, "Secret")]
    for deployment in _deployments(objects):
        for container in containers(deployment):
            for entry in container.get("env", []):
                source = entry.get("valueFrom", {})
                key = source.get("secretKeyRef", {})
                if key and (key["name"], key["key"]) != (SECRET, entry["name"]):
                    broken.append(f"{container['name']}: {entry['name']} from {key['name']}/{key['key']}")
                if "value" in entry:
                    broken.append(f"{container['name']}: {entry['name']} stands in the Deployment")
            private = (
                "DATABASE_URL",
                "REDIS_URL",
                "MALL_ADMIN_PASSWORD",
                "MALL_GATEWAY_KEY",
                "MALL_SMTP_URL",
                "MALL_SMS_KEY",
            )
            given = settings_of(objects, container)
            broken += [f"{name} is in a ConfigMap" for name in private if name in given]
            if container["args"] != ["serve"] and any(
                entry["name"] == "MALL_ADMIN_PASSWORD" for entry in container.get("env", [])
            ):
                broken.append(f"{container['name']}: knows the administrator's password and needs it not")
    return broken


def ports(objects: Sequence[Manifest]) -> list[str]:
    """A container's ports are those that its settings say, and services and policies name them."""
    broken = []
    names: set[str] = set()
    for name, container in _serving(objects):
        given = settings_of(objects, container)
        settings = Settings.model_validate(given)
        for port in container["ports"]:
            names.add(port["name"])
            wanted = getattr(settings, PORTS[port["name"]])
            if port["containerPort"] != wanted:
                broken.append(f"{name}: {port['name']} is {port['containerPort']}, the setting says {wanted}")
    for service in of_kind(objects, "Service"):
        broken += [
            f"service {service['metadata']['name']}: no port {port['targetPort']}"
            for port in service["spec"]["ports"]
            if port["targetPort"] not in names
        ]
    public = [
        s["metadata"]["name"] for s in of_kind(objects, "Service") if s["spec"].get("clusterIP") != "None"
    ]
    for service in of_kind(objects, "Service"):
        if service["metadata"]["name"] in public and any(
            port["targetPort"] != "http" for port in service["spec"]["ports"]
        ):
            broken.append(f"service {service['metadata']['name']}: the operators' port is public")
    return broken


def selectors(objects: Sequence[Manifest]) -> list[str]:
    """Each selector finds pods: a budget or a policy that finds none protects nothing."""
    labels = [d["spec"]["template"]["metadata"]["labels"] for d in _deployments(objects)]
    wanted: list[tuple[str, Manifest]] = []
    for thing in objects:
        name, spec = f"{thing['kind']} {thing['metadata']['name']}", thing.get("spec", {})
        if thing["kind"] in ("Deployment", "PodDisruptionBudget", "PodMonitor"):
            wanted.append((name, spec["selector"]["matchLabels"]))
        elif thing["kind"] == "Service":
            wanted.append((name, spec["selector"]))
        elif thing["kind"] == "NetworkPolicy":
            wanted.append((name, spec["podSelector"].get("matchLabels", {})))
    for deployment in _deployments(objects):
        for spread in pod_of(deployment)["topologySpreadConstraints"]:
            wanted.append(
                (f"spread of {deployment['metadata']['name']}", spread["labelSelector"]["matchLabels"])
            )
    return [
        f"{name}: selects no pod"
        for name, selector in wanted
        if not any(selector.items() <= own.items() for own in labels)
    ]


def disruptions(objects: Sequence[Manifest]) -> list[str]:
    """Each Deployment has a budget that lets nodes be emptied, and is spread over hosts."""
    budgets = {b["metadata"]["name"]: b["spec"] for b in of_kind(objects, "PodDisruptionBudget")}
    broken = []
    for deployment in _deployments(objects):
        name = deployment["metadata"]["name"]
        budget = budgets.get(name, {})
        if budget.get("maxUnavailable") != 1 or budget.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            broken.append(f"{name}: budget {budget}")
        if budget.get("selector") != deployment["spec"]["selector"]:
            broken.append(f"{name}: the budget is of other pods")
        keys = [spread["topologyKey"] for spread in pod_of(deployment)["topologySpreadConstraints"]]
        if "kubernetes.io/hostname" not in keys:
            broken.append(f"{name}: not spread over hosts")
    return broken


def scaling(objects: Sequence[Manifest]) -> list[str]:
    """A Deployment has its number from itself or from an autoscaler, never from both."""
    scaled = {
        h["spec"]["scaleTargetRef"]["name"]: h["spec"] for h in of_kind(objects, "HorizontalPodAutoscaler")
    }
    broken = []
    for deployment in _deployments(objects):
        name = deployment["metadata"]["name"]
        if (name in scaled) == ("replicas" in deployment["spec"]):
            broken.append(f"{name}: its number is said twice or never")
    for name, spec in scaled.items():
        down = spec["behavior"]["scaleDown"]
        if down["stabilizationWindowSeconds"] < 300 or down["policies"][0]["value"] != 1:
            broken.append(f"{name}: goes down too fast for drivers and shards")
    return broken


def closed(objects: Sequence[Manifest]) -> list[str]:
    """Everything is closed, then opened: the operators' port to the monitoring, the peers' port to instances."""
    policies = {p["metadata"]["name"]: p["spec"] for p in of_kind(objects, "NetworkPolicy")}
    broken = []
    if policies.get("closed") != {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}:
        broken.append("traffic that no policy names is let through")
    for name, spec in policies.items():
        for rule in spec.get("ingress", []):
            opened = {port["port"] for port in rule.get("ports", [])}
            if not opened:
                broken.append(f"{name}: every port is open")
            if "ops" in opened and rule.get("from") != [
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": MONITORING}}}
            ]:
                broken.append(f"{name}: the operators' port is open to {rule.get('from', 'everybody')}")
            if "peers" in opened and [list(source) for source in rule.get("from", [])] != [["podSelector"]]:
                broken.append(f"{name}: the peers' port is open to {rule.get('from', 'everybody')}")
    return broken


POLICIES: tuple[Policy, ...] = (
    probes, endings, limits, images, restricted, known_settings, secrets, ports, selectors, disruptions, scaling,
    closed,
)  # fmt: skip
