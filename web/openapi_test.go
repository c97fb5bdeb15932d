package web_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/labstack/echo/v4"

	"berth/sessions"
)

func document(t *testing.T, s *site) (*openapi3.T, routers.Router) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(s.visitor(t).ask(t, "GET", "/api/v1/openapi.json", "").body)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("the document is not OpenAPI 3.1: %v", err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return doc, router
}

// Every route of the API is described, and everything described is a route.
func TestOpenAPINamesEveryRoute(t *testing.T) {
	s := newSite(t)
	doc, _ := document(t, s)
	e, ok := s.server.Handler().(*echo.Echo)
	if !ok {
		t.Fatal("the handler is not echo's")
	}
	name := regexp.MustCompile(`:(\w+)`)
	routes := map[string]bool{}
	for _, r := range e.Routes() {
		path := name.ReplaceAllString(r.Path, "{$1}")
		path = strings.Replace(strings.Replace(path, "terminals/*", "terminals/{name}", 1), "files/*", "files/{path}", 1)
		path = strings.Replace(strings.Replace(path, "docker/*", "docker/{path}", 1), "ports/*", "ports/{port}", 1)
		path = strings.Replace(path, "volumes/*", "volumes/{name}/files/{path}", 1)
		routes[r.Method+" "+path] = true
		proxied := strings.Contains(path, "/terminals") || strings.Contains(path, "/exec") || strings.Contains(path, "/processes") || strings.Contains(path, "/files") ||
			strings.Contains(path, "/docker") || strings.Contains(path, "/ports") || strings.Contains(path, "/registry") || strings.Contains(path, "/volumes") || strings.Contains(path, "/changes") ||
			strings.Contains(path, "/builds") || strings.Contains(path, "/dockerfile")
		if !strings.HasPrefix(path, "/api/") || r.Method == http.MethodHead {
			continue
		}
		item := doc.Paths.Value(path)
		if item == nil || !proxied && item.GetOperation(r.Method) == nil { // what a sandbox takes, the sandbox decides
			t.Errorf("%s %s is not described", r.Method, path)
		}
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			if !routes[method+" "+path] {
				t.Errorf("%s %s is described, but no route", method, path)
			}
		}
	}
}

// Real answers, good and bad, are what the document says.
func TestOpenAPIIsTrue(t *testing.T) {
	s := newSite(t)
	_, router := document(t, s)
	v := s.visitor(t)
	c := v.create(t)
	base := "/api/v1/sessions/" + string(c.ID)
	check := func(method, path, body string, want int) {
		t.Helper()
		a := v.ask(t, method, path, body)
		if a.StatusCode != want {
			t.Errorf("%s %s: %d, want %d: %s", method, path, a.StatusCode, want, a.body)
		}
		validate(t, router, method, path, a)
	}
	check("GET", "/healthz", "", 200)
	check("GET", "/readyz", "", 200)
	check("GET", "/metrics", "", 200)
	check("GET", "/api/v1/environments", "", 200)
	check("GET", "/api/v1/sessions", "", 200)
	check("POST", "/api/v1/sessions", `{"lifetime":"5m"}`, 201)
	check("POST", "/api/v1/sessions", `{"environment":"plan9"}`, 400)
	check("POST", "/api/v1/sessions", `{"x":1}`, 400)
	check("GET", base, "", 200)
	check("GET", "/api/v1/sessions/aaaaaaaaaaaa", "", 404)
	check("POST", base+"/extend", "", 200)
	check("GET", base+"/terminals", "", 200)
	check("POST", base+"/exec", `{"cmd":["uname","-r"]}`, 200)
	s.Change(c.ID, func(x *sessions.Session) { x.ExpiresAt = x.MaxExpiresAt })
	check("POST", base+"/extend", "", 409)
	s.SetNewState(sessions.Queued)
	check("POST", "/api/v1/sessions", "", 201)
	check("DELETE", base, "", 204)
	check("GET", base, "", 200) // ended, with its reason
	check("GET", base+"/terminals", "", 410)
	s.Refuse(&sessions.Error{Err: sessions.ErrTooMany, Message: "You have two sessions. End one first.", RetryAfter: time.Minute})
	check("POST", "/api/v1/sessions", "", 429)
	s.SetStatus(sessions.Status{Err: errors.New("no runc")})
	check("GET", "/readyz", "", 503)
}

func validate(t *testing.T, router routers.Router, method, path string, a answer) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	route, params, err := router.FindRoute(req)
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
		return
	}
	in := &openapi3filter.RequestValidationInput{Request: req, Route: route, PathParams: params}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: a.StatusCode, Header: a.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	out.SetBodyBytes(a.body)
	if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil {
		t.Errorf("%s %s answered %d with what the document does not say: %v", method, path, a.StatusCode, err)
	}
}

// Health is false when sessions cannot be created, and says why without telling what only the operator may know.
func TestReadiness(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	for _, test := range []struct {
		err  error
		says string
	}{
		{sessions.ErrQueueFull, "queue is full"},
		{&sessions.Error{Err: sessions.ErrUnavailable, Message: "The disk of the host is full."}, "disk of the host"},
		{errors.New("open /secret/path: denied"), "Something went wrong"},
	} {
		s.SetStatus(sessions.Status{Err: test.err})
		a := v.ask(t, "GET", "/readyz", "")
		var body struct{ Status, Reason string }
		if err := json.Unmarshal(a.body, &body); err != nil {
			t.Fatal(err)
		}
		if a.StatusCode != 503 || body.Status != "unavailable" || !strings.Contains(body.Reason, test.says) || strings.Contains(string(a.body), "secret") {
			t.Errorf("%v: %d %s", test.err, a.StatusCode, a.body)
		}
		if a := v.ask(t, "GET", "/healthz", ""); a.StatusCode != 200 {
			t.Errorf("healthz: %d", a.StatusCode)
		}
	}
}

func TestMetrics(t *testing.T) {
	s := newSite(t)
	v := s.visitor(t)
	v.create(t)
	s.Refuse(sessions.ErrTooMany)
	v.ask(t, "POST", "/api/v1/sessions", "")
	s.SetStatus(sessions.Status{Capacity: 40, Queued: 2, PerState: map[sessions.State]int{sessions.Ready: 3}, Pool: map[string]int{"debian": 1}})
	text := string(v.ask(t, "GET", "/metrics", "").body)
	for _, want := range []string{
		`berth_sessions_created_total{environment="debian"} 1`, `berth_session_failures_total{reason="too-many-sessions"} 1`,
		`berth_sessions{state="ready"} 3`, "berth_session_capacity 40", "berth_queue_length 2", `berth_pool_sandboxes{environment="debian"} 1`, "berth_ready 1",
		`berth_http_request_duration_seconds_count{code="201",method="POST",route="/api/v1/sessions"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}
