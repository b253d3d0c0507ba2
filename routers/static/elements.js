// Builds the page. Text goes in as text and in no other way, so whatever a caller says is read, never run.

/** An element with attributes, properties that begin with "on", and children: elements, text, or nothing. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** A list of names and what is known of them; what is not known is left out. */
export function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return element("dl", { class: "facts" }, known.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

/** A table with a caption for those who hear it. It scrolls by itself where it is too wide, by keys too.
 * Numbers stand to the right; with `words` everything stands to the left. */
export function table(caption, heads, rows, { words = false } = {}) {
  return element(
    "div",
    { class: words ? "scroll texts" : "scroll", tabindex: 0, role: "region", "aria-label": `${caption}, table` },
    element(
      "table",
      {},
      element("caption", { class: "unseen" }, caption),
      element("thead", {}, element("tr", {}, heads.map((head) => (head ? element("th", { scope: "col" }, head) : element("td", {}))))),
      element("tbody", {}, rows.map(([first, ...rest]) => element("tr", {}, element("th", { scope: "row" }, first), rest.map((cell) => element("td", {}, cell))))),
    ),
  );
}

/** A card with a heading. */
export function card(title, ...children) {
  return element("section", { class: "card", "aria-label": title }, element("h2", {}, title), ...children);
}

/** A label and its control. */
export function field(label, control) {
  return element("div", { class: "field" }, element("label", { for: control.id }, label), control);
}

/** A choice of values, each a text or a pair of value and text. */
export function select(attributes, values, chosen) {
  const pairs = values.map((value) => (Array.isArray(value) ? value : [value, value]));
  return element("select", attributes, pairs.map(([value, text]) => element("option", { value, selected: value === chosen }, text)));
}

/** Whether the person agrees: asked in a dialog, in which doing nothing is the first choice. */
export function agrees(title, text, { yes, no = "Cancel" }) {
  return new Promise((answer) => {
    const dialog = element(
      "dialog",
      { "aria-label": title },
      element("h2", {}, title),
      element("p", {}, text),
      element("form", { method: "dialog", class: "actions" }, element("button", { value: "no", class: "quiet", autofocus: true }, no), element("button", { value: "yes", class: "danger" }, yes)),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      answer(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

let fading = 0;

/** Say something to the person, for a while. */
export function notify(text) {
  const notice = document.getElementById("notice");
  notice.textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => { notice.textContent = ""; }, 6000);
}
