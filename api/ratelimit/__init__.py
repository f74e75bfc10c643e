"""Admission control: limits per user, per address and per instance.

Map:
admission.py       AdmissionControl: limit policies, requests in flight, load shedding
headers.py         RateLimit headers of answers
login_attempts.py  limits of logins, registrations and refreshes per network
client_address.py  client address that a request counts for, also behind proxies
"""
