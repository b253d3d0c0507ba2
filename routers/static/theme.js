// The colours of the theme, for what is drawn on a canvas.

/** Gives a colour by its name in dashboard.css, as `host` has it in the theme of now. */
export function coloursOf(host) {
  const probe = document.createElement("span");
  probe.hidden = true;
  host.append(probe);
  const found = new Map();
  return (name) => {
    if (!found.has(name)) {
      probe.style.color = `var(--${name})`;
      found.set(name, getComputedStyle(probe).color); // a custom property itself would still be light-dark(...)
    }
    return found.get(name);
  };
}

/** Call it when the theme changes, until `left`. */
export function onThemeChange(draw, left) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw, { signal: left });
}
