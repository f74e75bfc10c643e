"""An instance in the test's own process. Each file starts it, with a Postgres database of its own.

Here a handler can be made to fail, a constant changed, and memory looked into. Everything else is as in production.

Map:
conftest.py                the fixture `server`
in_process_server.py       InProcessServer: requests, and what a test places in the mall
test_problem_catalogue.py  every problem comes about once, and looks as the catalogue says
test_contract_traffic.py   the traffic of a day against the documents
test_accounts_races.py     logins and changes while the account changes
test_left_behind.py        what ended connections leave in memory
test_silent_sockets.py     sockets that say nothing
test_notices.py            profiles, preferences, password resets by mail, the sandbox
test_docs_page.py          the page of the documents
"""
