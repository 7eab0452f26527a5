package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"time"
)

// Record types of FastCGI, and the one role that a script has.
const (
	fcgiBegin  = 1
	fcgiEnd    = 3
	fcgiParams = 4
	fcgiStdin  = 5
	fcgiStdout = 6
	fcgiStderr = 7

	fcgiResponder = 1
	fcgiRequest   = 1 // its id; a connection has one
)

const (
	fcgiTimeout = 10 * time.Second
	fcgiBytes   = 1 << 20 // of an answer
)

// fpmAddress splits an address as nginx's fastcgi_pass has it: unix:/PATH or
// HOST:PORT.
func fpmAddress(address string) (network, at string, err error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if !filepath.IsAbs(path) {
			return "", "", errors.New("want unix:/PATH or HOST:PORT, as nginx's fastcgi_pass")
		}
		return "unix", path, nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return "", "", errors.New("want unix:/PATH or HOST:PORT, as nginx's fastcgi_pass")
	}
	return "tcp", address, nil
}

// runByFPM has PHP-FPM run a script, a file of this node, and returns what it
// answered, without its headers. It is asked past the web server: the script
// needs no address that visitors could ask for.
func runByFPM(ctx context.Context, address, script string) ([]byte, error) {
	network, at, err := fpmAddress(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, fcgiTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, at)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write(fcgiGet(script)); err != nil {
		return nil, fmt.Errorf("asking PHP-FPM: %w", err)
	}
	stdout, stderr, err := fcgiAnswer(bufio.NewReader(conn))
	if err != nil {
		return nil, fmt.Errorf("reading PHP-FPM's answer: %w", err)
	}
	head, body, _ := bytes.Cut(stdout, []byte("\r\n\r\n"))
	if status := fcgiStatus(head); status != "" && !strings.HasPrefix(status, "200") {
		return nil, fmt.Errorf("PHP-FPM answers %s: %s", status, cleanLine(string(stderr)))
	}
	return body, nil
}

// fcgiStatus is what the header Status says; without one it is 200.
func fcgiStatus(head []byte) string {
	for line := range strings.SplitSeq(string(head), "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(name, "Status") {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// fcgiGet is the request that runs a script.
func fcgiGet(script string) []byte {
	var params []byte
	for _, p := range [][2]string{
		{"GATEWAY_INTERFACE", "CGI/1.1"}, {"SERVER_PROTOCOL", "HTTP/1.1"}, {"REQUEST_METHOD", "GET"},
		{"SCRIPT_FILENAME", script}, {"SCRIPT_NAME", "/" + filepath.Base(script)}, {"REMOTE_ADDR", "127.0.0.1"},
	} {
		params = binary.BigEndian.AppendUint32(params, uint32(len(p[0]))|1<<31)
		params = binary.BigEndian.AppendUint32(params, uint32(len(p[1]))|1<<31)
		params = append(append(params, p[0]...), p[1]...)
	}
	var b []byte
	for _, r := range []struct {
		kind    byte
		content []byte
	}{
		{fcgiBegin, []byte{0, fcgiResponder, 0, 0, 0, 0, 0, 0}},
		{fcgiParams, params}, {fcgiParams, nil}, {fcgiStdin, nil},
	} {
		b = append(b, 1, r.kind, 0, fcgiRequest, byte(len(r.content)>>8), byte(len(r.content)), 0, 0)
		b = append(b, r.content...)
	}
	return b
}

// fcgiAnswer reads records until the request has ended.
func fcgiAnswer(r io.Reader) (stdout, stderr []byte, err error) {
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, nil, err
		}
		size, padding := int(binary.BigEndian.Uint16(head[4:])), int(head[6])
		content := make([]byte, size+padding)
		if _, err := io.ReadFull(r, content); err != nil {
			return nil, nil, err
		}
		switch content = content[:size]; head[1] {
		case fcgiStdout:
			stdout = append(stdout, content...)
		case fcgiStderr:
			stderr = append(stderr, content...)
		case fcgiEnd:
			return stdout, stderr, nil
		}
		if len(stdout)+len(stderr) > fcgiBytes {
			return nil, nil, fmt.Errorf("more than %d bytes", fcgiBytes)
		}
	}
}
