package oci

import (
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/runtime/engine/boot"
)

// programMounts show the workspace the docker command and the engine's socket, as far as the sandbox has them. runc resolves
// destinations inside the root file system: /var/run may be a link, and an image's own docker is covered.
func programMounts() []specs.Mount {
	var mounts []specs.Mount
	for _, p := range boot.DockerPrograms() {
		if from := filepath.Join(boot.Programs, p.Name); exists(from) {
			mounts = append(mounts, bindMount(from, p.Path, "ro"))
		}
	}
	if exists(boot.DockerSocket) {
		mounts = append(mounts, bindMount(boot.DockerSocket, boot.WorkspaceDockerSocket))
	}
	return mounts
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
