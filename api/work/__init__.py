"""Worker process: runs background jobs and the relay, apart from the instances. `python run.py work`

It needs Postgres and neither Redis nor an instance, so it also runs on hosts of its own.

Map:
work_command.py  `run.py work`
process.py       starts and ends all parts
work_services.py what tasks may use
tasks.py         the table of all tasks and schedules
step_file.py     which job's code runs, for the next process if this one is killed
observers.py     log lines and metrics of attempts; gauges of the backlog
zone_gauges.py   open orders and online drivers by zone, for the metrics
ops_app.py       the operators' port of a worker: metrics, health
"""
