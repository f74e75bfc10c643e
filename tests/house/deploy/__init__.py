"""What `config/deploy` holds: manifests, compose files, the contract of log lines.

Map:
manifests.py      overlays of `config/deploy/k8s`, built by the real kustomize
policies.py       what every manifest has to keep, as functions that return what is broken
test_k8s.py       manifests: schemas of three versions, the policies, and planted faults that they find
test_compose_files.py  compose files: read by the real compose, linted, complete
log_events.py     names of log events, collected from the source
test_log_schema.py  the contract of a log line: every event, and no other
test_lnav.py      the format for lnav
test_alive.py     the image's health check
"""
