// Asking Hub from the composer, and saying what came of it.

export const field = (form, name) => form.elements[name];

export function said(form, name, ...about) {
  let text = form.dataset[`say${name}`] ?? "";
  for (const one of about) text = text.replace("{}", one);
  return text;
}

export function state(form, text, kind = "") {
  const place = form.querySelector("[data-state]");
  place.textContent = text;
  place.dataset.kind = kind;
}

export function toast(text) {
  const made = document.querySelector("#toast-bad")?.content.cloneNode(true);
  if (!made || !text) return;
  made.querySelector("span").textContent = text;
  document.querySelector("#toasts").append(made);
}

// An answer as {ok, status, data}; `status` 0 where Hub did not answer.
export async function post(url, body, options = {}) {
  try {
    const answer = await fetch(url, { method: "POST", body, ...options });
    const data = await answer.json().catch(() => ({}));
    return { ok: answer.ok, status: answer.status, data };
  } catch {
    return { ok: false, status: 0, data: {} };
  }
}
