// Forms are sent without leaving the page, which then shows the new cart and devices.
// Without this file they work as forms do.

const said = document.getElementById("said");
let silence;

// Say it for a while: to those who cannot see the cart, because of a small window or otherwise.
function say(text, kind = "") {
  clearTimeout(silence);
  said.textContent = text;
  said.className = kind;
  silence = setTimeout(() => said.replaceChildren(), kind ? 20_000 : 5_000);
}

function show(html) {
  const next = new DOMParser().parseFromString(html, "text/html");
  const focus = document.activeElement;
  const says = [];
  for (const part of document.querySelectorAll("[data-part]")) {
    const fresh = next.getElementById(part.id);
    if (!fresh) throw new Error("not the shop's page");
    if (part.isEqualNode(fresh)) continue; // what is being typed there stays
    if (fresh.dataset.says !== part.dataset.says) says.push(fresh.dataset.says);
    const within = part.contains(focus);
    part.replaceWith(fresh);
    if (within) (document.getElementById(focus.id) ?? fresh.querySelector("h2")).focus({ preventScroll: true });
  }
  if (says.length) say(says.join(". "));
}

export const send = (url, body) => fetch(url, body === undefined ? {} : { method: "POST", body });

export async function refresh() {
  show(await (await send("/")).text());
}

document.documentElement.classList.add("scripted");

document.addEventListener("change", ({ target }) => {
  if (target.name === "quantity" && target.form.reportValidity()) target.form.requestSubmit();
});

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { target: form, submitter } = event;
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
    if (!html.includes('id="cart"')) throw new Error(`the shop answered ${response.status}`);
    submitter?.removeAttribute("aria-busy");
    show(html);
  } catch (error) {
    say(`That did not work: ${error.message}. It was not acknowledged; try again.`, "bad");
    if (number) number.defaultValue = before;
  } finally {
    submitter?.removeAttribute("aria-busy");
  }
});
