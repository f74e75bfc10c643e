"""What tests of several folders use.

Map:
database_shape.py  everything that a database consists of, for comparison
database_shape.sql  the queries behind it
clocks.py        a clock that the test sets
collector.py     a collector of traces on a real socket; whether a trace is whole, and its picture
spans.py         a tracer that keeps the spans that have ended
letters.py       values for every template of notices
mail_server.py   a real SMTP server on a port of this machine
certificates.py  certificates of a private authority
program.py       commands of run.py, run to their end; logging in
shipping.py      the real log shipper, and a receiver of lines
server_log.py    the error lines of a server's log since the last look
test_server_log.py  tests of it
receiver.py      a receiver of webhooks on a real socket
webhooks.py      a log of events in memory, receivers that do as a test says, senders on a virtual clock
waiting.py       waiting for a condition without sleeping
"""
