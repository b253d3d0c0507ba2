// The service's doors. The browser sends the cookie by itself.

/** The service did not do what was asked; `status` is HTTP's, the message is for people. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Give the JSON of an answer, or null when it has none. Throws Refused. */
export async function ask(path, { method = "GET", body, headers = {} } = {}) {
  const options = { method, headers: { Accept: "application/json", ...headers } };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refused(0, "The service cannot be reached.");
  }
  if (!answer.ok) throw new Refused(answer.status, await problemOf(answer));
  return answer.status === 204 ? null : answer.json();
}

async function problemOf(answer) {
  try {
    return (await answer.json()).detail ?? answer.statusText;
  } catch {
    return `The service answered ${answer.status}.`;
  }
}

/** The path of a call's door. */
export function callPath(callId, door = "") {
  return `calls/${encodeURIComponent(callId)}${door}`;
}
