package artifact

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Find returns a published version's manifest and its digest. The error is a
// *NotPublished, which wraps ErrNotFound, when there is none.
func Find(ctx context.Context, store ReleaseStore, v Version) (Manifest, Digest, error) {
	return FindPinned(ctx, store, v, "")
}

// FindPinned is Find of the manifest with the digest asked for; the error is an
// *OtherManifest when the store holds another. Empty takes the store's.
func FindPinned(ctx context.Context, store ReleaseStore, v Version, pin Digest) (Manifest, Digest, error) {
	b, err := ManifestBytes(ctx, store, v)
	if err != nil {
		return Manifest{}, "", err
	}
	m, err := PinnedManifest(v, pin, b)
	return m, DigestOf(b), err
}

// ManifestBytes returns the manifest of a published version as it is stored;
// nothing of it was looked at. The error is a *NotPublished when there is none.
func ManifestBytes(ctx context.Context, store ReleaseStore, v Version) ([]byte, error) {
	if _, err := ParseVersion(string(v)); err != nil {
		return nil, err
	}
	obj, err := store.Get(ctx, ReleasePrefix(v)+ManifestName, 0, -1)
	if errors.Is(err, ErrNotFound) {
		return nil, &NotPublished{Version: v}
	}
	if err != nil {
		return nil, fmt.Errorf("reading manifest of %q: %w", v, err)
	}
	defer obj.Close()
	b, err := ReadManifest(obj)
	if err != nil {
		return nil, fmt.Errorf("reading manifest of %q: %w", v, err)
	}
	return b, nil
}

// manifestOf parses the manifest found under a version's name.
func manifestOf(v Version, b []byte) (Manifest, error) {
	name := ReleasePrefix(v) + ManifestName
	m, err := parseManifest(b)
	var newer *NewerFormat
	if errors.As(err, &newer) {
		return Manifest{}, fmt.Errorf("reading manifest of %q: %w", v, err)
	}
	if err != nil {
		return Manifest{}, Damagef(name, "it is no manifest: %v", err)
	}
	if m.Version != v {
		return Manifest{}, Damagef(name, "it is the manifest of version %q", m.Version)
	}
	return m, nil
}

// PinnedManifest parses a manifest that has the digest asked for, and nothing
// of another: that is an *OtherManifest. Without a digest any is parsed.
func PinnedManifest(v Version, pin Digest, raw []byte) (Manifest, error) {
	if got := DigestOf(raw); pin != "" && got != pin {
		return Manifest{}, &OtherManifest{Version: v, Want: pin, Have: got}
	}
	return manifestOf(v, raw)
}

// Versions returns the published versions in the order people count in: v9
// before v10.
func Versions(ctx context.Context, store ReleaseStore) ([]Version, error) {
	objects, err := store.List(ctx, ReleasesPrefix)
	if err != nil {
		return nil, fmt.Errorf("listing versions: %w", err)
	}
	var versions []Version
	for _, o := range objects {
		name, ok := strings.CutSuffix(strings.TrimPrefix(o.Name, ReleasesPrefix), "/"+ManifestName)
		if v, err := ParseVersion(name); ok && err == nil {
			versions = append(versions, v)
		}
	}
	slices.SortFunc(versions, compareVersions)
	return versions, nil
}

// compareVersions takes runs of digits as numbers.
func compareVersions(a, b Version) int {
	x, y := string(a), string(b)
	for x != "" && y != "" {
		p, q := leadingRun(x), leadingRun(y)
		if c := compareRuns(p, q); c != 0 {
			return c
		}
		x, y = x[len(p):], y[len(q):]
	}
	if len(x) != len(y) {
		return len(x) - len(y)
	}
	return strings.Compare(string(a), string(b))
}

func compareRuns(p, q string) int {
	if isDigit(p[0]) && isDigit(q[0]) {
		p, q = strings.TrimLeft(p, "0"), strings.TrimLeft(q, "0")
		if len(p) != len(q) {
			return len(p) - len(q)
		}
	}
	return strings.Compare(p, q)
}

// leadingRun returns the longest run of digits, or of anything else, at the
// start of s.
func leadingRun(s string) string {
	n := 1
	for n < len(s) && isDigit(s[n]) == isDigit(s[0]) {
		n++
	}
	return s[:n]
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
