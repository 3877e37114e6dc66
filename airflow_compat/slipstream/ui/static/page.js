// The page: one view at a time, asked for again every two seconds while it can be seen. Texts of users go in as text nodes only.

const EVERY = 2000;
const view = document.getElementById("view");
const problem = document.getElementById("problem");
const live = document.getElementById("live");

/** An element with attributes and children; a child that is not an element is text. */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.map((child) => (child instanceof Node ? child : document.createTextNode(child ?? ""))));
  return element;
}

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Slipstream": "page" },
    body: JSON.stringify(body),
  };
  const answer = await fetch(`api/${path}`, options);
  if (answer.ok) return answer.json();
  const told = await answer.json().catch(() => ({}));
  if (answer.status === 401) throw new Error("You are not logged in to Airflow any more: reload the page.");
  throw new Error(typeof told.detail === "string" ? told.detail : `the server answered ${answer.status}`);
}

const query = (values) => new URLSearchParams(values).toString();
const name = encodeURIComponent;
const when = (time) => (time ? new Date(time).toLocaleString() : "");
const tone = (state) => ({ success: "good", active: "good", done: "good", failed: "bad", upstream_failed: "bad", parked: "bad" })[state] ?? "busy";
const colored = (state) => el("span", { class: tone(state) }, state ?? "none");

/** How long ago, with the time itself to be pointed at. */
function ago(time) {
  if (!time) return "";
  const seconds = Math.max(0, (Date.now() - new Date(time)) / 1000);
  const told = seconds < 90 ? `${Math.round(seconds)} s ago` : seconds < 5400 ? `${Math.round(seconds / 60)} min ago` : when(time);
  return el("time", { datetime: time, title: when(time) }, told);
}

function length(seconds) {
  if (seconds < 10) return `${seconds.toFixed(2)} s`;
  if (seconds < 600) return `${Math.round(seconds)} s`;
  return seconds < 36000 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

function millis(value) {
  return value < 1000 ? `${value < 10 ? value.toFixed(1) : Math.round(value)} ms` : length(value / 1000);
}

function table(heads, rows, nothing) {
  if (rows.length === 0) return el("p", { class: "muted" }, nothing);
  const cell = (value) => (value instanceof Node && value.tagName === "TD" ? value : el("td", {}, value));
  return el("table", {},
    el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map(cell)))));
}

const data = (value) => el("td", { class: "data" }, value === null ? "" : JSON.stringify(value));

/** A button that asks for something to be done, and then shows what has become of it. */
function action(label, path, body = {}) {
  return el("button", {
    onclick: async (event) => {
      event.currentTarget.disabled = true;
      await shown(async () => { await ask(path, body); });
      await refresh();
    },
  }, label);
}

// Drawn when the schedulers have answered: one that cannot be asked must not hold up the rest of the page.
const loops = el("div", { id: "loops" }, el("p", { class: "muted" }, "The schedulers are being asked."));
let asking = false;

async function askLoops() {
  if (asking) return;
  asking = true;
  try {
    loops.replaceChildren(loopTimes((await ask("loops")).loops));
  } catch (error) {
    loops.replaceChildren(el("p", { class: "problem" }, error.message));
  } finally {
    asking = false;
  }
}

/** How long the rounds of each scheduler's loop took lately, or why that cannot be known. */
function loopTimes(told) {
  const seconds = (time) => (Date.now() - new Date(time)) / 1000;
  const at = (step) => (step.name === "wait" ? "waits" : el("span", { class: seconds(step.since) > 10 ? "bad" : "busy" }, `${step.name}, since `, ago(step.since)));
  return table(["scheduler", "host", "rounds", "p50", "p99", "max", "last", "ended", "now"], told.map((loop) => {
    if (loop.error) return [loop.job_id, loop.hostname, el("td", { class: "bad", colspan: 7 }, loop.error)];
    const { count, window, p50, p99, max, last, ended_at } = loop.rounds;
    const took = count === 0 ? ["", "", ""] : [millis(p50), millis(p99), millis(max)];
    return [
      loop.job_id, loop.hostname, `${count} in ${window} s`, ...took, ended_at ? millis(last) : "",
      ended_at ? el("span", { class: seconds(ended_at) < 30 ? "good" : "bad" }, ago(ended_at)) : "no round yet", at(loop.step),
    ];
  }), "No scheduler is alive.");
}

const views = {
  async overview() {
    askLoops();
    const { ready, jobs, counts } = await ask("overview");
    const age = (job) => (Date.now() - new Date(job.latest_heartbeat)) / 1000;
    const card = (value, label, bad) => el("div", { class: "card" }, el("b", { class: bad ? "bad" : "" }, String(value)), label);
    return [
      ...(ready ? [el("div", { class: "cards" },
        card(counts.events ?? 0, "events in the log"),
        card(counts.behind ?? 0, "events not judged yet", counts.behind > 1000),
        card(counts.triggers, "active triggers"),
        card(counts.pending, "firings that wait"),
        card(counts.parked + counts.failed, "dead letters", counts.parked + counts.failed > 0))]
        : [el("p", { class: "muted" }, "No Slipstream scheduler has run on this database yet: it makes its tables at its first start.")]),
      el("h2", {}, "Processes"),
      table(["job", "id", "host", "since", "heartbeat"], jobs.map((job) => [
        job.job_type.replace(/Job$/, ""), job.id, job.hostname, when(job.start_date),
        el("span", { class: age(job) < 30 ? "good" : "bad" }, ago(job.latest_heartbeat)),
      ]), "No process of Airflow's is alive."),
      el("h2", {}, "Loop time of the schedulers"),
      loops,
    ];
  },

  async events() {
    const search = document.getElementById("key") ?? el("input", {
      id: "key", type: "search", placeholder: "key, e.g. model.*", "aria-label": "key", oninput: () => refresh(),
    });
    const { events } = await ask(`events?${query(search.value ? { key: search.value } : {})}`);
    const explain = (event) => el("button", {
      onclick: () => shown(async () => {
        const { lines } = await ask(`explain?event=${event.position}`);
        const told = document.getElementById("told") ?? el("pre", { id: "told" });
        told.textContent = lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n");
        search.after(told);
      }),
    }, "why");
    const told = document.getElementById("told");
    return [search, ...(told ? [told] : []),
      table(["position", "key", "namespace", "from", "time", "data", ""], events.map((event) => [
        event.position, event.key, event.namespace, event.sender ?? event.source, ago(event.time), data(event.data),
        el("td", { class: "actions" }, explain(event)),
      ]), "No event.")];
  },

  async triggers() {
    const { triggers, firings } = await ask("triggers");
    const act = (trigger) => (trigger.status === "active"
      ? action("pause", `triggers/${name(trigger.name)}/pause`)
      : action("resume", `triggers/${name(trigger.name)}/resume`));
    return [
      table(["trigger", "on", "state", "fired", "last", "condition", ""], triggers.map((trigger) => [
        trigger.name, trigger.task_id ? `${trigger.dag_id}.${trigger.task_id}` : trigger.dag_id, colored(trigger.status),
        trigger.firings, ago(trigger.fired_at), data(trigger.spec?.on ?? trigger.spec), el("td", { class: "actions" }, act(trigger)),
      ]), "No Dag has an event trigger."),
      el("h2", {}, "Latest firings"),
      table(["trigger", "event", "action", "state", "run", "when"], firings.map((firing) => [
        firing.name, firing.position, firing.action, colored(firing.status), firing.result_run_id ?? firing.reason ?? "", ago(firing.fired_at),
      ]), "Nothing has fired yet."),
    ];
  },

  async letters() {
    const { letters } = await ask("letters");
    return [table(["trigger", "event", "run", "what went wrong", "tries", "since", ""], letters.map((letter) => [
      letter.name, letter.position, letter.run_id, el("td", { class: "data" }, letter.error ?? ""), letter.attempts, ago(letter.created_at),
      el("td", { class: "actions" },
        action("retry", `triggers/${name(letter.name)}/retry`, { position: letter.position }), " ",
        action("skip", `triggers/${name(letter.name)}/skip`, { position: letter.position })),
    ]), "Nothing waits for a person.")];
  },

  async executions() {
    const { executions } = await ask("executions");
    return [table(["task", "run", "execution", "state", "since", "started by", "event"], executions.map((execution) => [
      `${execution.dag_id}.${execution.task_id}${execution.map_index >= 0 ? `[${execution.map_index}]` : ""}`, execution.run_id,
      execution.sequence, colored(execution.state), ago(execution.start_date ?? execution.created_at),
      execution.caused_by ?? "its dependencies", execution.position ?? "",
    ]), "No task of a running run is started by events.")];
  },

  async runs() {
    const { runs } = await ask("runs");
    chosen ??= runs[0];
    const choose = (run) => el("button", { onclick: () => { chosen = run; refresh(); } }, "show");
    const seconds = (run) => ((run.end_date ? new Date(run.end_date) : new Date()) - new Date(run.start_date)) / 1000;
    return [
      ...(chosen ? [el("h2", {}, `${chosen.dag_id} ${chosen.run_id}`), gantt((await ask(`bars?${query({ dag_id: chosen.dag_id, run_id: chosen.run_id })}`)).bars)] : []),
      el("h2", {}, "Latest runs"),
      table(["Dag", "run", "kind", "state", "started", "took", ""], runs.map((run) => [
        run.dag_id, run.run_id, run.run_type, colored(run.state), ago(run.start_date), length(seconds(run)),
        el("td", { class: "actions" }, choose(run)),
      ]), "No run has started yet."),
    ];
  },
};

let chosen;

/** The tries of a run over time: one line for each task instance, one bar for each try. */
function gantt(bars) {
  if (bars.length === 0) return el("p", { class: "muted" }, "No task of it has started.");
  const svg = (tag, attributes, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const of = (bar) => (bar.map_index >= 0 ? `${bar.task_id}[${bar.map_index}]` : bar.task_id);
  const lines = [...new Set(bars.map(of))].slice(0, 200);
  const begin = Math.min(...bars.map((bar) => +new Date(bar.start_date)));
  const end = Math.max(...bars.map((bar) => (bar.end_date ? +new Date(bar.end_date) : Date.now())), begin + 1);
  const [left, width, line] = [220, 760, 18];
  const x = (time) => left + ((time - begin) / (end - begin)) * width;
  const drawing = svg("svg", { viewBox: `0 0 ${left + width + 70} ${lines.length * line + 24}`, role: "img", "aria-label": "tries over time" });
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    const at = left + part * width;
    drawing.append(svg("line", { x1: at, x2: at, y1: 0, y2: lines.length * line, class: "grid" }),
      svg("text", { x: at, y: lines.length * line + 16, "text-anchor": "middle" }, length((part * (end - begin)) / 1000)));
  }
  lines.forEach((label, index) => drawing.append(svg("text", { x: 0, y: index * line + 13 }, label.slice(-34))));
  for (const bar of bars) {
    const index = lines.indexOf(of(bar));
    if (index < 0) continue;
    const [from, to] = [+new Date(bar.start_date), bar.end_date ? +new Date(bar.end_date) : Date.now()];
    const told = `${of(bar)} try ${bar.try_number}: ${bar.state ?? "none"}, ${length((to - from) / 1000)}`;
    drawing.append(svg("rect", { x: x(from), y: index * line + 3, width: Math.max(2, x(to) - x(from)), height: line - 6, rx: 2, class: bar.state ?? "" },
      svg("title", {}, told)));
  }
  return drawing;
}

/** Does something, and shows what went wrong. */
async function shown(what) {
  try {
    await what();
    problem.hidden = true;
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
}

let asked = 0;

async function refresh() {
  const mine = ++asked;
  const wanted = location.hash.slice(1);
  const current = views[wanted] ? wanted : "overview";
  for (const tab of document.querySelectorAll("#tabs button")) {
    if (tab.dataset.view === current) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  await shown(async () => {
    const parts = await views[current]();
    // What was asked for later has been shown already, or will be.
    if (mine !== asked) return;
    const focused = document.activeElement;
    view.replaceChildren(...parts);
    if (focused instanceof HTMLInputElement && view.contains(focused)) focused.focus();
    live.textContent = new Date().toLocaleTimeString();
    const { counts } = await ask("overview");
    const waiting = (counts?.parked ?? 0) + (counts?.failed ?? 0);
    const badge = document.getElementById("parked");
    badge.hidden = waiting === 0;
    badge.textContent = waiting;
  });
}

for (const tab of document.querySelectorAll("#tabs button")) {
  tab.addEventListener("click", () => { location.hash = tab.dataset.view; });
}
window.addEventListener("hashchange", refresh);
setInterval(() => { if (!document.hidden) refresh(); }, EVERY);
refresh();
