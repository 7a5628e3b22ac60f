// Forms marked data-live are sent without leaving the page, which then shows the new cart; no form is
// sent twice by a double click.  Without this file they work as forms do.

const said = document.getElementById("said");
let silence;

// Say it for a while: also to those who cannot see the cart.
function say(text, kind = "") {
  clearTimeout(silence);
  said.textContent = text;
  said.className = kind;
  silence = setTimeout(() => said.replaceChildren(), kind ? 20_000 : 4_000);
}

function show(html) {
  const next = new DOMParser().parseFromString(html, "text/html");
  const focus = document.activeElement;
  const says = [];
  for (const part of document.querySelectorAll("[data-part]")) {
    const fresh = next.getElementById(part.id);
    if (!fresh) throw new Error("that is not the shop's page");
    // The answer may be of another page than this one.
    if (part.hasAttribute("aria-current")) fresh.setAttribute("aria-current", part.getAttribute("aria-current"));
    else fresh.removeAttribute("aria-current");
    if (part.isEqualNode(fresh)) continue; // what is being typed there stays
    if (fresh.dataset.says !== part.dataset.says) says.push(fresh.dataset.says);
    const within = part.contains(focus);
    part.replaceWith(fresh);
    if (within) (document.getElementById(focus.id) ?? document.getElementById("main")).focus({ preventScroll: true });
  }
  if (says.length) say(says.join(". "));
}

export const send = (url, body) => fetch(url, body === undefined ? {} : { method: "POST", body });

export async function refresh() {
  show(await (await send(location.pathname)).text());
}

async function sendLive(form, submitter) {
  const number = submitter?.name === "remove" ? null : form.elements.quantity;
  const before = number?.defaultValue;
  if (number && number.value === before) return; // Enter, after the change was sent
  if (number) number.defaultValue = number.value;
  const body = new URLSearchParams(new FormData(form));
  if (submitter?.name) body.set(submitter.name, submitter.value);
  submitter?.setAttribute("aria-busy", "true");
  try {
    const response = await send(form.action, body);
    const html = await response.text();
    if (!response.ok) {
      const told = new DOMParser().parseFromString(html, "text/html").querySelector(".lead")?.textContent;
      throw new Error(told ?? `the server answered ${response.status}`);
    }
    submitter?.removeAttribute("aria-busy");
    show(html);
  } catch (error) {
    say(`Not done: ${error.message}`, "bad");
    if (number) number.defaultValue = before;
  } finally {
    submitter?.removeAttribute("aria-busy");
  }
}

document.documentElement.classList.add("scripted");

document.addEventListener("change", ({ target }) => {
  if (target.name === "quantity" && target.form.reportValidity()) target.form.requestSubmit();
});

document.addEventListener("submit", (event) => {
  const { target: form, submitter } = event;
  if ("live" in form.dataset) {
    event.preventDefault();
    sendLive(form, submitter);
  } else if (form.dataset.sent) {
    event.preventDefault();
  } else {
    form.dataset.sent = "yes";
    submitter?.setAttribute("aria-busy", "true");
  }
});

// Back again, by the browser's own memory of the page.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    form.querySelector("[aria-busy]")?.removeAttribute("aria-busy");
  }
});
