package rollout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/artifact"
)

// documentLimit bounds what is read of one document, in bytes. A record of a
// long release is a few KiB; a list of proven releases grows by 500 bytes a
// release.
const documentLimit = 4 << 20

// documents reads and writes the small JSON files of one group's rollouts: the
// lock, records, the list of proven releases, evidence.
type documents struct {
	store artifact.Store
	group string
}

func (d documents) prefix() string             { return artifact.RolloutPrefix(d.group) }
func (d documents) lockName() string           { return d.prefix() + "lock.json" }
func (d documents) provenName() string         { return d.prefix() + "proven.json" }
func (d documents) recordName(r string) string { return d.prefix() + r + "/record.json" }

// evidenceFolder holds what was saved of a run's bad nodes.
func evidenceFolder(group, run string) string {
	return artifact.RolloutPrefix(group) + run + "/evidence/"
}

// read decodes the object into v and returns its revision. An absent object
// is artifact.ErrNotFound.
func (d documents) read(ctx context.Context, name string, v any) (etag string, err error) {
	o, err := d.store.Get(ctx, name, 0, -1)
	if err != nil {
		return "", err
	}
	defer o.Close()
	b, err := io.ReadAll(io.LimitReader(o, documentLimit+1))
	if err != nil {
		return "", fmt.Errorf("reading %q: %w", name, err)
	}
	if len(b) > documentLimit {
		return "", &InterventionRequired{Text: fmt.Sprintf("reading %q: larger than %d bytes, which nothing here writes", name, documentLimit), Fix: "look at the object; move it away if it is not wpbake's"}
	}
	if err := json.Unmarshal(b, v); err != nil {
		return o.ETag, &InterventionRequired{Text: fmt.Sprintf("reading %q: not a document of this program: %v", name, err), Fix: "look at the object; move it away if it is not wpbake's"}
	}
	return o.ETag, nil
}

// write encodes v under a condition and returns the new revision.
func (d documents) write(ctx context.Context, name string, v any, c artifact.Condition) (etag string, err error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return "", fmt.Errorf("writing %q: %w", name, err)
	}
	b = append(b, '\n')
	body := artifact.Body{ReaderAt: bytes.NewReader(b), Size: int64(len(b)), Digest: artifact.DigestOf(b)}
	st, err := d.store.Put(ctx, name, body, c)
	if err != nil {
		return "", fmt.Errorf("writing %q: %w", name, err)
	}
	return st.ETag, nil
}

// revise reads, changes and writes a document until nobody else wrote in
// between. An absent document is changed from its zero value.
func revise[T any](ctx context.Context, d documents, name string, change func(T) T) (T, error) {
	for {
		var v T
		etag, err := d.read(ctx, name, &v)
		c := artifact.Condition{ETag: etag}
		if errors.Is(err, artifact.ErrNotFound) {
			c, err = artifact.Condition{Absent: true}, nil
		}
		if err != nil {
			return v, err
		}
		v = change(v)
		_, err = d.write(ctx, name, v, c)
		if errors.Is(err, artifact.ErrChanged) || errors.Is(err, artifact.ErrExists) {
			continue
		}
		return v, err
	}
}

func (d documents) lock(ctx context.Context) (Lock, string, error) {
	var l Lock
	etag, err := d.read(ctx, d.lockName(), &l)
	if errors.Is(err, artifact.ErrNotFound) {
		return Lock{}, "", nil
	}
	return l, etag, err
}

func (d documents) record(ctx context.Context, run string) (Record, string, error) {
	var r Record
	etag, err := d.read(ctx, d.recordName(run), &r)
	if errors.Is(err, artifact.ErrNotFound) {
		return Record{}, "", nil
	}
	return r, etag, err
}

func (d documents) proven(ctx context.Context) (Proven, error) {
	var p Proven
	_, err := d.read(ctx, d.provenName(), &p)
	if errors.Is(err, artifact.ErrNotFound) {
		return Proven{Format: 1}, nil
	}
	return p, err
}

// records are those of all runs, newest first.
func (d documents) records(ctx context.Context) ([]Record, error) {
	stats, err := d.store.List(ctx, d.prefix())
	if err != nil {
		return nil, err
	}
	var records []Record
	for _, st := range stats {
		run, ok := strings.CutSuffix(strings.TrimPrefix(st.Name, d.prefix()), "/record.json")
		if !ok {
			continue
		}
		r, _, err := d.record(ctx, run)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b Record) int { return b.Started.Compare(a.Started) })
	return records, nil
}
