package userdata

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"net/textproto"
	"regexp"
	"strings"
)

// mimeData is a MIME multipart as it was written. Everything done to it cuts
// or adds whole lines, so that what stays is byte for byte what it was.
type mimeData struct {
	raw      []byte
	body     int // where the header ends
	boundary string
}

var boundaryParam = regexp.MustCompile(`(?i);\s*boundary\s*=\s*(?:"([!#-~]|[!#-~][ !#-~]*[!#-~])"|([!-~]+?)\s*(?:;|$))`)

// parseMultipart is false for user data that is not a MIME multipart, by
// cloud-init's rule of what is MIME at all.
func parseMultipart(b []byte) (mimeData, bool, error) {
	const seen = 4096 // bytes in which cloud-init looks for the header
	head := bytes.ToLower(b[:min(seen, len(b))])
	if plainType(b) != "" || !bytes.Contains(head, []byte("mime-version:")) {
		return mimeData{}, false, nil
	}
	return openMultipart(b)
}

func openMultipart(entity []byte) (mimeData, bool, error) {
	if !strings.HasPrefix(mediaType(entity), "multipart/") {
		return mimeData{}, false, nil
	}
	header, body := splitEntity(entity)
	found := boundaryParam.FindStringSubmatch(header.Get("Content-Type"))
	if found == nil || strings.Contains(found[1], `\`) {
		return mimeData{}, false, &Foreign{Cause: "its multipart declares no usable boundary"}
	}
	return mimeData{raw: entity, body: len(entity) - len(body), boundary: found[1] + found[2]}, true, nil
}

// delimiter is a line between parts, its line end included.
type delimiter struct {
	start, end int
	closing    bool
}

// delimiters returns the lines between parts up to the closing one, if any.
func (m mimeData) delimiters() []delimiter {
	var found []delimiter
	for start := m.body; start < len(m.raw); {
		end := len(m.raw)
		if n := bytes.IndexByte(m.raw[start:], '\n'); n >= 0 {
			end = start + n + 1
		}
		if rest, ok := strings.CutPrefix(string(m.raw[start:end]), "--"+m.boundary); ok {
			rest = strings.TrimRight(rest, " \t\r\n")
			if rest == "" || rest == "--" {
				found = append(found, delimiter{start, end, rest == "--"})
			}
			if rest == "--" {
				break
			}
		}
		start = end
	}
	return found
}

// span is where the part after the i-th delimiter lies. The line end before
// the next delimiter belongs to that one.
func (m mimeData) span(ds []delimiter, i int) (start, end, next int) {
	start, next = ds[i].end, len(m.raw)
	end = next
	if i+1 < len(ds) {
		next = ds[i+1].start
		content := bytes.TrimSuffix(m.raw[start:next], []byte("\n"))
		end = start + len(content)
		if end < next {
			end = start + len(bytes.TrimSuffix(content, []byte("\r")))
		}
	}
	return start, end, next
}

// without returns the multipart less the parts to drop, at any depth.
func (m mimeData) without(drop func(part []byte) bool) mimeData {
	ds := m.delimiters()
	if len(ds) == 0 {
		return m
	}
	out := bytes.Clone(m.raw[:ds[0].start])
	for i, d := range ds {
		if d.closing {
			out = append(out, m.raw[d.start:]...)
			break
		}
		start, end, next := m.span(ds, i)
		part := m.raw[start:end]
		if drop(part) {
			continue
		}
		if inner, ok, err := openMultipart(part); ok && err == nil {
			part = inner.without(drop).raw
		}
		out = append(out, m.raw[d.start:start]...)
		out = append(out, part...)
		out = append(out, m.raw[end:next]...)
	}
	m.raw = out
	return m
}

// with returns the multipart's bytes with one more part at the end, in the
// line ends that its delimiters have.
func (m mimeData) with(part []byte) []byte {
	eol, cut := "\n", len(m.raw)
	var closing string
	ds := m.delimiters()
	if len(ds) > 0 && bytes.HasSuffix(m.raw[:ds[0].end], []byte("\r\n")) {
		eol = "\r\n"
	}
	if n := len(ds); n > 0 && ds[n-1].closing {
		cut = ds[n-1].start
	} else {
		closing = "--" + m.boundary + "--" + eol
	}
	out := bytes.Clone(m.raw[:cut])
	if closing != "" {
		out = append(out, eol...)
	}
	out = append(out, "--"+m.boundary+eol...)
	out = append(out, part...)
	out = append(out, eol...)
	out = append(out, closing...)
	return append(out, m.raw[cut:]...)
}

// mimePart is one part with its headers. Text that is not plain ASCII lines
// travels as base64: cloud-init parses mail as text and mangles other bytes.
func mimePart(mediaType, file string, content []byte) []byte {
	var out bytes.Buffer
	encoding, charset := "7bit", "us-ascii"
	if bytes.ContainsFunc(content, func(r rune) bool { return r > '~' || r < ' ' && r != '\n' && r != '\t' }) {
		encoding, charset = "base64", "utf-8"
	}
	fmt.Fprintf(&out, "Content-Type: %s; charset=%q\nMIME-Version: 1.0\nContent-Transfer-Encoding: %s\n", mediaType, charset, encoding)
	if file != "" {
		fmt.Fprintf(&out, "Content-Disposition: attachment; filename=%q\n", file)
	}
	out.WriteByte('\n')
	if encoding == "7bit" {
		out.Write(content)
		return out.Bytes()
	}
	const column = 76
	for text := base64.StdEncoding.EncodeToString(content); text != ""; {
		n := min(column, len(text))
		out.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	return out.Bytes()
}

// partContent is a part's content, decoded when it is base64.
func partContent(part []byte) []byte {
	header, body := splitEntity(part)
	if !strings.EqualFold(header.Get("Content-Transfer-Encoding"), "base64") {
		return body
	}
	content, err := base64.StdEncoding.DecodeString(string(body))
	if err != nil {
		return nil
	}
	return content
}

func isBootPart(part []byte) bool {
	header, _ := splitEntity(part)
	_, params, err := mime.ParseMediaType(header.Get("Content-Disposition"))
	return err == nil && params["filename"] == bootFile
}

// mediaType is the content type that a MIME entity declares, or "".
func mediaType(entity []byte) string {
	header, _ := splitEntity(entity)
	t, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// splitEntity parts a MIME entity at its first empty line. The header is nil
// when the lines before are no headers.
func splitEntity(entity []byte) (textproto.MIMEHeader, []byte) {
	end := 0
	for end < len(entity) {
		line, _, _ := bytes.Cut(entity[end:], []byte("\n"))
		if len(bytes.TrimSuffix(line, []byte("\r"))) == 0 {
			break
		}
		end = min(end+len(line)+1, len(entity))
	}
	_, body, _ := bytes.Cut(entity[end:], []byte("\n"))
	lines := io.MultiReader(bytes.NewReader(entity[:end]), strings.NewReader("\r\n\r\n"))
	header, err := textproto.NewReader(bufio.NewReader(lines)).ReadMIMEHeader()
	if err != nil {
		return nil, body
	}
	return header, body
}
