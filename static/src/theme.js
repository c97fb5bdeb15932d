// Runs before the first paint, so that a chosen theme never flashes. Without a choice the system's preference holds (CSS).
try {
  const chosen = localStorage.getItem("berth.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // No storage: the system's preference it is.
}
