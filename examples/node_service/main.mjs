// `node main.mjs NAME QUESTION`: the answer on standard output, who was asked on standard error.
//
// FOREBAY_TOKEN is shown to the resolver; providers' keys are looked up in the environment, where their references say.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { GaveUpError, Walker, resolverClient } from "./walking.mjs";

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    stream: { type: "boolean", default: false },
    resolver: { type: "string", default: "127.0.0.1:8401" },
    "resolver-ca": { type: "string" },
    "resolver-cert": { type: "string" },
    "resolver-key": { type: "string" },
  },
});
if (positionals.length !== 2) {
  console.error(
    "usage: node main.mjs [--stream] [--resolver ADDRESS] [--resolver-ca FILE [--resolver-cert FILE --resolver-key FILE]] " +
      "NAME QUESTION",
  );
  process.exit(2);
}

const read = (file) => (file ? readFileSync(file) : null);
const tls = given["resolver-ca"] && {
  authorities: read(given["resolver-ca"]),
  certificate: read(given["resolver-cert"]),
  key: read(given["resolver-key"]),
};
const client = resolverClient(given.resolver, tls);
try {
  const [name, question] = positionals;
  for await (const text of new Walker(client, process.env).answer(name, question, given.stream)) {
    process.stdout.write(text);
  }
  process.stdout.write("\n");
} catch (error) {
  // An error of gRPC has a code that is a number.
  if (!(error instanceof GaveUpError) && typeof error.code !== "number") throw error;
  const words = error instanceof GaveUpError ? error.message : `the resolver has no plan: ${error.message}`;
  console.error(`node_service: ${words}`);
  process.exitCode = 1;
} finally {
  client.close();
}
