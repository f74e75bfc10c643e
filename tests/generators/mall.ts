// A customer orders by card, pays and follows; a driver hears of it over the feed, accepts, carries and delivers.
// All requests go through openapi-fetch with the types of openapi-typescript, all frames have the types of Modelina.
import { randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import { WebSocket } from "ws";
import type { components, paths } from "./api.js";
import type { Accept, Availability, Deliver, Hello, PickUp, ServerEvent, ServerReply, ServerWelcome } from "./feed.js";

const url = process.argv[2]!;

const known = <Value>(value: Value | undefined, wrong: unknown): Value => {
  if (value === undefined) throw new Error(JSON.stringify(wrong));
  return value;
};

const as = async (email: string, password: string) => {
  const client = createClient<paths>({ baseUrl: url });
  const { data, error } = await client.POST("/api/v2/auth/login", { body: { email, password } });
  const token = known(data, error).access_token;
  client.use({ onRequest: ({ request }) => { request.headers.set("Authorization", `Bearer ${token}`); } });
  return { client, token };
};

const customer = await as("customer@mall.example", "sample-customer");
const driver = await as("driver@mall.example", "sample-driver");

// The driver's phone.
const socket = new WebSocket(`${url.replace("http", "ws")}/api/v2/drivers/feed`, "malldrive.v1", {
  headers: { Authorization: `Bearer ${driver.token}` },
});
const frames: (ServerEvent | ServerReply | ServerWelcome | { t: "other" })[] = [];
let came = () => {};
socket.on("message", (data) => { frames.push(JSON.parse(String(data))); came(); });
const heard = async <Frame>(fits: (frame: (typeof frames)[number]) => Frame | undefined): Promise<Frame> => {
  for (;;) {
    for (const frame of frames) {
      const found = fits(frame);
      if (found !== undefined) return found;
    }
    await new Promise<void>((resolve) => { came = resolve; });
  }
};
let asked = 0;
const ask = async (frame: Accept | Availability | PickUp | Deliver) => {
  socket.send(JSON.stringify(frame));
  return heard((one) => (one.t === "reply" && one.id === frame.id ? one : undefined));
};
const command = () => ({ id: ++asked, key: randomUUID() });

await new Promise((resolve) => socket.on("open", resolve));
const hello: Hello = { t: "hello", device: "generated" };
socket.send(JSON.stringify(hello));
const welcome = await heard((one) => (one.t === "welcome" ? one : undefined));
if (welcome.limits.frame_bytes < 1024) throw new Error("no limits");
await ask({ t: "availability", ...command(), status: "online" });

// The customer: a list with all defaults sent, a place as it was printed.
const near = await customer.client.GET("/api/v2/stores", {
  params: { query: { near: "52.520000000000003,13.405", radius_m: 5000, active: true, limit: 50 } },
});
const store = known(known(near.data, near.error).items[0], "no store");
const products = await customer.client.GET("/api/v2/stores/{id}/products", { params: { path: { id: store.id } } });
const product = known(known(products.data, products.error).items[0], "no product");
const body: components["schemas"]["OrderBody"] = {
  items: [{ product_id: product.id, quantity: 1 }],
  dropoff: { lat: store.lat, lon: store.lon, address: "Second floor\nleft" },
  payment: "card",
};
const placed = await customer.client.POST("/api/v2/orders", {
  params: { header: { "Idempotency-Key": randomUUID() } }, body,
});
const order = known(placed.data, placed.error);

const ticket = await customer.client.POST("/api/v2/orders/{id}/track/tickets", { params: { path: { id: order.id } } });
const followed = customer.client.GET("/api/v2/orders/{id}/track", {
  params: { path: { id: order.id }, query: { ticket: known(ticket.data, ticket.error).ticket } }, parseAs: "text",
});

const paid = await customer.client.POST("/api/v2/payments", {
  params: { header: { "Idempotency-Key": randomUUID() } }, body: { order_id: order.id, token: "tok_success" },
});
if (known(paid.data, paid.error).status !== "held") throw new Error(JSON.stringify(paid.data));

const offer = await heard((one) => (one.t === "event" && one.type === "offer" && one.data.order_id === order.id ? one : undefined));
await ask({ t: "offer.accept", ...command(), orders: [order.id], offer_id: offer.data.offer_id });
await ask({ t: "order.pickup", ...command(), order_id: order.id });
await ask({ t: "order.delivery", ...command(), order_id: order.id });
socket.close();

const text = known((await followed).data, (await followed).error);
const changes = text.split("\n\n").filter((one) => one.startsWith("event: change"))
  .map((one) => JSON.parse(one.split("data: ")[1]!) as components["schemas"]["OrderChange"]);
const end = await customer.client.GET("/api/v2/orders/{id}", { params: { path: { id: order.id } } });
console.log(JSON.stringify({ status: known(end.data, end.error).status, followed: changes.map((one) => one.status) }));
