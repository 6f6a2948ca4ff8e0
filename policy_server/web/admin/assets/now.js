// Keeps the page as it is now: asks for it again, and puts in what has changed. Scroll, focus and what is folded out stay.
"use strict";

const EVERY = 10_000;
const stale = document.getElementById("stale");

function parts(root) {
  return [...root.querySelectorAll("[data-live]")];
}

function renew(page) {
  const fresh = new Map(parts(page).map((part) => [part.dataset.live, part]));
  for (const old of parts(document)) {
    const part = fresh.get(old.dataset.live);
    if (part === undefined) continue;
    const open = new Set([...old.querySelectorAll("details[open]")].map((each) => each.id));
    for (const each of part.querySelectorAll("details")) each.open = open.has(each.id);
    if (part.innerHTML === old.innerHTML) continue;
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    old.replaceChildren(...document.importNode(part, true).childNodes);
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }
}

async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, { signal: AbortSignal.timeout(EVERY) });
    if (!answer.ok) throw new Error(String(answer.status));
    renew(new DOMParser().parseFromString(await answer.text(), "text/html"));
    stale.hidden = true;
  } catch {
    stale.hidden = false;
  }
}

setInterval(look, EVERY);
document.addEventListener("visibilitychange", look);
