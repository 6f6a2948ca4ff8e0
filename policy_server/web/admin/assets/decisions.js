// Decisions as they happen. Without this the page is a table that is loaded again.
"use strict";
{
  const MOST = 200;
  const rows = document.getElementById("rows");
  const button = document.getElementById("pause");
  const state = document.getElementById("state");
  const sample = document.getElementById("sample");
  const nothing = document.getElementById("nothing");
  let source = null;
  let paused = false;

  const say = (text) => {
    if (state.textContent !== text) state.textContent = text;
  };

  const show = (told) => {
    sample.textContent = told;
    nothing.hidden = rows.childElementCount > 0;
  };

  // Rows are made and escaped by the server.
  const parsed = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content;
  };

  const stop = () => {
    if (source) source.close();
    source = null;
    sample.textContent = "";
  };

  const start = () => {
    stop();
    source = new EventSource(rows.dataset.events);
    source.addEventListener("table", (message) => {
      const told = JSON.parse(message.data);
      rows.replaceChildren(parsed(told.html));
      show(told.told);
      say("Live");
    });
    source.addEventListener("rows", (message) => {
      const told = JSON.parse(message.data);
      const fresh = parsed(told.html);
      for (const row of [...fresh.children]) if (document.getElementById(row.id)) row.remove();
      rows.prepend(fresh);
      while (rows.childElementCount > MOST) rows.lastElementChild.remove();
      show(told.told);
    });
    source.addEventListener("end", (message) => {
      stop();
      button.hidden = true;
      say(JSON.parse(message.data).told);
    });
    source.addEventListener("error", () => say("Not connected; trying again"));
  };

  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Resume" : "Pause";
    if (paused) stop();
    else start();
    if (paused) say("Paused");
  });

  // A page that nobody sees costs the server nothing.
  document.addEventListener("visibilitychange", () => {
    if (paused) return;
    if (document.hidden) stop();
    else start();
  });

  button.hidden = false;
  if (!document.hidden) start();
}
