import { autocompletion } from "@codemirror/autocomplete";

// Completion for Dockerfiles: https://docs.docker.com/reference/dockerfile/
const INSTRUCTIONS = {
  FROM: "begins a stage from a base image", RUN: "runs a command and keeps what it changes", COPY: "copies files of the context or of another stage",
  ADD: "copies files, unpacks archives, fetches URLs", CMD: "what the container runs when nothing else is said", ENTRYPOINT: "the program that the container is",
  ENV: "sets a variable for the build and the container", ARG: "a value that docker build --build-arg sets", WORKDIR: "the directory for what follows, made if missing",
  USER: "the user for what follows and for the container", EXPOSE: "says on which port the program listens", VOLUME: "a directory that is kept outside the container",
  LABEL: "facts about the image", HEALTHCHECK: "a command that says whether the container works", SHELL: "the shell of RUN, CMD and ENTRYPOINT",
  STOPSIGNAL: "the signal of docker stop", ONBUILD: "what a build from this image does first", MAINTAINER: "old: use LABEL org.opencontainers.image.authors",
};
const FLAGS = {
  FROM: { "--platform=": "the platform of the base image" },
  RUN: { "--mount=": "a cache, secret, bind mount… for this command", "--network=": "default, none or host", "--security=": "sandbox or insecure" },
  COPY: { "--from=": "a stage or image to copy from", "--chown=": "user:group of the copies", "--chmod=": "mode of the copies", "--link": "a layer that needs no other", "--parents": "keep the directories above", "--exclude=": "leave out what matches" },
  ADD: { "--checksum=": "what the download must be", "--chown=": "user:group of the copies", "--chmod=": "mode of the copies", "--keep-git-dir": "keep .git of a repository", "--link": "a layer that needs no other", "--exclude=": "leave out what matches", "--unpack": "unpack archives, or not" },
  HEALTHCHECK: { "--interval=": "30s", "--timeout=": "30s", "--start-period=": "0s", "--start-interval=": "5s", "--retries=": "3" },
};
const MOUNT = {
  "type=cache": "a directory that is kept between builds", "type=bind": "files of the context or a stage, not kept", "type=secret": "a secret that stays out of the image",
  "type=ssh": "the SSH agent of who builds", "type=tmpfs": "memory", "target=": "where it is mounted", "source=": "what of it", "from=": "a stage or image", "id=": "name of the cache or secret",
  "sharing=locked": "one build at a time", "sharing=shared": "all builds at once", readonly: "cannot be written", "required=true": "fail where it is missing", "mode=": "0755", "uid=": "0", "gid=": "0",
};

const options = (of, type) => Object.entries(of).map(([label, detail]) => ({ label, detail, type }));

// before is the text up to the cursor of the instruction that it is in, over continued lines.
function before(state, pos) {
  let line = state.doc.lineAt(pos), text = line.text.slice(0, pos - line.from);
  for (let n = 0; n < 100 && line.number > 1; n++) {
    line = state.doc.line(line.number - 1);
    if (!/\\\s*$/.test(line.text)) break;
    text = line.text.replace(/\\\s*$/, " ") + text;
  }
  return text;
}

// stages are the names of the stages that begin above a position.
function stages(state, pos) {
  const names = new Set();
  for (const m of state.doc.sliceString(0, pos).matchAll(/^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*\S+[ \t]+AS[ \t]+(\S+)/gim)) names.add(m[1]);
  return [...names].map((label) => ({ label, detail: "stage", type: "class" }));
}

function variables(state, pos) {
  const names = new Set();
  for (const m of state.doc.sliceString(0, pos).matchAll(/^[ \t]*(?:ARG|ENV)[ \t]+([A-Za-z_]\w*)/gim)) names.add(m[1]);
  return [...names].map((label) => ({ label, type: "variable" }));
}

// complete answers for the word at the cursor.
export function complete(context) {
  const { state, pos } = context, text = before(state, pos);
  const word = /[^\s=,$"'{}[\]]*$/.exec(text)[0], found = (all, from = pos - word.length) => (all.length ? { from, options: all, validFor: /^[\w.:/@-]*=?$/ } : null);
  const first = /^\s*(?:ONBUILD\s+)?([A-Za-z]*)$/i.exec(text);
  if (first) {
    if (!first[1] && !context.explicit) return null;
    const small = first[1] && first[1] === first[1].toLowerCase();
    return { from: pos - first[1].length, validFor: /^[A-Za-z]*$/, options: options(INSTRUCTIONS, "keyword").map((o) => ({ ...o, label: small ? o.label.toLowerCase() : o.label, apply: (small ? o.label.toLowerCase() : o.label) + " " })) };
  }
  const instruction = /^\s*(?:ONBUILD\s+)?([A-Za-z]+)\s/i.exec(text)?.[1].toUpperCase();
  if (/\$\{?\w*$/.test(text)) return { from: pos - /\w*$/.exec(text)[0].length, options: variables(state, pos), validFor: /^\w*$/ };
  if (/(--from=|--mount=\S*\bfrom=)[^\s,]*$/.test(text)) return found(stages(state, pos));
  const mount = instruction === "RUN" && /--mount=(?:\S*,)?([a-z]*(?:=[a-z]*)?)$/.exec(text);
  if (mount) return { from: pos - mount[1].length, options: options(MOUNT, "property"), validFor: /^[a-z]*(=[a-z]*)?$/ };
  const flag = /\s(-[\w-]*)$/.exec(text);
  if (flag && FLAGS[instruction]) return { from: pos - flag[1].length, options: options(FLAGS[instruction], "property"), validFor: /^[\w-]*$/ };
  if (instruction === "FROM" && /^\s*FROM\s+(--\S+\s+)*\S*$/i.test(text)) return found([...stages(state, pos), { label: "scratch", detail: "nothing at all", type: "constant" }]);
  return null;
}

export const dockerfileCompletion = autocompletion({ override: [complete], icons: false });
