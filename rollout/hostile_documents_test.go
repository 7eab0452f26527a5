package rollout_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/rollout"
)

// document is a kind of object that a writer of the bucket can forge. Of the
// type are its fields; nil for what is no document of rollouts.
type document struct {
	kind   string
	fields reflect.Type
	name   func(*siege) string
}

func documentsUnderAttack() []document {
	inRun := func(name string) func(*siege) string {
		return func(s *siege) string { return artifact.RolloutPrefix(s.w.group) + s.lock.Run + "/" + name }
	}
	return []document{
		{"lock", reflect.TypeFor[rollout.Lock](), func(s *siege) string { return artifact.RolloutPrefix(s.w.group) + "lock.json" }},
		{"record", reflect.TypeFor[rollout.Record](), inRun("record.json")},
		{"report", reflect.TypeFor[node.Report](), func(s *siege) string { return s.report }},
		{"evidence", reflect.TypeFor[rollout.Evidence](), inRun("evidence/refresh.json")},
		{"manifest", reflect.TypeFor[artifact.Manifest](), func(*siege) string { return "releases/v2/" + artifact.ManifestName }},
		{"artifact", nil, func(*siege) string { return "releases/v2/" + artifact.TarballName }},
	}
}

// forgery is what becomes of a document: what is read first and ever after. A
// nil content is no object.
type forgery struct {
	name        string
	first, then []byte
	unlisted    bool   // it can be read, but no listing has it
	oddly       string // another name that listings have besides
}

// forgeries are all that is tried with one document: what any object can
// suffer, and each field of the type with a stranger's value. A field that is
// new is among them.
func (s *siege) forgeries(d document) []forgery {
	now := s.honest[d.name(s)]
	same := func(name string, b []byte) forgery { return forgery{name: name, first: b, then: b} }
	garbled := slices.Clone(now)
	for i := range garbled {
		garbled[i] ^= 0x55
	}
	other := []byte(strings.ReplaceAll(string(now), `"shop"`, `"other"`))
	list := []forgery{
		same("deleted", nil),
		same("emptied", []byte{}),
		same("of one character", []byte("x")),
		same("null", []byte("null")),
		same("garbled", garbled),
		same("truncated", now[:len(now)/2]),
		same("an older copy", s.older[d.kind]),
		same("another version's", []byte(strings.ReplaceAll(string(now), `"v2"`, `"v66"`))),
		same("another group's", other),
		same("padded", append(bytes.Repeat([]byte(" "), 5<<20), now...)),
		{name: "changed between two reads", first: now, then: other},
		{name: "listed under an odd name", first: now, then: now, oddly: "rollouts/%zz/" + d.kind},
		{name: "left out of the listing", first: now, then: now, unlisted: true},
	}
	if d.fields == nil {
		return list
	}
	full := reflect.New(d.fields).Elem()
	s.fill(full)
	var forged map[string]json.RawMessage
	s.unmarshal(s.marshal(full.Interface()), &forged)
	for _, field := range sortedKeys(forged) {
		var honest map[string]json.RawMessage
		if now != nil {
			s.unmarshal(now, &honest)
		} else {
			honest = map[string]json.RawMessage{}
		}
		honest[field] = forged[field]
		list = append(list, same("stranger's "+field, s.marshal(honest)))
		delete(honest, field)
		list = append(list, same("without "+field, s.marshal(honest)))
	}
	return list
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// fill sets all that a value holds to what a stranger would like.
func (s *siege) fill(v reflect.Value) {
	switch p := v.Addr().Interface().(type) {
	case *artifact.Digest:
		*p = s.stranger
		return
	case *artifact.Version:
		*p = "v66"
		return
	case *rollout.Kind:
		*p = rollout.Rollback
		return
	case *rollout.TemplateRef:
		*p = s.strangers
		return
	case *rollout.Volume:
		*p = rollout.Volume{Snapshot: "snap-66666666666666666", Image: s.stranger}
		return
	case *time.Time:
		*p = time.Date(2066, 6, 6, 0, 0, 0, 0, time.UTC)
		return
	case *json.RawMessage:
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		s.fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				s.fill(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		s.fill(v.Index(0))
	case reflect.String:
		v.SetString(s.image)
	case reflect.Int, reflect.Int64:
		v.SetInt(66)
	case reflect.Float64:
		v.SetFloat(66)
	case reflect.Bool:
		v.SetBool(true)
	}
}

func (s *siege) marshal(v any) []byte {
	b, err := json.Marshal(v)
	s.w.must(nil, err)
	return b
}

func (s *siege) unmarshal(b []byte, v any) { s.w.must(nil, json.Unmarshal(b, v)) }

// hostile is a store whose bucket somebody else writes too.
type hostile struct {
	artifact.Store
	siege   *siege
	name    string
	forged  forgery
	removed []string // by wpbake
}

// Get lets the stranger write once more after each read.
func (h *hostile) Get(ctx context.Context, name string, off, n int64) (*artifact.Object, error) {
	o, err := h.Store.Get(ctx, name, off, n)
	if name == h.name && err == nil && !h.forged.fixed() {
		h.siege.put(name, h.forged.then)
		h.forged.first = h.forged.then
	}
	return o, err
}

func (h *hostile) List(ctx context.Context, prefix string) ([]artifact.Stat, error) {
	stats, err := h.Store.List(ctx, prefix)
	if h.forged.unlisted {
		stats = slices.DeleteFunc(stats, func(st artifact.Stat) bool { return st.Name == h.name })
	}
	if odd := h.forged.oddly; odd != "" && strings.HasPrefix(odd, prefix) {
		stats = append([]artifact.Stat{{Name: odd, Size: 1, ETag: `"odd"`}}, stats...)
	}
	return stats, err
}

func (h *hostile) Delete(ctx context.Context, name string, c artifact.Condition) error {
	h.removed = append(h.removed, name)
	return h.Store.Delete(ctx, name, c)
}

func (f forgery) fixed() bool { return bytes.Equal(f.first, f.then) }

// put writes an object as the stranger does, nil removes it.
func (s *siege) put(name string, b []byte) {
	s.w.t.Helper()
	if b == nil {
		s.w.must(nil, s.w.store.Delete(s.w.ctx, name, artifact.Condition{}))
		return
	}
	s.w.must(s.w.store.Put(s.w.ctx, name, artifact.Body{ReaderAt: bytes.NewReader(b), Size: int64(len(b)), Digest: artifact.DigestOf(b)}, artifact.Condition{}))
}

// bytesOf reads an object whole; nil for one that is not there.
func (s *siege) bytesOf(name string) []byte {
	o, err := s.w.store.Get(s.w.ctx, name, 0, -1)
	if err != nil {
		return nil
	}
	defer o.Close()
	b, err := io.ReadAll(o)
	s.w.must(nil, err)
	return b
}
