import { el } from "../dom.js";

// askName has a name typed in the tree, at its place, and resolves to it, or to null. extra: {parent, node, kind, value, check}.
export function askName(tree, root, extra) {
  return new Promise((resolve) => {
    const input = el("input", { type: "text", value: extra.value, "aria-label": extra.kind === "folder" ? "Name of the new folder" : extra.kind === "file" ? "Name of the new file" : `New name of ${extra.value}`, autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
    const hint = el("span", { class: "failed", role: "alert" });
    const end = (name, toTree) => {
      if (tree.extra?.box !== extra.box) return;
      tree.extra = null;
      tree.show(root);
      if (toTree) tree.focus();
      resolve(name);
    };
    input.addEventListener("keydown", (e) => {
      e.stopPropagation();
      if (e.key === "Escape") end(null, true);
      if (e.key !== "Enter" || e.isComposing) return;
      const wrong = extra.check(input.value);
      hint.textContent = wrong;
      if (!wrong) end(input.value || null, true);
    });
    input.addEventListener("blur", () => setTimeout(() => document.activeElement !== input && end(null, false)));
    input.addEventListener("input", () => (hint.textContent = extra.check(input.value)));
    extra.box = el("span", { class: "naming" }, input, hint);
    tree.node.hidden = false;
    tree.extra = extra;
    tree.show(root);
    const at = tree.rows.findIndex((r) => r.extra === extra || (extra.node && r.node === extra.node));
    if (!extra.node) tree.node.scrollTop = Math.max(0, Math.min(tree.node.scrollTop, at * tree.height));
    tree.paint();
    input.focus();
    const dot = extra.kind === "rename" && !extra.node.isFolder ? extra.value.lastIndexOf(".") : -1;
    input.setSelectionRange(0, dot > 0 ? dot : extra.value.length);
  });
}
