import { closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, foldKeymap, indentOnInput } from "@codemirror/language";
import { lintKeymap } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, Prec } from "@codemirror/state";
import { EditorView, crosshairCursor, drawSelection, dropCursor, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers, rectangularSelection } from "@codemirror/view";
import { byId } from "../dom.js";
import { pref } from "../prefs.js";
import { isDark } from "../themes.js";
import { dockerfileCompletion } from "./dockerfile.js";
import { isDockerfile, languageOf } from "./languages.js";
import { dockerfileLint } from "./lint.js";
import { buildMarks } from "./marks.js";
import { highlighting, theme } from "./theme.js";

// Parts are what changes while a file is open.
export const parts = () => ({ theme: new Compartment(), wrap: new Compartment(), diff: new Compartment(), separator: new Compartment(), language: new Compartment() });

export const wrapping = () => (pref("wrap") === "on" ? EditorView.lineWrapping : []);

// separator: where lines end in more than one way, what is in front of "\n" is part of the line, and stays.
export const separator = (exact) => (exact ? EditorState.lineSeparator.of("\n") : []);

// ofName are the extensions that a file's name decides.
export function ofName(name, text, api, told) {
  const language = languageOf(name, text);
  return { word: language.word, extensions: [language.extensions, isDockerfile(name) ? [dockerfileLint(api, told), dockerfileCompletion] : []] };
}

// extensions of an editor. on: {save(), build(), changed(update)}
export function extensions(p, { exact }, on, byName, label) {
  const run = (f) => () => {
    f();
    return true;
  };
  return [
    Prec.highest(keymap.of([{ key: "Mod-s", run: run(on.save) }, { key: "Mod-Enter", run: run(on.build) }])),
    EditorView.cspNonce.of(byId("session-css").nonce),
    EditorView.contentAttributes.of({ "aria-label": label }),
    p.separator.of(separator(exact)),
    lineNumbers(), buildMarks, highlightActiveLineGutter(), highlightSpecialChars(), history(), drawSelection(), dropCursor(),
    EditorState.allowMultipleSelections.of(true), indentOnInput(), bracketMatching(), closeBrackets(), rectangularSelection(), crosshairCursor(),
    highlightActiveLine(), highlightSelectionMatches(), search({ top: true }), highlighting,
    keymap.of([...closeBracketsKeymap, ...searchKeymap, ...historyKeymap, ...foldKeymap, ...completionKeymap, ...lintKeymap, indentWithTab, ...defaultKeymap]),
    p.language.of(byName), p.theme.of(theme(isDark())), p.wrap.of(wrapping()), p.diff.of([]),
    EditorView.updateListener.of(on.changed),
  ];
}
