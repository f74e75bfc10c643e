// Shows the documents of the API: OpenAPI for REST, AsyncAPI for the feed. Everything is put in as text, never as
// markup, and nothing is fetched from elsewhere.
"use strict";

const $ = (id) => document.getElementById(id);

const make = (tag, text, name) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
};

// Words between backquotes are code.
const prose = (tag, text) => {
  const element = make(tag);
  text.split("`").forEach((part, index) => element.append(index % 2 ? make("code", part) : part));
  return element;
};

const table = (rows) => {
  const element = make("table");
  for (const row of rows) {
    const line = make("tr");
    for (const cell of row) line.append(cell instanceof Node ? cell : prose("td", cell));
    element.append(line);
  }
  return element;
};

// As much Markdown as the descriptions use: headings, tables, paragraphs.
const markdown = (text) => text.split(/\n\n+/).filter((part) => part.trim()).map((part) => {
  if (part.startsWith("## ")) return make("h3", part.slice(3));
  if (!part.startsWith("|")) return prose("p", part);
  const cells = part.trim().split("\n").map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  return table(cells.filter((row) => !row[0].startsWith("---")));
});

const resolved = (whole, value) => {
  while (value && value.$ref) value = value.$ref.slice(2).split("/").reduce((at, step) => at[step], whole);
  return value;
};

const shape = (whole, schema, depth = 0) => {
  const found = resolved(whole, schema);
  if (!found || depth > 5) return "…";
  const either = found.anyOf || found.oneOf;
  if (either) return either.map((one) => shape(whole, one, depth)).join(" | ");
  if (found.properties) {
    const pad = "  ".repeat(depth + 1);
    const lines = Object.entries(found.properties).map(([name, inner]) => {
      const optional = (found.required || []).includes(name) ? "" : "?";
      return `${pad}${name}${optional}: ${shape(whole, inner, depth + 1)}`;
    });
    return lines.length ? `{\n${lines.join("\n")}\n${"  ".repeat(depth)}}` : "{}";
  }
  if (found.type === "array") return `[${shape(whole, found.items, depth)}]`;
  if (found.const !== undefined) return JSON.stringify(found.const);
  if (found.enum) return found.enum.map((one) => JSON.stringify(one)).join(" | ");
  const bounds = ["format", "minimum", "maximum", "minLength", "maxLength"]
    .filter((name) => found[name] !== undefined).map((name) => `${name} ${found[name]}`);
  return [found.type || "any", ...bounds].join(", ");
};

const json = (value) => make("pre", JSON.stringify(value, null, 2));

const block = (whole, title, schema, examples) => {
  const part = make("div");
  part.append(make("strong", title), make("pre", shape(whole, schema)));
  for (const example of examples) part.append(make("em", "For example"), json(example));
  return part;
};

const examplesOf = (whole, content) =>
  Object.values(content.examples || {}).map((example) => resolved(whole, example).value);

const row = (method, name, about) => {
  const details = make("details");
  const summary = make("summary");
  summary.append(make("span", method, `method ${method.toLowerCase()}`), make("code", name), make("span", about));
  details.append(summary);
  details.dataset.text = `${method} ${name} ${about}`.toLowerCase();
  return details;
};

const answerLine = (whole, status, answer) => {
  const about = make("td");
  const codes = Object.keys(Object.values(answer.content || {})[0]?.examples || {});
  if (status < 400 || !codes.length) about.append(answer.description);
  else for (const code of codes) {
    const link = make("a", code);
    link.href = `/problems/${code}`;
    about.append(link, " ");
  }
  return [status, about, Object.keys(answer.headers || {}).join(", ")];
};

const operation = (whole, method, path, found) => {
  const details = row(method.toUpperCase(), path, found.summary);
  details.append(prose("p", found.description || ""));
  if (found.parameters?.length) {
    details.append(make("strong", "Parameters"), table(found.parameters.map((one) => [
      `${one.in} \`${one.name}\``, one.required ? "required" : "optional", shape(whole, one.schema), one.description || "",
    ])));
  }
  if (found.requestBody) {
    const [[media, content]] = Object.entries(found.requestBody.content);
    const need = found.requestBody.required ? "" : ", may be left out";
    details.append(block(whole, `Body (${media}${need})`, content.schema, examplesOf(whole, content)));
  }
  for (const [status, answer] of Object.entries(found.responses)) {
    const [media, content] = Object.entries(answer.content || {})[0] || [];
    if (content && status < 400)
      details.append(block(whole, `Answer ${status} (${media})`, content.schema, examplesOf(whole, content)));
  }
  details.append(table(Object.entries(found.responses).map(([status, one]) => answerLine(whole, status, one))));
  return details;
};

const showRest = (whole, place) => {
  for (const tag of whole.tags || []) {
    place.append(make("h2", tag.name), make("p", tag.description || ""));
    for (const [path, methods] of Object.entries(whole.paths))
      for (const [method, found] of Object.entries(methods))
        if (found.tags?.includes(tag.name)) place.append(operation(whole, method, path, found));
  }
};

const showFeed = (whole, place) => {
  const words = { receive: ["APP", "What the app says"], send: ["SERVER", "What the server says"] };
  for (const [action, [who, title]] of Object.entries(words)) {
    place.append(make("h2", title));
    for (const found of Object.values(whole.operations).filter((one) => one.action === action)) {
      const message = resolved(whole, found.messages[0]);
      const details = row(who, message.name, "");
      const answers = (found.reply?.messages || []).map((one) => resolved(whole, one).name);
      if (answers.length) details.append(make("p", `Answered with ${answers.join(" or ")}.`));
      details.append(block(whole, "Frame", message.payload, message.examples.map((one) => one.payload)));
      place.append(details);
    }
  }
  for (const channel of Object.values(whole.channels)) {
    place.append(make("h2", "Opening"), prose("p", `\`${channel.address}\` ${channel.description}`));
    place.append(table(channel["x-refusals"].map((one) => [String(one.status), one.code])));
    place.append(make("h2", "Close codes"));
    place.append(table(channel["x-close-codes"].map((one) => [String(one.code), one.reason, one.action])));
  }
};

const show = async (address) => {
  $("state").textContent = "Loading…";
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address} answered ${answer.status}`);
  const whole = await answer.json();
  $("intro").replaceChildren(...markdown(whole.info.description));
  $("parts").replaceChildren();
  (whole.openapi ? showRest : showFeed)(whole, $("parts"));
  $("state").textContent = "";
  filter();
};

const filter = () => {
  const wanted = $("find").value.toLowerCase();
  for (const details of $("parts").querySelectorAll("details"))
    details.hidden = !details.dataset.text.includes(wanted);
};

const choose = () => {
  const listed = document.body.dataset.documents.split(" ");
  const wanted = decodeURIComponent(location.hash.slice(1));
  const address = listed.includes(wanted) ? wanted : listed[0];
  for (const link of $("documents").children)
    link.toggleAttribute("aria-current", link.hash === `#${address}`);
  show(address).catch((error) => { $("state").textContent = `It cannot be shown: ${error.message}`; });
};

for (const address of document.body.dataset.documents.split(" ")) {
  const version = address.match(/\/(v\d+)\//)?.[1] || "";
  const link = make("a", address.endsWith("asyncapi.json") ? "Drivers' feed" : `REST ${version}`);
  link.href = `#${address}`;
  $("documents").append(link);
}
const problems = make("a", "Problems");
problems.href = "/problems";
$("documents").append(problems);
$("find").addEventListener("input", filter);
window.addEventListener("hashchange", choose);
choose();
