package web

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/labstack/echo/v4"

	"berth/handlers"
)

// cookieLife is how long a visitor who does not come back is known.
const cookieLife = 30 * 24 * time.Hour

var visitorPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

// identity knows visitors by their cookie and root by a token file.
type identity struct {
	codec *securecookie.SecureCookie
	admin [sha256.Size]byte // of the token, so that the comparison also hides its length
}

func newIdentity(dataDir string) (*identity, error) {
	key, err := secretFile(filepath.Join(dataDir, "cookie.key"))
	if err != nil {
		return nil, err
	}
	token, err := secretFile(filepath.Join(dataDir, "admin.token"))
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte("berth cookie hash " + key))
	block := sha256.Sum256([]byte("berth cookie block " + key))
	codec := securecookie.New(hash[:], block[:]).MaxAge(int(cookieLife.Seconds()))
	return &identity{codec: codec, admin: sha256.Sum256([]byte(token))}, nil
}

func (i *identity) isAdmin(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return token != "" && subtle.ConstantTimeCompare(sum[:], i.admin[:]) == 1
}

// cookieName has the prefix by which browsers keep other hosts from setting it, where TLS allows that (RFC 6265bis, 4.1.3).
func cookieName(scheme string) string {
	if scheme == "https" {
		return "__Host-berth"
	}
	return "berth"
}

// newVisitor gives the answer a cookie with a new identity of 128 bits.
func (i *identity) newVisitor(w http.ResponseWriter, r *http.Request) (string, error) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	visitor := hex.EncodeToString(b[:])
	return visitor, i.give(w, r, visitor)
}

func (i *identity) give(w http.ResponseWriter, r *http.Request, visitor string) error {
	scheme := handlers.CallerOf(r).Scheme
	value, err := i.codec.Encode(cookieName(scheme), visitor)
	if err != nil {
		return fmt.Errorf("make the visitor's cookie: %w", err)
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure wherever there is TLS
		Name: cookieName(scheme), Value: value, Path: "/", MaxAge: int(cookieLife.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: scheme == "https",
	})
	return nil
}

// visitor is who the cookie names; "" where there is none that we made.
func (i *identity) visitor(r *http.Request) string {
	name := cookieName(handlers.CallerOf(r).Scheme)
	for _, c := range r.CookiesNamed(name) {
		var visitor string
		if i.codec.Decode(name, c.Value, &visitor) == nil && visitorPattern.MatchString(visitor) {
			return visitor
		}
	}
	return ""
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// identified finds out who is asking. A request with a token is its token's alone: the cookie is not looked at.
func (s *Server) identified(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		caller := handlers.CallerOf(r)
		switch token := bearer(r); {
		case s.identity.isAdmin(token):
			caller.Admin = true
		case token != "":
			caller.Token = token
		case r.Header.Get("Authorization") != "":
			return &handlers.HTTPError{
				Status: http.StatusUnauthorized, Code: "authorization",
				Message: "The Authorization header is not understood. Write it as: Authorization: Bearer TOKEN.",
			}
		default:
			caller.Visitor = s.identity.visitor(r)
		}
		c.SetRequest(handlers.WithCaller(r, caller))
		if caller.Visitor != "" && r.Method == http.MethodGet && c.Path() == "/" {
			if err := s.identity.give(c.Response(), r, caller.Visitor); err != nil { // known for another month
				return err
			}
		}
		return next(c)
	}
}
