package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// site answers as a node does, badly in the way of its test.
func site(t *testing.T, answer http.HandlerFunc) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Wpbake-Release", "/srv/wordpress/releases/0123456789ab/wordpress")
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// load runs until it has made a hundred requests.
func load(t *testing.T, server *httptest.Server) Tally {
	l := NewLoad(server.URL, []Page{{"/", "a shop"}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx, Clients{Browsers: 2, Sessions: 1}, time.Millisecond)
	}()
	defer cancel()
	await(t, func() error {
		if n := l.Peek().Requests; n < 100 {
			return fmt.Errorf("%d requests", n)
		}
		return nil
	})
	cancel()
	<-done
	return l.Cut()
}

// TestLoadSees feeds the load client each thing that it must not miss.
func TestLoadSees(t *testing.T) {
	bad := map[string]http.HandlerFunc{
		"an error":       func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "a shop", http.StatusBadGateway) },
		"a missing page": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "a shop", http.StatusNotFound) },
		"an empty page":  func(http.ResponseWriter, *http.Request) {},
		"no release": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Del("X-Wpbake-Release")
			fmt.Fprint(w, "a shop")
		},
		"a dying connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"half an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "a shop")
		},
	}
	for name, answer := range bad {
		t.Run(name, func(t *testing.T) {
			if tally := load(t, site(t, answer)); tally.Requests == 0 || tally.Failed != tally.Requests {
				t.Errorf("%d of %d requests failed, want all of them", tally.Failed, tally.Requests)
			}
		})
	}
}

// TestLoadPasses is the other side: a good site has no failures and its
// release is named.
func TestLoadPasses(t *testing.T) {
	var visits atomic.Int64
	tally := load(t, site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == sessionPage {
			fmt.Fprintf(w, "visits=%d", visits.Add(1))
			return
		}
		fmt.Fprint(w, "a shop")
	}))
	if tally.Failed != 0 || tally.Lost != 0 || tally.Sessions == 0 || tally.Releases["0123456789ab"] != tally.Requests {
		t.Errorf("a good site: %+v", tally)
	}
}

// TestLoadSeesRetries: Go's client asks again by itself when a kept connection
// is closed under a request, and then all looks well.
func TestLoadSeesRetries(t *testing.T) {
	var requests atomic.Int64
	tally := load(t, site(t, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1)%3 == 0 {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.Close()
			}
			return
		}
		if r.URL.Path == sessionPage {
			fmt.Fprint(w, "visits=1")
			return
		}
		fmt.Fprint(w, "a shop")
	}))
	if tally.Failed == 0 {
		t.Errorf("no failure in %d requests, though connections were closed under some", tally.Requests)
	}
}

func TestVisits(t *testing.T) {
	const failed = ""
	tests := []struct {
		name string
		seen []string
		lost int
	}{
		{"grows by one", []string{"visits=1", "visits=2", "visits=3"}, 0},
		{"a new session", []string{"visits=1", "visits=2", "visits=1", "visits=2"}, 1},
		{"a jump", []string{"visits=1", "visits=3"}, 1},
		{"counted but never answered", []string{"visits=1", failed, "visits=3", "visits=4"}, 0},
		{"neither counted nor answered", []string{"visits=1", failed, "visits=2", "visits=3"}, 0},
		{"lost behind a failure", []string{"visits=5", failed, "visits=1"}, 2},
		{"no counter", []string{"a shop"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var v visits
			lost := 0
			for _, body := range tt.seen {
				if body == failed {
					v.failed()
				} else if v.next(body) != nil {
					lost++
				}
			}
			if lost != tt.lost {
				t.Errorf("%d lost, want %d", lost, tt.lost)
			}
		})
	}
}

// TestCart has a customer meet a shop that loses carts in each way it can.
func TestCart(t *testing.T) {
	const failed = ""
	tests := []struct {
		name string
		says func(step int, good string) string // in place of the good answer
		lost int
	}{
		{"grows by one and is sold", func(_ int, good string) string { return good }, 0},
		{"a new session", once(3, "cart=1 4"), 1},
		{"empty", once(3, "cart=0 "), 1},
		{"another's item", once(3, "cart=4 1,2,9,4"), 1},
		{"twice", once(3, "cart=5 1,2,3,4,4"), 1},
		{"sold short", once(cartSize, "bought=3 1,2,3"), 1},
		{"no cart", once(3, "a shop"), 1},
		{"neither counted nor answered", func(step int, good string) string {
			switch step {
			case 3:
				return failed
			case 4:
				return "cart=3 1,2,3"
			}
			return good
		}, 0},
		{"counted but never answered", func(step int, good string) string {
			if step == 3 {
				return failed
			}
			return good
		}, 0},
		{"lost behind a failure", func(step int, good string) string {
			switch step {
			case 3:
				return failed
			case 4:
				return "cart=0 "
			}
			return good
		}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c cart
			var shop []int // the cart as the shop has it
			lost := 0
			for step := range 3 * cartSize {
				path := c.page().Path
				answer := tt.says(step, sell(&shop, path))
				if answer == failed {
					c.failed()
				} else if c.next(answer) != nil {
					lost++
				}
				if step == 4 && answer == "cart=3 1,2,3" {
					shop = shop[:3]
				}
			}
			if lost != tt.lost {
				t.Errorf("%d lost, want %d", lost, tt.lost)
			}
		})
	}
}

// once has a shop answer one step wrongly.
func once(at int, wrong string) func(int, string) string {
	return func(step int, good string) string {
		if step == at {
			return wrong
		}
		return good
	}
}

// sell is the plugin wpb-shop in Go.
func sell(cart *[]int, path string) string {
	what, items := "cart", *cart
	switch _, query, _ := strings.Cut(path, "?"); {
	case strings.HasPrefix(query, "add="):
		n, _ := strconv.Atoi(query[4:])
		items = append(items, n)
		*cart = items
	case query == "buy=1":
		what, *cart = "bought", nil
	}
	shown := make([]string, len(items))
	for i, n := range items {
		shown[i] = strconv.Itoa(n)
	}
	return fmt.Sprintf("%s=%d %s", what, len(items), strings.Join(shown, ","))
}

// Peek returns the tally so far.
func (l *Load) Peek() Tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tally
	t.Releases = maps.Clone(t.Releases)
	return t
}
