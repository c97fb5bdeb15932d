import { unifiedMergeView } from "@codemirror/merge";
import { el } from "../dom.js";

const WORDS = { accept: "Keep mine", reject: "Take theirs" };

// difference shows another text in the editor: what only it has above what only the editor has.
export function difference(theirs) {
  return unifiedMergeView({
    original: theirs, highlightChanges: true, gutter: true, syntaxHighlightDeletions: false,
    mergeControls: (type, act) => el("button", { type: "button", class: "small", onmousedown: act }, WORDS[type]),
  });
}
