package sessions

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/netip"
)

// Credential is what a request brought to prove who it comes from. The zero value reaches nothing.
type Credential struct {
	Visitor string // opaque visitor id of the (already verified) cookie
	Token   string // bearer token of one session
	Admin   bool   // the request proved to come from the operator
}

// newToken returns a secret of 130 random bits, and what of it may be kept: its SHA-256. The secret is random, so
// that a plain hash is enough and nobody can find it by trying words.
func newToken() (token string, hash []byte) {
	token = rand.Text()
	return token, hashToken(token)
}

func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// owns reports whether c is the owner's: by cookie or by token. It takes as long whatever is wrong with c.
func (c Credential) owns(r *Record) bool {
	byToken := subtle.ConstantTimeCompare(hashToken(c.Token), r.TokenHash)
	visitor, owner := sha256.Sum256([]byte(c.Visitor)), sha256.Sum256([]byte(r.Visitor))
	byCookie := subtle.ConstantTimeCompare(visitor[:], owner[:])
	return (c.Token != "" && byToken == 1) || (c.Visitor != "" && byCookie == 1)
}

// addressKey is what the limit per address counts by: an IPv4 address, or the /64 of an IPv6 one, which a single
// subscriber holds whole (RFC 6177). What is no address counts by itself.
func addressKey(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}
