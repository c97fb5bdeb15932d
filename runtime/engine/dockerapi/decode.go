package dockerapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
)

// maxBody bounds a JSON body. Docker's own bound is the same order; a `docker run` is a few kilobytes.
const maxBody = 4 << 20

// Decode reads a request's JSON body into v, a pointer to a struct of moby/api. An empty body leaves v as it is. A key that
// v does not have, in whatever case, is refused by name unless its value is empty: newer and older clients send empty ones.
func Decode(w http.ResponseWriter, r *http.Request, v any) error {
	if r.Body == nil || r.ContentLength == 0 {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return Invalid("unsupported Content-Type header (%s): must be 'application/json'", r.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, v); err != nil {
		return Invalid("invalid JSON: %s", plain(err))
	}
	return unknownKeys(body, reflect.TypeOf(v), "")
}

// plain leaves out the names of Go's types.
func plain(err error) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Sprintf("%s cannot be a %s", wrong.Field, wrong.Value)
	}
	return err.Error()
}

// unknownKeys looks for keys with a value that t has no field for.
func unknownKeys(raw json.RawMessage, t reflect.Type, at string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return nil // it knows what it takes
	}
	switch t.Kind() {
	case reflect.Struct:
		return unknownFields(raw, t, at)
	case reflect.Slice, reflect.Array:
		for _, e := range items(raw) {
			if err := unknownKeys(e, t.Elem(), at); err != nil {
				return err
			}
		}
	case reflect.Map:
		for k, e := range members(raw) {
			if err := unknownKeys(e, t.Elem(), at+"."+k); err != nil {
				return err
			}
		}
	default: // a value without keys
	}
	return nil
}

// items are those of a list; of a null, or of bytes written as a string, there are none.
func items(raw json.RawMessage) (list []json.RawMessage) {
	_ = json.Unmarshal(raw, &list) // it was decoded before: it is well formed
	return list
}

// members are those of an object; of a null there are none.
func members(raw json.RawMessage) (m map[string]json.RawMessage) {
	_ = json.Unmarshal(raw, &m) // as in items
	return m
}

func unknownFields(raw json.RawMessage, t reflect.Type, at string) error {
	fields := fieldsOf(t)
	for key, value := range members(raw) {
		field, ok := fields[strings.ToLower(key)]
		name := strings.TrimPrefix(at+"."+key, ".")
		if !ok && !empty(value) {
			return Unsupported(name)
		}
		if ok {
			if err := unknownKeys(value, field, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// fieldsOf maps the names that encoding/json takes, in lower case, to types.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, sf := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if name == "-" || !sf.IsExported() {
			continue
		}
		if name == "" {
			name = sf.Name
		}
		fields[strings.ToLower(name)] = sf.Type
	}
	return fields
}

// empty reports whether a JSON value says nothing.
func empty(v json.RawMessage) bool {
	switch s := strings.TrimSpace(string(v)); s {
	case "null", "0", `""`, "false", "[]", "{}":
		return true
	}
	return false
}
