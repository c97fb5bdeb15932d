import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags as t } from "@lezer/highlight";

// Colours are the page's own variables, so that both themes are one; dark only tells CodeMirror's own parts.
const rules = {
  "&": { height: "100%", color: "var(--ink)", backgroundColor: "var(--shell)", fontSize: "var(--code-size)" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.45" },
  ".cm-content": { caretColor: "var(--ours)", padding: "8px 0" },
  ".cm-cursor, .cm-dropCursor": { borderLeftColor: "var(--ours)", borderLeftWidth: "2px" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--code-selection)" },
  ".cm-gutters": { color: "var(--soft)", backgroundColor: "var(--shell)", border: "0", borderRight: "1px solid var(--line)" },
  ".cm-activeLine": { backgroundColor: "var(--code-line)" },
  ".cm-activeLineGutter": { backgroundColor: "var(--code-line)", color: "var(--ink)" },
  ".cm-selectionMatch": { backgroundColor: "var(--tint)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--tint)", outline: "1px solid var(--ours)" },
  ".cm-specialChar": { color: "var(--danger)" },
  ".cm-panels": { color: "var(--ink)", backgroundColor: "var(--paper)", borderColor: "var(--line)" },
  ".cm-panels.cm-panels-top": { borderBottom: "1px solid var(--line)" },
  ".cm-panels.cm-panels-bottom": { borderTop: "1px solid var(--line)" },
  ".cm-panel.cm-search, .cm-panel.cm-gotoLine": { fontFamily: "var(--sans)", fontSize: "14px" },
  ".cm-textfield": { color: "var(--ink)", backgroundColor: "var(--raised)", border: "1px solid var(--field)", borderRadius: "6px", fontSize: "13px", padding: "3px 8px" },
  ".cm-button": { color: "var(--ink)", backgroundImage: "none", backgroundColor: "transparent", border: "1px solid var(--field)", borderRadius: "6px", fontSize: "13px", minHeight: "28px", padding: "2px 10px", verticalAlign: "middle" },
  ".cm-panel.cm-search label": { fontSize: "13px" },
  ".cm-searchMatch": { backgroundColor: "var(--code-match)", color: "inherit" },
  ".cm-searchMatch-selected": { backgroundColor: "var(--code-match)", outline: "2px solid var(--ours)" },
  ".cm-tooltip": { color: "var(--ink)", backgroundColor: "var(--raised)", border: "1px solid var(--line)", borderRadius: "6px", maxWidth: "min(480px, 90vw)" },
  ".cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)" },
  ".cm-tooltip-autocomplete > ul > li": { padding: "2px 8px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": { color: "var(--ink)", backgroundColor: "var(--tint)" },
  ".cm-completionDetail": { marginLeft: "16px", fontFamily: "var(--sans)", fontStyle: "normal", color: "var(--soft)" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "600", color: "var(--ours)" },
  ".cm-completionInfo": { fontFamily: "var(--sans)", padding: "8px 12px", fontSize: "13px" },
  ".cm-diagnostic": { fontFamily: "var(--sans)", fontSize: "13px", lineHeight: "20px", padding: "8px 12px", whiteSpace: "normal" },
  ".cm-diagnostic-error": { borderLeft: "4px solid var(--danger)" },
  ".cm-diagnostic-warning": { borderLeft: "4px solid var(--code-warning)" },
  ".cm-panel.cm-panel-lint ul": { maxHeight: "160px" },
  ".cm-panel.cm-panel-lint ul [aria-selected], .cm-panel.cm-panel-lint ul:focus [aria-selected]": { color: "var(--ink)", backgroundColor: "var(--tint)" },
  ".cm-panel.cm-panel-lint button[name=close]": { color: "var(--soft)", minHeight: "24px", padding: "0 6px", border: "0" },
  ".cm-deletedChunk .cm-chunkButtons": { insetInlineEnd: "8px", fontFamily: "var(--sans)" },
  "& .cm-deletedChunk .cm-chunkButtons button": { color: "var(--ink)", backgroundColor: "var(--raised)", border: "1px solid var(--field)", margin: "0 2px" },
  ".cm-diagnosticAction": { display: "inline-block", minHeight: "0", border: "0", color: "var(--on-ours)", backgroundColor: "var(--ours)", borderRadius: "6px", padding: "2px 8px", margin: "4px 8px 0 0" },
  ".cm-lintRange-warning": { backgroundImage: "none", textDecoration: "underline wavy var(--code-warning)", textUnderlineOffset: "3px" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--danger)", textUnderlineOffset: "3px" },
  ".cm-lint-marker": { content: "none !important", width: "1em", height: "1em", borderRadius: "50%", margin: "0.2em auto" },
  ".cm-lint-marker-warning": { border: "3px solid var(--code-warning)" },
  ".cm-lint-marker-error": { backgroundColor: "var(--danger)" },
  ".cm-changedLine, .cm-insertedLine": { backgroundColor: "var(--tint) !important" },
  ".cm-deletedChunk": { backgroundColor: "var(--danger-tint) !important", paddingLeft: "6px" },
};

const colours = HighlightStyle.define([
  { tag: [t.keyword, t.operatorKeyword, t.controlKeyword], color: "var(--code-keyword)", fontWeight: "600" },
  { tag: [t.string, t.special(t.string), t.regexp], color: "var(--code-string)" },
  { tag: [t.comment, t.lineComment, t.blockComment], color: "var(--soft)", fontStyle: "italic" },
  { tag: [t.number, t.bool, t.null, t.atom], color: "var(--code-number)" },
  { tag: [t.variableName, t.propertyName, t.attributeName, t.labelName], color: "var(--code-name)" },
  { tag: [t.typeName, t.className, t.tagName, t.definition(t.variableName), t.standard(t.name)], color: "var(--code-type)" },
  { tag: [t.meta, t.processingInstruction], color: "var(--soft)" },
  { tag: t.invalid, color: "var(--danger)" },
]);

export const theme = (dark) => EditorView.theme(rules, { dark });
export const highlighting = syntaxHighlighting(colours);
