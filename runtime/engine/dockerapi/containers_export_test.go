package dockerapi

import "reflect"

// For tests: what is said of the fields of requests.
var (
	CreateFields    = createFields
	UpdateFields    = updateFields
	CommitFields    = commitFields
	ExecFields      = execFields
	ExecStartFields = execStartFields
)

// Missing are the fields of a type that nobody has classified, and Surplus those that the type does not have.
func (f fields) Missing(t reflect.Type) (missing, surplus []string) {
	seen := map[string]bool{}
	walkType(t, "", func(path string) {
		seen[path] = true
		if f[path].kind == 0 {
			missing = append(missing, path)
		}
		if c := f[path]; c.kind == noEffect && c.why == "" {
			missing = append(missing, path+" (why has it no effect?)")
		}
	})
	for path := range f {
		if !seen[path] {
			surplus = append(surplus, path)
		}
	}
	return missing, surplus
}

// Refuse is refuse.
func (f fields) Refuse(v any) error { return f.refuse(v) }

func walkType(t reflect.Type, path string, visit func(path string)) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		walkType(t.Elem(), path, visit)
	case reflect.Struct:
		if isText(t) {
			return
		}
		for _, sf := range fieldsInOrder(t) {
			switch {
			case !sf.IsExported():
			case sf.Anonymous:
				walkType(sf.Type, path, visit)
			default:
				at := nameOf(sf)
				if path != "" {
					at = path + "." + at
				}
				visit(at)
				walkType(sf.Type, at, visit)
			}
		}
	default: // it has no fields
	}
}
