"""Several instances as one service: what users notice when one dies, leaves, joins or restarts, and what that
costs.

    python -m loadtests.fleet takeover|rolling|scale|redis|forward|race|throughput [--json report.json]

Every run starts Postgres, Valkey and its instances in a folder of its own and ends in one report with limits.

Map:
__main__.py     the command line: a scenario, its size, one report
instances.py    the processes: Postgres, Valkey, instances side by side or under a supervisor
ownership.py    who serves which shard, read from the instances' status pages
setup.py        options, zone, accounts with tokens, and an order in every shard
load.py         a steady rate of reads and commands over all shards
probes.py       asks one order of a shard again and again: when it answers, and how long it did not
reconnecting.py   drivers' phones that reconnect when the server sends them away
takeover.py     kill -9 of one instance after the other: when everything it held answers again
rolling.py      all instances restart, one after the other, under load
scale.py        two instances, four, two again: what moves, and for how long a shard is silent
outage.py       Redis hangs, dies, or forgets everything
forward.py      the same call at the owner and through another instance
race.py         hundreds of drivers on four instances, one order
throughput.py   acceptances per second with one, two and four instances
"""
