"""Admission control: how much a user, an address and all together may ask for.

Map:
admission.py       AdmissionControl: limit policies, requests under way, shedding
login_attempts.py  fair queue for logins, registrations and refreshes per network
client_address.py  address that a request counts for, behind proxies, too
"""
