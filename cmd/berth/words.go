package main

import "slices"

// words are the words of the command line after the first `--`: a command to run, never flags of ours.
type words []string

// splitWords takes them off the command line of the commands that run one. Kong would take the first of them for an
// optional argument before it: `berth run -- ls` has no environment `ls`.
func splitWords(args []string) ([]string, words) {
	if len(args) == 0 || args[0] != "run" && args[0] != "exec" && args[0] != "docker" {
		return args, nil
	}
	i := slices.Index(args, "--")
	if i < 0 {
		return args, nil
	}
	return args[:i:i], words(args[i+1:])
}

// after joins the words before a `--` that belong to a command already with those after it.
func (w words) after(before []string) []string {
	if len(before) > 0 && w != nil {
		before = append(slices.Clip(before), "--")
	}
	return append(before, w...)
}
