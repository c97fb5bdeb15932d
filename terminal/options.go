package terminal

import (
	"log/slog"
	"time"
)

// Options bound what terminals cost. Zero fields get the defaults.
type Options struct {
	RingBytes     int           // scrollback of one terminal; default 1 MiB; at least 64 KiB
	HighWatermark int           // bytes that a viewer may have unparsed; default 512 KiB; 64 KiB to RingBytes
	MaxTerminals  int           // terminals at a time; default 8
	MaxViewers    int           // viewers of one terminal; default 64
	PingEvery     time.Duration // default 20 s; a peer that is silent for three times as long is gone
	Grace         time.Duration // between SIGHUP and SIGKILL when a terminal is closed; default 500 ms
	Logger        *slog.Logger  // default: nothing is logged
}

func (o Options) withDefaults() Options {
	o.RingBytes = positive(o.RingBytes, 1<<20)
	o.RingBytes = max(o.RingBytes, 2*maxOutput)
	// Clients acknowledge every maxOutput bytes: with less than two of them everything would come to rest.
	o.HighWatermark = min(max(positive(o.HighWatermark, 512<<10), 2*maxOutput), o.RingBytes)
	o.MaxTerminals = positive(o.MaxTerminals, 8)
	o.MaxViewers = positive(o.MaxViewers, 64)
	o.PingEvery = positive(o.PingEvery, 20*time.Second)
	o.Grace = positive(o.Grace, 500*time.Millisecond)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func positive[T int | time.Duration](v, fallback T) T {
	if v > 0 {
		return v
	}
	return fallback
}
