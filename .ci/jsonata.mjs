// Evaluates every expression of the state machines with jsonata 2.0.6, the version that AWS Step Functions runs, on the
// values that the tests recorded, and compares the results.
//
//   AMPXA_EXPRESSIONS=FILE cargo test --workspace --test steps --test properties --test simulation
//   node .ci/jsonata.mjs FILE
import fs from "node:fs";
import path from "node:path";
import { isDeepStrictEqual } from "node:util";
import jsonata from "jsonata";
import { parse } from "yaml";

const folder = path.join(import.meta.dirname, "../statemachine");
const expressions = new Set();
const collect = (value) => {
  if (typeof value === "string" && value.startsWith("{%")) expressions.add(value.slice(2, -2).trim());
  else if (value && typeof value === "object") Object.values(value).forEach(collect);
};
const files = fs.readdirSync(folder).filter((name) => name.endsWith(".asl.yaml"));
for (const name of files) collect(parse(fs.readFileSync(path.join(folder, name), "utf8")));

// An array of JSONata has additional properties, so a plain copy is compared.
const plain = (value) => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));
const failed = [];
const evaluated = new Set();
let count = 0;
for (const line of fs.readFileSync(process.argv[2], "utf8").split("\n")) {
  if (line === "") continue;
  const { expression, variables, result } = JSON.parse(line);
  if (!expressions.has(expression)) continue;
  let got;
  try {
    const program = jsonata(expression);
    program.registerFunction("parse", (text) => JSON.parse(text));
    got = plain(await program.evaluate(undefined, variables));
  } catch (error) {
    got = `error: ${error.message}`;
  }
  if (!isDeepStrictEqual(got, result)) failed.push({ expression, variables, result, got });
  evaluated.add(expression);
  count += 1;
}
const missing = [...expressions].filter((expression) => !evaluated.has(expression));
for (const one of failed.slice(0, 5)) console.error(JSON.stringify(one, null, 1));
for (const expression of missing) console.error(`No test evaluates: ${expression}`);
console.log(
  `jsonata 2.0.6: ${evaluated.size} of ${expressions.size} expressions of ${files.length} state machines, ` +
    `${count} evaluations, ${failed.length} differ`,
);
process.exit(failed.length + missing.length > 0 || expressions.size < 60 ? 1 : 0);
