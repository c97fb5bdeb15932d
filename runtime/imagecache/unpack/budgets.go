package unpack

import "fmt"

// Default budgets of one layer. They are far above what real images hold and far below what hurts a host.
const (
	DefaultMaxBytes      int64 = 16 << 30 // of the uncompressed stream
	DefaultMaxEntries    int64 = 1_000_000
	DefaultMaxFileBytes  int64 = 8 << 30
	DefaultMaxRatio      int64 = 200      // uncompressed to compressed bytes; text compresses to about 10:1, DEFLATE ends at 1032:1
	DefaultRatioAfter    int64 = 64 << 20 // uncompressed bytes before the ratio counts: small files of zeros are honest
	DefaultMaxDepth      int64 = 256      // components of a name
	DefaultMaxNameBytes  int64 = 4095     // PATH_MAX without its NUL (limits.h)
	DefaultMaxXattrBytes int64 = 64 << 10 // of one entry; XATTR_SIZE_MAX (linux/limits.h)
)

// Budgets bound what one layer may cost while it is unpacked. A field that is 0 has its default.
type Budgets struct {
	Bytes     int64 `json:"bytes"`      // of the uncompressed stream
	Entries   int64 `json:"entries"`    // tar entries
	FileBytes int64 `json:"file_bytes"` // logical size of one file
	Ratio     int64 `json:"ratio"`      // uncompressed bytes per compressed byte
	Depth     int64 `json:"depth"`      // components of a name
}

func (b Budgets) withDefaults() Budgets {
	for _, f := range []struct {
		field *int64
		value int64
	}{
		{&b.Bytes, DefaultMaxBytes},
		{&b.Entries, DefaultMaxEntries},
		{&b.FileBytes, DefaultMaxFileBytes},
		{&b.Ratio, DefaultMaxRatio},
		{&b.Depth, DefaultMaxDepth},
	} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return b
}

// Budget names one of the budgets.
type Budget string

// The budgets, each with the name of the option of `berth image import` and `pull` that raises it.
const (
	BudgetBytes     Budget = "max-layer-bytes"
	BudgetEntries   Budget = "max-entries"
	BudgetFileBytes Budget = "max-file-bytes"
	BudgetRatio     Budget = "max-ratio"
	BudgetDepth     Budget = "max-depth"
)

// BudgetError says which budget a layer would exceed, and how to raise it.
type BudgetError struct {
	Budget Budget `json:"budget"`
	Limit  int64  `json:"limit"`
	Entry  string `json:"entry,omitempty"` // the entry that met it, where there is one
}

func (e *BudgetError) Error() string {
	var what string
	switch e.Budget {
	case BudgetBytes:
		what = fmt.Sprintf("the layer unpacks to more than %d bytes", e.Limit)
	case BudgetEntries:
		what = fmt.Sprintf("the layer has more than %d entries", e.Limit)
	case BudgetFileBytes:
		what = fmt.Sprintf("the file %q is larger than %d bytes", e.Entry, e.Limit)
	case BudgetRatio:
		what = fmt.Sprintf("the layer unpacks to more than %d times its compressed size, as a decompression bomb does", e.Limit)
	case BudgetDepth:
		what = fmt.Sprintf("the name %.80q… has more than %d components", e.Entry, e.Limit)
	default:
		what = "the layer exceeds a budget"
	}
	return fmt.Sprintf("%s: if you trust it, raise the limit with --%s", what, e.Budget)
}
