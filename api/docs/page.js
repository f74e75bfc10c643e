// Shows the OpenAPI document. Everything is put in as text, never as markup.
"use strict";

const make = (tag, text, name) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
};

const resolve = (document_, schema) =>
  schema && schema.$ref ? document_.components.schemas[schema.$ref.split("/").pop()] : schema;

const show = (document_, schema, depth = 0) => {
  const found = resolve(document_, schema);
  if (!found || depth > 4) return "…";
  const either = found.anyOf || found.oneOf;
  if (either) return either.map((one) => show(document_, one, depth)).join(" | ");
  if (found.properties) {
    const pad = "  ".repeat(depth + 1);
    const lines = Object.entries(found.properties).map(([name, inner]) => {
      const optional = (found.required || []).includes(name) ? "" : "?";
      return `${pad}${name}${optional}: ${show(document_, inner, depth + 1)}`;
    });
    return `{\n${lines.join("\n")}\n${"  ".repeat(depth)}}`;
  }
  if (found.type === "array") return `[${show(document_, found.items, depth)}]`;
  if (found.enum) return found.enum.map((one) => JSON.stringify(one)).join(" | ");
  const bounds = ["format", "pattern", "minimum", "maximum", "minLength", "maxLength"]
    .filter((name) => found[name] !== undefined).map((name) => `${name} ${found[name]}`);
  return [found.type || "any", ...bounds].join(", ");
};

const block = (document_, title, schema) => {
  const part = make("div");
  part.append(make("strong", title), make("pre", show(document_, schema)));
  return part;
};

const operation = (document_, method, path, row) => {
  const details = make("details");
  const summary = make("summary");
  summary.append(make("span", method.toUpperCase(), `method ${method}`), make("code", path), make("span", row.summary));
  details.append(summary);
  if (row.description) details.append(make("p", row.description));
  for (const parameter of row.parameters) {
    const need = parameter.required ? "required" : "optional";
    details.append(make("p", `${parameter.in} ${parameter.name} (${need}): ${show(document_, parameter.schema)}`));
  }
  if (row.requestBody) details.append(block(document_, "Body", row.requestBody.content["application/json"].schema));
  const table = make("table");
  for (const [status, answer] of Object.entries(row.responses)) {
    const line = make("tr");
    line.append(make("td", status), make("td", answer.description));
    table.append(line);
    const content = Object.values(answer.content || {})[0];
    if (content && status < 400) details.append(block(document_, `Answer ${status}`, content.schema));
  }
  details.append(table);
  details.dataset.text = `${method} ${path} ${row.summary}`.toLowerCase();
  return details;
};

const main = async () => {
  const document_ = await (await fetch("/api/v2/openapi.json")).json();
  document.getElementById("intro").textContent = document_.info.description;
  const place = document.getElementById("operations");
  for (const tag of document_.tags) {
    place.append(make("h2", tag.name));
    for (const [path, methods] of Object.entries(document_.paths))
      for (const [method, row] of Object.entries(methods))
        if (row.tags.includes(tag.name)) place.append(operation(document_, method, path, row));
  }
  document.getElementById("find").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const details of place.querySelectorAll("details")) details.hidden = !details.dataset.text.includes(wanted);
  });
};

main();
