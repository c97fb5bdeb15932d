import { StreamLanguage, indentUnit } from "@codemirror/language";
import { css } from "@codemirror/legacy-modes/mode/css";
import { dockerFile } from "@codemirror/legacy-modes/mode/dockerfile";
import { go } from "@codemirror/legacy-modes/mode/go";
import { javascript, json, typescript } from "@codemirror/legacy-modes/mode/javascript";
import { nginx } from "@codemirror/legacy-modes/mode/nginx";
import { properties } from "@codemirror/legacy-modes/mode/properties";
import { python } from "@codemirror/legacy-modes/mode/python";
import { shell } from "@codemirror/legacy-modes/mode/shell";
import { toml } from "@codemirror/legacy-modes/mode/toml";
import { html } from "@codemirror/legacy-modes/mode/xml";
import { yaml } from "@codemirror/legacy-modes/mode/yaml";

const hash = { commentTokens: { line: "#" } };
const commented = (mode) => ({ ...mode, languageData: { ...mode.languageData, ...hash } });

const BY_NAME = [
  [/^(.*\.)?(docker|container)file(\..*)?$/i, commented(dockerFile), "Dockerfile"],
  [/\.ya?ml$/i, commented(yaml), "YAML"],
  [/\.(json|jsonc)$/i, json, "JSON"],
  [/\.(sh|bash|zsh|ash)$|^\.(bash|z)?(rc|_?profile|_aliases|_logout)$|^\.(bashrc|zshrc|profile)$/i, commented(shell), "shell"],
  [/\.go$/i, go, "Go"],
  [/\.pyw?$/i, python, "Python"],
  [/\.([cm]?js|jsx)$/i, javascript, "JavaScript"],
  [/\.([cm]?ts|tsx)$/i, typescript, "TypeScript"],
  [/\.toml$/i, commented(toml), "TOML"],
  [/nginx.*\.conf$|^default\.conf$/i, commented(nginx), "nginx"],
  [/\.(properties|ini|env|conf|cfg)$|^\.env(\..*)?$/i, commented(properties), "properties"],
  [/\.css$/i, css, "CSS"],
  [/\.(html?|xml|svg)$/i, html, "HTML"],
];
const BY_FIRST_LINE = [
  [/^#!.*\b(ba|da|a|z)?sh\b/, commented(shell), "shell"],
  [/^#!.*\bpython/, python, "Python"],
  [/^#!.*\bnode\b/, javascript, "JavaScript"],
];

export const isDockerfile = (name) => BY_NAME[0][0].test(name);

// languageOf answers with extensions and a word for what a file is in.
export function languageOf(name, text) {
  const first = text.slice(0, 200).split("\n", 1)[0];
  const [, mode, word] = BY_NAME.find(([re]) => re.test(name)) ?? BY_FIRST_LINE.find(([re]) => re.test(first)) ?? [];
  return { word: word ?? "text", extensions: [mode ? StreamLanguage.define(mode) : [], indentUnit.of(indentOf(text, word))] };
}

// indentOf is what the file itself indents with.
function indentOf(text, word) {
  const found = /^(\t| {2,8})\S/m.exec(text.slice(0, 20_000))?.[1];
  return found ?? (word === "Go" ? "\t" : word === "Python" || word === "Dockerfile" ? "    " : "  ");
}
