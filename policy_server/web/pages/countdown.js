// Runs on pages about an appointment: writes times for the clock of whoever reads them, and where a door opens counts down
// and looks again when it is time. Without it the Refresh header does the last.
(() => {
  const place = document.getElementById("countdown");
  // As the browser writes the page's language: en-GB has 14:00 where en has 2:00 PM.
  const page = document.documentElement.lang || "en";
  const language = navigator.languages.find((wish) => wish.split("-")[0] === page.split("-")[0]) || page;

  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && zone !== place.dataset.zone) {
    const format = new Intl.DateTimeFormat(language, {
      weekday: "long", day: "numeric", month: "long", year: "numeric",
      hour: "numeric", minute: "2-digit", timeZoneName: "short",
    });
    for (const time of document.querySelectorAll("main time[datetime]")) {
      time.textContent = format.format(new Date(time.dateTime));
    }
    for (const told of document.querySelectorAll("main .zone")) told.hidden = true;
  }

  if (!place.dataset.opens) return;
  // The server's clock counts, however wrong this one is.
  const opens = Number(place.dataset.opens) + Date.now() - Number(place.dataset.now);
  const clock = place.appendChild(document.createElement("p"));
  clock.setAttribute("role", "timer");
  clock.className = "countdown";
  const spoken = place.appendChild(document.createElement("p"));
  spoken.setAttribute("role", "status");
  spoken.className = "spoken";
  const words = new Intl.RelativeTimeFormat(language, { numeric: "always" });
  const said = new Set();
  const two = (number) => String(number).padStart(2, "0");

  const tick = () => {
    const left = Math.ceil((opens - Date.now()) / 1000);
    if (left <= 0) {
      clearInterval(ticking);
      setTimeout(() => location.reload(), 1000);
      return;
    }
    const hours = Math.floor(left / 3600), minutes = Math.floor(left / 60) % 60;
    clock.textContent = hours >= 48
      ? words.format(Math.floor(hours / 24), "day")
      : (hours ? `${hours}:${two(minutes)}` : minutes) + ":" + two(left % 60);
    for (const mark of [1, 5, 10]) {
      if (left <= mark * 60) {
        // Read out once each, and only where it is nearly so: a screen reader is not for every second.
        if (!said.has(mark) && left > mark * 60 - 5) spoken.textContent = words.format(mark, "minute");
        said.add(mark);
        break;
      }
    }
  };
  const ticking = setInterval(tick, 1000);
  // A telephone that slept has missed its time.
  document.addEventListener("visibilitychange", tick);
  tick();
})();
