package main

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
)

// calls stands between a program and the local cloud and counts what passes.
type calls struct {
	url    string
	n      atomic.Int64
	server *http.Server
}

// countCalls listens on a free loopback port until it is closed.
func countCalls(cloud string) (*calls, error) {
	to, err := url.Parse(cloud)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &calls{url: "http://" + listener.Addr().String()}
	// The host stays the caller's: signatures are over it.
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}}
	c.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.n.Add(1)
		pass.ServeHTTP(w, r)
	})}
	go func() { _ = c.server.Serve(listener) }()
	return c, nil
}

// reset begins to count anew; without a counter it does nothing.
func (c *calls) reset() {
	if c != nil {
		c.n.Store(0)
	}
}

func (c *calls) close() { _ = c.server.Close() }
