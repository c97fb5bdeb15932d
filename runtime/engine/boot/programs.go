package boot

// Program is a file of Programs that the workspace sees too.
type Program struct {
	Name string // below Programs
	Path string // in the workspace
}

// DockerPrograms are the docker command, its plugins and its completion. A sandbox may have none of them: then its engine is
// reached through the API alone. Their places are below /usr/local, which is searched first, and where no package puts its files:
// dpkg could not replace a file that is mounted over, and `apt-get install docker.io` would fail.
func DockerPrograms() []Program {
	const libexec = "/usr/local/libexec/docker/"
	const plugins = libexec + "cli-plugins/" // docker-plugin answers for those that are above it
	return []Program{
		{"docker", "/usr/local/bin/docker"},
		{"dockerd", "/usr/local/bin/dockerd"}, // serves the session's engine at one more address
		{"docker-plugin", plugins + "docker-buildx"},
		{"docker-plugin", plugins + "docker-compose"},
		{"docker-buildx", libexec + "docker-buildx"},
		{"docker-buildx.json", libexec + "docker-buildx.json"},
		{"docker-compose", libexec + "docker-compose"},
		{"docker-compose.json", libexec + "docker-compose.json"},
		{"docker-compose", "/usr/local/bin/docker-compose"}, // as older instructions write it
		{"docker-completion.bash", "/usr/local/share/bash-completion/completions/docker"},
	}
}

// Where the Docker API is reached: in the sandbox, and in its workspace, where docker looks for it by itself.
const (
	DockerSocket          = Run + "/docker/docker.sock"
	WorkspaceDockerSocket = "/var/run/docker.sock"
)
