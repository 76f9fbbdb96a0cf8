// Opens web pages that attack a running local cloud, in a browser. Each page tries to create an IAM user, to delete an
// account with the control API, and to read the request log, also with the right secret in the URL. The cloud must
// refuse each request, and no page may read a response of AWS or of the control API.
//
// Usage: node .ci/attack-page.mjs <chromium> <python> [folder of the cloud]
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [executablePath, python, folder = "tests/local/cloud"] = process.argv.slice(2);
const account = "222222222222";
const scope = `${account}/20260101/us-east-1/iam/aws4_request`;

const cloud = spawn(python, [folder, "--port", "0", "--watch-stdin"], { stdio: ["pipe", "pipe", "inherit"] });
const ready = await new Promise((resolve, reject) => {
  createInterface(cloud.stdout).once("line", resolve);
  cloud.once("exit", () => reject(new Error("the local cloud did not start")));
});
const url = new URL(ready.replace(/^ready /, ""));
const secret = url.pathname.slice(1);

// A legitimate client. It sends neither Origin nor Sec-Fetch-Site. The cloud does not verify signatures of root users.
async function control(path) {
  const response = await fetch(`${url}/_cloud/${path}`);
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  return response.json();
}
const signed = { authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0` };
// The role shows whether the account was deleted.
async function createRole() {
  const statement = { Effect: "Allow", Principal: { Service: "aps.amazonaws.com" }, Action: "sts:AssumeRole" };
  const trust = JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
  const fields = { Action: "CreateRole", Version: "2010-05-08", RoleName: "kept", AssumeRolePolicyDocument: trust };
  const response = await fetch(`${url}/`, { method: "POST", headers: signed, body: new URLSearchParams(fields) });
  if (!response.ok) throw new Error(`CreateRole answered ${response.status}: ${await response.text()}`);
}
await createRole();

// What a page tries. Each function runs in the page and returns what the page could read, or null.
const attempts = {
  "fetch POST": (to) => read(() => fetch(to.write, { method: "POST", body: content(to) })),
  "fetch POST, no-cors": (to) => read(() => fetch(to.write, { method: "POST", body: content(to), mode: "no-cors" })),
  "fetch POST, with headers": (to) => read(() => fetch(to.write, { method: "POST", body: content(to), headers: to.headers })),
  "beacon": async (to) => { navigator.sendBeacon(to.write, content(to)); await new Promise((done) => setTimeout(done, 300)); return null; },
  "form POST": (to) => submit(to.write, to.fields),
  "fetch GET": (to) => read(() => fetch(to.read)),
  "fetch GET, no-cors": (to) => read(() => fetch(to.read, { mode: "no-cors" })),
  "image": (to) => load("img", to.read),
  "script": (to) => load("script", to.read),
  "style sheet": (to) => load("link", to.read),
  "frame": (to) => load("iframe", to.read),
  "WebSocket": (to) => new Promise((done) => {
    const socket = new WebSocket(to.read.replace("http", "ws"));
    socket.onopen = () => done("open");
    socket.onerror = () => done(null);
  }),
};
function helpers() {
  // A form needs no preflight request, also as the body of fetch.
  window.content = (to) => (to.fields.json ? to.body : new URLSearchParams(to.fields));
  window.read = async (send) => {
    try {
      const response = await send();
      return response.type === "opaque" ? null : `${response.status} ${await response.text()}`;
    } catch {
      return null;
    }
  };
  window.load = (tag, address) => new Promise((done) => {
    const element = document.createElement(tag);
    const finish = () => {
      // A frame of the same origin can be read.
      let text = null;
      try { text = element.contentDocument?.body?.innerText || null; } catch {}
      element.remove();
      done(text);
    };
    element.onload = element.onerror = finish;
    if (tag === "link") { element.rel = "stylesheet"; element.href = address; } else { element.src = address; }
    document.body.append(element);
  });
  window.submit = (address, fields) => new Promise((done) => {
    const frame = document.createElement("iframe");
    frame.name = "target";
    document.body.append(frame);
    const form = document.createElement("form");
    Object.assign(form, { method: "POST", action: address, target: "target" });
    form.enctype = fields.json ? "text/plain" : "application/x-www-form-urlencoded";
    for (const [name, value] of Object.entries(fields.json ?? fields)) {
      form.append(Object.assign(document.createElement("input"), { name, value }));
    }
    document.body.append(form);
    frame.onload = () => {
      if (frame.contentWindow.location.href === "about:blank") return;
      let text = null;
      try { text = frame.contentDocument.body.innerText; } catch {}
      frame.remove();
      form.remove();
      done(text);
    };
    const opaque = setInterval(() => {
      try { void frame.contentWindow.location.href; } catch { clearInterval(opaque); setTimeout(() => { frame.remove(); form.remove(); done(null); }, 100); }
    }, 20);
    form.submit();
  });
}

// The destinations of an attempt: a change (`write`) and something to read (`read`).
function destination(base, kind, number) {
  const presigned = `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${encodeURIComponent(scope)}&X-Amz-Date=20260101T000000Z&X-Amz-Expires=300&X-Amz-SignedHeaders=host&X-Amz-Signature=0`;
  const action = { Action: "CreateUser", Version: "2010-05-08", UserName: `attacker-${number}` };
  if (kind === "IAM CreateUser") {
    return {
      write: `${base}/?${presigned}`, read: `${base}/?${new URLSearchParams(action)}&${presigned}`,
      body: String(new URLSearchParams(action)), fields: action,
      headers: { ...signed, "content-type": "application/x-www-form-urlencoded" },
    };
  }
  return {
    write: `${base}/_cloud/forget`, read: `${base}/_cloud/calls`,
    body: JSON.stringify({ account }), fields: { json: { [`{"account":"${account}","x":"`]: '"}' } },
    headers: { "content-type": "application/json" },
  };
}

const pages = createServer((_, response) => {
  response.setHeader("content-type", "text/html");
  response.end("<!doctype html><title>attack</title><body></body>");
}).listen(0, "127.0.0.1");
await new Promise((done) => pages.once("listening", done));
const port = pages.address().port;
// Another port of the same host; another host; and the host of the page with the address of the cloud (DNS rebinding).
const origins = {
  "another port": { page: `http://127.0.0.1:${port}/`, base: `http://${url.host}` },
  "another host": { page: `http://attacker.example:${port}/`, base: `http://${url.host}` },
  "another host, localhost": { page: `http://attacker.example:${port}/`, base: `http://localhost:${url.port}` },
  "DNS rebinding": { page: `http://attacker.example:${url.port}/attack`, base: `http://attacker.example:${url.port}` },
};

const browser = await chromium.launch({
  executablePath,
  // Without Chrome's own protection of local servers, which other browsers and older versions lack.
  args: ["--no-sandbox", "--host-resolver-rules=MAP attacker.example 127.0.0.1", "--disable-features=LocalNetworkAccessChecks"],
});
const problems = [];
let number = 0;
for (const [origin, { page: address, base }] of Object.entries(origins)) {
  const page = await browser.newPage();
  await page.addInitScript(helpers);
  // The attacker's server sends this page before the name of the host gets the address of the cloud.
  await page.route(`http://attacker.example:${url.port}/attack`, (route) =>
    route.fulfill({ contentType: "text/html", body: "<!doctype html><title>attack</title><body></body>" }));
  await page.goto(address);
  // The status of each response, also of preflight requests and of responses that the browser hides from the page.
  let statuses = new Set();
  page.on("response", (response) => statuses.add(response.status()));
  const network = await page.context().newCDPSession(page);
  await network.send("Network.enable");
  network.on("Network.responseReceivedExtraInfo", ({ statusCode }) => statuses.add(statusCode));
  network.on("Network.webSocketFrameError", ({ errorMessage }) => statuses.add(Number(/code: (\d+)/.exec(errorMessage)?.[1])));
  for (const withSecret of [false, true]) {
    for (const kind of ["IAM CreateUser", "/_cloud/"]) {
      for (const [attempt, run] of Object.entries(attempts)) {
        number += 1;
        const name = `${origin}, ${withSecret ? "right secret" : "no secret"}, ${kind}: ${attempt}`;
        const before = await control("calls");
        statuses = new Set();
        const to = destination(withSecret ? `${base}/${secret}` : base, kind, number);
        const text = await page.evaluate(`(${run})(${JSON.stringify(to)})`);
        const { calls } = await control(`calls?since=${before.next}`);
        const { roles } = await control(`accounts/${account}`);
        const executed = calls.map((call) => call.action);
        if (!Object.keys(roles).some((arn) => arn.endsWith("/kept"))) {
          executed.push("/_cloud/forget");
          await createRole();
        }
        const refused = text === null || (origin === "DNS rebinding" && /^(403 )?The Host header must be/.test(text));
        console.log(`${name}: ${JSON.stringify({ statuses: [...statuses], read: text?.slice(0, 60) ?? null, executed })}`);
        if (executed.length > 0) problems.push(`${name}: the cloud executed ${executed}`);
        if (!refused) problems.push(`${name}: the page read ${text.slice(0, 200)}`);
        if ([...statuses].join() !== "403") problems.push(`${name}: the cloud answered ${[...statuses].join() || "nothing"}`);
      }
    }
  }
  await page.close();
}

// A person may open a URL of the cloud.
const page = await browser.newPage();
const opened = await page.goto(`${url}/_cloud/health`);
console.log(`the address bar: ${opened.status()}`);
if (opened.status() !== 200) problems.push(`the address bar: the cloud answered ${opened.status()}`);

await browser.close();
pages.close();
cloud.stdin.end();
for (const problem of problems) console.error(problem);
process.exit(problems.length > 0 ? 1 : 0);
