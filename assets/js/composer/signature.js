// The signature of the sender who is chosen, as HTML; empty where there is none.

export function signatureOf(form) {
  const sender = form.querySelector("[data-sender]");
  return (sender?.selectedOptions?.[0] ?? sender)?.dataset.signature ?? "";
}
