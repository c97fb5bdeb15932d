// Command docker-plugin stands where docker looks for its plugins, and answers for them what they are: docker asks that twice before
// each use, and a plugin of 80 MB takes 23 ms to start before it can say so. For all else it becomes the plugin itself.
//
// It is called by the plugin's name, NAME. In the directory above the one that docker finds it in are NAME, the plugin, and
// NAME.json, what that says of itself (made by make build).
package main

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ask is the command by which docker asks: cli-plugins/metadata of docker/cli.
const ask = "docker-cli-plugin-metadata"

// cannotRun is the exit code for a program that cannot be started: shells' convention.
const cannotRun = 126

func main() {
	name := os.Args[0]
	plugin := filepath.Join(filepath.Dir(filepath.Dir(name)), filepath.Base(name))
	if len(os.Args) == 2 && os.Args[1] == ask {
		if said, err := os.ReadFile(plugin + ".json"); err == nil {
			if _, err := os.Stdout.Write(said); err != nil {
				os.Exit(1)
			}
			return
		}
	}
	if _, set := os.LookupEnv("GOGC"); !set { // it starts with megabytes of regular expressions, and ends before collecting them pays
		_ = os.Setenv("GOGC", "400") // the name is one that can be set
	}
	err := unix.Exec(plugin, os.Args, os.Environ())
	_, _ = os.Stderr.WriteString("docker-plugin: " + (&os.PathError{Op: "exec", Path: plugin, Err: err}).Error() + "\n")
	os.Exit(cannotRun)
}
