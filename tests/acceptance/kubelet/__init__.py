"""A small kubelet: the manifests of `config/deploy/k8s`, played with real processes on this machine.

It stands in for what Kubernetes does to the program, and for nothing else: init containers, the three probes, restarts,
preStop, SIGTERM, grace, SIGKILL, and a Deployment's rolling update. A pod's address is one of 127.0.0.0/8, so its ports
are those of the manifest. No image, no network policy, no API server.

Map:
template.py      what a Deployment says about its pods
pod.py           a pod's life: containers, probes, end
deployment.py    as many pods as wanted, and a rolling update
balancer.py      connections go to the ready pod that has the fewest
cluster.py       all of that over a Postgres and a Valkey, for the clients of the load tests
test_rolling.py  a rolling update under load
test_upgrade.py  a rolling update from the previous release, whose database is migrated meanwhile
test_probes.py   an outage of Redis restarts nothing; a process that hangs is restarted
"""
