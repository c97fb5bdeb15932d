package engine

import (
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/boot"
)

// readConfig reads what the launcher says, and closes it: no child shall inherit it.
func readConfig() (boot.Config, error) {
	f := os.NewFile(boot.ConfigFD, "config")
	if f == nil {
		return boot.Config{}, ErrNoLauncher
	}
	defer f.Close()
	var c boot.Config
	if err := json.NewDecoder(f).Decode(&c); err != nil {
		return c, fmt.Errorf("%w: %w", ErrNoLauncher, err)
	}
	if c.Version != boot.ConfigVersion {
		return c, fmt.Errorf("the launcher speaks version %d of the sandbox configuration, this is version %d", c.Version, boot.ConfigVersion)
	}
	for _, fd := range []int{boot.ListenerFD, boot.ReadyFD, boot.DockerFD} {
		unix.CloseOnExec(fd)
	}
	return c, nil
}

// tell sends the sandbox's one message to its launcher.
func tell(r boot.Ready) error {
	f := os.NewFile(boot.ReadyFD, "ready")
	defer f.Close()
	return json.NewEncoder(f).Encode(r)
}
