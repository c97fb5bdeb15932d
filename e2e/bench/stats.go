package main

import (
	"slices"
	"time"
)

// samples are times of one thing.
type samples []time.Duration

// quantile returns the value below which the part q of the samples lies: 0.5 is the median.
func (s samples) quantile(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (s samples) median() time.Duration { return s.quantile(0.5) }

func (s samples) p99() time.Duration { return s.quantile(0.99) }

func medianOf(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
