package s3

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	xmlHeader = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
	maxXML    = 2 << 20 // bytes of a request's XML: 10,000 parts with checksums need about half
)

// stamp is a time as S3's XML has it.
type stamp time.Time

func (t stamp) MarshalText() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format("2006-01-02T15:04:05.000Z")), nil
}

// person is an owner or initiator.
type person struct {
	ID          string
	DisplayName string `xml:",omitempty"`
}

// writeXML answers with a document. S3 has named entities where Go's encoder
// has numbers; clients that are no XML parsers look for the names.
func writeXML(w http.ResponseWriter, v any) error {
	body, err := xml.Marshal(v)
	if err != nil {
		return err
	}
	body = bytes.ReplaceAll(body, []byte("&#34;"), []byte("&quot;"))
	body = bytes.ReplaceAll(body, []byte("&#39;"), []byte("&apos;"))
	return writeDocument(w, "application/xml", append([]byte(xmlHeader), body...))
}

func writeDocument(w http.ResponseWriter, kind string, body []byte) error {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // the client went away: nobody is left to tell
	return nil
}

// readXML decodes a request's document, of which the whole body has been
// checked against its checksums first.
func (s *Service) readXML(r *request, v any) error {
	body, err := s.readSmall(r, maxXML)
	if err != nil {
		return err
	}
	return decodeXML(body, v)
}

func decodeXML(body []byte, v any) error {
	d := xml.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(v); err != nil {
		return errMalformedXML
	}
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if text, ok := token.(xml.CharData); err != nil || !ok || len(bytes.TrimSpace(text)) > 0 {
			return errMalformedXML
		}
	}
}
