# mypy: ignore-errors
"""A customer orders by card, pays and looks; a driver comes online, accepts, carries and delivers: with the client that
openapi-python-client has made (package `pyclient`). Says how the order stands at the end.
"""

from __future__ import annotations

import sys
import time
from uuid import uuid4

from pyclient.api.accounts import auth_login
from pyclient.api.drivers import drivers_availability
from pyclient.api.orders import orders_accept, orders_create, orders_delivery, orders_get, orders_pickup
from pyclient.api.payments import payments_create
from pyclient.api.stores import stores_list, stores_products
from pyclient.client import AuthenticatedClient, Client
from pyclient.models import (
    AcceptBody,
    Availability,
    AvailabilityStatus,
    Dropoff,
    Line,
    Login,
    NoBody,
    OrderBody,
    OrderBodyPayment,
    PaymentBody,
)

URL = sys.argv[1]


def logged_in(email: str, password: str) -> AuthenticatedClient:
    tokens = auth_login.sync(client=Client(base_url=URL), body=Login(email=email, password=password))
    return AuthenticatedClient(base_url=URL, token=tokens.access_token)


customer = logged_in("customer@mall.example", "sample-customer")
driver = logged_in("driver@mall.example", "sample-driver")
drivers_availability.sync(client=driver, body=Availability(status=AvailabilityStatus.ONLINE))
[store, *_] = stores_list.sync(client=customer, near="52.520000000000003,13.405", radius_m=5000).items
[product, *_] = stores_products.sync(store.id, client=customer).items
body = OrderBody(
    items=[Line(product_id=product.id, quantity=1)],
    dropoff=Dropoff(lat=store.lat, lon=store.lon, address="Second floor"),
    payment=OrderBodyPayment.CARD,
)
order = orders_create.sync(client=customer, body=body, idempotency_key=str(uuid4()))
paid = payments_create.sync(
    client=customer, body=PaymentBody(order_id=order.id, token="tok_success"), idempotency_key=str(uuid4())
)
assert paid.status == "held", paid
ends_at = time.monotonic() + 60
while True:
    done = orders_accept.sync_detailed(order.id, client=driver, body=AcceptBody())
    if done.status_code == 200:
        break
    assert done.parsed.code in ("not_offered", "order_closed"), done
    assert time.monotonic() < ends_at, done
    time.sleep(0.2)  # it is offered in a moment; this client has no feed
for step in (orders_pickup, orders_delivery):
    done = step.sync_detailed(order.id, client=driver, body=NoBody())
    assert done.status_code == 200, done
print(orders_get.sync(order.id, client=customer).status)
