package s3

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// getObject answers GET and HEAD alike; net/http leaves HEAD's body out.
func (s *Service) getObject(w http.ResponseWriter, r *request) error {
	b, err := s.bucketNamed(r.bucket)
	if err != nil {
		return err
	}
	if r.query.Has("partNumber") {
		if _, err := partNumberOf(r); err != nil {
			return err
		}
	}
	o, content, err := s.open(b, r)
	if err != nil {
		return err
	}
	defer content.Close()
	s.tellVersion(w.Header(), b, o)
	if err := (readCondition{header: r.Header}).check(o); err != nil {
		return err
	}
	span, err := spanOf(r, o)
	if err != nil {
		return err
	}
	o.tell(w.Header(), r.query)
	if strings.EqualFold(r.Header.Get("X-Amz-Checksum-Mode"), "ENABLED") {
		span.tellChecksum(w.Header(), o)
	}
	if span.part > 0 && o.Multiple {
		w.Header().Set("X-Amz-Mp-Parts-Count", strconv.Itoa(len(o.Parts)))
	}
	w.Header().Set("Content-Length", strconv.FormatInt(span.length, 10))
	if span.partial {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", span.off, span.off+span.length-1, o.Size))
		w.WriteHeader(http.StatusPartialContent)
	} else {
		w.WriteHeader(http.StatusOK)
	}
	if r.Method != http.MethodHead {
		// Too late for another answer: the client sees the body end early.
		_, _ = io.Copy(w, content.slice(span.off, span.length))
	}
	return nil
}

// open finds the version that a request asks for and opens its content, so
// that it stays readable whatever happens to the key.
func (s *Service) open(b *bucket, r *request) (*object, *content, error) {
	lock := s.locks.of(b.Name, r.key)
	lock.Lock()
	defer lock.Unlock()
	o, err := s.versions(b, r.key).selected(r)
	if err != nil {
		return nil, nil, err
	}
	content, err := s.blobs.read(o.Parts)
	if err != nil {
		return nil, nil, fmt.Errorf("reading content of key %q: %w", r.key, err)
	}
	return o, content, nil
}

// span is the stretch of an object that is asked for.
type span struct {
	off, length int64
	partial     bool
	part        int // number, 0 when none was asked for
}

func spanOf(r *request, o *object) (span, error) {
	ranged := r.Header.Get("Range")
	if r.query.Has("partNumber") {
		if ranged != "" {
			return span{}, invalidRequest("Cannot specify both Range header and partNumber query parameter")
		}
		return partSpan(r, o)
	}
	first, last, ok := parseRange(ranged, o.Size)
	if !ok {
		return span{length: o.Size}, nil
	}
	if first >= o.Size || first > last {
		return span{}, newError(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable").
			with("RangeRequested", ranged).with("ActualObjectSize", strconv.FormatInt(o.Size, 10)).
			sending("Content-Range", fmt.Sprintf("bytes */%d", o.Size))
	}
	return span{off: first, length: last - first + 1, partial: true}, nil
}

// parseRange reads a single range of an object of size bytes. S3 takes what it
// can not read, and several ranges at once, for no range at all.
func parseRange(text string, size int64) (first, last int64, ok bool) {
	text, ok = strings.CutPrefix(text, "bytes=")
	from, to, dash := strings.Cut(text, "-")
	if !ok || !dash {
		return 0, 0, false
	}
	if from == "" {
		n, err := strconv.ParseUint(to, 10, 63)
		if err != nil {
			return 0, 0, false
		}
		if n == 0 {
			return size, size - 1, true
		}
		return max(size-int64(n), 0), size - 1, true
	}
	low, err := strconv.ParseUint(from, 10, 63)
	if err != nil {
		return 0, 0, false
	}
	if to == "" {
		return int64(low), size - 1, true
	}
	high, err := strconv.ParseUint(to, 10, 63)
	if err != nil || high < low {
		return 0, 0, false
	}
	return int64(low), min(int64(high), size-1), true
}

func partSpan(r *request, o *object) (span, error) {
	n, err := partNumberOf(r)
	if err != nil {
		return span{}, err
	}
	var off int64
	for i, p := range o.Parts {
		if i+1 == n {
			return span{off: off, length: p.Size, partial: p.Size > 0, part: n}, nil
		}
		off += p.Size
	}
	return span{}, newError(http.StatusRequestedRangeNotSatisfiable, "InvalidPartNumber", "The requested partnumber is not satisfiable").
		with("PartNumberRequested", strconv.Itoa(n)).with("ActualPartCount", strconv.Itoa(len(o.Parts)))
}

// tellChecksum tells the sum of exactly what is sent, where one is kept.
func (s span) tellChecksum(h http.Header, o *object) {
	switch {
	case s.part > 0 && o.Multiple:
		if sum := o.partChecksum(o.Parts[s.part-1]); sum.Value != "" {
			sum.Type = composite
			setChecksum(h, sum)
		}
	case !s.partial || s.part > 0:
		setChecksum(h, o.Checksum)
	}
}
