// Preferences of this browser. Where storage is refused they last as long as the page.
const fallback = new Map();

export function pref(name) {
  try {
    return localStorage.getItem("berth." + name);
  } catch {
    return fallback.get(name) ?? null;
  }
}

export function setPref(name, value) {
  try {
    localStorage.setItem("berth." + name, value);
  } catch {
    fallback.set(name, value);
  }
}

// What belongs to one tab of the browser. take also forgets, so that a duplicated tab does not act twice.
export function stash(name, value) {
  try {
    sessionStorage.setItem("berth." + name, JSON.stringify(value));
  } catch {
    // Full or refused: a reload starts afresh.
  }
}

export function take(name) {
  try {
    const text = sessionStorage.getItem("berth." + name);
    sessionStorage.removeItem("berth." + name);
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}
