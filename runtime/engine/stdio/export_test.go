package stdio

import "encoding/json"

// ParseBoth parses an entry in the fast way, if that takes it, and by encoding/json.
func ParseBoth(b []byte) (own LogLine, ok bool, slow LogLine, err error) {
	own, ok = parseOwn(b)
	var e entry
	err = json.Unmarshal(b, &e)
	return own, ok, LogLine{Time: e.Time, Line: []byte(e.Log), Attrs: e.Attrs}, err
}

// Filter passes typed through a detacher, in pieces.
func Filter(keys []byte, pieces ...[]byte) (pass []byte, detached bool) {
	d := newDetacher(keys)
	for _, p := range pieces {
		var more []byte
		more, detached = d.filter(p)
		pass = append(pass, more...)
		if detached {
			return pass, true
		}
	}
	return append(pass, d.rest()...), false
}
