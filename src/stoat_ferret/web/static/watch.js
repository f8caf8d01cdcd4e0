// Keeps the library page up to date: its jobs as they change, its videos and libraries now and then.

const SOON_MS = 250; // changes that come closer together are shown together
const BUSY_MS = 1000; // how often to ask where nobody tells of changes
const IDLE_MS = 5000;
const REFRESH_MS = 4000; // how often to look for new videos while a job runs
const LISTEN_AGAIN_MS = 30_000; // after the server has refused to tell of changes

const OWN = ["open", "hidden"]; // attributes that the reader, or this script, sets

export const byId = (id) => document.getElementById(id);
export const show = (element, on) => { if (element) element.hidden = !on; };

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

/** Show what the jobs do: when the server tells of a change, and now and then where it cannot. */
export function watch(jobs) {
  let timer = 0;
  let polling = false;
  let again = false; // something changed while it was being asked
  let asked = 0;
  let refreshed = performance.now();
  let source = null;
  let told = false; // the server tells of every change

  function later(wait) {
    clearTimeout(timer);
    timer = setTimeout(poll, wait);
  }

  async function ask() {
    const before = jobs.firstElementChild.dataset.ended;
    const fresh = (await parsed(jobs.dataset.live)).body.firstElementChild;
    morph(jobs.firstElementChild, fresh);
    const { active, ended } = jobs.firstElementChild.dataset;
    if (ended !== before || (active !== "0" && performance.now() - refreshed >= REFRESH_MS)) {
      await refresh();
      refreshed = performance.now();
    }
    return active === "0" ? IDLE_MS : BUSY_MS;
  }

  async function poll() {
    clearTimeout(timer);
    again = polling;
    if (polling || document.hidden) return;
    polling = true;
    asked = performance.now();
    let wait = IDLE_MS;
    let reached = true;
    try {
      wait = await ask();
    } catch {
      reached = false;
    }
    show(byId("unreachable"), !reached);
    polling = false;
    if (document.hidden) return;
    if (again) changed();
    else if (!told || !reached) later(wait);
  }

  function changed() {
    if (polling) again = true;
    else later(Math.max(0, asked + SOON_MS - performance.now()));
  }

  // Only while the page is seen: browsers allow no more than six connections to a server, over all its pages.
  function listen() {
    if (source || document.hidden) return;
    source = new EventSource(jobs.dataset.events);
    source.addEventListener("open", () => { told = true; changed(); });
    source.addEventListener("job", changed);
    source.addEventListener("error", ({ target }) => {
      told = false;
      if (target.readyState === EventSource.CLOSED) { // refused; otherwise the browser comes back by itself
        source = null;
        setTimeout(listen, LISTEN_AGAIN_MS);
      }
      changed();
    });
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
      listen();
      poll();
    } else if (source) {
      source.close();
      source = null;
      told = false;
    }
  });
  listen();
  later(jobs.firstElementChild.dataset.active === "0" ? IDLE_MS : BUSY_MS);
  return poll;
}
