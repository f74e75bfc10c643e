// Makes feed.ts, the types of the feed's frames, from asyncapi.json.
import { readFileSync, writeFileSync } from "node:fs";
import { TypeScriptGenerator } from "@asyncapi/modelina";

const generator = new TypeScriptGenerator({ modelType: "interface", enumType: "union", rawPropertyNames: true });
const models = await generator.generate(JSON.parse(readFileSync("asyncapi.json", "utf8")));
writeFileSync("feed.ts", models.map((one) => one.result.replace(/^(interface|type|enum)/m, "export $1")).join("\n\n"));
console.log(models.map((one) => one.modelName).join("\n"));
