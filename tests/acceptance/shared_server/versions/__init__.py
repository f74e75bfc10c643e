"""Version 1 of the API beside version 2, on the server of the folder above.

Map:
conftest.py                   the fixture `client`
two_versions.py               a client of both versions
test_versions_negotiation.py  which version answers
test_versions_differences.py  the rows of api/MIGRATION.md
test_versions_equivalence.py  random orders, made in one version and read in the other
test_versions_bad_input.py    malformed input to version 1
test_versions_recorded.py     answers of version 1 against recorded ones
recorded_v1.json              the recorded ones
"""
