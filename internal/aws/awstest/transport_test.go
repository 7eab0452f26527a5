package awstest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func get(t *testing.T, ctx context.Context, h http.HandlerFunc, method string, body io.Reader) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, "http://127.0.0.1:4599/a%20b?c=d", body)
	if err != nil {
		t.Fatal(err)
	}
	return Transport{Handler: h}.Do(r)
}

func readAll(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRequest(t *testing.T) {
	r, err := get(t, t.Context(), func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if string(b) != "hello" || r.ContentLength != 5 || r.Header.Get("Content-Length") != "5" {
			t.Errorf("body %q, length %d", b, r.ContentLength)
		}
		if r.Host != "127.0.0.1:4599" || r.RequestURI != "/a%20b?c=d" || r.URL.Path != "/a b" || r.FormValue("c") != "d" {
			t.Errorf("host %q, URI %q, path %q", r.Host, r.RequestURI, r.URL.Path)
		}
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(http.StatusTeapot)
	}, http.MethodPut, strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if body := readAll(t, r); body != "" || r.StatusCode != http.StatusTeapot || r.ContentLength != 0 || r.Header.Get("X-Answer") != "yes" {
		t.Errorf("got %s, length %d, header %v, body %q", r.Status, r.ContentLength, r.Header, body)
	}
}

func TestAnswerLengths(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 3*firstBytes)
	for name, c := range map[string]struct {
		method string
		h      http.HandlerFunc
		length int64
		body   string
	}{
		"small":    {"GET", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a"); io.WriteString(w, "b") }, 2, "ab"},
		"nothing":  {"GET", func(http.ResponseWriter, *http.Request) {}, 0, ""},
		"big":      {"GET", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a"); w.Write(big) }, -1, "a" + string(big)},
		"flushed":  {"GET", func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush(); io.WriteString(w, "a") }, -1, "a"},
		"declared": {"GET", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "6144"); w.Write(big) }, 6144, string(big)},
		"head":     {"HEAD", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "9"); w.Write(big) }, 9, ""},
		"no body":  {"GET", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, -1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := get(t, t.Context(), c.h, c.method, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body := readAll(t, r); body != c.body || r.ContentLength != c.length {
				t.Errorf("length %d, want %d; body of %d bytes, want %d", r.ContentLength, c.length, len(body), len(c.body))
			}
		})
	}
}

func TestCutConnection(t *testing.T) {
	_, err := get(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "lost")
		panic(http.ErrAbortHandler)
	}, "GET", nil)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("before the header: %v", err)
	}
	r, err := get(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}, "GET", nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r.Body); string(b) != "half" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("behind the header: %q, %v", b, err)
	}
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := get(t, ctx, hung, "GET", strings.NewReader("body")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("before the header: %v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r, err := get(t, ctx, func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "GET", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(r.Body); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("behind the header: %v", err)
		}
	})
}

func TestClosingTheBodyHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := get(t, t.Context(), func(w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := w.Write(make([]byte, firstBytes)); err != nil {
					<-r.Context().Done()
					return
				}
			}
		}, "GET", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}) // fails when the handler is still there
}

// endless counts reads after it was closed.
type endless struct{ closed, late bool }

func (e *endless) Read(p []byte) (int, error) {
	e.late = e.late || e.closed
	return len(p), nil
}

func (e *endless) Close() error {
	e.closed = true
	return nil
}

func TestRequestBodyIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		body := &endless{}
		_, err := get(t, ctx, func(w http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
			synctestWait(r.Body)
		}, "PUT", body)
		synctest.Wait()
		if !errors.Is(err, context.Canceled) || !body.closed || body.late {
			t.Errorf("error %v, closed %v, read too late %v", err, body.closed, body.late)
		}
	})
}

// synctestWait reads until the client has taken its body back.
func synctestWait(body io.Reader) {
	for p := make([]byte, 1); ; {
		if _, err := body.Read(p); err != nil {
			return
		}
	}
}

func TestOnlyLoopback(t *testing.T) {
	for host, refused := range map[string]bool{
		"127.0.0.1": false, "127.77.0.5:80": false, "localhost:1": false, "[::1]:80": false,
		"10.0.0.1": true, "example.com": true, "ec2.eu-central-1.amazonaws.com": true, "localhost.example.com": true,
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+host+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Transport{Handler: http.NotFoundHandler()}.Do(r)
		if got := errors.As(err, new(*NotLoopback)); got != refused {
			t.Errorf("%s: %v", host, err)
		}
	}
}
