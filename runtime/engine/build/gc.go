package build

import (
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/cmd/buildkitd/config"
	"golang.org/x/sys/unix"
)

// Shares of the session's disk that the cache may have, in percent, and what is left free for everything else.
const (
	cacheShare   = 50
	reserveShare = 10
	freeShare    = 15
)

// Bounds on what is easily made again, as BuildKit's own defaults have them.
const (
	volatileAge = 48 * time.Hour
	historyKept = 50
	historyAge  = 48 * time.Hour
)

// gcPolicy keeps the cache within its share of the disk that dir is on. What is easily fetched or made again goes first.
func gcPolicy(dir string) []client.PruneInfo {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return nil
	}
	total := int64(st.Blocks) * st.Bsize
	share := func(percent int64) int64 { return total / 100 * percent }
	bounded := client.PruneInfo{ReservedSpace: share(reserveShare), MaxUsedSpace: share(cacheShare), MinFreeSpace: share(freeShare)}
	all := bounded
	all.All = true
	return []client.PruneInfo{
		{
			Filter: []string{"type==source.local", "type==exec.cachemount", "type==source.git.checkout"}, KeepDuration: volatileAge,
			MaxUsedSpace: share(reserveShare),
		},
		bounded, all,
	}
}

// historyConfig bounds what is kept of past builds.
func historyConfig() *config.HistoryConfig {
	n := int64(historyKept)
	return &config.HistoryConfig{MaxAge: config.Duration{Duration: historyAge}, MaxEntries: &n}
}
