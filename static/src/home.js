import { isDark, onTheme, toggleTheme } from "./themes.js";

for (const button of document.querySelectorAll("[data-theme-toggle]")) {
  const name = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", isDark() ? "Use the light theme" : "Use the dark theme");
  };
  name();
  onTheme(name);
  button.addEventListener("click", toggleTheme);
  button.hidden = false;
}

// A press counts once, and says that it was felt.
for (const form of document.querySelectorAll("form[data-busy]")) {
  form.addEventListener("submit", (e) => {
    if (form.classList.contains("busy")) return e.preventDefault();
    form.classList.add("busy");
    e.submitter?.setAttribute("aria-busy", "true");
    const label = e.submitter?.querySelector(".card-title") ?? e.submitter;
    if (label) label.textContent = form.dataset.busy;
  });
}

// Back from the session page: the form is as it was.
addEventListener("pageshow", (e) => {
  if (e.persisted) location.reload();
});

for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.getTime())) time.textContent = at.toLocaleString([], { dateStyle: "long", timeStyle: "short" });
}
