package runner

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"strings"
)

const (
	maxUserData = 16 << 20 // bytes, unpacked: a gzip bomb is no user data
	maxNesting  = 8        // of multiparts
)

// script is a part of user data that is run.
type script struct {
	name string // as the part has it, "" for none
	body []byte
}

// userData is user data as cloud-init reads it.
type userData struct {
	scripts []script
	notes   []string // what is not run, for the console
}

// parseUserData finds the scripts in raw user data: one script, or a MIME
// multipart of them, either of them gzip-compressed.
func parseUserData(raw []byte) (userData, error) {
	var u userData
	raw, err := unpack(raw)
	if err != nil {
		return u, fmt.Errorf("reading user data: %w", err)
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return u, nil
	}
	if err := u.add("", "", raw, 0); err != nil {
		return userData{}, fmt.Errorf("reading user data: %w", err)
	}
	return u, nil
}

// unpack takes gzip off.
func unpack(raw []byte) ([]byte, error) {
	if !bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		return raw, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxUserData+1))
	if err == nil && len(plain) > maxUserData {
		err = errors.New("more than 16 MiB unpacked")
	}
	return plain, err
}

// add takes one part in. A type that says nothing is told by how the part
// begins, as cloud-init does.
func (u *userData) add(name, kind string, body []byte, depth int) error {
	switch kind {
	case "", "text/plain", "application/octet-stream", "application/gzip", "application/x-gzip":
		kind = sniff(body)
	}
	switch {
	case kind == "text/x-shellscript":
		u.scripts = append(u.scripts, script{name, unixLines(body)})
	case kind == "multipart/mixed":
		return u.addMessage(body, depth)
	default:
		u.notes = append(u.notes, fmt.Sprintf("user data: part %q of type %s is not executed: the local cloud runs shell scripts only", name, kind))
	}
	return nil
}

func sniff(body []byte) string {
	head := strings.ToLower(string(body[:min(len(body), 4096)]))
	switch {
	case strings.HasPrefix(head, "#!"):
		return "text/x-shellscript"
	case strings.HasPrefix(head, "#cloud-config"):
		return "text/cloud-config"
	case strings.HasPrefix(head, "#cloud-boothook"):
		return "text/cloud-boothook"
	case strings.HasPrefix(head, "#include"):
		return "text/x-include-url"
	case strings.Contains(head, "mime-version:"), strings.HasPrefix(head, "content-type: multipart/"):
		return "multipart/mixed"
	}
	return "text/x-not-multipart"
}

// unixLines gives a script the line ends that the kernel wants behind #!.
func unixLines(body []byte) []byte {
	if first, _, ok := bytes.Cut(body, []byte("\n")); ok && bytes.HasSuffix(first, []byte("\r")) {
		return bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n"))
	}
	return body
}

func (u *userData) addMessage(body []byte, depth int) error {
	m, err := mail.ReadMessage(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return u.addEntity(textproto.MIMEHeader(m.Header), m.Body, depth)
}

// addEntity takes in a MIME entity: a part, or a multipart with its parts.
func (u *userData) addEntity(h textproto.MIMEHeader, r io.Reader, depth int) error {
	if depth > maxNesting {
		return errors.New("parts within parts within parts")
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") {
		return u.addParts(multipart.NewReader(r, params["boundary"]), depth)
	}
	if strings.EqualFold(h.Get("Content-Transfer-Encoding"), "base64") {
		r = base64.NewDecoder(base64.StdEncoding, r)
	}
	body, err := io.ReadAll(io.LimitReader(r, maxUserData))
	if err != nil {
		return err
	}
	if body, err = unpack(body); err != nil {
		return err
	}
	_, disposition, _ := mime.ParseMediaType(h.Get("Content-Disposition"))
	return u.add(disposition["filename"], kind, body, depth+1)
}

func (u *userData) addParts(r *multipart.Reader, depth int) error {
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := u.addEntity(p.Header, p, depth+1); err != nil {
			return err
		}
	}
}
