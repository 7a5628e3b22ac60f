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

function count(result, sent, answers, kept) {
  const acknowledged = answers.filter(Boolean);
  const lost = acknowledged.length - kept;
  const numbers = element("dl", "", "numbers");
  for (const [name, number] of [["sent", sent], ["acknowledged", acknowledged.length], ["kept", kept], ["lost", lost]]) {
    const pair = element("div", "", name === "lost" ? (lost ? "bad" : "good") : "");
    pair.append(element("dt", name), element("dd", number));
    numbers.append(pair);
  }
  const workers = new Map();
  for (const { worker } of acknowledged) workers.set(worker, (workers.get(worker) ?? 0) + 1);
  const whole = `The same requests, had each written back whole what it read, would have kept ${replayed(acknowledged)}.`;
  const who = [...workers].map(([worker, answered]) => `${answered} by worker ${worker}`).join(", ");
  result.replaceChildren(numbers, element("p", whole), element("p", `Answered ${who}.`, "soft"));
}

function settle(rows, kept) {
  for (const mark of rows.flat().filter((mark) => mark.className === "acknowledged")) {
    mark.className = kept-- > 0 ? "kept" : "lost";
  }
}

const scenes = {
  async corks(picture, result) {
    const before = await ask("/lab/begin", form({}));
    const [row] = marks(picture, 1, MANY);
    const answers = await Promise.all(row.map((mark) => fire(mark, "/lab/cork", form({}))));
    const kept = (await ask("/lab/look")).corks - before.corks;
    settle([row], kept);
    count(result, MANY, answers, kept);
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
    count(result, 2 * NOTES, answers, notes);
  },

  async race(picture, result) {
    const list = element("ol", "", "exchanges");
    picture.replaceChildren(list);
    result.replaceChildren(element("p", "The slow request takes two seconds …"));
    const response = await send("/lab/race", form({}));
    if (!response.ok) throw new Error(`/lab/race answered ${response.status}`);
    for await (const step of lines(response.body)) {
      if (step.type === "verdict") {
        result.replaceChildren(element("p", step.text, step.held ? "verdict good" : "verdict bad"));
        continue;
      }
      const line = element("li");
      line.append(
        element("span", `${step.at.toFixed(2)} s`, "at"),
        element("code", step.request),
        element("span", `${step.status}`, "status"),
        element("span", `Set-Cookie: ${step.cookie}`, `cookie ${step.cookie}`),
        element("small", step.says),
      );
      list.append(line);
    }
  },
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
    result.replaceChildren();
    try {
      await scenes[name](document.getElementById(`${name}-picture`), result);
      await refresh();
    } catch (error) {
      result.replaceChildren(element("p", `That did not work: ${error.message}.`, "verdict bad"));
    } finally {
      others.forEach((other) => other.removeAttribute("aria-disabled"));
    }
  });
}
