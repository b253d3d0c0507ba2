// The values that an agent's variables can be given before a call.

import { element, field } from "./elements.js";

const MARK = "variable-";

export function fieldsOf(variables) {
  return variables.map(({ name, default: usual, description, required }) =>
    field(description || name, element("input", { id: MARK + name, name: MARK + name, value: usual ?? "", required: required && usual === null })));
}

export function valuesOf(form) {
  const given = [...form].filter(([name, value]) => name.startsWith(MARK) && value !== "");
  return Object.fromEntries(given.map(([name, value]) => [name.slice(MARK.length), value]));
}
