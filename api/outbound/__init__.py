"""Mail and SMS: senders behind the ports of dispatch/notices/, and the templates.

Map:
mail.py       mail by SMTP
sms.py        SMS over HTTP
opening.py    the senders that the settings name
rendering.py  templates in each language, money and times as written there
"""
