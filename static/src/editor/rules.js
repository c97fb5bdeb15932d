// What BuildKit's rules mean, in a sentence each, and how to mend what can safely be mended. A fix gets the line (its text,
// without continuation lines) and answers with the text that it should have, or null where it is not simple.
// https://docs.docker.com/reference/build-checks/
const META = /[$`"'\\|&;<>()*?[\]#~={}!%]/; // what a shell would do something with

const one = (line) => !/\\\s*$/.test(line);

export const RULES = {
  StageNameCasing: {
    why: "Stage names are compared without regard to case; in lower case everybody reads them as one.",
    fix: (line) => (line.match(/^\s*FROM\s.*\sAS\s+\S+/i) ? line.replace(/(\sAS\s+)(\S+)/i, (_, as, name) => as + name.toLowerCase()) : null),
  },
  FromAsCasing: {
    why: "FROM and AS belong together: write both in capitals or both in small letters.",
    fix: (line) => line.replace(/^(\s*)(FROM)(\s.*\s)(AS)(\s+\S+\s*)$/i, (_, a, from, b, as, c) => a + from + b + (from === from.toUpperCase() ? "AS" : "as") + c),
  },
  NoEmptyContinuation: { why: "An empty line ends a continued instruction in future versions. Delete it, or put a comment there." },
  ConsistentInstructionCasing: {
    why: "The other instructions of this file are written in the other case.",
    fix: (line, message) => line.replace(/^(\s*)([A-Za-z]+)/, (_, a, word) => a + (/uppercase/i.test(message) ? word.toUpperCase() : word.toLowerCase())),
  },
  DuplicateStageName: { why: "Two stages have this name: FROM and --from find only the last of them. Give one another name." },
  ReservedStageName: { why: "scratch and context mean something to the builder, so a stage of that name can never be used." },
  JSONArgsRecommended: {
    why: "Without brackets a shell runs the program and keeps signals from it: docker stop waits ten seconds and kills it.",
    fix: (line) => {
      const found = /^(\s*(?:CMD|ENTRYPOINT)\s+)(\S.*?)\s*$/i.exec(line);
      return found && one(line) && !META.test(found[2]) ? found[1] + JSON.stringify(found[2].split(/\s+/)).replaceAll('","', '", "') : null;
    },
  },
  MaintainerDeprecated: {
    why: "MAINTAINER is no longer used; a label says the same, and tools read it.",
    fix: (line) => {
      const found = /^(\s*)(MAINTAINER)\s+(\S.*?)\s*$/i.exec(line);
      if (!found || !one(line) || /[\\"$]/.test(found[3])) return null;
      return `${found[1]}${found[2] === found[2].toUpperCase() ? "LABEL" : "label"} org.opencontainers.image.authors="${found[3]}"`;
    },
  },
  UndefinedArgInFrom: { why: "FROM uses a variable that no ARG before it declares, so it is empty." },
  WorkdirRelativePath: { why: "A relative WORKDIR depends on the base image, which may change its own. Begin it with /." },
  UndefinedVar: { why: "No ARG or ENV sets this variable before this line, so it is empty. Is it spelt right?" },
  MultipleInstructionsDisallowed: { why: "Only the last one of a stage has an effect; the others are ignored." },
  LegacyKeyValueFormat: {
    why: "With a space between name and value only one can be set, and quotes mean something else. Write name=value.",
    fix: (line) => {
      const found = /^(\s*(?:ENV|LABEL|ARG)\s+)([^\s=]+)\s+(\S.*?)\s*$/i.exec(line);
      if (!found || !one(line) || /["'\\]/.test(found[3])) return null;
      return `${found[1]}${found[2]}=${/\s/.test(found[3]) ? `"${found[3]}"` : found[3]}`;
    },
  },
  InvalidBaseImagePlatform: { why: "The base image is for another platform than the build; its programs may not run here." },
  RedundantTargetPlatform: {
    why: "$TARGETPLATFORM is what FROM uses anyway.",
    fix: (line) => line.replace(/\s--platform=("?)\$\{?TARGETPLATFORM\}?\1(?=\s)/, ""),
  },
  SecretsUsedInArgOrEnv: { why: "ARG and ENV stay in the image, where everybody who has it can read them. Use RUN --mount=type=secret." },
  InvalidDefaultArgInFrom: { why: "With the default values of its arguments this FROM names no image: give the ARG a default that works." },
  FromPlatformFlagConstDisallowed: { why: "A fixed platform makes the image the same for every --platform. Use $BUILDPLATFORM, or leave it out." },
  CopyIgnoredFile: { why: ".dockerignore leaves this file out of the context, so COPY cannot find it." },
  InvalidDefinitionDescription: { why: "A comment right above a stage or ARG describes it, and begins with its name. Put an empty line between them otherwise." },
  ExposeProtoCasing: {
    why: "Protocols are written in small letters.",
    fix: (line) => line.replace(/\/(tcp|udp|sctp)\b/gi, (p) => p.toLowerCase()),
  },
  ExposeInvalidFormat: { why: "EXPOSE names a port of the container, 8080 or 8080/udp; where it is published is said by docker run -p." },
};

// fixOf is the text that a line should have, or null.
export function fixOf(rule, line, message) {
  const mended = RULES[rule]?.fix?.(line, message) ?? null;
  return mended === line ? null : mended;
}
