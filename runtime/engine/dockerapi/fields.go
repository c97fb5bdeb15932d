package dockerapi

import (
	"encoding"
	"reflect"
	"slices"
	"strings"
)

// fields says of each field of a request, by its path, what becomes of it. A test fails on a field that nobody has classified.
type fields map[string]class

// class is what becomes of a field. The zero value is none.
type class struct {
	kind kind
	why  string // it has no effect
}

type kind int

const (
	supported kind = iota + 1
	noEffect       // taken, and nothing follows from it
	refused        // with the field's name, unless it is empty
)

// ok are fields that do what they say.
func (f fields) ok(under, names string) fields {
	return f.set(under, names, class{kind: supported})
}

// idle are fields that are taken without effect, and why that is what a client expects.
func (f fields) idle(under, names, why string) fields {
	return f.set(under, names, class{noEffect, why})
}

// no are fields that are refused.
func (f fields) no(under, names string) fields { return f.set(under, names, class{kind: refused}) }

func (f fields) set(under, names string, c class) fields {
	for name := range strings.FieldsSeq(names) {
		f[under+name] = c
	}
	return f
}

// refuse returns an error for the first refused field of v, by name, that has a value.
func (f fields) refuse(v any) error {
	var found []string
	eachField(reflect.ValueOf(v), "", func(path string, value reflect.Value) {
		if f[path].kind == refused && !isEmpty(value) {
			found = append(found, path)
		}
	})
	if len(found) == 0 {
		return nil
	}
	return Unsupported(slices.Min(found))
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	default:
		return v.IsZero()
	}
}

// eachField visits the fields of a value, with those of what it has in pointers, lists and maps. The fields of what is
// embedded are its own.
func eachField(v reflect.Value, path string, visit func(path string, v reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			eachField(v.Elem(), path, visit)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			eachField(v.Index(i), path, visit)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			eachField(v.MapIndex(k), path, visit)
		}
	case reflect.Struct:
		eachOfStruct(v, path, visit)
	default: // it has no fields
	}
}

func eachOfStruct(v reflect.Value, path string, visit func(path string, v reflect.Value)) {
	if isText(v.Type()) {
		return
	}
	for i, sf := range fieldsInOrder(v.Type()) {
		switch {
		case !sf.IsExported():
		case sf.Anonymous:
			eachField(v.Field(i), path, visit)
		default:
			at := strings.TrimPrefix(path+"."+nameOf(sf), ".")
			visit(at, v.Field(i))
			eachField(v.Field(i), at, visit)
		}
	}
}

func fieldsInOrder(t reflect.Type) []reflect.StructField {
	list := make([]reflect.StructField, t.NumField())
	for i := range list {
		list[i] = t.Field(i)
	}
	return list
}

// nameOf is a field's name in JSON.
func nameOf(sf reflect.StructField) string {
	name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
	if name == "" {
		return sf.Name
	}
	return name
}

// isText reports whether a struct is one word in JSON: a port, an address.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}
