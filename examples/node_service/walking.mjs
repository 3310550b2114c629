// Walking a plan: each attempt in its order, until one has served.
//
// What a service owes those that share the providers with it is here: it moves on only where that is right, it gives each
// attempt the time that the plan gives it, and it reports what became of every one, so that a target that has failed here
// rests for everybody.

import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const RESOLVE_MS = 1000;

const BY_STATUS = {
  401: "CREDENTIAL",
  402: "QUOTA",
  403: "CREDENTIAL",
  404: "MODEL_MISSING",
  408: "TIMEOUT",
  429: "RATE_LIMITED",
  503: "OVERLOADED",
  504: "TIMEOUT",
  529: "OVERLOADED",
};
// No other target would do better.
const STAYS = ["CLIENT_FAULT", "CONTEXT_LENGTH", "CANCELLED"];
// The provider may have run the request, and billed it: to move on once is enough.
const AMBIGUOUS = ["TIMEOUT", "BROKEN"];
const UNREACHABLE = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT"];

// Nobody has served. The message says what the last one answered.
export class GaveUpError extends Error {}

// An attempt that did not serve.
class FailedError extends Error {
  constructor(disposition, status = 0, retryAfterMs = 0) {
    super(disposition.toLowerCase());
    Object.assign(this, { disposition, status, retryAfterMs });
  }
}

// A client of the resolver. `tls` has the authorities, and maybe the certificate to show and its key.
export function resolverClient(address, tls) {
  const here = (path) => fileURLToPath(new URL(path, import.meta.url));
  const contract = loadSync("forebay/resolver/v1/resolver_service.proto", {
    includeDirs: [here("../../proto"), here(".")],
    enums: String,
    longs: String, // A generation has 64 bits.
    defaults: true,
  });
  const { ResolverService } = grpc.loadPackageDefinition(contract).forebay.resolver.v1;
  const credentials = tls
    ? grpc.credentials.createSsl(tls.authorities, tls.key, tls.certificate)
    : grpc.credentials.createInsecure();
  return new ResolverService(address, credentials, { "grpc.enable_http_proxy": 0 });
}

export class Walker {
  constructor(client, environment) {
    this.client = client;
    this.environment = environment;
    this.metadata = new grpc.Metadata();
    if (environment.FOREBAY_TOKEN) this.metadata.set("authorization", `Bearer ${environment.FOREBAY_TOKEN}`);
  }

  // The answer in the parts in which it comes. Throws GaveUpError, or gRPC's error if there is no plan.
  async *answer(name, question, stream) {
    const request = { requestId: randomUUID(), model: name, stream, willReport: true };
    const { plan } = await this.call("Resolve", request);
    try {
      yield* this.walk(plan, question, stream);
    } finally {
      await this.report(plan, { closed: {} });
    }
  }

  async *walk(plan, question, stream) {
    const deadline = Date.now() + (plan.totalMs || Infinity);
    let wasAmbiguous = false;
    let last = "none of its targets can be called from here";
    for (const attempt of plan.attempts.slice(0, plan.attemptsAllowed)) {
      const secret = this.secret(attempt.credentialRef);
      // Nothing has been tried then, and there is nothing to report.
      if (attempt.dialect !== "openai" || secret === undefined) continue;
      const about = { targetId: attempt.targetId, healthGeneration: attempt.healthGeneration };
      const beganAt = Date.now();
      let hasContent = false;
      let isOver = false;
      try {
        for await (const text of call(attempt, question, secret, stream, deadline)) {
          if (!hasContent) {
            hasContent = true;
            await this.report(plan, { content: { ...about, latencyMs: Date.now() - beganAt } });
          }
          yield text;
        }
        isOver = true;
        console.error(`${attempt.targetId}: served`);
        await this.report(plan, { ended: about });
        return;
      } catch (error) {
        if (!(error instanceof FailedError)) throw error;
        isOver = true;
        const { disposition, status, retryAfterMs } = error;
        console.error(`${attempt.targetId}: ${status || "no answer"}: ${error.message}`);
        await this.report(plan, { failed: { ...about, ...told(disposition), status, retryAfterMs } });
        const isAmbiguous = AMBIGUOUS.includes(disposition);
        const stays = hasContent || !movesOn(attempt, disposition) || (isAmbiguous && wasAmbiguous);
        wasAmbiguous ||= isAmbiguous;
        last = `${attempt.targetId}: ${error.message}`;
        if (stays || Date.now() >= deadline) break;
      } finally {
        // Whoever asked has gone.
        if (!isOver) await this.report(plan, { failed: { ...about, ...told("CANCELLED") } });
      }
    }
    throw new GaveUpError(last);
  }

  async report(plan, event) {
    // One that gets lost costs freshness, and nothing else.
    await this.call("Report", { reports: [{ decisionId: plan.decisionId, ...event }] }).catch(() => {});
  }

  call(method, request) {
    return new Promise((resolve, reject) => {
      const answered = (error, answer) => (error ? reject(error) : resolve(answer));
      this.client[method](request, this.metadata, { deadline: Date.now() + RESOLVE_MS }, answered);
    });
  }

  // Empty if none is asked for, undefined if there is none here.
  secret(reference) {
    return reference ? this.environment[reference.replace(/^env:/, "")] : "";
  }
}

// What one provider answers. Throws FailedError.
async function* call(attempt, question, secret, stream, deadline) {
  const { headersMs, firstContentMs, idleMs } = attempt.timeouts;
  const giveUp = new AbortController();
  let timer;
  // From now on, or until the deadline if that is sooner. `fetch` has a time-out for connecting of its own.
  const within = (ms, until = Infinity) => {
    clearTimeout(timer);
    const left = Math.min(ms || Infinity, until - Date.now());
    if (left !== Infinity) timer = setTimeout(() => giveUp.abort(), left);
  };
  try {
    // Whoever does not stream sends the head when all is done: `deadline` alone bounds that.
    within(stream ? headersMs : 0, deadline);
    const response = await fetch(`${attempt.baseUrl}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", ...(secret && { authorization: `Bearer ${secret}` }) },
      body: JSON.stringify(body(attempt, question, stream)),
      redirect: "manual",
      signal: giveUp.signal,
    });
    if (response.status !== 200) throw failure(response, await response.text());
    if (!stream) {
      yield (await response.json()).choices[0].message.content;
      return;
    }
    within(firstContentMs, deadline);
    for await (const data of events(response.body)) {
      if (data === "[DONE]") return;
      const text = JSON.parse(data).choices?.[0]?.delta.content;
      if (text) {
        clearTimeout(timer); // What the reader takes its time for is not the provider's.
        yield text;
        within(idleMs);
      }
    }
    throw new FailedError("BROKEN", 200); // Cut: a stream ends with its mark.
  } catch (error) {
    if (error instanceof FailedError) throw error;
    if (giveUp.signal.aborted) throw new FailedError("TIMEOUT");
    throw new FailedError(UNREACHABLE.includes(error.cause?.code) ? "UNREACHABLE" : "BROKEN");
  } finally {
    clearTimeout(timer);
    giveUp.abort();
  }
}

async function* events(chunks) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.startsWith("data: ")) yield line.slice(6).trim();
  }
}

// As the client would have it, and the operator's `params` over it.
function body(attempt, question, stream) {
  const asked = { model: attempt.upstreamModel, messages: [{ role: "user", content: question }], stream };
  const [fills, replaces] = [attempt.paramsDefaultJson, attempt.paramsSetJson].map((text) =>
    JSON.parse(text.length ? Buffer.from(text).toString() : "{}"),
  );
  const fields = Object.entries({ ...fills, ...asked, ...replaces });
  return Object.fromEntries(fields.filter(([name]) => !attempt.paramsDrop.includes(name)));
}

function failure(response, content) {
  const { status } = response;
  let disposition = BY_STATUS[status] ?? (status < 400 || status >= 500 ? "SERVER_ERROR" : "CLIENT_FAULT");
  if (status === 429 && content.includes("insufficient_quota")) disposition = "QUOTA";
  // A date is no number: the resolver makes up for it with a time of its own.
  const seconds = Number(response.headers.get("retry-after"));
  return new FailedError(disposition, status, seconds > 0 ? Math.round(seconds * 1000) : 0);
}

// By the defaults, and what the configuration says otherwise.
function movesOn(attempt, disposition) {
  const { never, also } = attempt.failover ?? { never: [], also: [] };
  const { disposition: word } = told(disposition);
  if (never.includes(word)) return false;
  return !STAYS.includes(disposition) || also.includes(word);
}

const told = (disposition) => ({ disposition: `DISPOSITION_${disposition}` });
