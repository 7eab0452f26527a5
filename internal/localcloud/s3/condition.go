package s3

import (
	"net/http"
	"strings"
	"time"
)

// writeCondition is what a write demands of a key's current version.
type writeCondition struct {
	absent bool   // If-None-Match: *
	etag   string // If-Match, as sent; "" for none
}

func writeConditionOf(h http.Header) (writeCondition, error) {
	c := writeCondition{etag: h.Get("If-Match")}
	switch none := h.Get("If-None-Match"); {
	case none == "*":
		c.absent = true
	case none != "":
		return c, notImplemented("header", "If-None-Match")
	}
	if c.absent && c.etag != "" {
		return c, notImplemented("header", "If-Match")
	}
	return c, nil
}

// check holds a write of key against what the key holds.
func (c writeCondition) check(key string, h history) error {
	current := h.current()
	switch {
	case c.absent && current != nil:
		return preconditionFailed("If-None-Match")
	case c.etag == "":
		return nil
	case current == nil:
		return noSuchKey(key)
	case !matches(c.etag, current.ETag):
		return preconditionFailed("If-Match")
	}
	return nil
}

// checkDelete holds a removal of key against it. A delete marker is something
// to S3 here, if nothing that can match.
func (c writeCondition) checkDelete(key string, h history) error {
	if c.etag != "" && len(h) > 0 && h[0].Marker {
		return preconditionFailed("If-Match")
	}
	return c.check(key, h)
}

// matches reports whether a list of entity tags, or *, has this one.
func matches(list, etag string) bool {
	for _, one := range strings.Split(list, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == "*" || strings.Trim(one, `"`) == etag {
			return true
		}
	}
	return false
}

// readCondition is what a reader demands; prefix is "" or, for the source of
// a copy, "X-Amz-Copy-Source-".
type readCondition struct {
	header http.Header
	prefix string
}

// check follows RFC 9110 section 13.2.2, as S3 does.
func (c readCondition) check(o *object) error {
	if list := c.header.Get(c.prefix + "If-Match"); list != "" {
		if !matches(list, o.ETag) {
			return c.failed("If-Match")
		}
	} else if t, ok := c.time("If-Unmodified-Since"); ok && o.Modified.Truncate(time.Second).After(t) {
		return c.failed("If-Unmodified-Since")
	}
	if list := c.header.Get(c.prefix + "If-None-Match"); list != "" {
		if matches(list, o.ETag) {
			return c.unmodified("If-None-Match", o)
		}
	} else if t, ok := c.time("If-Modified-Since"); ok && !o.Modified.Truncate(time.Second).After(t) {
		return c.unmodified("If-Modified-Since", o)
	}
	return nil
}

func (c readCondition) failed(name string) error {
	return preconditionFailed(strings.ToLower(c.prefix) + name)
}

// unmodified is no error for a reader, who keeps what it has; a copy fails.
func (c readCondition) unmodified(name string, o *object) error {
	if c.prefix != "" {
		return c.failed(name)
	}
	return errNotModified.sending("ETag", o.quotedETag()).sending("Last-Modified", httpTime(o.Modified))
}

func (c readCondition) time(name string) (time.Time, bool) {
	t, err := http.ParseTime(c.header.Get(c.prefix + name))
	return t, err == nil
}
