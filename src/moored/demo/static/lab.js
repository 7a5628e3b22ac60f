// "Break it": fires requests, draws one mark for each, and counts what was kept.

import { refresh, send } from "./shop.js";

const MANY = 50;
const NOTES = 20;

const element = (name, text = "", kind = "") => Object.assign(document.createElement(name), { textContent: text, className: kind });

const form = (fields) => new URLSearchParams(fields);

async function ask(url, body) {
  const response = await send(url, body);
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return response.json();
}

function marks(picture, rows, columns) {
  picture.replaceChildren();
  return Array.from({ length: rows }, () => {
    const row = element("div", "", "marks");
    row.setAttribute("aria-hidden", "true");
    row.append(...Array.from({ length: columns }, () => element("i")));
    picture.append(row);
    return [...row.children];
  });
}

// How many would be kept if the same requests had each written back, whole, what they had read?
// Both times are of one clock, which all workers share.
function replayed(answers) {
  const events = answers.flatMap((answer) => [{ at: answer.read, answer }, { at: answer.written, answer, writes: true }]);
  let stored = new Set();
  const read = new Map();
  for (const { answer, writes } of events.sort((one, other) => one.at - other.at)) {
    if (writes) stored = new Set([...read.get(answer), answer]);
    else read.set(answer, stored);
  }
  return stored.size;
}

// Send one request for a mark; what it answered, or null if it was refused or lost on the way.
async function fire(mark, url, body) {
  mark.className = "sent";
  try {
    const answer = await ask(url, body);
    mark.className = "acknowledged";
    return answer;
  } catch {
    mark.className = "refused";
    return null;
  }
}

function figures(result, pairs, ...paragraphs) {
  const list = element("dl", "", "numbers");
  for (const [name, number] of pairs) {
    const pair = element("div", "", /lost|oversold/.test(name) ? (number ? "bad" : "good") : "");
    pair.append(element("dt", name), element("dd", number));
    list.append(pair);
  }
  result.replaceChildren(list, ...paragraphs);
}

function count(result, sent, answers, kept, otherwise) {
  const acknowledged = answers.filter(Boolean);
  const lost = acknowledged.length - kept;
  const workers = new Map();
  for (const { worker } of acknowledged) workers.set(worker, (workers.get(worker) ?? 0) + 1);
  const who = [...workers].map(([worker, answered]) => `${answered} by worker ${worker}`).join(", ");
  figures(
    result,
    [["sent", sent], ["acknowledged", acknowledged.length], ["kept", kept], ["lost", lost]],
    element("p", otherwise ?? `The same requests, had each written back whole what it read, would have kept ${replayed(acknowledged)}.`),
    element("p", `Answered ${who}.`, "soft"),
  );
  return lost === 0 && acknowledged.length === sent;
}

function settle(rows, kept) {
  for (const mark of rows.flat().filter((mark) => mark.className === "acknowledged")) {
    mark.className = kept-- > 0 ? "kept" : "lost";
  }
}

// What the server plays: its steps as they happen, and the verdict.
async function played(url, result, step) {
  let held = false;
  const response = await send(url, form({}));
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  for await (const line of lines(response.body)) {
    if (line.type === "verdict") {
      held = line.held;
      figures(result, Object.entries(line.numbers), element("p", line.text, held ? "verdict good" : "verdict bad"));
    } else step(line);
  }
  return held;
}

function exchanges(picture) {
  const list = element("ol", "", "exchanges");
  picture.replaceChildren(list);
  return (step) => {
    const line = element("li");
    line.append(
      element("span", `${step.at.toFixed(2)} s`, "at"),
      element("code", step.request),
      element("span", `${step.status}`, "status"),
      element("small", `${step.who}: ${step.says}`),
    );
    if (step.cookie !== "none") line.append(element("span", `Set-Cookie: ${step.cookie}`, `cookie ${step.cookie}`));
    list.append(line);
  };
}

// Each plays its scene and answers whether everything was kept.
const scenes = {
  async corks(picture, result) {
    const before = await ask("/lab/begin", form({}));
    const [row] = marks(picture, 1, MANY);
    const answers = await Promise.all(row.map((mark) => fire(mark, "/lab/cork", form({}))));
    const kept = (await ask("/lab/look")).corks - before.corks;
    settle([row], kept);
    return count(result, MANY, answers, kept);
  },

  async tabs(picture, result) {
    await ask("/lab/begin", form({}));
    const rows = marks(picture, 2, NOTES);
    const tab = async (name, row) => {
      const answers = [];
      for (const [number, mark] of row.entries()) answers.push(await fire(mark, "/lab/note", form({ tab: name, number })));
      return answers;
    };
    const answers = (await Promise.all([tab("left", rows[0]), tab("right", rows[1])])).flat();
    const { notes } = await ask("/lab/look");
    settle(rows, notes);
    return count(result, 2 * NOTES, answers, notes);
  },

  async deep(picture, result) {
    await ask("/lab/boat", form({}));
    const [row] = marks(picture, 1, NOTES);
    const answers = [];
    for (const [number, mark] of row.entries()) answers.push(await fire(mark, "/lab/deep", form({ number })));
    const { notes } = await ask("/lab/look");
    settle([row], notes);
    const otherwise = "A session that only notices when something is assigned to it would have kept 0: here nothing is.";
    return count(result, NOTES, answers, notes, otherwise);
  },

  async rush(picture, result) {
    const [row] = marks(picture, 1, 30);
    for (const mark of row) mark.className = "sent";
    result.replaceChildren(element("p", "The shoppers fill their carts …"));
    const fates = { bought: "kept", "sold out": "refused", failed: "lost" };
    return played("/lab/rush", result, ({ number, fate }) => (row[number].className = fates[fate]));
  },

  async race(picture, result) {
    result.replaceChildren(element("p", "The slow request takes two seconds …"));
    return played("/lab/race", result, exchanges(picture));
  },

  planted: (picture, result) => played("/lab/planted", result, exchanges(picture)),
};

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let chunk; !(chunk = await reader.read()).done; ) {
    const parts = (rest + chunk.value).split("\n");
    rest = parts.pop();
    yield* parts.map((part) => JSON.parse(part));
  }
}

for (const button of document.querySelectorAll("[data-scene]")) {
  const name = button.dataset.scene;
  button.disabled = false;
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled")) return;
    const result = document.getElementById(`${name}-result`);
    const others = document.querySelectorAll("[data-scene]");
    others.forEach((other) => other.setAttribute("aria-disabled", "true"));
    delete result.dataset.held;
    result.replaceChildren();
    try {
      result.dataset.held = await scenes[name](document.getElementById(`${name}-picture`), result);
      await refresh();
    } catch (error) {
      result.replaceChildren(element("p", `That did not work: ${error.message}.`, "verdict bad"));
      result.dataset.held = false;
    } finally {
      others.forEach((other) => other.removeAttribute("aria-disabled"));
    }
  });
}
