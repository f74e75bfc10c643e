"""Tests of api/ without a server.

Map:
test_feed_state.py       the rules of a feed session, without I/O
test_garbage.py          when the garbage collector runs
test_hindrances.py       what a start says is missing
test_machine_answers.py  the ops address of a machine: what it reads of the answers of its instances
test_ops_hosts.py        host names of the ops port, and metrics of several instances as one text
test_jobs_page.py        the page of background work
test_step_file.py        the file in which a worker leaves its last step
test_status.py           the cluster's status, from answers that come or do not
test_track_page.py       the page of a share link: its size, its words
test_storable.py         whatever a request model accepts, a column can hold
test_transport.py        the server protocol on a transport in memory
test_transport_prompt.py  requests that are answered without a task
test_version_1.py        parts of version 1 that no real server shows
"""
