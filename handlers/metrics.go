package handlers

import (
	"context"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"berth/sessions"
)

// statusTimeout bounds how long a scrape waits for the manager.
const statusTimeout = 2 * time.Second

// metrics are the server's figures. Nothing in them names a session or a visitor.
type metrics struct {
	registry  *prometheus.Registry
	creations *prometheus.CounterVec
	failures  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	serve     echo.HandlerFunc
}

func newMetrics(m Manager) *metrics {
	r := prometheus.NewRegistry()
	x := &metrics{
		registry: r,
		creations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "berth_sessions_created_total",
			Help: "Sessions created, queued ones included.",
		}, []string{"environment"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "berth_session_failures_total",
			Help: "Sessions refused, by the code of the problem.",
		}, []string{"reason"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "berth_http_request_duration_seconds",
			Help: "Time to answer, websockets and event streams not included.", Buckets: prometheus.ExponentialBuckets(0.001, 3, 9),
		}, []string{"method", "route", "code"}),
	}
	r.MustRegister(x.creations, x.failures, x.durations, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	x.serve = func(c echo.Context) error {
		ctx, cancel := context.WithTimeout(c.Request().Context(), statusTimeout)
		defer cancel()
		now := prometheus.NewRegistry()
		now.MustRegister(newStatusCollector(m.Status(ctx)))
		promhttp.HandlerFor(prometheus.Gatherers{r, now}, promhttp.HandlerOpts{}).ServeHTTP(c.Response(), c.Request())
		return nil
	}
	return x
}

func (x *metrics) created(environment string, err error) {
	if err != nil {
		x.failures.WithLabelValues(problemOf(err).Code).Inc()
		return
	}
	x.creations.WithLabelValues(environment).Inc()
}

// Observe counts one answered request under its route, never under its path, which has no end of values.
func (h *Handlers) Observe(method, route string, status int, took time.Duration) {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS":
	default:
		method = "other"
	}
	if route == "" {
		route = "none"
	}
	h.metrics.durations.WithLabelValues(method, route, strconv.Itoa(status)).Observe(took.Seconds())
}

// statusCollector tells how the manager is, as of one scrape.
type statusCollector struct {
	now                                   sessions.Status
	state, capacity, queued, pool, usable *prometheus.Desc
}

func newStatusCollector(now sessions.Status) *statusCollector {
	return &statusCollector{
		now:      now,
		state:    prometheus.NewDesc("berth_sessions", "Sessions by state.", []string{"state"}, nil),
		capacity: prometheus.NewDesc("berth_session_capacity", "Sessions that fit on the host.", nil, nil),
		queued:   prometheus.NewDesc("berth_queue_length", "Sessions that wait for a place.", nil, nil),
		pool:     prometheus.NewDesc("berth_pool_sandboxes", "Warm sandboxes by environment.", []string{"environment"}, nil),
		usable:   prometheus.NewDesc("berth_ready", "1 when sessions can be created, else 0.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (s *statusCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.state, s.capacity, s.queued, s.pool, s.usable} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (s *statusCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	for _, state := range []sessions.State{sessions.Queued, sessions.Starting, sessions.Ready, sessions.Ending} {
		gauge(s.state, s.now.PerState[state], string(state))
	}
	gauge(s.capacity, s.now.Capacity)
	gauge(s.queued, s.now.Queued)
	for name, n := range s.now.Pool {
		gauge(s.pool, n, name)
	}
	usable := 1
	if s.now.Err != nil {
		usable = 0
	}
	gauge(s.usable, usable)
}
