package terminal

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
)

// MaxDimension is the most columns or rows a terminal can have.
const MaxDimension = 1000

// DefaultSize is the size of a terminal that nobody has asked a size for.
var DefaultSize = Size{Cols: 80, Rows: 24} //nolint:gochecknoglobals // a constant; Go has no constant structs

// ErrSize is returned for a size outside 1…MaxDimension.
var ErrSize = errors.New("terminal size out of range")

// Size is a terminal's size in character cells.
type Size struct {
	Cols int `json:"cols"`
	Rows int `json:"rows"`
}

// Validate returns an error that wraps ErrSize unless both dimensions are within 1…MaxDimension.
func (s Size) Validate() error {
	if s.Cols < 1 || s.Cols > MaxDimension || s.Rows < 1 || s.Rows > MaxDimension {
		return fmt.Errorf("%w: %d columns and %d rows: each must be within 1 and %d", ErrSize, s.Cols, s.Rows, MaxDimension)
	}
	return nil
}

// SizeFromQuery reads cols and rows. Without either it returns the zero Size; with a bad one an error that wraps ErrSize.
func SizeFromQuery(q url.Values) (Size, error) {
	if !q.Has("cols") && !q.Has("rows") {
		return Size{}, nil
	}
	cols, errCols := strconv.Atoi(q.Get("cols"))
	rows, errRows := strconv.Atoi(q.Get("rows"))
	if errCols != nil || errRows != nil {
		return Size{}, fmt.Errorf("%w: cols=%q rows=%q: each must be a number within 1 and %d",
			ErrSize, q.Get("cols"), q.Get("rows"), MaxDimension)
	}
	s := Size{Cols: cols, Rows: rows}
	return s, s.Validate()
}
