// Sends what the pages' forms and buttons ask for, and keeps the library page up to date. Every page works without it.

import { byId, show, watch } from "./watch.js";

const jobs = byId("jobs");
const poll = jobs ? watch(jobs) : async () => {};

/** Send a request; show why it was refused, if it was. */
async function send(url, body) {
  const problem = byId("scan-problem");
  show(problem, false);
  try {
    const json = { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const answer = await fetch(url, { method: "POST", ...(body ? json : {}) });
    if (answer.ok) {
      await poll();
      return true;
    }
    problem.textContent = (await answer.json()).detail;
  } catch {
    problem.textContent = "The server does not answer. Nothing was started.";
  }
  show(problem, true);
  return false;
}

async function copied(button, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    return void prompt("Copy this:", text); // where the page did not come over a secure way
  }
  const label = [...button.childNodes];
  button.replaceChildren("Copied");
  button.disabled = true;
  setTimeout(() => { button.replaceChildren(...label); button.disabled = false; }, 1500);
}

document.addEventListener("submit", async (event) => {
  if (event.target.id !== "scan") return;
  event.preventDefault();
  const form = event.target.elements;
  const body = { path: form.path.value.trim() };
  for (const name of ["recursive", "dry_run", "force", "accept_loss"]) body[name] = form[name].checked;
  if (await send("/api/v1/videos/scan", body)) form.path.value = "";
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { cancel, rescan, copy } = button.dataset;
  if (cancel) await send(`/api/v1/jobs/${cancel}/cancel`);
  if (rescan) await send("/api/v1/videos/scan", { path_bytes: rescan });
  if (copy) await copied(button, copy);
});

// A picture that cannot be had makes room for the drawing behind it.
const giveWay = (image) => { image.hidden = true; };
document.addEventListener("error", ({ target }) => target.tagName === "IMG" && giveWay(target), true);
for (const image of document.images) if (image.complete && image.currentSrc && !image.naturalWidth) giveWay(image);

document.addEventListener("change", (event) => event.target.closest("form[data-auto]")?.requestSubmit());

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  document.querySelector("[data-search]")?.focus();
});
