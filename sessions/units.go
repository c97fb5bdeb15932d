package sessions

import (
	"fmt"
	"math"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/goccy/go-yaml/ast"
)

// byteSize is written "512MB" (10^6) or "512MiB" (2^20), or as a number of bytes.
type byteSize int64

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (b *byteSize) UnmarshalYAML(node ast.Node) error {
	n, err := humanize.ParseBytes(scalar(node))
	if err != nil || n > math.MaxInt64 {
		return lineError(node, "%q is no size: write one like 512MB or 4GiB", scalar(node))
	}
	*b = byteSize(n)
	return nil
}

// bitRate is written "100Mbit/s", or as a number of bits per second.
type bitRate int64

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (b *bitRate) UnmarshalYAML(node ast.Node) error {
	n, unit, err := humanize.ParseSI(scalar(node))
	if err != nil || n < 0 || n > 1e15 || (unit != "" && unit != "bit/s" && unit != "bit" && unit != "bps") {
		return lineError(node, "%q is no rate: write one like 100Mbit/s", scalar(node))
	}
	*b = bitRate(n)
	return nil
}

// span is written as Go writes durations: "90s", "1h30m".
type span time.Duration

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (d *span) UnmarshalYAML(node ast.Node) error {
	v, err := time.ParseDuration(scalar(node))
	if err != nil {
		return lineError(node, "%q is no time: write one like 90s, 45m or 3h", scalar(node))
	}
	*d = span(v)
	return nil
}

// scalar is a value as it was written, without quotes.
func scalar(node ast.Node) string { return node.GetToken().Value }

func lineError(node ast.Node, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", node.GetToken().Position.Line, fmt.Errorf(format, args...))
}
