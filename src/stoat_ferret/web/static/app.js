// Keeps the library page up to date, and sends what its forms and buttons ask for. Every page works without it.

const BUSY_MS = 1000;
const IDLE_MS = 5000;
const REFRESH_EVERY = 4; // polls, while a job runs

const OWN = ["open", "hidden"]; // attributes that the reader, or this script, sets

const byId = (id) => document.getElementById(id);
const show = (element, on) => { if (element) element.hidden = !on; };

/** Make `live` equal to `fresh` and keep what has not changed: focus, opened details, loaded pictures. */
function morph(live, fresh) {
  if (live.nodeType !== Node.ELEMENT_NODE) return void (live.data = fresh.data);
  for (const { name, value } of fresh.attributes) {
    if (live.getAttribute(name) !== value) live.setAttribute(name, value);
  }
  for (const { name } of [...live.attributes]) {
    if (!fresh.hasAttribute(name) && !OWN.includes(name)) live.removeAttribute(name);
  }
  const known = new Map([...live.children].filter((child) => child.id).map((child) => [child.id, child]));
  let at = live.firstChild;
  for (const next of [...fresh.childNodes]) {
    const alike = at && !at.id && at.nodeName === next.nodeName ? at : null;
    const match = next.id ? known.get(next.id) : alike;
    if (!match) {
      live.insertBefore(next, at);
      continue;
    }
    if (match !== at) live.insertBefore(match, at);
    at = match.nextSibling;
    morph(match, next);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

async function parsed(url) {
  const answer = await fetch(url, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(10_000) });
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

/** Read this page again and take over its videos and libraries. */
async function refresh() {
  const page = await parsed(location.href);
  for (const id of ["libraries", "videos"]) {
    if (byId(id) && page.getElementById(id)) morph(byId(id), page.getElementById(id));
  }
}

function watch(jobs) {
  let timer = 0;
  let polls = 0;
  let polling = false;

  async function poll() {
    clearTimeout(timer);
    if (polling || document.hidden) return;
    polling = true;
    let wait = IDLE_MS;
    try {
      const before = { ...jobs.firstElementChild.dataset };
      const fresh = (await parsed(jobs.dataset.live)).body.firstElementChild;
      morph(jobs.firstElementChild, fresh);
      const { active, ended } = jobs.firstElementChild.dataset;
      if (active !== "0") wait = BUSY_MS;
      polls += 1;
      if (ended !== before.ended || (active !== "0" && polls % REFRESH_EVERY === 0)) await refresh();
      show(byId("unreachable"), false);
    } catch {
      show(byId("unreachable"), true);
    }
    polling = false;
    if (!document.hidden) timer = setTimeout(poll, wait);
  }

  document.addEventListener("visibilitychange", poll);
  timer = setTimeout(poll, jobs.firstElementChild.dataset.active === "0" ? IDLE_MS : BUSY_MS);
  return poll;
}

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
