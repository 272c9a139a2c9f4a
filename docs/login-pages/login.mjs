// LOGIN_PAGE_KEY=… node login.mjs
import http from "node:http";
import { text } from "node:stream/consumers";

const { LOGIN_PAGE_KEY, TOLLGATE_CONTROL = "http://127.0.0.1:8081", PORT = 9001 } = process.env;
const FORM = `<!doctype html><title>Sign in</title><form method="post">
E-mail <input name="email" type="email" required> Name <input name="name" required> <button>Sign in</button></form>`;

async function loginPage(request, response) {
  if (request.method !== "POST") return response.setHeader("Content-Type", "text/html; charset=utf-8").end(FORM);
  const asked = new URLSearchParams(request.url.split("?")[1]);
  const form = new URLSearchParams(await text(request));
  // HERE find out who it is, by a password for instance: this page believes whatever is typed.
  const order = { email: form.get("email"), full_name: form.get("name"),
                  return_url: asked.get("return_url"), state: asked.get("state") };
  const headers = { "Authorization": `Bearer ${LOGIN_PAGE_KEY}`, "Content-Type": "application/json" };
  const call = { method: "POST", headers, body: JSON.stringify(order) };
  const answer = await fetch(`${TOLLGATE_CONTROL}/v1/sso_tokens`, call);
  if (!answer.ok) throw new Error(await answer.text());
  response.writeHead(303, { Location: (await answer.json()).redeem_url }).end();
}

http.createServer((request, response) => loginPage(request, response).catch((error) => {
  console.error(error);
  response.writeHead(500).end("Signing in did not work.");
})).listen(PORT, "127.0.0.1");
