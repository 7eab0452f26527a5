package awstest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
)

// Transport is an HTTP client whose server is Handler. Bodies stream both
// ways, and each request has its own goroutine, as with a server of its own;
// http.ErrAbortHandler cuts the connection.
type Transport struct{ Handler http.Handler }

// RoundTrip makes a Transport usable in an http.Client.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) { return t.Do(r) }

// Do sends r to the handler. Like http.Client's it closes r.Body.
func (t Transport) Do(r *http.Request) (*http.Response, error) {
	sent := newRequestBody(r)
	if err := checkHost(r.URL.Hostname()); err != nil {
		return nil, refuse(err, sent)
	}
	ctx, hangUp := context.WithCancel(r.Context())
	e := newExchange(r.Method)
	go func() {
		defer hangUp()
		defer sent.Close()
		e.serve(t.Handler, serverRequest(ctx, r, sent))
	}()
	select {
	case <-e.begun:
	case <-ctx.Done():
	}
	if err := r.Context().Err(); err != nil {
		hangUp()
		e.body.CloseWithError(err)
		return nil, refuse(err, sent)
	}
	if e.cut != nil {
		return nil, e.cut
	}
	return e.response(r, hangUp), nil
}

// refuse returns err once the request's body is closed, as every client's Do
// has to.
func refuse(err error, body io.Closer) error {
	if cerr := body.Close(); cerr != nil {
		return fmt.Errorf("%w; closing the request: %w", err, cerr)
	}
	return err
}

// listener is the address of whoever answers a URL.
func listener(u *url.URL) net.Addr {
	ip := net.ParseIP(u.Hostname())
	if ip == nil { // localhost
		ip = net.IPv6loopback
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		port = 80
	}
	return &net.TCPAddr{IP: ip, Port: port}
}

// serverRequest is r as a server would have read it.
func serverRequest(ctx context.Context, r *http.Request, body io.ReadCloser) *http.Request {
	in := r.Clone(context.WithValue(ctx, http.LocalAddrContextKey, listener(r.URL)))
	in.Body, in.GetBody = body, nil
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:1024"
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/1.1", 1, 1
	if r.ContentLength > 0 {
		in.Header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	}
	u := *r.URL
	u.Scheme, u.Host = "", ""
	in.URL = &u
	return in
}

// requestBody is no longer read once it is closed: the client rewinds its file
// for the next attempt while the handler may still be at this one.
type requestBody struct {
	mu     sync.Mutex
	from   io.ReadCloser
	closed bool
}

func newRequestBody(r *http.Request) *requestBody {
	if r.Body == nil {
		return &requestBody{from: http.NoBody}
	}
	return &requestBody{from: r.Body}
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.from.Read(p)
}

func (b *requestBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	return b.from.Close()
}

// exchange is the server's half of one request.
type exchange struct {
	method string
	header http.Header
	status int
	first  bytes.Buffer // written before the answer began
	body   *io.PipeWriter
	reads  *io.PipeReader
	begun  chan struct{} // closed when status, sent and cut are final
	sent   http.Header
	whole  bool // first holds all of the body
	cut    error
}

// firstBytes is how much is held back for a Content-Length, as by net/http.
const firstBytes = 2048

func newExchange(method string) *exchange {
	e := &exchange{method: method, header: http.Header{}, begun: make(chan struct{})}
	e.reads, e.body = io.Pipe()
	return e
}

func (e *exchange) serve(h http.Handler, r *http.Request) {
	defer func() {
		switch cause := recover(); cause {
		case nil:
		case http.ErrAbortHandler:
			e.abort()
		default:
			panic(cause)
		}
	}()
	h.ServeHTTP(e, r)
	e.whole = e.sent == nil
	e.begin()
	// A handler that gave up because the client did has not told all.
	e.body.CloseWithError(r.Context().Err())
}

func (e *exchange) abort() {
	e.body.CloseWithError(io.ErrUnexpectedEOF)
	if e.sent == nil {
		e.cut = io.ErrUnexpectedEOF
		e.begin()
	}
}

// begin sends the header.
func (e *exchange) begin() {
	if e.sent != nil {
		return
	}
	e.WriteHeader(http.StatusOK)
	e.sent = e.header.Clone()
	if e.whole && e.sent.Get("Content-Length") == "" && e.method != http.MethodHead && bodyAllowed(e.status) {
		e.sent.Set("Content-Length", strconv.Itoa(e.first.Len()))
	}
	close(e.begun)
}

func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// Header is the http.ResponseWriter's.
func (e *exchange) Header() http.Header { return e.header }

// WriteHeader takes the first final status.
func (e *exchange) WriteHeader(status int) {
	if e.status == 0 && status >= 200 {
		e.status = status
	}
}

// Write holds the first bytes back, then streams.
func (e *exchange) Write(p []byte) (int, error) {
	e.WriteHeader(http.StatusOK)
	if e.method == http.MethodHead {
		return len(p), nil
	}
	if !bodyAllowed(e.status) {
		return 0, http.ErrBodyNotAllowed
	}
	if e.sent == nil && e.first.Len()+len(p) <= firstBytes {
		return e.first.Write(p)
	}
	e.begin()
	return e.body.Write(p)
}

// Flush sends what was held back.
func (e *exchange) Flush() { e.begin() }

// response is the client's half. Closing its body hangs up.
func (e *exchange) response(r *http.Request, hangUp context.CancelFunc) *http.Response {
	length := int64(-1)
	if n, err := strconv.ParseInt(e.sent.Get("Content-Length"), 10, 64); err == nil {
		length = n
	}
	answer := &http.Response{
		Status: fmt.Sprintf("%d %s", e.status, http.StatusText(e.status)), StatusCode: e.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: e.sent, ContentLength: length, Request: r, Body: http.NoBody,
	}
	if e.method == http.MethodHead || !bodyAllowed(e.status) {
		return answer
	}
	forget := context.AfterFunc(r.Context(), func() { e.body.CloseWithError(r.Context().Err()) })
	answer.Body = &answerBody{first: bytes.NewReader(e.first.Bytes()), rest: e.reads, end: func() {
		forget()
		hangUp()
	}}
	return answer
}

type answerBody struct {
	first *bytes.Reader
	rest  *io.PipeReader
	end   func()
}

func (b *answerBody) Read(p []byte) (int, error) {
	if b.first.Len() > 0 {
		return b.first.Read(p)
	}
	return b.rest.Read(p)
}

func (b *answerBody) Close() error {
	b.end()
	return b.rest.Close()
}
