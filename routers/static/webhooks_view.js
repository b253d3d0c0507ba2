// The webhooks to the operator's endpoints: what waits, what was given up, and once more.

import { ask } from "./api.js";
import { element, notify, table } from "./elements.js";
import { moment } from "./words.js";

const STATUSES = [["dead", "Given up"], ["pending", "Waiting"], ["delivered", "Delivered"]];

export async function webhooksView(query, place, left, fail) {
  const status = STATUSES.some(([code]) => code === query.get("status")) ? query.get("status") : "dead";
  const { deliveries } = await ask(`webhooks/deliveries?${new URLSearchParams({ status, limit: 100 })}`);
  if (left.aborted) return;
  const choices = STATUSES.map(([code, name]) => element("a", { href: `#/webhooks?status=${code}`, "aria-current": code === status ? "page" : null }, name));
  const list = deliveries.length
    ? table("Webhooks", ["Event", "Call", "To", "Attempts", "Last answer", "Then", ""], deliveries.map((delivery) => row(delivery, fail)), { words: true })
    : element("p", { class: "hint" }, { dead: "No webhook was given up.", pending: "No webhook is waiting.", delivered: "No webhook was delivered." }[status]);
  place.replaceChildren(element("h1", {}, "Webhooks"), element("nav", { class: "chips", "aria-label": "Status" }, choices), element("section", { class: "card" }, list));
}

function row(delivery, fail) {
  const retry = element("button", { type: "button", class: "quiet" }, "Send again");
  retry.addEventListener("click", async () => {
    retry.disabled = true;
    try {
      await ask(`webhooks/deliveries/${delivery.delivery_id}/retry`, { method: "POST" });
      notify("It is being sent again.");
    } catch (error) {
      retry.disabled = false;
      fail(error);
    }
  });
  return [
    delivery.event,
    element("a", { href: `#/calls/${encodeURIComponent(delivery.call_id)}` }, moment(delivery.happened_at)),
    delivery.url ?? "An endpoint that is no longer set up",
    String(delivery.attempts),
    delivery.error ?? (delivery.answer === null ? "none yet" : String(delivery.answer)),
    delivery.delivered_at ? `delivered ${moment(delivery.delivered_at)}` : delivery.next_attempt_at ? `again ${moment(delivery.next_attempt_at)}` : "given up",
    delivery.url ? retry : "",
  ];
}
