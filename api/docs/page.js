// Shows the documents of the API: OpenAPI for REST, AsyncAPI for the feed, what can go wrong, how to come from version 1.
// Everything is put in as text, never as markup, and nothing is fetched from elsewhere. An address such as
// /docs#v2/orders_create leads to one operation, /docs#v2?refund to what is found.
"use strict";

const $ = (id) => document.getElementById(id);

const make = (tag, text, name) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
};

const linkTo = (text, href, name) => {
  const element = make("a", text, name);
  element.href = href;
  return element;
};

// Words between backquotes are code, [words](there) a link, **words** strong.
const prose = (tag, text) => {
  const element = make(tag);
  for (const part of text.split(/(`[^`]+`|\[[^\]]+\]\(\/[^)]*\)|\*\*[^*]+\*\*)/)) {
    const link = part.match(/^\[(.+)\]\((\/.*)\)$/);
    if (link) element.append(linkTo(link[1], link[2]));
    else if (/^`.+`$/.test(part)) element.append(make("code", part.slice(1, -1)));
    else if (/^\*\*.+\*\*$/.test(part)) element.append(make("strong", part.slice(2, -2)));
    else if (part) element.append(part);
  }
  return element;
};

const table = (rows, head) => {
  const element = make("table");
  rows.forEach((row, index) => {
    const line = make("tr");
    const kind = head && index === 0 ? "th" : "td";
    for (const cell of row) line.append(cell instanceof Node ? cell : prose(kind, cell));
    element.append(line);
  });
  const around = make("div", undefined, "table");
  around.append(element);
  return around;
};

const slug = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");

// As much Markdown as the texts use: headings, tables, lists, paragraphs; `at` is where headings are linked to.
const markdown = (text, at) => text.split(/\n\n+/).filter((part) => part.trim()).map((part) => {
  const title = part.match(/^(#+) (.*)/);
  if (title) {
    const heading = make(title[1].length < 2 ? "h2" : "h3", title[2]);
    heading.id = `${at}/${slug(title[2])}`;
    return heading;
  }
  const lines = part.trim().split("\n");
  if (part.startsWith("|")) {
    const cells = lines.map((line) => line.replace(/\\\|/g, "\u0000").split("|").slice(1, -1)
      .map((cell) => cell.trim().replaceAll("\u0000", "|")));
    return table(cells.filter((row) => !row[0].startsWith("---")), true);
  }
  const kind = /^\d+\. /.test(part) ? "ol" : /^- /.test(part) ? "ul" : "";
  if (!kind) return prose("p", lines.join(" "));
  const list = make(kind);
  for (const item of part.trim().split(/\n(?=\d+\. |- )/)) list.append(prose("li", item.replace(/^(\d+\.|-) /, "").replace(/\n\s*/g, " ")));
  return list;
});

const resolved = (whole, value) => {
  while (value && value.$ref) {
    value = value.$ref.slice(2).split("/").reduce((at, step) => at[step.replaceAll("~1", "/").replaceAll("~0", "~")], whole);
  }
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

const sample = (value) => make("pre", typeof value === "string" ? value : JSON.stringify(value, null, 2));

const block = (whole, title, schema, examples) => {
  const part = make("div");
  part.append(make("strong", title), make("pre", shape(whole, schema)));
  for (const example of examples) part.append(make("em", "For example"), sample(example));
  return part;
};

const examplesOf = (whole, content) =>
  Object.values(content.examples || {}).map((example) => resolved(whole, example).value);

// One thing that can be found and linked to: its first line, and what is shown when it is opened.
const entry = (id, method, name, about, words, fill) => {
  const details = make("details");
  details.id = id;
  const summary = make("summary");
  const link = linkTo("#", `#${id}`, "link");
  link.title = "A link to this";
  link.addEventListener("click", (event) => event.stopPropagation());
  const what = make("span", undefined, "what");
  what.append(make("code", name, "name"), make("span", about, "about"));
  summary.append(make("span", method, `method ${method.toLowerCase()}`), what, link);
  details.append(summary);
  details.dataset.title = `${method} ${name} ${about} ${id}`.toLowerCase();
  details.dataset.words = `${details.dataset.title} ${words}`.toLowerCase();
  details.fill = () => { if (details.childElementCount === 1) fill(details); };
  details.addEventListener("toggle", () => {
    if (!details.open) return;
    details.fill();
    if (location.hash !== `#${id}` && details.dataset.quiet === undefined) history.replaceState(null, "", `#${id}`);
    delete details.dataset.quiet;
  });
  return details;
};

const answerLine = (whole, status, answer) => {
  const about = make("td");
  const codes = Object.keys(Object.values(answer.content || {})[0]?.examples || {});
  if (status < 400 || !codes.length) about.append(answer.description);
  else for (const code of codes) about.append(linkTo(code, `#problems/${code}`), " ");
  return [status, about, Object.keys(answer.headers || {}).join(", ")];
};

const fillOperation = (whole, found) => (details) => {
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
  details.append(make("strong", "Answers"), table(Object.entries(found.responses).map(([status, one]) => answerLine(whole, status, one))));
};

const namesIn = (whole, value) => (JSON.stringify(value).match(/"[a-z_]+":/g) || []).join(" ") +
  (value && value.schema && value.schema.$ref ? ` ${JSON.stringify(resolved(whole, value.schema).properties || {})}` : "");

const wordsOf = (whole, found) => [
  found.operationId.replaceAll("_", "."), found.description,
  ...(found.parameters || []).map((one) => one.name),
  ...Object.values(found.requestBody?.content || {}).map((one) => namesIn(whole, one)),
  ...Object.values(found.responses).map((one) => one.description),
].join(" ");

const part = (place, at, title, about) => {
  const heading = make("h2", title);
  heading.id = `${at}/${slug(title)}`;
  place.append(heading);
  if (about) place.append(prose("p", about));
  $("parts-of").append(linkTo(title, `#${heading.id}`));
};

const showRest = (at, whole, place) => {
  for (const tag of whole.tags || []) {
    part(place, at, tag.name, tag.description);
    for (const [path, methods] of Object.entries(whole.paths))
      for (const [method, found] of Object.entries(methods))
        if (found.tags?.includes(tag.name)) {
          const id = `${at}/${found.operationId}`;
          place.append(entry(id, method.toUpperCase(), path, found.summary, wordsOf(whole, found), fillOperation(whole, found)));
        }
  }
};

const showFeed = (at, whole, place) => {
  const words = { receive: ["APP", "What the app says"], send: ["SERVER", "What the server says"] };
  for (const [action, [who, title]] of Object.entries(words)) {
    part(place, at, title);
    for (const found of Object.values(whole.operations).filter((one) => one.action === action)) {
      const message = resolved(whole, found.messages[0]);
      const answers = (found.reply?.messages || []).map((one) => resolved(whole, one).name);
      const about = answers.length ? `answered with ${answers.join(" or ")}` : "";
      place.append(entry(`${at}/${who.toLowerCase()}.${message.name}`, who, message.name, about, JSON.stringify(message), (details) => {
        details.append(block(whole, "Frame", message.payload, (message.examples || []).map((one) => one.payload)));
      }));
    }
  }
  for (const channel of Object.values(whole.channels)) {
    part(place, at, "Opening");
    place.append(prose("p", `\`${channel.address}\` ${channel.description}`));
    place.append(table(channel["x-refusals"].map((one) => [String(one.status), one.code])));
    part(place, at, "Close codes");
    place.append(table(channel["x-close-codes"].map((one) => [String(one.code), one.reason, one.action])));
  }
};

const showProblems = (at, whole, place) => {
  const kinds = { 4: "The request has to change", 5: "The server could not" };
  for (const [kind, title] of Object.entries(kinds)) {
    part(place, at, title);
    for (const found of whole.items.filter((one) => String(one.status)[0] === kind)) {
      place.append(entry(`${at}/${found.code}`, String(found.status), found.code, found.title, found.remedy, (details) => {
        details.append(prose("p", `**${found.remedy}**`), prose("p", found.advice));
        details.append(table([["`type`", found.type], ["`retryable`", String(found.retryable)], ["retry", found.retry]]));
      }));
    }
  }
};

// By the first part of an address: what is read, and how it is shown.
const tabs = new Map();
for (const address of document.body.dataset.documents.split(" ")) {
  const feed = address.endsWith("asyncapi.json");
  const version = address.match(/\/(v\d+)\//)?.[1] || "";
  tabs.set(feed ? "feed" : version, { address, title: feed ? "Drivers' feed" : `REST ${version}`, show: feed ? showFeed : showRest });
}
tabs.set("problems", { address: "/problems", title: "Problems", show: showProblems });
tabs.set("migration", { address: "/docs/migration", title: "Migration", text: true });

let shown = "";

const show = async (at) => {
  const tab = tabs.get(at);
  $("state").textContent = "Loading…";
  const answer = await fetch(tab.address, { headers: { Accept: tab.text ? "text/markdown" : "application/json" } });
  if (!answer.ok) throw new Error(`${tab.address} answered ${answer.status}`);
  const whole = tab.text ? await answer.text() : await answer.json();
  for (const id of ["parts-of", "parts", "intro"]) $(id).replaceChildren();
  if (tab.text) $("parts").append(...markdown(whole, at));
  else tab.show(at, whole, $("parts"));
  if (whole.info) {
    part($("intro"), at, "About this API");
    $("intro").append(...markdown(whole.info.description, at));
  }
  for (const link of $("documents").children) link.toggleAttribute("aria-current", link.dataset.tab === at);
  document.title = `${tab.title}: Mall Delivery Dispatch`;
  $("find").hidden = Boolean(tab.text);
  shown = at;
  filter();
};

// The words that are looked for, marked where they are seen.
const marked = (element, wanted) => {
  const text = element.textContent;
  const found = wanted ? text.toLowerCase().indexOf(wanted) : -1;
  if (found < 0) return element.replaceChildren(text);
  element.replaceChildren(text.slice(0, found), make("mark", text.slice(found, found + wanted.length)), text.slice(found + wanted.length));
};

const filter = () => {
  const wanted = $("find").value.trim().toLowerCase().split(/\s+/).filter((word) => word);
  const entries = [...$("parts").querySelectorAll("details")];
  let hits = 0;
  for (const details of entries) {
    details.hidden = !wanted.every((word) => details.dataset.words.includes(word));
    hits += !details.hidden;
    // What is called so comes before what only speaks of it.
    details.style.order = wanted.every((word) => details.dataset.title.includes(word)) ? 0 : 1;
    for (const name of ["name", "about"]) marked(details.querySelector(`.${name}`), wanted[0]);
  }
  // What is no entry is in the way of those that were found.
  const looking = wanted.length > 0 && entries.length > 0;
  $("parts").classList.toggle("found", looking);
  for (const element of $("parts").children) if (element.tagName !== "DETAILS") element.hidden = looking;
  $("intro").hidden = $("parts-of").hidden = looking;
  const what = looking ? `${hits} of ${entries.length} found` : entries.length ? `${entries.length} entries` : "";
  $("state").textContent = looking && !hits ? `Nothing here has “${$("find").value.trim()}”. Try another word, or another tab.` : what;
  if (looking && hits) window.scrollTo(0, 0);
};

const arrive = (id) => {
  const target = id && document.getElementById(id);
  if (!target) return window.scrollTo(0, 0);
  if (target.hidden) { $("find").value = ""; filter(); }
  if (target.tagName === "DETAILS" && !target.open) { target.dataset.quiet = ""; target.open = true; target.fill(); }
  // The browser has its own idea of where the target was before it was filled.
  requestAnimationFrame(() => target.scrollIntoView());
};

const choose = async () => {
  const id = decodeURIComponent(location.hash.slice(1)) || document.body.dataset.start || "";
  // Addresses of documents were links of this page once.
  const old = [...tabs].find(([, tab]) => tab.address === id)?.[0];
  const at = old || id.split(/[/?]/)[0];
  const wanted = tabs.has(at) ? at : tabs.keys().next().value;
  try {
    const sought = id.split("?")[1];
    if (sought) $("find").value = sought;
    if (wanted !== shown) await show(wanted);
    else if (sought) filter();
    if (!sought) arrive(id);
  } catch (error) {
    $("state").textContent = `It cannot be shown: ${error.message}`;
  }
};

for (const [at, tab] of tabs) {
  const link = linkTo(tab.title, `/docs#${at}`);
  link.dataset.tab = at;
  $("documents").append(link);
}
$("find").addEventListener("input", filter);
window.addEventListener("hashchange", choose);
choose();
