// Keeps what changes by itself up to date, and reads values out of plots. Everything works without it, but has
// to be reloaded then.
"use strict";

document.querySelector("header nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });

// One part of a page may say by `data-live` every how many seconds it is worth another look.
const live = document.querySelector("[data-live]");

if (live) {
  const every = Number(live.dataset.live) * 1000;
  const panel = document.createElement("p");
  panel.className = "live-switch";
  const says = document.createElement("span");
  says.setAttribute("role", "status");
  const pause = document.createElement("button");
  pause.type = "button";
  pause.className = "quiet";
  panel.append(says, pause);
  (document.querySelector(".head h1") ?? live).after(panel);
  let paused = false;
  let timer = 0;

  const show = (text) => {
    if (says.textContent !== text) says.textContent = text;
  };
  const plan = () => {
    clearTimeout(timer);
    if (!paused && !document.hidden) timer = setTimeout(look, every);
  };
  const look = async () => {
    try {
      // It is no click: who has gone away is signed out in time.
      const answer = await fetch(location.href, { headers: { "X-Admin-Glance": "1" }, redirect: "error" });
      if (answer.status === 401) {
        show("You are signed out.");
        pause.remove();
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = page.getElementById(live.id);
      // Nobody is to lose what they are at.
      const isBusy = live.contains(document.activeElement) || live.matches(":hover") && getSelection().type === "Range";
      if (next && !isBusy && !paused) {
        for (const open of live.querySelectorAll("details[open]")) {
          next.querySelector(`#${open.id}`)?.setAttribute("open", "");
        }
        live.replaceChildren(...next.childNodes);
        point();
      }
      show("Live");
    } catch {
      show("The gateway does not answer just now.");
    }
    plan();
  };
  const label = () => {
    pause.textContent = paused ? "Go on" : "Pause";
    show(paused ? "Paused" : "Live");
  };
  pause.addEventListener("click", () => {
    paused = !paused;
    label();
    if (paused) clearTimeout(timer);
    else look();
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : plan()));
  label();
  plan();
}

// Where the pointer stands on a plot, that time's values are said below it.
const at = { plot: "", share: 0 };

const words = (value, unit) => {
  if (unit !== "time") {
    const number = unit ? value / 1000 : value;
    return number.toLocaleString("en", { maximumFractionDigits: number < 10 ? 1 : 0 }) + unit;
  }
  if (value < 1000) return `${value} µs`;
  return value < 1e6 ? `${(value / 1000).toPrecision(3)} ms` : `${(value / 1e6).toPrecision(3)} s`;
};

const point = () => {
  const plot = at.plot && document.getElementById(at.plot);
  const drawing = plot && plot.querySelector(".drawing");
  if (!drawing) return;
  const from = Number(plot.dataset.from);
  const times = plot.dataset.times.split(",").map(Number);
  const wanted = at.share * (Number(drawing.dataset.to) - from);
  let nearest = 0;
  times.forEach((time, place) => {
    if (Math.abs(time - wanted) < Math.abs(times[nearest] - wanted)) nearest = place;
  });
  const said = [...drawing.querySelectorAll("[data-values]")].map((line) => {
    const value = line.dataset.values.split(",")[nearest];
    return `${line.dataset.name} ${value === "" ? "–" : words(Number(value), plot.dataset.unit)}`;
  });
  const time = new Date(from + times[nearest]).toISOString().slice(11, 19);
  plot.querySelector(".reading").textContent = `${time} UTC: ${said.join(", ")}`;
  const x = (times[nearest] / (Number(drawing.dataset.to) - from)) * 1000;
  let cursor = drawing.querySelector(".cursor");
  if (!cursor) {
    cursor = document.createElementNS("http://www.w3.org/2000/svg", "path");
    cursor.setAttribute("class", "cursor");
    drawing.append(cursor);
  }
  cursor.setAttribute("d", `M${x} 0V200`);
};

document.addEventListener("pointermove", (event) => {
  const drawing = event.target instanceof Element && event.target.closest(".drawing");
  if (drawing) {
    const box = drawing.getBoundingClientRect();
    at.plot = drawing.closest(".plot").id;
    at.share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    point();
  } else if (at.plot) {
    const plot = document.getElementById(at.plot);
    at.plot = "";
    plot?.querySelector(".cursor")?.remove();
    if (plot?.querySelector(".reading")) plot.querySelector(".reading").textContent = "";
  }
});
