package main

import "runtime/debug"

// version is the module's version and, where the build recorded it, the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && v == "(devel)" {
			return v + " " + s.Value
		}
	}
	return v
}
