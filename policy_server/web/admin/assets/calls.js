// Puts the JSON of a call into the clipboard. Without a script there is a link to it.
"use strict";

function select(text) {
  // Browsers have no clipboard for pages that came by plain http.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const isDone = document.execCommand("copy");
  area.remove();
  return isDone;
}

async function copy(text) {
  if (!navigator.clipboard) return select(text);
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return select(text);
  }
}

for (const button of document.querySelectorAll("[data-copies]")) {
  const status = button.parentElement.querySelector("[role=status]");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      const answer = await fetch(button.dataset.copies);
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const text = JSON.stringify(await answer.json(), null, 2);
      status.textContent = (await copy(text)) ? "Copied." : "It could not be copied; show the JSON and copy it there.";
    } catch {
      status.textContent = "The JSON could not be loaded; try again.";
    }
    button.focus();
  });
}
