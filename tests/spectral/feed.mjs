// Checks an AsyncAPI document with the project's own parser; ends with 1 if anything is wrong.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
for (const found of diagnostics) console.log(found.severity, found.path.join("."), found.message);
console.log(document && diagnostics.length === 0 ? `AsyncAPI ${document.version()}: valid` : "AsyncAPI: not valid");
process.exitCode = document && diagnostics.length === 0 ? 0 : 1;
