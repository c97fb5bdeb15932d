package container

import (
	"path/filepath"
	"strconv"

	api "github.com/moby/moby/api/types/container"

	"github.com/docker/go-units"

	"berth/runtime/engine/stdio"
)

// openLog opens the container's log, nil where it has none.
func (c *Container) openLog() (*stdio.LogWriter, error) {
	if c.unlogged {
		return nil, nil
	}
	config, err := logConfig(c.host.LogConfig)
	if err != nil {
		return nil, err
	}
	config.Logger = c.manager.o.Log
	if config.Attrs, err = c.logAttributes(); err != nil {
		return nil, err
	}
	return stdio.OpenLog(c.Dir(), config)
}

// LogPath is where its log is, "" where it has none.
func (c *Container) LogPath() string {
	if c.unlogged {
		return ""
	}
	return filepath.Join(c.Dir(), c.id+"-json.log")
}

// logConfig reads the options of a log driver.
func logConfig(l api.LogConfig) (c stdio.LogConfig, err error) {
	for k, v := range l.Config {
		switch k {
		case "max-size":
			if c.MaxSize, err = units.RAMInBytes(v); err != nil || c.MaxSize <= 0 {
				return c, invalid("invalid value for max-size: %q", v)
			}
		case "max-file":
			if c.MaxFiles, err = strconv.Atoi(v); err != nil || c.MaxFiles < 1 {
				return c, invalid("max-file cannot be less than 1")
			}
		case "labels", "env", "labels-regex", "env-regex", "tag": // see logAttributes
		case "compress", "mode", "max-buffer-size": // what is rotated is small, and a process always waits for its log
		default:
			return c, invalid("unknown log opt '%s' for %s log driver", k, l.Type)
		}
	}
	if c.MaxFiles > 1 && c.MaxSize == 0 {
		return c, invalid("max-file cannot be set without max-size")
	}
	return c, nil
}
