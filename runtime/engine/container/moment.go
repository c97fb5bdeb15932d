package container

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// moment reads a time as Docker's clients write it: a duration back from now, seconds since 1970 with a fraction, or a date.
func moment(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	seconds, fraction, _ := strings.Cut(s, ".")
	if sec, err := strconv.ParseInt(seconds, 10, 64); err == nil {
		nano, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
		if err == nil && len(fraction) <= 9 {
			return time.Unix(sec, nano), nil
		}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02Z07:00", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time", s)
}
