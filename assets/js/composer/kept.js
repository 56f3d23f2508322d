// Words of a composer that are kept on this computer until Hub has them: under which name they stand.

export function keptName({ elements: { draft, kind, answers, client } }) {
  return `draft:${draft.value || [kind.value, answers.value, client.value].join(":")}`;
}

export function isKept(form) {
  try {
    return localStorage.getItem(keptName(form)) !== null;
  } catch {
    return false; // No storage: nothing is kept.
  }
}
